// Limits of one config, in the place of the gateway's own: they hold for it, and for no other.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { callResult } from '../support/sdk-server-replies.ts';

/** An upstream that answers calls when told. */
async function startSlow(t: TestContext): Promise<{ upstream: RecordingUpstream; answer: () => void }> {
  const told = Promise.withResolvers<void>();
  const upstream = await startRecordingUpstream({
    era: 'modern',
    onCall: async () => {
      await told.promise;
      return callResult('modern');
    },
  });
  t.after(() => upstream.close());
  return { upstream, answer: told.resolve };
}

async function serve(t: TestContext, url: string, limits: object): Promise<TestGateway> {
  const gateway = await startGateway({
    configs: [
      { name: 'own', url, more: { limits } },
      { name: 'other', url },
    ],
  });
  t.after(() => gateway.close());
  await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
  return gateway;
}

function call(gateway: TestGateway, name: string): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(name), token: gateway.token() });
}

test('a header timeout cuts the calls of its config short', async (t) => {
  const { upstream, answer } = await startSlow(t);
  const gateway = await serve(t, upstream.url, { header_timeout_ms: 100 });
  const other = call(gateway, 'other.echo');
  const own = await call(gateway, 'own.echo');
  assert.equal(own.message.error?.data?.reason, 'timeout');
  answer();
  assert.deepEqual((await other).message.result?.content, [{ type: 'text', text: 'ok' }]);
});

test('connections are counted against the limit of their config', async (t) => {
  const { upstream, answer } = await startSlow(t);
  const gateway = await serve(t, upstream.url, { connections: 1 });
  const first = call(gateway, 'own.echo');
  await eventually(() => upstream.calls.length === 1);
  const second = call(gateway, 'own.echo');
  const others = [call(gateway, 'other.echo'), call(gateway, 'other.echo')];
  await eventually(() => upstream.calls.length === 3);
  answer();
  const answers = await Promise.all([first, second, ...others]);
  assert.ok(answers.every(({ message }) => message.result !== undefined));
  assert.equal(upstream.calls.length, 4);
});
