// Runloop's published clients, unmodified, against the REST API: 1.21.0 speaks HTTP/1.1, 1.32.0 HTTP/2 with prior knowledge.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Runloop as RunloopHttp1 } from 'runloop-http1';
import { Runloop as RunloopHttp2 } from 'runloop-http2';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const CLIENTS = [
  ['1.21.0 over HTTP/1.1', RunloopHttp1],
  ['1.32.0 over HTTP/2', RunloopHttp2 as unknown as typeof RunloopHttp1],
] as const;

let gateway: TestGateway;
let upstream: RecordingUpstream;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'modern' });
  gateway = await startGateway({
    configs: [],
    tokens: [],
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
});

after(async () => {
  await gateway.close();
  await upstream.close();
});

for (const [what, Runloop] of CLIENTS) {
  suite(`@runloop/api-client ${what}`, () => {
    const prefix = what.startsWith('1.21') ? 'h1' : 'h2';
    const client = () => new Runloop({ baseURL: gateway.url, bearerToken: gateway.apiKey, maxRetries: 0 });

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

    test('is told of a name that is taken, and of an id that is not known', async () => {
      const { mcpConfigs } = client();
      const input = { name: `${prefix}-twice`, endpoint: upstream.url, allowed_tools: ['*'] };
      const { id } = await mcpConfigs.create(input);
      await assert.rejects(mcpConfigs.create(input), (error: { status: number; message: string }) => {
        assert.equal(error.status, 400);
        assert.match(error.message, new RegExp(`the McpConfig '${prefix}-twice' exists already`));
        return true;
      });
      await assert.rejects(mcpConfigs.update('mcp_unknown', { name: 'other' }), { status: 404 });
      await assert.rejects(mcpConfigs.delete('mcp_unknown'), { status: 404 });
      await mcpConfigs.delete(id);
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
