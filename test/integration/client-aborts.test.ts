// Clients that leave, one case a line of test/corpus/client-aborts.jsonl: at each point of a call, in each way to leave.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { type CorpusCase, withoutUpstreamBytes } from '../support/corpus.ts';
import { eventually } from '../support/eventually.ts';
import { type FaultCase, FaultyClients } from '../support/faulty-clients.ts';
import { mcpRequest } from '../support/mcp-http.ts';
import { toHttp1 } from '../support/raw-http1.ts';
import { beginHttp2 } from '../support/raw-http2.ts';
import type { RecordedCall } from '../support/recording-upstream.ts';
import type { Era } from '../support/sdk-server-replies.ts';

interface AbortCase extends CorpusCase {
  readonly class: 'abort';
  readonly era: Era;
  readonly wire: 'h1' | 'h2';
  /** How far the request or its answer has come when the client leaves. */
  readonly when: string;
  readonly how: 'FIN' | 'RST' | 'close' | 'RST_STREAM';
  readonly upstream: 'untouched' | 'cancelled' | 'runs on';
}

const clients = new FaultyClients();

/** How the client of a case leaves. */
type Leave = () => void;

const TOOL_WHEN: Readonly<Record<string, string>> = { 'the answer begun': 'parts', 'events begun': 'events' };

function requestOf({ when, era }: AbortCase) {
  return clients.request(TOOL_WHEN[when] ?? 'hang', era);
}

async function begin1(each: AbortCase): Promise<Leave> {
  const { when, how } = each;
  const client = await clients.connect1();
  const { head, body } = toHttp1(clients.gateway.mcpUrl, requestOf(each));
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

async function begin2(each: AbortCase): Promise<Leave> {
  const { when, how } = each;
  const { session, socket } = await clients.connect2();
  const sent = requestOf(each);
  const stream = when === 'connected' ? undefined : beginHttp2(session, clients.gateway.mcpUrl, sent);
  if (when === 'half the body') stream?.write(sent.body.slice(0, sent.body.length / 2));
  else if (when !== 'the head') stream?.end(sent.body);
  if (when.endsWith('begun')) await once(stream!, 'data');
  return () => {
    if (how === 'RST_STREAM') stream?.close(http2.constants.NGHTTP2_CANCEL);
    else if (how === 'RST') socket.resetAndDestroy();
    else session.destroy();
  };
}

function begin(each: AbortCase): Promise<Leave> {
  return each.wire === 'h1' ? begin1(each) : begin2(each);
}

/** Leaves before there is a call. */
async function leaveUnheard(each: AbortCase): Promise<void> {
  await withoutUpstreamBytes(clients.upstreams, async () => {
    const leave = await begin(each);
    await eventually(() => clients.sockets.size > 0);
    leave();
    // What was sent before it left has been read when the gateway has answered somebody else.
    await clients.send(mcpRequest('ping'));
  });
}

/** Leaves a call that the upstream has; resolves when it has become of it what the case says. */
async function leaveCall(each: AbortCase): Promise<void> {
  const { era } = each;
  const { calls } = clients.upstream(era);
  const from = calls.length;
  const before = { cancelled: await clients.countOf('cancelled'), answered: await clients.countOf('answered') };
  const leave = await begin(each);
  const [call] = await clients.arrived(era, from);
  await clients.quick(era);
  leave();
  if (each.upstream === 'cancelled') {
    await clients.assertAborted(call!);
    await eventually(async () => (await clients.countOf('cancelled')) === before.cancelled + 1);
  } else {
    await assertRunsOn(call!, era);
    await eventually(async () => (await clients.countOf('answered')) === before.answered + 4);
    assert.equal(await clients.countOf('cancelled'), before.cancelled);
  }
  // What a client pipelines behind its call is not begun before that is answered, and never for one that has left.
  assert.equal(calls.slice(from).filter(({ name }) => name !== 'quick').length, 1);
}

/** Once the gateway has noticed that the client is gone, as it answers calls over connections made later. */
async function assertRunsOn({ signal }: RecordedCall, era: Era): Promise<void> {
  await clients.quick(era);
  await clients.quick(era);
  assert.equal(signal.aborted, false);
  clients.control.gate.resolve();
}

/** A client that has finished sending, and not left. */
async function halfClose({ fault, era, expected }: FaultCase): Promise<void> {
  const from = clients.upstream(era).calls.length;
  const client = await clients.ask(clients.request(fault === 'half-close events' ? 'events' : 'hang', era));
  client.socket.end();
  const [call] = await clients.arrived(era, from);
  await assertRunsOn(call!, era);
  assert.equal(expected, 'answered');
  assert.match(await client.ended(), /"result":\{"got":null\},"jsonrpc":"2.0","id":1\}/);
}

clients.testCases<AbortCase | FaultCase>('client-aborts.jsonl', { abort: 31, 'half-close': 3 }, (each) => {
  if (!('upstream' in each)) return halfClose(each);
  return each.upstream === 'untouched' ? leaveUnheard(each) : leaveCall(each);
});
