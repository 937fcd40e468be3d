// Clients that leave, dawdle, flood and cancel, one case a line of test/corpus/client-faults.jsonl: what they do concerns
// their own call and nobody else's, and nothing of theirs stays behind in the gateway.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, mock, suite, test } from 'node:test';
import { createLogger } from '../../src/telemetry/logger.ts';
import {
  assertNoCanary,
  CANARY,
  type CorpusCase,
  readCorpus,
  reportCounts,
  withoutUpstreamBytes,
} from '../support/corpus.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type CallOptions, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { beginHttp2, connectHttp2, RawHttp1, type RawHttp2, toHttp1, trackSockets } from '../support/raw-client.ts';
import { type RecordedCall, type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

type Era = 'legacy' | 'modern';

interface AbortCase extends CorpusCase {
  readonly class: 'abort';
  readonly era: Era;
  readonly wire: 'h1' | 'h2';
  /** How far the request or its answer has come when the client leaves. */
  readonly when: string;
  readonly how: 'FIN' | 'RST' | 'close' | 'RST_STREAM';
  readonly upstream: 'untouched' | 'cancelled' | 'runs on';
}

interface FaultCase extends CorpusCase {
  readonly era: Era;
  readonly wire: 'h1' | 'h2';
  readonly fault: string;
  readonly expected: string;
}

const COUNTS = { abort: 31, 'half-close': 3, slow: 11, abuse: 13, cancel: 14, session: 3 };
const CASES = readCorpus<AbortCase | FaultCase>('client-faults.jsonl', COUNTS);

const MIB = 1024 * 1024;
/** Most calls of one token at once; so many must fit in when all cases are over. */
const CALLS = 300;
const LARGE_BYTES = 64 * MIB;
/** What the kernel, Node and undici hold between an upstream and a client that reads nothing; far from the whole. */
const HELD_BYTES = 24 * MIB;
/** A little more than the gateway lets a client stall. */
const STALL_MS = 121_000;
const PIECE = 'x'.repeat(64 * 1024);
const TOOLS = ['quick', 'short', 'hang', 'parts', 'events', 'large', 'flood', 'ordered'].map(
  (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
);

let upstreams: Record<Era, RecordingUpstream>;
let gateway: TestGateway;
let sockets: ReadonlySet<Socket>;
const logged: string[] = [];
/** Opened by a case when its hanging calls are to be answered. */
let gate = Promise.withResolvers<void>();
/** Bytes that a tool has got rid of, and when it last did. */
let pushed = { bytes: 0, atMs: 0 };
let ordered: (() => void)[] = [];

const realNow = performance.now.bind(performance);
let jumpedMs = 0;

before(async () => {
  mock.method(performance, 'now', () => realNow() + jumpedMs);
  upstreams = { modern: await startUpstream('modern'), legacy: await startUpstream('legacy') };
  gateway = await startGateway({
    configs: [
      { name: 'modern', url: upstreams.modern.url, credential: CANARY },
      { name: 'legacy', url: upstreams.legacy.url, credential: CANARY },
    ],
    tokens: [{ name: 'agent' }, { name: 'other' }],
    limits: { calls_per_token: CALLS, connections_per_credential: CALLS + 20 },
    log: createLogger({ level: 'debug', destination: { write: (line: string) => void logged.push(line) } }),
  });
  sockets = trackSockets(gateway.url);
  await Promise.all([quick('modern'), quick('legacy')]);
});
after(async () => {
  gate.resolve();
  await gateway.close();
  await Promise.all([upstreams.modern.close(), upstreams.legacy.close()]);
  mock.restoreAll();
});
afterEach(async () => {
  gate.resolve();
  for (const { text, bytesReceived } of clients) if (bytesReceived < MIB) assertNoCanary(text);
  for (const connection of connections) connection.destroy();
  connections = [];
  clients = [];
  await eventually(() => sockets.size === 0);
});
beforeEach(() => {
  gate = Promise.withResolvers();
  pushed = { bytes: 0, atMs: 0 };
  ordered = [];
});

function startUpstream(era: Era): Promise<RecordingUpstream> {
  return startRecordingUpstream({
    era,
    tools: TOOLS,
    sessions: era === 'legacy',
    onCall: ({ name, body }) => {
      const result = `{"got":${JSON.stringify(JSON.parse(body.toString()).params.arguments ?? null)}}`;
      if (name === 'quick') return result;
      if (name === 'short') return `{"a":"${PIECE.slice(0, 60_000)}"}`;
      if (name === 'hang') return gate.promise.then(() => result);
      return new Promise((resolve) => ordered.push(() => resolve(result)));
    },
    intercept: ({ body, signal }, response) => {
      const { id, method, params } = JSON.parse(body.toString() || '{}');
      const tool = method === 'tools/call' ? STREAMED[params.name] : undefined;
      if (tool === undefined) return false;
      void tool(response, id, signal);
      return true;
    },
  });
}

/** Tools whose answers come in pieces; each ends early when its caller leaves. */
const STREAMED: Readonly<Record<string, (response: ServerResponse, id: string, left: AbortSignal) => Promise<void>>> = {
  async parts(response, id) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(`{"result":{"a":"${PIECE}${PIECE}`);
    await gate.promise;
    response.end(`"},"jsonrpc":"2.0","id":"${id}"}`);
  },
  async events(response, id) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${progress(id, '')}\n\n`);
    await gate.promise;
    response.end(`data: {"result":{"got":null},"jsonrpc":"2.0","id":"${id}"}\n\n`);
  },
  async large(response, id, left) {
    response.writeHead(200, { 'content-type': 'application/json' });
    await push(response, '{"result":{"a":"', left);
    for (let sent = 0; sent < LARGE_BYTES && !left.aborted; sent += PIECE.length) await push(response, PIECE, left);
    response.end(`"},"jsonrpc":"2.0","id":"${id}"}`);
  },
  async flood(response, id, left) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let sent = 0; sent < LARGE_BYTES && !left.aborted; sent += PIECE.length) {
      await push(response, `data: ${progress(id, PIECE)}\n\n`, left);
    }
    response.end(`data: {"result":{},"jsonrpc":"2.0","id":"${id}"}\n\n`);
  },
};

