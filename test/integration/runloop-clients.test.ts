// Runloop's published clients, unmodified, against the REST API: 1.21.0 speaks HTTP/1.1, 1.32.0 HTTP/2 with prior knowledge.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Runloop as RunloopHttp1 } from 'runloop-http1';
import { Runloop as RunloopHttp2 } from 'runloop-http2';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { CLIENT_KINDS, connectClient } from '../support/sdk-clients.ts';

type Client = RunloopHttp1 & { readonly devboxes: Partial<Pick<RunloopHttp2['devboxes'], 'createMcpToken'>> };

const CLIENTS = [
  ['1.21.0 over HTTP/1.1', RunloopHttp1],
  ['1.32.0 over HTTP/2', RunloopHttp2 as unknown as typeof RunloopHttp1],
] as const;

type Mounts = Readonly<Record<string, { mcp_config: string; secret: string }>>;

/** Through the client where it has the call, as it would write it otherwise. */
function createMcpToken(client: Client, id: string, body: { mcp_config: string; secret: string }) {
  return client.devboxes.createMcpToken?.(id, body) ?? client.post(`/v1/devboxes/${id}/create_mcp_token`, { body });
}

let gateway: TestGateway;
let proxy: CuttingProxy;
let upstream: RecordingUpstream;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'modern' });
  gateway = await startGateway({
    configs: [],
    tokens: [],
    limits: { api_requests_per_minute: 100_000 },
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
  proxy = await startCuttingProxy(gateway.url);
});

after(async () => {
  await proxy.close();
  await gateway.close();
  await upstream.close();
});

