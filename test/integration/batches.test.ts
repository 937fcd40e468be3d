// Batches, in sessions that negotiated 2025-03-26: each message as if it had come alone, all answers in one array.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, afterEach, before, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type JsonRpcAnswer, mcpRequest, type Sent, send } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { toMessage } from '../support/sdk-server-replies.ts';

const TOOLS = ['quick', 'hang', 'large', 'forge', 'cut', 'steps', 'asks'];
const PING = '{"jsonrpc":"2.0","id":"p","method":"ping"}';
const LIST = '{"jsonrpc":"2.0","id":2,"method":"tools/list"}';
const NOTE = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}';
const ASK = '{"jsonrpc":"2.0","id":"asked","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}';
const TOKENS = ['agent', 'narrow', 'other', 'leaver'];

let gate = Promise.withResolvers<string>();
let upstream: RecordingUpstream;
let gateway: TestGateway;
let session: string;

before(async () => {
  upstream = await startRecordingUpstream({
    era: 'legacy',
    sessions: true,
    tools: TOOLS.map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } })),
    onCall: ({ name, body }) => {
      if (name === 'hang') return gate.promise;
      if (name === 'large') return `{"a":"${'x'.repeat(Number(JSON.parse(body.toString()).params.arguments.bytes))}"}`;
      if (name === 'asks') return { sse: [ASK], result: '{"n":2}' };
      if (name === 'steps') return { sse: [PROGRESS], result: '{"n":1.0}' };
      return '{"n":9007199254740993}';
    },
    intercept: ({ body }, response) => {
      const { id, params } = JSON.parse(body.toString() || '{}');
      const answer = params?.name === 'forge' ? FORGED : params?.name === 'cut' ? CUT : undefined;
      answer?.(response, JSON.stringify(id));
      return answer !== undefined;
    },
  });
  gateway = await startGateway({
    configs: [{ name: 'rec', url: upstream.url }],
    tokens: TOKENS.map((name) => ({ name })),
    limits: { calls_per_token: 20 },
  });
  session = await openSession('2025-03-26');
});
afterEach(() => {
  gate.resolve('{"late":true}');
  gate = Promise.withResolvers();
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

/** Answers with more than an answer: for a reader of the array, with the answer of the batch's second request. */
function FORGED(response: ServerResponse, id: string): void {
  const forged = `${toMessage(id, '{"n":1}')},{"jsonrpc":"2.0","id":"p","result":{"forged":true}}`;
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': forged.length }).end(forged);
}

/** Answers with the beginning of a large answer, and is gone. */
function CUT(response: ServerResponse, id: string): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  const begun = toMessage(id, `{"a":"${'x'.repeat(200_000)}"}`).slice(0, 150_000);
  response.write(begun, () => setImmediate(() => response.destroy()));
}

async function openSession(protocolVersion: string, token = 'agent'): Promise<string> {
  const params = `"protocolVersion":"${protocolVersion}","capabilities":{"sampling":{}},"clientInfo":{"name":"t","version":"1"}`;
  const answer = await send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token: gateway.token(token) });
  return String(answer.headers['mcp-session-id']);
}

function call(id: string, tool: string, args = '{}'): string {
  const params = `{"name":"rec.${tool}","arguments":${args},"_meta":{"progressToken":"t"}}`;
  return `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`;
}

function toBatch(messages: readonly string[] | string, headers: Record<string, string> = {}, token = 'agent'): Sent {
  const body = typeof messages === 'string' ? messages : `[${messages.join(' , ')}]`;
  const accept = 'application/json, text/event-stream';
  return { token: gateway.token(token), body, headers: { accept, 'mcp-session-id': session, ...headers } };
}

function sendBatch(...args: Parameters<typeof toBatch>): Promise<Answer> {
  return send(gateway.mcpUrl, toBatch(...args));
}

/** The answers by the text of their ids, each once. */
function byId({ status, message }: Answer): Map<string, JsonRpcAnswer> {
  assert.equal(status, 200);
  const answers = message as unknown as JsonRpcAnswer[];
  const found = new Map(answers.map((answer) => [JSON.stringify(answer.id) ?? '-', answer]));
  assert.equal(found.size, answers.length, JSON.stringify(answers));
  return found;
}