function progress(token: string, text: string): string {
  const params = `{"progressToken":"${token}","progress":1,"message":"${text}"}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
}

async function push(response: ServerResponse, text: string, left: AbortSignal): Promise<void> {
  if (!response.write(text) && !left.aborted) {
    await Promise.race([once(response, 'drain'), once(left, 'abort')]).catch(() => undefined);
  }
  pushed = { bytes: pushed.bytes + text.length, atMs: realNow() };
}

/** Connections of the case that runs, which it need not close itself. */
let connections: { destroy(): void }[] = [];
let clients: RawHttp1[] = [];

async function connect1(): Promise<RawHttp1> {
  const client = await RawHttp1.connect(gateway.url);
  connections.push(client.socket);
  clients.push(client);
  return client;
}

async function connect2(options?: http2.ClientSessionOptions): Promise<RawHttp2> {
  const client = await connectHttp2(gateway.url, options);
  connections.push(client.session, client.socket);
  return client;
}

const TOKENED: CallOptions = { meta: '"progressToken":"p"' };

function request(tool: string, era: Era, options: CallOptions = TOKENED): Sent & { readonly body: string } {
  return { ...toolCall(`${era}.${tool}`, { era, ...options }), token: gateway.token() };
}

/** A call by somebody else, which must be answered at once. */
async function quick(era: Era): Promise<void> {
  const startedMs = realNow();
  const { text } = await send(gateway.mcpUrl, request('quick', era));
  assert.equal(text, '{"result":{"got":null},"jsonrpc":"2.0","id":1}');
  assert.ok(realNow() - startedMs < 1_000, 'somebody else had to wait');
}

function cancellation(
  requestId: string,
  era: Era = 'legacy',
  token = gateway.token(),
): Sent & { readonly body: string } {
  const { headers } = mcpRequest('notifications/cancelled', { era });
  const params = `{"requestId":${requestId}}`;
  return { token, headers: headers!, body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}` };
}

async function cancel(...of: Parameters<typeof cancellation>): Promise<void> {
  assert.equal((await send(gateway.mcpUrl, cancellation(...of))).status, 202);
}

