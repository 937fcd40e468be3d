// From which level on a client gets logs: legacy clients say it once for a session, modern ones with every request, and
// upstreams of either era are told in their own way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { LegacySession } from '../support/session-client.ts';
import { SessionUpstream } from '../support/session-upstream.ts';
import { beginStream, tell } from '../support/watched-upstream.ts';

const META_LEVEL = '"io.modelcontextprotocol/logLevel"';

let legacy: SessionUpstream;
let modern: RecordingUpstream;
let gateway: TestGateway;

before(async () => {
  legacy = await SessionUpstream.start();
  modern = await startRecordingUpstream({ era: 'modern' });
  gateway = await startGateway({
    configs: [
      { name: 'old', url: legacy.url },
      { name: 'new', url: modern.url },
    ],
  });
});
after(async () => {
  await gateway.close();
  await Promise.all([legacy.close(), modern.close()]);
});

async function setLevel(session: LegacySession | undefined, level: string) {
  const sent = mcpRequest('logging/setLevel', { params: `"level":${level}`, headers: session?.headers ?? {} });
  return (await send(gateway.mcpUrl, { ...sent, token: gateway.token() })).message;
}

/** Calls the legacy upstream, which logs at every level and then answers; gives the levels that come, in order. */
async function levelsOf(request: ReturnType<typeof toolCall>): Promise<string[]> {
  const calling = send(gateway.mcpUrl, { ...request, token: gateway.token() });
  await eventually(() => legacy.calls.length === 1);
  const call = legacy.calls.pop()!;
  beginStream(call);
  for (const level of ['debug', 'info', 'warning', 'emergency', 'made-up']) {
    tell(call, { jsonrpc: '2.0', method: 'notifications/message', params: { level, data: level } });
  }
  tell(call, { jsonrpc: '2.0', id: call.message.id, result: { content: [] } });
  call.response.end();
  const { text } = await calling;
  return [...text.matchAll(/"level":"([\w-]+)"/g)].map(([, level]) => level ?? '');
}

const setLevels = () => legacy.watched.of('logging/setLevel').map(({ message }) => message.params.level);

test('a level that there is not is refused', async () => {
  const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
  for (const level of ['"loud"', '"Debug"', '7', 'null']) {
    assert.equal((await setLevel(session, level)).error?.code, -32602, level);
  }
});

test('a legacy session gets what it has asked for, and its upstream is told before the call', async () => {
  const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
  const other = await LegacySession.open(gateway.mcpUrl, gateway.token());
  const before = setLevels().length;
  const all = ['debug', 'info', 'warning', 'emergency', 'made-up'];
  assert.deepEqual(await levelsOf(toolCall('old.ask', { headers: session.headers })), all);
  assert.equal(setLevels().length, before, 'nobody has said anything about logs');
  assert.deepEqual((await setLevel(session, '"warning"')).result, {});
  assert.deepEqual(await levelsOf(toolCall('old.ask', { headers: session.headers })), ['warning', 'emergency']);
  assert.deepEqual(await levelsOf(toolCall('old.ask', { headers: other.headers })), all, 'another session');
  assert.deepEqual(setLevels().slice(before), ['warning']);
  await setLevel(session, '"info"');
  assert.deepEqual(await levelsOf(toolCall('old.ask', { headers: session.headers })), ['info', 'warning', 'emergency']);
  // To say less again is a matter of what is passed on.
  await setLevel(session, '"emergency"');
  assert.deepEqual(await levelsOf(toolCall('old.ask', { headers: session.headers })), ['emergency']);
  assert.deepEqual(setLevels().slice(before), ['warning', 'info']);
});

test('a modern client gets what each request asks for, and nothing unless it asks', async () => {
  const ask = (level?: string) =>
    toolCall('old.ask', { era: 'modern', ...(level === undefined ? {} : { meta: `${META_LEVEL}:"${level}"` }) });
  assert.deepEqual(await levelsOf(ask()), []);
  assert.deepEqual(await levelsOf(ask('warning')), ['warning', 'emergency']);
  assert.deepEqual(await levelsOf(ask('debug')), ['debug', 'info', 'warning', 'emergency', 'made-up']);
  const wrong = await send(gateway.mcpUrl, { ...ask('loud'), token: gateway.token() });
  assert.deepEqual([wrong.status, wrong.message.error?.code], [400, -32602]);
});

test('a modern upstream is told with each call, and without a level nothing', async () => {
  const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
  const call = () =>
    send(gateway.mcpUrl, { ...toolCall('new.echo', { headers: session.headers }), token: gateway.token() });
  await call();
  await setLevel(session, '"error"');
  await call();
  const levels = modern.calls.map(({ body }) => JSON.parse(body.toString()).params._meta[META_LEVEL.slice(1, -1)]);
  assert.deepEqual(levels, [undefined, 'error']);
});

test('without a session there is nothing to keep it with', async () => {
  assert.deepEqual((await setLevel(undefined, '"error"')).result, {});
});