for (const [what, Runloop] of CLIENTS) {
  suite(`@runloop/api-client ${what}`, () => {
    const prefix = what.startsWith('1.21') ? 'h1' : 'h2';
    const client = () => new Runloop({ baseURL: gateway.url, bearerToken: gateway.apiKey, maxRetries: 0 });
    /** As it is out of the box: it tries again five times. */
    const tenacious = () => new Runloop({ baseURL: proxy.url, bearerToken: gateway.apiKey });

    test('creates, reads, changes and deletes an McpConfig', async () => {
      const { mcpConfigs } = client();
      const created = await mcpConfigs.create({
        name: `${prefix}-readonly`,
        endpoint: upstream.url,
        allowed_tools: ['*'],
        description: 'what it is for',
      });
      assert.match(created.id, /^mcp_[0-9a-f]{32}$/);
      assert.deepEqual(await mcpConfigs.retrieve(created.id), created);
      const updated = await mcpConfigs.update(created.id, { allowed_tools: ['get_*'], description: null });
      assert.deepEqual(updated.allowed_tools, ['get_*']);
      assert.equal(updated.description, 'what it is for', 'null leaves a field as it is');
      assert.deepEqual(await mcpConfigs.update(created.id), updated, 'nothing changes nothing');
      const deleted = await mcpConfigs.delete(created.id);
      assert.equal(deleted.id, created.id);
      await assert.rejects(mcpConfigs.retrieve(created.id), { status: 404 });
    });

    test('says how the credential is sent and what else is, with null for what it leaves out', async () => {
      const runloop = client();
      const secret = await runloop.secrets.create({ name: `${prefix}-HEADER`, value: 'x' });
      const body = {
        name: `${prefix}-headers`,
        endpoint: upstream.url,
        allowed_tools: ['*'],
        description: null,
        auth_mechanism: { type: 'bearer', key: null },
        custom_headers: [
          { name: 'X-Literal', value: 'literal', secret: null },
          { name: 'X-Secret', secret: secret.name, value: null },
        ],
      };
      // 1.21.0 has no types for these fields.
      const created = (await runloop.post('/v1/mcp-configs', { body })) as Record<string, unknown>;
      assert.deepEqual(created.auth_mechanism, { type: 'bearer' });
      assert.deepEqual(created.custom_headers, [
        { name: 'X-Literal', value: 'literal' },
        { name: 'X-Secret', secret: secret.id },
      ]);
    });

    test('is told of a name that is taken and of what is not there, and does not try again', async () => {
      const { mcpConfigs, secrets, devboxes } = tenacious();
      const input = { name: `${prefix}-twice`, endpoint: upstream.url, allowed_tools: ['*'] };
      const { id } = await mcpConfigs.create(input);
      const secret = { name: `${prefix}-TWICE`, value: 'x' };
      await secrets.create(secret);
      const other = await mcpConfigs.create({ ...input, name: `${prefix}-other` });
      const refusals = [
        [Runloop.BadRequestError, () => mcpConfigs.create(input), `the McpConfig '${prefix}-twice' exists already`],
        [Runloop.BadRequestError, () => mcpConfigs.update(other.id, { name: input.name }), 'exists already'],
        [Runloop.BadRequestError, () => secrets.create(secret), `the secret '${prefix}-TWICE' exists already`],
        [
          Runloop.BadRequestError,
          () => devboxes.create({ mcp: { A: { mcp_config: 'no', secret: 'no' } } }),
          'mcp.A.mcp',
        ],
        [Runloop.NotFoundError, () => mcpConfigs.retrieve('mcp_unknown'), "no McpConfig 'mcp_unknown'"],
        [
          Runloop.NotFoundError,
          () => mcpConfigs.update('mcp_unknown', { name: 'other' }),
          "no McpConfig 'mcp_unknown'",
        ],
        [Runloop.NotFoundError, () => mcpConfigs.delete('mcp_unknown'), "no McpConfig 'mcp_unknown'"],
        [Runloop.NotFoundError, () => secrets.update('UNKNOWN', { value: 'x' }), "no secret 'UNKNOWN'"],
        [Runloop.NotFoundError, () => secrets.delete('UNKNOWN'), "no secret 'UNKNOWN'"],
        [Runloop.NotFoundError, () => devboxes.retrieve('dbx_unknown'), "no devbox 'dbx_unknown'"],
        [Runloop.NotFoundError, () => devboxes.shutdown('dbx_unknown'), "no devbox 'dbx_unknown'"],
      ] as const;
      for (const [kind, refused, message] of refusals) {
        const before = proxy.requests;
        await assert.rejects(refused, (error: Error) => error instanceof kind && error.message.includes(message));
        assert.equal(proxy.requests - before, 1, message);
      }
      for (const each of [id, other.id]) await mcpConfigs.delete(each);
    });

    test('is given the answer that it lost, and nothing is made twice', async () => {
      const { mcpConfigs } = tenacious();
      // Connections, and what HTTP/2 says on them first, are there before an answer is lost.
      await mcpConfigs.list();
      const before = proxy.requests;
      proxy.cutNextAnswer();
      const name = `${prefix}lost-answer`;
      const { data, response } = await mcpConfigs
        .create({ name, endpoint: upstream.url, allowed_tools: ['*'] })
        .withResponse();
      assert.equal(proxy.requests - before, 2);
      assert.equal(response.headers.get('idempotent-replayed'), 'true');
      const made = await mcpConfigs.list({ name });
      assert.deepEqual(made.mcp_configs, [data]);
    });

    test('pages through seven pages of McpConfigs, newest first', async () => {
      const { mcpConfigs } = client();
      const names = Array.from({ length: 13 }, (_, index) => `${prefix}page-${index}`);
      for (const name of names) await mcpConfigs.create({ name, endpoint: upstream.url, allowed_tools: ['*'] });
      const seen: string[] = [];
      for await (const { name } of mcpConfigs.list({ limit: 2, name: `${prefix}page-` })) seen.push(name);
      assert.deepEqual(seen, names.toReversed());
    });

    test('stores, replaces and deletes a secret, whose value never comes back', async () => {
      const { secrets } = client();
      const created = await secrets.create({ name: `${prefix}-KEY`, value: 'canary-of-a-secret' });
      assert.match(created.id, /^sec_/);
      const updated = await secrets.update(created.name, { value: 'canary-of-another' });
      assert.equal(updated.id, created.id);
      const { secrets: listed } = await secrets.list({ limit: 5000 });
      assert.ok(listed.some(({ id }) => id === created.id));
      assert.doesNotMatch(JSON.stringify([created, updated, listed]), /canary/);
      assert.equal((await secrets.delete(created.name)).id, created.id);
    });

    for (const [how, create] of [
      ['devboxes.create', (box: Client['devboxes'], mcp: Mounts) => box.create({ mcp })],
      ['devboxes.createAndAwaitRunning', (box: Client['devboxes'], mcp: Mounts) => box.createAndAwaitRunning({ mcp })],
    ] as const) {
      test(`mounts an McpConfig with ${how}, and the token of the devbox lists and calls its tools`, async () => {
        const runloop: Client = client();
        const name = `${prefix}${how.length}`;
        const config = await runloop.mcpConfigs.create({ name, endpoint: upstream.url, allowed_tools: ['echo'] });
        const secret = await runloop.secrets.create({ name, value: `credential-of-${name}` });
        const mount = { mcp_config: config.name, secret: secret.name };
        const devbox = await create(runloop.devboxes, { MCP_SECRET: mount });
        assert.equal(devbox.status, 'running');
        assert.deepEqual(devbox.mcp_specs, { MCP_SECRET: { mcp_config_id: config.id, secret_id: secret.id } });
        assert.deepEqual(await runloop.devboxes.retrieve(devbox.id), devbox);
        const { token, url } = (await createMcpToken(runloop, devbox.id, mount)) as { token: string; url: string };
        assert.equal(url, gateway.mcpUrl);
        for (const kind of CLIENT_KINDS) {
          const agent = await connectClient(kind, url, token);
          assert.deepEqual(await agent.toolNames(), [`${name}.echo`]);
          assert.equal((await agent.call(`${name}.echo`)).text, 'ok');
          await agent.close();
        }
        assert.equal(upstream.calls.at(-1)?.headers.authorization, `Bearer credential-of-${name}`);
        assert.equal(((await runloop.devboxes.shutdown(devbox.id)) as { status: string }).status, 'shutdown');
        assert.equal((await send(url, { ...mcpRequest('tools/list'), token })).status, 401);
      });
    }

    test('mounts a list, as older ones write it, and pages through devboxes', async () => {
      const runloop = client();
      const { mcpConfigs, devboxes, secrets } = runloop;
      const name = `${prefix}-array-form`;
      const config = await mcpConfigs.create({ name, endpoint: upstream.url, allowed_tools: [] });
      const secret = await secrets.create({ name, value: 'x' });
      const body = { mcp: [{ mcp_config: config.id, secret: secret.id }] };
      const made: string[] = [];
      for (let count = 0; count < 7; count++) {
        const { id, mcp_specs } = (await runloop.post('/v1/devboxes', { body })) as Awaited<
          ReturnType<typeof devboxes.create>
        >;
        assert.deepEqual(Object.values(mcp_specs ?? {}), [{ mcp_config_id: config.id, secret_id: secret.id }]);
        made.unshift(id);
      }
      const seen: string[] = [];
      for await (const { id } of devboxes.list({ limit: 1, status: 'running' })) {
        seen.push(id);
        if (seen.length === made.length) break;
      }
      assert.deepEqual(seen, made);
    });

    test('makes what a token then lists and calls', async () => {
      const { mcpConfigs, secrets } = client();
      const config = await mcpConfigs.create({
        name: `${prefix}tools`,
        endpoint: upstream.url,
        allowed_tools: ['echo'],
      });
      const secret = await secrets.create({ name: `${prefix}-TOOLS`, value: 'upstream-credential' });
      const { token } = (await client().post('/v1/mcp-tokens', {
        body: { name: `${prefix}-agent`, grants: [{ mcp_config: config.id, secret: secret.id }] },
      })) as { token: string };
      const list = await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token });
      assert.deepEqual(
        list.message.result?.tools.map(({ name }: { name: string }) => name),
        [`${prefix}tools.echo`],
      );
      const called = await send(gateway.mcpUrl, { ...toolCall(`${prefix}tools.echo`), token });
      assert.ok(called.message.result, called.text);
    });
  });
}
