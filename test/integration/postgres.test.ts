// Two gateways on one PostgreSQL: an edit through one is enforced by the other, and a database that is away stops edits
// and nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, send, toolCall } from '../support/mcp-http.ts';
import { POSTGRES_ABSENT, type PostgresServer, startPostgres } from '../support/postgres.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const MASTER_KEY = 'the-master-key-that-both-gateways-share';
/** Design §3.12. */
const ENFORCED_WITHIN_MS = 1_000;

describe('two gateways on one PostgreSQL', { skip: POSTGRES_ABSENT }, () => {
  let server: PostgresServer;
  let upstream: RecordingUpstream;
  let one: TestGateway;
  let two: TestGateway;
  before(async () => {
    server = await startPostgres();
    const tools = ['search', 'remove'].map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } }));
    upstream = await startRecordingUpstream({ era: 'modern', tools });
    const options = {
      configs: [{ name: 'wiki', url: upstream.url }],
      masterKey: MASTER_KEY,
      settings: {
        store: { url: await server.createDatabase() },
        upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] },
      },
    };
    one = await startGateway(options);
    two = await startGateway(options);
  });
  after(async () => {
    await server.start();
    await Promise.all([one.close(), two.close()]);
    await upstream.close();
  });

  const post = (gateway: TestGateway, path: string, body: object): Promise<Answer> =>
    send(`${gateway.url}/v1/${path}`, { token: one.apiKey, body: JSON.stringify(body) });
  const call = (gateway: TestGateway, token: string, name: string) =>
    send(gateway.mcpUrl, { token, ...toolCall(name) });
  const isAnswered = async (gateway: TestGateway, token: string, name: string) =>
    (await call(gateway, token, name)).message.result !== undefined;

  /** Resolves with how long it took until it was so. */
  async function enforced(what: () => Promise<boolean>): Promise<number> {
    const startedMs = performance.now();
    await eventually(what, ENFORCED_WITHIN_MS);
    return performance.now() - startedMs;
  }

  test('an edit through the REST API of one is enforced by the other in under a second', async (t) => {
    const config = { name: 'made', endpoint: upstream.url, allowed_tools: ['search'] };
    const { id } = (await post(one, 'mcp-configs', config)).message;
    const made = await post(one, 'mcp-tokens', { name: 'agent-made', grants: [{ mcp_config: 'made' }] });
    const { token, id: tokenId } = made.message as { token: string; id: string };
    const times = {
      token: await enforced(() => isAnswered(two, token, 'made.search')),
      narrowed: 0,
      widened: 0,
      revoked: 0,
    };
    await post(one, `mcp-configs/${id}`, { allowed_tools: ['remove'] });
    times.narrowed = await enforced(async () => !(await isAnswered(two, token, 'made.search')));
    // The other way round as well, and the new tool with the old gone: of one configuration, not of two.
    assert.equal(await isAnswered(two, token, 'made.remove'), true);
    await post(two, `mcp-configs/${id}`, { allowed_tools: ['*'] });
    times.widened = await enforced(() => isAnswered(one, token, 'made.search'));
    assert.equal((await post(two, `mcp-tokens/${tokenId}/revoke`, {})).status, 200);
    times.revoked = await enforced(async () => (await call(one, token, 'made.search')).status === 401);
    t.diagnostic(
      Object.entries(times)
        .map(([what, ms]) => `${what} ${ms.toFixed()} ms`)
        .join(', '),
    );
  });

  test('while the database is away calls go on and edits are refused at once; both recover by themselves', async () => {
    const made = await post(one, 'secrets', { name: 'BEFORE', value: 'x' });
    assert.equal(made.status, 200);
    await server.stop('crash');
    for (const gateway of [one, two]) {
      for (let i = 0; i < 5; i++) assert.equal(await isAnswered(gateway, one.token(), 'wiki.search'), true);
      const startedMs = performance.now();
      const refused = await post(gateway, 'secrets', { name: 'REFUSED', value: 'x' });
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers['retry-after']) >= 1);
      assert.match(String(refused.message.message), /PostgreSQL cannot be reached\. Nothing was changed; try again/);
      assert.doesNotMatch(refused.text, /127\.0\.0\.1|pass/);
      assert.ok(performance.now() - startedMs < 1_000);
    }
    await server.start();
    for (const [gateway, name] of [
      [one, 'AFTER_ONE'],
      [two, 'AFTER_TWO'],
    ] as const) {
      await eventually(async () => (await post(gateway, 'secrets', { name, value: 'x' })).status === 200);
      assert.equal(await isAnswered(gateway, one.token(), 'wiki.search'), true);
    }
    const { message } = await send(`${two.url}/v1/secrets`, { method: 'GET', token: one.apiKey });
    const names = (message.secrets as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(names.toSorted(), ['AFTER_ONE', 'AFTER_TWO', 'BEFORE']);
    const epochs = () =>
      Promise.all(
        [one, two].map(async ({ url }) => (await send(`${url}/readyz?detail`, { method: 'GET' })).message.epochs),
      );
    await eventually(async () => new Set((await epochs()).map((each) => JSON.stringify(each))).size === 1);
  });
});
