// Clients that dawdle, take nothing, and send or ask for too much, one case a line of test/corpus/slow-clients.jsonl.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { LARGE_BYTES, PIECE, realNow } from '../support/controlled-upstream.ts';
import { eventually } from '../support/eventually.ts';
import { type Fault, type FaultCase, FaultyClients, MIB, type Request } from '../support/faulty-clients.ts';
import { type RawHttp1, toChunk, toHttp1 } from '../support/raw-http1.ts';
import { answerOf, beginHttp2, openHttp2, statusOf } from '../support/raw-http2.ts';
import type { RecordedCall } from '../support/recording-upstream.ts';
import type { Era } from '../support/sdk-server-replies.ts';

/** What the kernel, Node and undici hold between an upstream and a client that reads nothing; far from the whole. */
const HELD_BYTES = 24 * MIB;
/** A little more than the gateway lets a client stall. */
const STALL_MS = 121_000;
const WHOLE_BYTES = LARGE_BYTES + '{"result":{"a":""},"jsonrpc":"2.0","id":1}'.length;
const GIB = 1024 * MIB;

const clients = new FaultyClients();

function withHeaders(sent: Request, headers: Readonly<Record<string, string>>): Request {
  return { ...sent, headers: { ...sent.headers, ...headers } };
}

function headOf(sent: Request): Buffer {
  return toHttp1(clients.gateway.mcpUrl, sent).head;
}