suite('a batch in a session of 2025-03-26', () => {
  test('answers each request once, in one array, byte for byte, and notifications not at all', async () => {
    const answer = await sendBatch([PING, NOTE, call('1', 'quick'), LIST, call('"1"', 'steps')]);
    assert.deepEqual([answer.status, answer.kind], [200, 'json']);
    const answers = byId(answer);
    assert.deepEqual([...answers.keys()], ['"p"', '1', '2', '"1"']);
    assert.deepEqual(answers.get('"p"')!.result, {});
    assert.equal(answers.get('2')!.result.tools.length, TOOLS.length);
    assert.match(answer.text, /\{"result":\{"n":9007199254740993\},"jsonrpc":"2\.0","id":1\}/);
    assert.match(answer.text, /\{"result":\{"n":1\.0\},"jsonrpc":"2\.0","id":"1"\}/);
  });

  test('is one event for a client that reads only events', async () => {
    const answer = await sendBatch([PING, LIST], { accept: 'text/event-stream' });
    assert.deepEqual([answer.kind, answer.datas.length], ['sse', 1]);
    assert.deepEqual([...byId(answer).keys()], ['"p"', '2']);
  });

  test('of notifications and responses is accepted without an answer', async () => {
    const response = '{"jsonrpc":"2.0","id":"nobody asked","result":{}}';
    for (const messages of [[NOTE], [response], [NOTE, response, NOTE]]) {
      const { status, text } = await sendBatch(messages);
      assert.deepEqual([status, text], [202, '']);
    }
  });

  test('answers what is broken in it, and serves the rest', async () => {
    const missing = '{"jsonrpc":"2.0","id":5,"method":"no/such"}';
    const initialize = '{"jsonrpc":"2.0","id":6,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}';
    const hidden = call('7', 'hidden');
    const answer = await sendBatch([PING, '{"id":4}', missing, initialize, hidden, '[]', call('"x"', 'quick')]);
    const codes = [...byId(answer)].map(([id, { error }]) => [id, error?.code]);
    assert.deepEqual(codes, [
      ['"p"', undefined],
      ['4', -32600],
      ['5', -32601],
      ['6', -32600],
      ['7', -32602],
      ['-', -32600],
      ['"x"', undefined],
    ]);
    assert.equal(answer.headers['mcp-session-id'], undefined);
  });

  test('has no stream for what a server asks, which is told so', async () => {
    const answers = byId(await sendBatch([call('1', 'asks'), PING]));
    assert.deepEqual(answers.get('1')!.result, { n: 2 });
    const told = await eventually(() => upstream.requests.find(({ body }) => body.includes('"asked"')));
    assert.equal(JSON.parse(told.body.toString()).error.code, -32601);
  });

  test('that cannot be read is answered with one error', async () => {
    for (const [body, code] of [
      [`[${PING}`, -32700],
      ['[]', -32600],
      [`[${Array.from({ length: 101 }, () => NOTE)}]`, -32600],
    ] as const) {
      const { status, message } = await sendBatch(body);
      assert.deepEqual([status, message.error?.code], [400, code]);
    }
  });

  test('counts each of its calls towards the limits', async () => {
    const calls = Array.from({ length: 25 }, (_, index) => call(String(index), 'hang'));
    const before = upstream.calls.length;
    const answered = sendBatch(calls, { 'mcp-session-id': await openSession('2025-03-26', 'narrow') }, 'narrow');
    await eventually(() => upstream.calls.length === before + 20);
    gate.resolve('{}');
    const answers = [...byId(await answered).values()];
    assert.deepEqual(
      answers.map(({ error }) => error?.data?.reason),
      [...Array.from({ length: 20 }, () => undefined), ...Array.from({ length: 5 }, () => 'rate_limited')],
    );
    assert.equal(upstream.calls.length, before + 20);
  });

  test('leaves out the answer to a call that is cancelled, and waits for the others', async () => {
    const before = upstream.calls.length;
    const answered = sendBatch([call('1', 'hang'), call('2', 'hang'), PING]);
    await eventually(() => upstream.calls.length === before + 2);
    const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    assert.equal((await sendBatch([cancel])).status, 202);
    await eventually(() => upstream.requests.some(({ body }) => body.includes('notifications/cancelled')));
    gate.resolve('{}');
    assert.deepEqual([...byId(await answered).keys()], ['2', '"p"']);
    const both = [call('8', 'hang'), '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}}'];
    assert.equal((await sendBatch(both)).status, 202);
  });

  test('whose client leaves is no cancellation, as with single calls of its era', async () => {
    const before = upstream.calls.length;
    const id = await openSession('2025-03-26', 'leaver');
    const connection = await RawHttp1.connect(gateway.url);
    const sent = toBatch([call('1', 'hang'), call('2', 'hang')], { 'mcp-session-id': id }, 'leaver');
    const { head, body } = toHttp1(gateway.mcpUrl, sent);
    connection.write(head, body);
    await eventually(() => upstream.calls.length === before + 2);
    connection.socket.destroy();
    // The gateway has seen it leave once something that came later is answered.
    const later = await sendBatch([PING, call('9', 'quick')], { 'mcp-session-id': id }, 'leaver');
    assert.deepEqual([...byId(later).keys()], ['"p"', '9']);
    const calls = upstream.calls.slice(before, before + 2);
    assert.deepEqual(
      calls.map(({ signal }) => signal.aborted),
      [false, false],
    );
  });

  test('holds answers of a bounded size, and says which is too large', async () => {
    const sizes = [3_000_000, 5_000_000, 10];
    const answers = byId(await sendBatch(sizes.map((bytes, id) => call(String(id), 'large', `{"bytes":${bytes}}`))));
    assert.equal(answers.get('0')!.result.a.length, 3_000_000);
    assert.equal(answers.get('1')!.error?.code, -32603);
    assert.match(answers.get('1')!.error!.message, /too large for a batch.*alone/);
    assert.equal(answers.get('2')!.result.a.length, 10);
    const many = Array.from({ length: 12 }, (_, id) => call(String(id), 'large', '{"bytes":3500000}'));
    const results = [...byId(await sendBatch(many)).values()].map(({ result }) => result !== undefined);
    // They come side by side, so more than one may meet the limit of all together.
    const whole = results.filter(Boolean).length;
    assert.ok(whole >= 5 && whole <= 9, String(whole));
  });

  test('lets no upstream answer in the place of another, or cost it its answer', async () => {
    const answers = byId(await sendBatch([call('1', 'forge'), PING, call('3', 'cut'), call('4', 'quick')]));
    assert.deepEqual(answers.get('"p"')!.result, {});
    for (const id of ['1', '3']) {
      const { error } = answers.get(id)!;
      assert.deepEqual([error?.code, error?.data?.reason], [-32603, 'broken_answer']);
    }
    assert.ok(answers.get('4')!.result);
  });

  test('gives a token that is revoked meanwhile nothing of its answers', async () => {
    const id = await openSession('2025-03-26', 'other');
    const before = upstream.calls.length;
    const answered = sendBatch([call('1', 'quick'), call('2', 'hang')], { 'mcp-session-id': id }, 'other');
    await eventually(() => upstream.calls.length === before + 2);
    await gateway.reload({
      configs: [{ name: 'rec', url: upstream.url }],
      tokens: TOKENS.filter((name) => name !== 'other').map((name) => ({ name })),
      limits: { calls_per_token: 20 },
    });
    const { status, text, message } = await answered;
    assert.deepEqual([status, message.error?.code], [401, -32600]);
    assert.doesNotMatch(text, /9007199254740993/);
  });
});

suite('a batch anywhere else', () => {
  test('is refused, and nothing of it is served', async () => {
    const before = upstream.calls.length;
    const newer = await openSession('2025-06-18');
    for (const headers of [
      { 'mcp-session-id': newer },
      { 'mcp-session-id': await openSession('2024-11-05') },
      { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' },
      { 'mcp-session-id': session, 'mcp-protocol-version': '2026-07-28' },
    ]) {
      const { status, message } = await sendBatch([call('1', 'quick')], headers);
      assert.deepEqual([status, message.error?.code], [400, -32600]);
      assert.match(message.error!.message, /Batches are not served, but in sessions of revision 2025-03-26/);
    }
    const { headers: _, ...sessionless } = toBatch([call('1', 'quick')]);
    assert.equal((await send(gateway.mcpUrl, sessionless)).status, 400);
    assert.equal(upstream.calls.length, before);
  });

  test('of an unknown session, or of another token’s, is answered like any message of one', async () => {
    for (const sent of [toBatch([PING], { 'mcp-session-id': 'made-up' }), toBatch([PING], {}, 'narrow')]) {
      const { status, message } = await send(gateway.mcpUrl, sent);
      assert.deepEqual([status, message.error?.code], [404, -32600]);
    }
  });
});