/** Calls that have reached the upstream since `from`. */
async function arrived(era: Era, from: number, count = 1): Promise<RecordedCall[]> {
  const { calls } = upstreams[era];
  await eventually(() => calls.length >= from + count);
  return calls.slice(from);
}

async function assertAborted({ signal }: RecordedCall): Promise<void> {
  await eventually(() => signal.aborted, 1_000);
}

async function countOf(outcome: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`, { headers: { connection: 'close' } })).text();
  const lines = text.matchAll(/^switchboard_calls_total\{[^}]*outcome="(\w+)"\} (\d+)$/gm);
  return [...lines].reduce((sum, [, name, count]) => sum + (name === outcome ? Number(count) : 0), 0);
}

async function assertToldToCancel(era: Era, { idText }: RecordedCall): Promise<void> {
  await eventually(() =>
    upstreams[era].requests.some(
      ({ body }) => body.includes('notifications/cancelled') && body.includes(`"requestId":${idText}`),
    ),
  );
}

/** How the client of a case leaves. */
type Leave = () => void;

const TOOL_WHEN: Readonly<Record<string, string>> = { 'the answer begun': 'parts', 'events begun': 'events' };

async function beginHttp1({ when, how, era }: AbortCase): Promise<Leave> {
  const client = await connect1();
  const { head, body } = toHttp1(gateway.mcpUrl, request(TOOL_WHEN[when] ?? 'hang', era));
  const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);
  if (when === 'half the head') client.write(half(head));
  else if (when === 'the head') client.write(head);
  else if (when === 'half the body') client.write(head, half(body));
  else if (when === 'two pipelined') client.write(Buffer.concat([head, body, head, body]));
  else if (when !== 'connected') client.write(head, body);
  if (when.endsWith('begun')) await client.until(/\r\n\r\n[\s\S]*(?:xxx|data: )/);
  return () => {
    if (how === 'FIN') client.socket.end();
    else if (how === 'RST') client.socket.resetAndDestroy();
    else client.socket.destroy();
  };
}

async function beginHttp2Case({ when, how, era }: AbortCase): Promise<Leave> {
  const { session, socket } = await connect2();
  const sent = request(TOOL_WHEN[when] ?? 'hang', era);
  const stream = when === 'connected' ? undefined : beginHttp2(session, gateway.mcpUrl, sent);
  if (when === 'half the body') stream?.write(sent.body.slice(0, sent.body.length / 2));
  else if (when !== 'the head') stream?.end(sent.body);
  if (when.endsWith('begun')) await once(stream!, 'data');
  return () => {
    if (how === 'RST_STREAM') stream?.close(http2.constants.NGHTTP2_CANCEL);
    else if (how === 'RST') socket.resetAndDestroy();
    else session.destroy();
  };
}

async function runAbort(each: AbortCase): Promise<void> {
  const { era, upstream: expected } = each;
  const begin = each.wire === 'h1' ? beginHttp1 : beginHttp2Case;
  if (expected === 'untouched') {
    await withoutUpstreamBytes(Object.values(upstreams), async () => {
      const leave = await begin(each);
      await eventually(() => sockets.size > 0);
      leave();
      // What was sent before it left has been read when the gateway has answered somebody else.
      await send(gateway.mcpUrl, { ...mcpRequest('ping'), token: gateway.token() });
    });
    return;
  }
  const { calls } = upstreams[era];
  const from = calls.length;
  const [cancelled, answered] = [await countOf('cancelled'), await countOf('answered')];
  const leave = await begin(each);
  const [call] = await arrived(era, from);
  await quick(era);
  leave();
  if (expected === 'cancelled') {
    await assertAborted(call!);
    await eventually(async () => (await countOf('cancelled')) === cancelled + 1);
  } else {
    // Until the gateway has noticed: calls over connections made later are answered.
    await quick(era);
    await quick(era);
    assert.equal(call!.signal.aborted, false);
    gate.resolve();
    await eventually(async () => (await countOf('answered')) === answered + 4);
    assert.equal(await countOf('cancelled'), cancelled);
  }
  // What a client pipelines behind its call is not begun before that is answered, and never for one that has left.
  assert.equal(calls.slice(from).filter(({ name }) => name !== 'quick').length, 1);
}

type Fault = (each: FaultCase) => Promise<string>;

/** Writes a request in one go. */
async function ask(sent: Sent): Promise<RawHttp1> {
  const client = await connect1();
  const { head, body } = toHttp1(gateway.mcpUrl, sent);
  client.write(Buffer.concat([head, body]));
  return client;
}

/** The status of an answer and whether the gateway hung up behind it. */
async function statusThenClosed(client: RawHttp1): Promise<string> {
  const text = await client.ended();
  return `${text.slice(9, 12)}, closed`;
}

/** Until the upstream can get rid of no more. */
async function stalled(): Promise<void> {
  await eventually(() => pushed.bytes > 0 && realNow() - pushed.atMs > 300, 10_000);
  assert.ok(pushed.bytes < HELD_BYTES, `${Math.round(pushed.bytes / MIB)} MiB are held for one client`);
}

/** What becomes of a call whose client takes nothing any more, when the time for that is over. */
async function afterStall(call: RecordedCall, era: Era, isGone: () => boolean): Promise<string> {
  const answered = await countOf('answered');
  await stalled();
  await quick(era);
  assert.equal(isGone(), false);
  jumpedMs += STALL_MS;
  await eventually(isGone);
  if (era === 'legacy') {
    await eventually(async () => (await countOf('answered')) === answered + 2);
    return call.signal.aborted ? 'cut, upstream cancelled' : 'cut, upstream runs on';
  }
  await assertAborted(call);
  return 'cut, upstream cancelled';
}

async function stoppedReader(tool: string, era: Era): Promise<string> {
  const from = upstreams[era].calls.length;
  const client = await ask(request(tool, era));
  client.socket.pause();
  const [call] = await arrived(era, from);
  const others = sockets.size;
  const outcome = await afterStall(call!, era, () => sockets.size < others);
  return outcome;
}

/** Cancels what `request` asks for while the upstream works on it; gives the HTTP answer to that. */
async function cancelled(each: FaultCase, sent: Sent, requestId: string): Promise<string> {
  const from = upstreams.legacy.calls.length;
  const answer =
    each.wire === 'h1'
      ? ask(sent)
          .then((client) => client.until(/\r\n\r\n/))
          .then((text) => text.slice(9, 12) + text.split('\r\n\r\n')[1])
      : answerOverHttp2(sent);
  const [call] = await arrived('legacy', from);
  await cancel(requestId);
  const said = await answer;
  await assertToldToCancel('legacy', call!);
  await assertAborted(call!);
  return said === '202' ? '202 without a body, upstream told' : said;
}

async function answerOverHttp2(sent: Sent): Promise<string> {
  const { session } = await connect2();
  const stream = beginHttp2(session, gateway.mcpUrl, sent);
  stream.end(sent.body);
  let text = '';
  stream.on('data', (chunk) => {
    text += chunk;
  });
  const [head] = await once(stream, 'response');
  if (!stream.closed) await once(stream, 'close');
  return `${head[':status']}${text}`;
}

/** A hanging call that somebody else's cancellation must not touch. */
async function answeredDespite(sent: Sent, era: Era, cancelling: () => Promise<void>): Promise<string> {
  const from = upstreams[era].calls.length;
  const answer = send(gateway.mcpUrl, sent);
  const [call] = await arrived(era, from);
  await cancelling();
  await quick(era);
  assert.equal(call!.signal.aborted, false);
  gate.resolve();
  const { status, message } = await answer;
  assert.equal(status, 200);
  return 'result' in message ? 'answered' : JSON.stringify(message);
}

async function openSession(): Promise<string> {
  const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
  const { headers } = await send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token: gateway.token() });
  return String(headers['mcp-session-id']);
}

function within(session: string, sent: Sent): Sent {
  return { ...sent, headers: { ...sent.headers, 'mcp-session-id': session } };
}

async function byByte(bytes: Buffer, write: (byte: Buffer) => void): Promise<void> {
  for (let at = 0; at < bytes.length; at++) {
    write(bytes.subarray(at, at + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function halfClosed(tool: string, era: Era): Promise<string> {
  const from = upstreams[era].calls.length;
  const client = await ask(request(tool, era));
  client.socket.end();
  const [call] = await arrived(era, from);
  await quick(era);
  await quick(era);
  assert.equal(call!.signal.aborted, false, 'the call was cancelled');
  gate.resolve();
  return /"result":\{"got":null\},"jsonrpc":"2.0","id":1\}/.test(await client.ended()) ? 'answered' : client.text;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'half-close waiting': ({ era }) => halfClosed('hang', era),
  'half-close events': ({ era }) => halfClosed('events', era),

  async 'slow head'({ era }) {
    const client = await connect1();
    const { head, body } = toHttp1(gateway.mcpUrl, request('quick', era));
    await Promise.all([byByte(head, (byte) => client.write(byte)), quick(era)]);
    client.write(body);
    const text = await client.until(/"id":1\}/);
    return text.startsWith('HTTP/1.1 200') ? 'answered' : text;
  },
  async 'slow body'({ era, wire }) {
    const sent = request('quick', era);
    const bytes = Buffer.from(sent.body);
    if (wire === 'h1') {
      const client = await connect1();
      client.write(toHttp1(gateway.mcpUrl, sent).head);
      await Promise.all([byByte(bytes, (byte) => client.write(byte)), quick(era)]);
      const text = await client.until(/"id":1\}/);
      client.socket.destroy();
      return text.startsWith('HTTP/1.1 200') ? 'answered' : text;
    }
    const { session } = await connect2();
    const stream = beginHttp2(session, gateway.mcpUrl, sent);
    await Promise.all([byByte(bytes, (byte) => stream.write(byte)), quick(era)]);
    stream.end();
    const [head] = await once(stream, 'response');
    return head[':status'] === 200 ? 'answered' : String(head[':status']);
  },
  async 'pausing reader'({ era, wire }) {
    const sent = request('large', era);
    const length = LARGE_BYTES + '{"result":{"a":""},"jsonrpc":"2.0","id":1}'.length;
    if (wire === 'h1') {
      const client = await ask(sent);
      client.socket.pause();
      await stalled();
      await quick(era);
      client.socket.resume();
      await eventually(() => client.endsWith('"id":1}\r\n0\r\n\r\n'), 20_000);
      client.socket.destroy();
      return client.bytesReceived > length && client.bytesReceived < length * 1.01 ? 'whole' : 'cut';
    }
    const { session } = await connect2();
    const stream = beginHttp2(session, gateway.mcpUrl, sent);
    stream.end(sent.body);
    await once(stream, 'response');
    await stalled();
    await quick(era);
    let received = 0;
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await once(stream, 'close');
    return received === length ? 'whole' : `${received} bytes`;
  },
  'stopped reader': ({ era }) => stoppedReader('large', era),
  'stopped in events': ({ era }) => stoppedReader('flood', era),
  async 'zero window'({ era }) {
    const from = upstreams[era].calls.length;
    const { session } = await connect2({ settings: { initialWindowSize: 0 } });
    const sent = request('large', era);
    const stream = beginHttp2(session, gateway.mcpUrl, sent);
    stream.end(sent.body);
    stream.resume();
    const [call] = await arrived(era, from);
    const outcome = await afterStall(call!, era, () => stream.closed);
    return outcome;
  },

  async 'untaken answers'({ era, wire }) {
    const sent = request('short', era);
    const isGone: () => boolean = await (async () => {
      if (wire === 'h1') {
        const client = await connect1();
        client.socket.pause();
        const { head, body } = toHttp1(gateway.mcpUrl, sent);
        for (let count = 0; count < 500; count++) client.write(head, body);
        await eventually(() => [...sockets].some(({ writableLength }) => writableLength > 0));
        return () => sockets.size === 0;
      }
      const { session } = await connect2({ settings: { initialWindowSize: 0 } });
      const streams = Array.from({ length: 100 }, () => beginHttp2(session, gateway.mcpUrl, sent));
      for (const stream of streams) stream.resume().end(sent.body);
      await Promise.all(streams.map((stream) => once(stream, 'response')));
      return () => streams.every(({ closed }) => closed);
    })();
    jumpedMs += STALL_MS;
    await eventually(isGone);
    return 'cut';
  },

  async 'declared body'({ era, wire }) {
    const sent = request('quick', era);
    const headers = { ...sent.headers, 'content-length': String(1024 * MIB) };
    if (wire === 'h1') {
      const client = await connect1();
      client.write(toHttp1(gateway.mcpUrl, { ...sent, headers }).head, 'x'.repeat(1000));
      return statusThenClosed(client);
    }
    const { session } = await connect2();
    const stream = beginHttp2(session, gateway.mcpUrl, { ...sent, headers });
    const [head] = await once(stream.resume(), 'response');
    if (!stream.closed) await once(stream, 'close');
    return `${head[':status']}, reset`;
  },
  async 'pushed body'({ era }) {
    const client = await connect1();
    const { 'content-length': _length, ...headers } = { ...request('quick', era).headers, 'content-length': '' };
    const { head } = toHttp1(gateway.mcpUrl, { token: gateway.token(), headers: { ...headers, ...CHUNKED } });
    client.write(head);
    const piece = Buffer.from(`10000\r\n${PIECE}\r\n`);
    const pushOn = (): void => {
      while (client.socket.writable && client.socket.bytesWritten < 1024 * MIB && client.socket.write(piece));
    };
    client.socket.on('drain', pushOn);
    pushOn();
    const outcome = await statusThenClosed(client);
    assert.ok(client.socket.bytesWritten < 16 * MIB, `${Math.round(client.socket.bytesWritten / MIB)} MiB were taken`);
    return outcome;
  },
  async 'large head'({ era, wire }) {
    const sent = request('quick', era);
    const large = (length: number) => ({ ...sent, headers: { ...sent.headers, 'x-large': 'x'.repeat(length) } });
    if (wire === 'h1') return statusThenClosed(await ask(large(MIB)));
    const { session } = await connect2();
    const statuses: unknown[] = [];
    // The limit holds from when the client has agreed to it, which its first request does not wait for.
    for (const each of [sent, large(60_000), sent]) {
      const stream = beginHttp2(session, gateway.mcpUrl, each);
      stream.on('response', (head) => statuses.push(head[':status']));
      stream.end(each.body);
      await new Promise((resolve) => stream.resume().once('close', resolve));
      if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) statuses.push('reset');
    }
    return statuses.join();
  },
  async 'many lines'({ era }) {
    const sent = request('quick', era);
    const lines = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-${index}`, '']));
    return statusThenClosed(await ask({ ...sent, headers: { ...sent.headers, ...lines } }));
  },
  async 'silent connections'({ era }) {
    const silent = await Promise.all(Array.from({ length: 500 }, connect1));
    await eventually(() => sockets.size >= 500);
    await quick(era);
    for (const { socket } of silent) socket.destroy();
    return 'others served';
  },
  async 'expect and leave'({ era }) {
    const from = upstreams[era].calls.length;
    const sent = request('quick', era);
    const client = await connect1();
    client.write(toHttp1(gateway.mcpUrl, { ...sent, headers: { ...sent.headers, expect: '100-continue' } }).head);
    const text = await client.until(/\r\n\r\n/);
    client.socket.resetAndDestroy();
    await quick(era);
    assert.equal(upstreams[era].calls.length, from + 1);
    return text === 'HTTP/1.1 100 Continue\r\n\r\n' ? '100, no call' : text;
  },
  async 'expect too much'({ era }) {
    const client = await connect1();
    const headers = { ...request('quick', era).headers, expect: '100-continue', 'content-length': String(1024 * MIB) };
    client.write(toHttp1(gateway.mcpUrl, { ...request('quick', era), headers }).head);
    const outcome = await statusThenClosed(client);
    return client.text.includes('100 Continue') ? client.text : outcome.replace(',', ' without 100,');
  },
  async 'expect nonsense'({ era }) {
    const sent = request('quick', era);
    return statusThenClosed(await ask({ ...sent, headers: { ...sent.headers, expect: 'a miracle' } }));
  },
  async pipelining({ era }) {
    const ids = Array.from({ length: 20 }, (_, index) => String(index));
    const client = await connect1();
    const requests = ids.map((id) => toHttp1(gateway.mcpUrl, request(id === '0' ? 'hang' : 'quick', era, { id })));
    client.write(Buffer.concat(requests.flatMap(({ head, body }) => [head, body])));
    await quick(era);
    gate.resolve();
    await eventually(() => client.text.includes('"id":19}'));
    const answered = [...client.text.matchAll(/"jsonrpc":"2.0","id":(\d+)\}/g)].map(([, id]) => id);
    return answered.join() === ids.join() ? 'answered in order' : answered.join();
  },
  async 'reset flood'({ era }) {
    const from = upstreams[era].calls.length;
    const { session } = await connect2();
    for (let count = 0; count < 150; count++) {
      const sent = request('hang', era);
      const stream = beginHttp2(session, gateway.mcpUrl, sent);
      stream.end(sent.body, () => stream.close(http2.constants.NGHTTP2_CANCEL));
    }
    const last = request('quick', era);
    const stream = beginHttp2(session, gateway.mcpUrl, last);
    stream.end(last.body);
    const [head] = await once(stream.resume(), 'response');
    assert.equal(head[':status'], 200);
    const hanging = upstreams[era].calls.slice(from).filter(({ name }) => name === 'hang');
    for (const call of hanging) await assertAborted(call);
    return 'all cancelled';
  },
  async 'many streams'({ era }) {
    const { session } = await connect2();
    const statuses = await Promise.all(
      Array.from({ length: 300 }, async (_, id) => {
        const sent = request('quick', era, { id: String(id) });
        const stream = beginHttp2(session, gateway.mcpUrl, sent);
        stream.end(sent.body);
        const [head] = await once(stream.resume(), 'response');
        return head[':status'] as number;
      }),
    );
    return statuses.every((status) => status === 200) ? 'all answered' : statuses.join();
  },

  async 'cancel before'({ era }) {
    await cancel('1');
    return answeredDespite(request('hang', era), era, async () => undefined);
  },
  'cancel waiting': (each) => cancelled(each, request('hang', each.era), '1'),
  'cancel spelling': (each) => cancelled(each, request('hang', each.era, { id: '"a"' }), '"\\u0061"'),
  async 'cancel events'({ era }) {
    const from = upstreams[era].calls.length;
    const client = await ask(request('events', era));
    await client.until(/data: /);
    const [call] = await arrived(era, from);
    await cancel('1');
    await client.until(/\r\n0\r\n\r\n$/);
    await assertToldToCancel(era, call!);
    await assertAborted(call!);
    return client.text.includes('"id"') ? client.text : 'ended without an answer, upstream told';
  },
  async 'cancel after'({ era }) {
    await quick(era);
    await cancel('1');
    const before = upstreams[era].requests.length;
    await quick(era);
    assert.equal(upstreams[era].requests.length, before + 1, 'the upstream was told of it');
    return 'next call of that id answered';
  },
  async 'cancel with'({ era }) {
    const { session, socket } = await connect2();
    socket.cork();
    const answers = [request('hang', era), cancellation('1')].map(async (sent) => {
      const stream = beginHttp2(session, gateway.mcpUrl, sent);
      stream.end(sent.body);
      const [head] = await once(stream.resume(), 'response');
      return head[':status'] as number;
    });
    process.nextTick(() => socket.uncork());
    const statuses = await Promise.all(answers);
    return statuses.join() === '202,202' ? 'one answer each' : statuses.join();
  },
  'cancel unknown': ({ era }) => answeredDespite(request('hang', era), era, () => cancel('999')),
  'cancel other type': ({ era }) => answeredDespite(request('hang', era), era, () => cancel('"1"')),
  async 'cancel other session'({ era }) {
    const [own, other] = [await openSession(), await openSession()];
    return answeredDespite(within(own, request('hang', era)), era, async () => {
      const { status } = await send(gateway.mcpUrl, within(other, cancellation('1')));
      assert.equal(status, 202);
    });
  },
  'cancel other token': ({ era }) =>
    answeredDespite(request('hang', era), era, () => cancel('1', 'legacy', gateway.token('other'))),
  'cancel modern': ({ era }) => answeredDespite(request('hang', era), era, () => cancel('1', 'modern')),
  async 'cancel vanished'({ era }) {
    const from = upstreams[era].calls.length;
    const client = await ask(request('hang', era));
    const [call] = await arrived(era, from);
    client.socket.resetAndDestroy();
    await quick(era);
    await cancel('1');
    await assertToldToCancel(era, call!);
    await assertAborted(call!);
    return 'upstream told';
  },
  async 'cancel twin'({ era }) {
    const from = upstreams[era].calls.length;
    const answers = [1, 2].map(() => send(gateway.mcpUrl, request('hang', era)));
    const calls = await arrived(era, from, 2);
    await cancel('1');
    await eventually(() => calls.some(({ signal }) => signal.aborted));
    gate.resolve();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    return statuses.sort().join() === '200,202' ? 'one cancelled, one answered' : statuses.join();
  },

  async twins({ era }) {
    const ask = (n: number) =>
      send(gateway.mcpUrl, request('ordered', era, { id: '5', params: `"arguments":{"n":${n}}` }));
    const answers = [ask(1), ask(2)];
    await eventually(() => ordered.length === 2);
    for (const answer of ordered.reverse()) answer();
    const results = (await Promise.all(answers)).map(({ message }) => [message.id, message.result.got.n]);
    return JSON.stringify(results) === '[[5,1],[5,2]]' ? 'each its own' : JSON.stringify(results);
  },
  async 'delete during'({ era }) {
    const session = await openSession();
    const from = upstreams[era].calls.length;
    const answer = send(gateway.mcpUrl, within(session, request('hang', era)));
    const [call] = await arrived(era, from);
    const ended = () =>
      upstreams[era].requests.some(
        ({ method, headers }) => method === 'DELETE' && headers['mcp-session-id'] === call!.headers['mcp-session-id'],
      );
    const bye = await send(gateway.mcpUrl, within(session, { method: 'DELETE', token: gateway.token() }));
    assert.equal(bye.status, 204);
    await quick(era);
    assert.deepEqual([call!.signal.aborted, ended()], [false, false]);
    gate.resolve();
    assert.deepEqual((await answer).message.result, { got: null });
    await eventually(ended);
    return 'answered, then the upstream session ended';
  },
  async vanished({ era }) {
    const answered = await countOf('answered');
    const from = upstreams[era].calls.length;
    const client = await ask(request('hang', era));
    await arrived(era, from);
    client.socket.resetAndDestroy();
    await eventually(() => sockets.size === 0);
    gate.resolve();
    await eventually(async () => (await countOf('answered')) === answered + 1);
    return 'nothing left in flight';
  },
};

