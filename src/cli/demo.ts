// `switchboard` without arguments: a gateway on the embedded store with two real upstreams, and the lines to connect.

import { createApiKey, revokeApiKey } from '../control-plane/api-keys.ts';
import { type Change, COMMAND, change } from '../control-plane/change.ts';
import type { Declared } from '../control-plane/declared.ts';
import { Secret } from '../domain/secret.ts';
import { VERSION } from '../domain/version.ts';
import { openVaulted } from '../gateway/vaulted.ts';
import { createGateway } from '../gateway.ts';
import { hashToken, mintToken } from '../identity/tokens.ts';
import type { Settings } from '../settings/settings.ts';
import { DEFAULT_ACCOUNT } from '../store/store.ts';
import { createLogger } from '../telemetry/logger.ts';
import { connectLines } from './demo/connect-lines.ts';
import { type DemoUpstreams, startDemoUpstreams } from './demo/start-demo-upstreams.ts';
import { type DemoCredentials, keepDemoCredentials, readDemoCredentials } from './demo-credentials.ts';
import { requireFreePort } from './require-free-port.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { masterKeySource, requireSettings } from './settings-or-exit.ts';

const FOLDER = '.switchboard/demo';

export async function startDemo(): Promise<void> {
  const settings = await requireSettings(undefined);
  await requireFreePort(settings.listen);
  const log = createLogger({ level: settings.log.level === 'info' ? 'warn' : settings.log.level });
  const credentials = await prepareCredentials(settings);
  const upstreams = await startDemoUpstreams({
    folder: FOLDER,
    log: { warn: (_fields, message) => log.warn(message) },
  });
  try {
    const declared = declareDemo(upstreams, credentials);
    const gateway = await createGateway({ settings: { ...settings, declared }, masterKey: masterKeySource(), log });
    const { url } = await gateway.listen();
    const kept = { ...credentials, url };
    await keepDemoCredentials(kept);
    const stopped = runUntilSignal(gateway, () => upstreams.close());
    // Whoever waits for these lines may send a signal as soon as they are there.
    process.stdout.write(welcome(kept, upstreams));
    await stopped;
  } finally {
    await upstreams.close();
  }
}

/** The token and key of the last start, made anew where the store does not know them. */
async function prepareCredentials(settings: Settings): Promise<Omit<DemoCredentials, 'url'>> {
  const kept = await readDemoCredentials();
  const { store, keys } = await openVaulted(settings, masterKeySource());
  try {
    const { apiKeys } = await store.readConfiguration(DEFAULT_ACCOUNT);
    const token = kept?.token ?? mintToken('agt').text;
    const live = apiKeys.filter((key) => key.revokedAtMs === null);
    const isKnown = kept !== undefined && live.some((key) => key.hash === hashToken(keys.tokenPepper, kept.api_key));
    if (isKnown) return { token, api_key: kept.api_key };
    const lost = live.find((key) => key.name === 'demo');
    const write = <T>(work: (change: Change) => Promise<T>) =>
      change({ store, auditKey: keys.audit, now: Date.now }, DEFAULT_ACCOUNT, { actor: COMMAND }, work);
    if (lost !== undefined) await write((each) => revokeApiKey(each, lost));
    const { value } = await write((each) => createApiKey(keys.tokenPepper, each, { name: 'demo', role: 'owner' }));
    return { token, api_key: value };
  } finally {
    await store.close();
  }
}

function declareDemo({ upstreams }: DemoUpstreams, { token }: Pick<DemoCredentials, 'token'>): Declared {
  return {
    secrets: [],
    mcpConfigs: upstreams.map(({ name, url, policy }) => ({
      name,
      endpoint: url,
      ...policy,
      authMechanism: { type: 'bearer' },
      customHeaders: [],
      tls: null,
      stdio: null,
      proxy: null,
      limits: {},
      description: null,
    })),
    tokens: [
      {
        name: 'demo',
        value: new Secret(token),
        grants: upstreams.map(({ name }) => ({ mcpConfig: name, secret: null, allowedTools: null })),
        nameStyle: 'dot',
        expiresAtMs: null,
      },
    ],
    positions: new Map(),
    digest: '',
  };
}

function welcome({ url, token, api_key: apiKey }: DemoCredentials, { upstreams, notes }: DemoUpstreams): string {
  const lines = [
    `Switchboard ${VERSION} is running with the demo upstreams ${upstreams.map(({ name }) => name).join(' and ')}.`,
    ...notes,
    '',
    `  URL      ${url}/mcp`,
    `  Token    ${token}`,
    `  API key  ${apiKey}`,
    '',
    'Connect a client:',
    '',
    connectLines({ url: `${url}/mcp`, token }),
    '',
    'Ask why a tool is hidden:',
    '',
    '  npx switchboard explain everything.get-env --token demo',
    '',
    'Stop with Ctrl-C. Data is kept in .switchboard/.',
    '',
  ];
  return lines.join('\n');
}