async function byByte(bytes: Buffer, write: (byte: Buffer) => void): Promise<void> {
  for (let at = 0; at < bytes.length; at++) {
    write(bytes.subarray(at, at + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function answered1(client: RawHttp1): Promise<string> {
  const text = await client.until(/"id":1\}/);
  client.socket.destroy();
  return text.startsWith('HTTP/1.1 200') ? 'answered' : text;
}

async function slowBody1(sent: Request, era: Era): Promise<string> {
  const client = await clients.connect1();
  const { head, body } = toHttp1(clients.gateway.mcpUrl, sent);
  client.write(head);
  await Promise.all([byByte(body, (byte) => client.write(byte)), clients.quick(era)]);
  return answered1(client);
}

async function slowBody2(sent: Request, era: Era): Promise<string> {
  const { session } = await clients.connect2();
  const stream = beginHttp2(session, clients.gateway.mcpUrl, sent);
  await Promise.all([byByte(Buffer.from(sent.body), (byte) => stream.write(byte)), clients.quick(era)]);
  stream.end();
  const status = await statusOf(stream);
  return status === 200 ? 'answered' : String(status);
}

/** Until the upstream can get rid of no more; others are served then. */
async function stalled(era: Era): Promise<void> {
  const { control } = clients;
  await eventually(() => control.pushed.bytes > 0 && realNow() - control.pushed.atMs > 300, 10_000);
  assert.ok(control.pushed.bytes < HELD_BYTES, `${Math.round(control.pushed.bytes / MIB)} MiB are held for one client`);
  await clients.quick(era);
}

async function pausingReader1(sent: Request, era: Era): Promise<string> {
  const client = await clients.ask(sent);
  client.socket.pause();
  await stalled(era);
  client.socket.resume();
  await eventually(() => client.endsWith('"id":1}\r\n0\r\n\r\n'), 20_000);
  client.socket.destroy();
  // Heads of chunks come on top.
  return client.bytesReceived > WHOLE_BYTES && client.bytesReceived < WHOLE_BYTES * 1.01 ? 'whole' : 'cut';
}

async function pausingReader2(sent: Request, era: Era): Promise<string> {
  const { session } = await clients.connect2();
  const stream = openHttp2(session, clients.gateway.mcpUrl, sent);
  await once(stream, 'response');
  await stalled(era);
  let received = 0;
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(stream, 'close');
  return received === WHOLE_BYTES ? 'whole' : `${received} bytes`;
}

/** What becomes of a call whose client takes nothing any more, when the time for that is over. */
async function afterStall(call: RecordedCall, era: Era, isGone: () => boolean): Promise<string> {
  const answered = await clients.countOf('answered');
  await stalled(era);
  assert.equal(isGone(), false);
  clients.jump(STALL_MS);
  await eventually(isGone);
  if (era === 'legacy') {
    await eventually(async () => (await clients.countOf('answered')) === answered + 2);
    return call.signal.aborted ? 'cut, upstream cancelled' : 'cut, upstream runs on';
  }
  await clients.assertAborted(call);
  return 'cut, upstream cancelled';
}

async function stoppedReader(tool: string, era: Era): Promise<string> {
  const from = clients.upstream(era).calls.length;
  const client = await clients.ask(clients.request(tool, era));
  client.socket.pause();
  const [call] = await clients.arrived(era, from);
  const others = clients.sockets.size;
  return afterStall(call!, era, () => clients.sockets.size < others);
}

/** Answers that wait in the gateway for a client that does not read; resolves with whether that has been cut. */
async function untaken1(sent: Request): Promise<() => boolean> {
  const client = await clients.connect1();
  client.socket.pause();
  const { head, body } = toHttp1(clients.gateway.mcpUrl, sent);
  for (let count = 0; count < 500; count++) client.write(head, body);
  await eventually(() => [...clients.sockets].some(({ writableLength }) => writableLength > 0));
  return () => clients.sockets.size === 0;
}

async function untaken2(sent: Request): Promise<() => boolean> {
  const { session } = await clients.connect2({ settings: { initialWindowSize: 0 } });
  const streams = Array.from({ length: 100 }, () => openHttp2(session, clients.gateway.mcpUrl, sent));
  await Promise.all(streams.map((stream) => statusOf(stream)));
  return () => streams.every(({ closed }) => closed);
}

const SLOW: Readonly<Record<string, Fault>> = {
  async 'slow head'({ era }) {
    const client = await clients.connect1();
    const { head, body } = toHttp1(clients.gateway.mcpUrl, clients.request('quick', era));
    await Promise.all([byByte(head, (byte) => client.write(byte)), clients.quick(era)]);
    client.write(body);
    return answered1(client);
  },
  'slow body': ({ era, wire }) => (wire === 'h1' ? slowBody1 : slowBody2)(clients.request('quick', era), era),
  'pausing reader': ({ era, wire }) =>
    (wire === 'h1' ? pausingReader1 : pausingReader2)(clients.request('large', era), era),
  'stopped reader': ({ era }) => stoppedReader('large', era),
  'stopped in events': ({ era }) => stoppedReader('flood', era),
  async 'zero window'({ era }) {
    const from = clients.upstream(era).calls.length;
    const { session } = await clients.connect2({ settings: { initialWindowSize: 0 } });
    const stream = openHttp2(session, clients.gateway.mcpUrl, clients.request('large', era)).resume();
    const [call] = await clients.arrived(era, from);
    return afterStall(call!, era, () => stream.closed);
  },
  async 'untaken answers'({ era, wire }) {
    const isGone = await (wire === 'h1' ? untaken1 : untaken2)(clients.request('short', era));
    clients.jump(STALL_MS);
    await eventually(isGone);
    return 'cut';
  },
};

/** The status of an answer and whether the gateway hung up behind it. */
async function statusThenClosed(client: RawHttp1): Promise<string> {
  const text = await client.ended();
  return `${text.slice(9, 12)}, closed`;
}

/** Sends chunks for as long as it may, and does not stop when it is answered. */
function pushChunks(client: RawHttp1): void {
  const { socket } = client;
  const piece = toChunk(PIECE);
  const pushOn = (): void => {
    while (socket.writable && socket.bytesWritten < GIB && socket.write(piece));
  };
  socket.on('drain', pushOn);
  pushOn();
}

const ABUSE: Readonly<Record<string, Fault>> = {
  async 'declared body'({ era, wire }) {
    const sent = withHeaders(clients.request('quick', era), { 'content-length': String(GIB) });
    if (wire === 'h1') {
      const client = await clients.connect1();
      client.write(headOf(sent), 'x'.repeat(1000));
      return statusThenClosed(client);
    }
    const { session } = await clients.connect2();
    const { status } = await answerOf(beginHttp2(session, clients.gateway.mcpUrl, sent));
    return `${status}, reset`;
  },
  async 'pushed body'({ era }) {
    const client = await clients.connect1();
    const { body: _body, ...sent } = clients.request('quick', era);
    const headers = { ...sent.headers, 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    client.write(toHttp1(clients.gateway.mcpUrl, { ...sent, headers }).head);
    pushChunks(client);
    const outcome = await statusThenClosed(client);
    const { bytesWritten } = client.socket;
    assert.ok(bytesWritten < 16 * MIB, `${Math.round(bytesWritten / MIB)} MiB were taken`);
    return outcome;
  },
  async 'large head'({ era, wire }) {
    const sent = clients.request('quick', era);
    if (wire === 'h1') return statusThenClosed(await clients.ask(withHeaders(sent, { 'x-large': 'x'.repeat(MIB) })));
    const { session } = await clients.connect2();
    const statuses: unknown[] = [];
    // The limit holds from when the client has agreed to it, which its first request does not wait for.
    for (const each of [sent, withHeaders(sent, { 'x-large': 'x'.repeat(60_000) }), sent]) {
      const stream = openHttp2(session, clients.gateway.mcpUrl, each);
      stream.on('response', (head) => statuses.push(head[':status']));
      await new Promise((resolve) => stream.resume().once('close', resolve));
      if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) statuses.push('reset');
    }
    return statuses.join();
  },
  async 'many lines'({ era }) {
    const lines = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-${index}`, '']));
    return statusThenClosed(await clients.ask(withHeaders(clients.request('quick', era), lines)));
  },
  async 'silent connections'({ era }) {
    const silent = await Promise.all(Array.from({ length: 500 }, () => clients.connect1()));
    await eventually(() => clients.sockets.size >= 500);
    await clients.quick(era);
    for (const { socket } of silent) socket.destroy();
    return 'others served';
  },
  async 'expect and leave'({ era }) {
    const from = clients.upstream(era).calls.length;
    const client = await clients.connect1();
    client.write(headOf(withHeaders(clients.request('quick', era), { expect: '100-continue' })));
    const text = await client.until(/\r\n\r\n/);
    client.socket.resetAndDestroy();
    await clients.quick(era);
    assert.equal(clients.upstream(era).calls.length, from + 1);
    return text === 'HTTP/1.1 100 Continue\r\n\r\n' ? '100, no call' : text;
  },
  async 'expect too much'({ era }) {
    const client = await clients.connect1();
    const tooMuch = { expect: '100-continue', 'content-length': String(GIB) };
    client.write(headOf(withHeaders(clients.request('quick', era), tooMuch)));
    const outcome = await statusThenClosed(client);
    return client.text.includes('100 Continue') ? client.text : outcome.replace(',', ' without 100,');
  },
  async 'expect nonsense'({ era }) {
    return statusThenClosed(await clients.ask(withHeaders(clients.request('quick', era), { expect: 'a miracle' })));
  },
  async pipelining({ era }) {
    const ids = Array.from({ length: 20 }, (_, index) => String(index));
    const client = await clients.connect1();
    const calls = ids.map((id) => clients.request(id === '0' ? 'hang' : 'quick', era, { id }));
    const requests = calls.map((call) => toHttp1(clients.gateway.mcpUrl, call));
    client.write(Buffer.concat(requests.flatMap(({ head, body }) => [head, body])));
    await clients.quick(era);
    clients.control.gate.resolve();
    await client.until(/"id":19\}/);
    const answered = [...client.text.matchAll(/"jsonrpc":"2.0","id":(\d+)\}/g)].map(([, id]) => id);
    return answered.join() === ids.join() ? 'answered in order' : answered.join();
  },
  async 'reset flood'({ era }) {
    const { calls } = clients.upstream(era);
    const from = calls.length;
    const { session } = await clients.connect2();
    for (let count = 0; count < 150; count++) {
      const sent = clients.request('hang', era);
      const stream = beginHttp2(session, clients.gateway.mcpUrl, sent);
      stream.end(sent.body, () => stream.close(http2.constants.NGHTTP2_CANCEL));
    }
    const last = openHttp2(session, clients.gateway.mcpUrl, clients.request('quick', era));
    assert.equal(await statusOf(last), 200);
    for (const call of calls.slice(from)) if (call.name === 'hang') await clients.assertAborted(call);
    return 'all cancelled';
  },
  async 'many streams'({ era }) {
    const { session } = await clients.connect2();
    const statuses = await Promise.all(
      Array.from({ length: 300 }, (_, id) =>
        statusOf(openHttp2(session, clients.gateway.mcpUrl, clients.request('quick', era, { id: String(id) }))),
      ),
    );
    return statuses.every((status) => status === 200) ? 'all answered' : statuses.join();
  },
};

clients.testCases<FaultCase>('slow-clients.jsonl', { slow: 11, abuse: 13 }, async (each) => {
  assert.equal(await { ...SLOW, ...ABUSE }[each.fault]!(each), each.expected);
});
