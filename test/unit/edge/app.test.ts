import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTHING, read } from '../../../src/control-plane/operation.ts';
import { createPerform, type PerformDeps } from '../../../src/control-plane/perform.ts';
import { createRestDoor } from '../../../src/control-plane/rest.ts';
import { GatewayError } from '../../../src/domain/errors.ts';
import { createApp } from '../../../src/edge/app.ts';
import { Authenticator } from '../../../src/identity/authenticate.ts';
import { hashToken } from '../../../src/identity/tokens.ts';
import { RateLimiter } from '../../../src/rate-limiter.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';

const PEPPER = Buffer.alloc(32, 1);
const KEY = 'k'.repeat(40);
const ASKED = '/v1/explain?tool=a.b&token=c';

function operationThatFails(error: GatewayError) {
  return read({
    name: 'explain',
    tag: 'decisions',
    summary: 'Fails.',
    method: 'get',
    path: '/explain',
    role: 'viewer',
    query: NOTHING,
    body: NOTHING,
    view: NOTHING,
    run: () => Promise.reject(error),
  });
}

/** The routes, over a use case that fails with `error`. */
function appThatFails(error: GatewayError) {
  const authenticator = new Authenticator({ pepper: PEPPER, now: Date.now });
  const key = {
    id: 'key_1',
    name: 'ops',
    hash: hashToken(PEPPER, KEY),
    role: 'owner',
    createTimeMs: 1,
    revokedAtMs: null,
  } as const;
  const empty = { epoch: 1, mcpConfigs: [], secrets: [], tokens: [] };
  authenticator.replace([{ ...empty, accountId: DEFAULT_ACCOUNT, apiKeys: [key] }]);
  const limiter = new RateLimiter({ permits: 100, windowMs: 1, now: Date.now });
  return createApp({
    rest: createRestDoor({
      authenticator,
      operations: [operationThatFails(error)],
      perform: createPerform({} as PerformDeps),
      limiter,
    }),
    manage: () => Promise.reject(error),
    claim: () => Promise.reject(error),
    limiter,
    authenticator,
    readMetrics: async () => [],
    log: createLogger({ level: 'silent' }),
    configSchema: {},
    openApi: () => ({}),
    isReady: () => true,
    readyDetail: () => ({}),
  });
}

const headers = { authorization: `Bearer ${KEY}` };

test('a refusal that will pass says when to try again, in whole seconds and never too early', async () => {
  for (const [retryAfterMs, seconds] of [
    [1, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [60_000, '60'],
  ] as const) {
    const error = new GatewayError('overloaded', 'Try again.', { retryAfterMs });
    const answer = await appThatFails(error).request(ASKED, { headers });
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, seconds]);
  }
});

test('a refusal that will not pass by itself says nothing of when', async () => {
  const answer = await appThatFails(new GatewayError('not_found', 'There is none.')).request(ASKED, { headers });
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [404, null]);
});

test('agents are not served by the routes', async () => {
  const app = appThatFails(new GatewayError('internal', 'unused'));
  for (const path of ['/mcp', '/%6dcp', '/mcp?names=bare'])
    assert.equal((await app.request(path, { method: 'POST' })).status, 404, path);
});