const CHUNKED = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };

let runs = 0;
for (const name of Object.keys(COUNTS)) {
  suite(`a client's fault, ${name}:`, () => {
    for (const each of CASES.filter((one) => one.class === name)) {
      test(each.name, async () => {
        if ('upstream' in each) await runAbort(each);
        else assert.equal(await FAULTS[each.fault]!(each), each.expected);
        await quick(each.era);
        runs++;
      });
    }
  });
}

suite('after all of them', () => {
  test('no call and no connection is left behind', async () => {
    await eventually(async () => {
      const text = await (await fetch(`${gateway.url}/metrics`, { headers: { connection: 'close' } })).text();
      return !/^switchboard_pool_connections\{.*state="busy"\} [1-9]/m.test(text);
    });
    const sessions = await Promise.all([connect2(), connect2()]);
    const from = upstreams.modern.calls.length;
    const statuses = Array.from({ length: CALLS }, async (_, index) => {
      const sent = request('hang', 'modern');
      const stream = beginHttp2(sessions[index % 2]!.session, gateway.mcpUrl, sent);
      stream.end(sent.body);
      const [head] = await once(stream.resume(), 'response');
      return head[':status'] as number;
    });
    await arrived('modern', from, CALLS);
    assert.equal((await send(gateway.mcpUrl, request('hang', 'modern'))).status, 429);
    gate.resolve();
    assert.deepEqual([...new Set(await Promise.all(statuses))], [200]);
    for (const { session } of sessions) session.destroy();
    await eventually(() => sockets.size === 0);
  });

  test('no log line holds the credential', (t) => {
    assertNoCanary(logged.join(''));
    reportCounts(t, 'client-faults.jsonl', CASES, runs);
  });
});
