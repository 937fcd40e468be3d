// The real command as a process of its own, with an API key for its REST API: made in its store beside it, as an operator
// of a running server makes one.

import { createApiKey } from '../../src/control-plane/api-keys.ts';
import { COMMAND, change } from '../../src/control-plane/change.ts';
import { openVaulted } from '../../src/gateway/vaulted.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import { eventually } from './eventually.ts';
import type { ConfigFileOptions } from './gateway.ts';
import { createRestClient, type RestClient } from './rest-client.ts';
import { type ServeChild, startServe } from './serve-child.ts';

export interface RestChild {
  readonly child: ServeChild;
  readonly apiKey: string;
  readonly client: RestClient;
}

/** Admits upstreams on this machine that the API names, and as many requests as there are. */
export const OPEN: ConfigFileOptions = {
  configs: [],
  tokens: [],
  limits: { api_requests_per_minute: 1_000_000 },
  settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
};

/** One that lives until it is stopped, or until the test file ends. */
export async function startServeRest(options = OPEN): Promise<RestChild> {
  const child = await startServe(options);
  const apiKey = await makeApiKey(child.storeFile);
  const client = createRestClient(child.url, apiKey);
  // The change feed brings the key to the running process.
  await eventually(async () => (await client.get('/accounts/me')).status === 200);
  return { child, apiKey, client };
}

async function makeApiKey(storeFile: string): Promise<string> {
  const { store, keys } = await openVaulted({ store: { url: `sqlite:${storeFile}` } }, {});
  try {
    const deps = { store, auditKey: keys.audit, now: Date.now };
    const { value } = await change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) =>
      createApiKey(keys.tokenPepper, each, { name: 'operator', role: 'owner' }),
    );
    return value;
  } finally {
    await store.close();
  }
}
