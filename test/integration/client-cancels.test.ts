// Cancellations that come early, late, twice, and from somebody else, and calls whose sessions end under them, one case a
// line of test/corpus/client-cancels.jsonl.

import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.ts';
import { type Fault, type FaultCase, FaultyClients } from '../support/faulty-clients.ts';
import { cancellation, mcpRequest, type Sent } from '../support/mcp-http.ts';
import { openHttp2, sendHttp2, statusOf } from '../support/raw-http2.ts';
import type { Era } from '../support/sdk-server-replies.ts';

const clients = new FaultyClients();

/** Cancels what `sent` asks for while the upstream works on it; gives the HTTP answer to that. */
async function cancelled({ wire }: FaultCase, sent: Sent, requestId: string): Promise<string> {
  const from = clients.upstream('legacy').calls.length;
  const answer = wire === 'h1' ? answerOver1(sent) : answerOver2(sent);
  const [call] = await clients.arrived('legacy', from);
  await clients.cancel(requestId);
  const said = await answer;
  await clients.assertToldToCancel('legacy', call!);
  await clients.assertAborted(call!);
  return said === '202' ? '202 without a body, upstream told' : said;
}

async function answerOver1(sent: Sent): Promise<string> {
  const client = await clients.ask(sent);
  const text = await client.until(/\r\n\r\n/);
  return text.slice(9, 12) + text.split('\r\n\r\n')[1];
}

async function answerOver2(sent: Sent): Promise<string> {
  const { session } = await clients.connect2();
  const { status, text } = await sendHttp2(session, clients.gateway.mcpUrl, sent);
  return `${status}${text}`;
}

/** A hanging call that this cancellation must not touch. */
async function answeredDespite(era: Era, cancelling: () => Promise<void>, session?: string): Promise<string> {
  const from = clients.upstream(era).calls.length;
  const answer = clients.send(within(session, clients.request('hang', era)));
  const [call] = await clients.arrived(era, from);
  await cancelling();
  await clients.quick(era);
  assert.equal(call!.signal.aborted, false);
  clients.control.gate.resolve();
  const { status, message } = await answer;
  assert.equal(status, 200);
  return 'result' in message ? 'answered' : JSON.stringify(message);
}

async function openSession(): Promise<string> {
  const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
  const { headers } = await clients.send(mcpRequest('initialize', { params }));
  return String(headers['mcp-session-id']);
}

function within(session: string | undefined, sent: Sent): Sent {
  return session === undefined ? sent : { ...sent, headers: { ...sent.headers, 'mcp-session-id': session } };
}

const CANCELS: Readonly<Record<string, Fault>> = {
  async 'cancel before'({ era }) {
    await clients.cancel('1');
    return answeredDespite(era, async () => undefined);
  },
  'cancel waiting': (each) => cancelled(each, clients.request('hang', each.era), '1'),
  'cancel spelling': (each) => cancelled(each, clients.request('hang', each.era, { id: '"a"' }), '"\\u0061"'),
  async 'cancel events'({ era }) {
    const from = clients.upstream(era).calls.length;
    const client = await clients.ask(clients.request('events', era));
    await client.until(/data: /);
    const [call] = await clients.arrived(era, from);
    await clients.cancel('1');
    await client.until(/\r\n0\r\n\r\n$/);
    await clients.assertToldToCancel(era, call!);
    await clients.assertAborted(call!);
    return client.text.includes('"id"') ? client.text : 'ended without an answer, upstream told';
  },
  async 'cancel after'({ era }) {
    const { requests } = clients.upstream(era);
    await clients.quick(era);
    await clients.cancel('1');
    const before = requests.length;
    await clients.quick(era);
    assert.equal(requests.length, before + 1, 'the upstream was told of it');
    return 'next call of that id answered';
  },
  async 'cancel with'({ era }) {
    const { session, socket } = await clients.connect2();
    const token = clients.gateway.token();
    socket.cork();
    const answers = [clients.request('hang', era), { ...cancellation('1'), token }].map((sent) =>
      statusOf(openHttp2(session, clients.gateway.mcpUrl, sent)),
    );
    process.nextTick(() => socket.uncork());
    const statuses = await Promise.all(answers);
    return statuses.join() === '202,202' ? 'one answer each' : statuses.join();
  },
  'cancel unknown': ({ era }) => answeredDespite(era, () => clients.cancel('999')),
  'cancel other type': ({ era }) => answeredDespite(era, () => clients.cancel('"1"')),
  async 'cancel other session'({ era }) {
    const [own, other] = [await openSession(), await openSession()];
    return answeredDespite(era, () => clients.cancel('1', { sent: within(other, {}) }), own);
  },
  'cancel other token': ({ era }) =>
    answeredDespite(era, () => clients.cancel('1', { sent: { token: clients.gateway.token('other') } })),
  'cancel modern': ({ era }) => answeredDespite(era, () => clients.cancel('1', { era: 'modern' })),
  async 'cancel vanished'({ era }) {
    const from = clients.upstream(era).calls.length;
    const client = await clients.ask(clients.request('hang', era));
    const [call] = await clients.arrived(era, from);
    client.socket.resetAndDestroy();
    await clients.quick(era);
    await clients.cancel('1');
    await clients.assertToldToCancel(era, call!);
    await clients.assertAborted(call!);
    return 'upstream told';
  },
  async 'cancel twin'({ era }) {
    const from = clients.upstream(era).calls.length;
    const answers = [1, 2].map(() => clients.send(clients.request('hang', era)));
    const calls = await clients.arrived(era, from, 2);
    await clients.cancel('1');
    await clients.quick(era);
    // Which of the two is meant is not known, and it may be somebody else's.
    assert.deepEqual(
      calls.map(({ signal }) => signal.aborted),
      [false, false],
    );
    clients.control.gate.resolve();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    return statuses.join() === '200,200' ? 'both answered' : statuses.join();
  },
};

const SESSIONS: Readonly<Record<string, Fault>> = {
  async twins({ era }) {
    const { control } = clients;
    const ask = (n: number) =>
      clients.send(clients.request('ordered', era, { id: '5', params: `"arguments":{"n":${n}}` }));
    const answers = [ask(1), ask(2)];
    await eventually(() => control.ordered.length === 2);
    for (const answer of control.ordered.toReversed()) answer();
    const results = (await Promise.all(answers)).map(({ message }) => [message.id, message.result.got.n]);
    return JSON.stringify(results) === '[[5,1],[5,2]]' ? 'each its own' : JSON.stringify(results);
  },
  async 'delete during'({ era }) {
    const { calls, requests } = clients.upstream(era);
    const session = await openSession();
    const from = calls.length;
    const answer = clients.send(within(session, clients.request('hang', era)));
    const [call] = await clients.arrived(era, from);
    const upstreamSession = call!.headers['mcp-session-id'];
    const isEnded = () =>
      requests.some(({ method, headers }) => method === 'DELETE' && headers['mcp-session-id'] === upstreamSession);
    assert.equal((await clients.send(within(session, { method: 'DELETE' }))).status, 204);
    await clients.quick(era);
    assert.deepEqual([call!.signal.aborted, isEnded()], [false, false]);
    clients.control.gate.resolve();
    assert.deepEqual((await answer).message.result, { got: null });
    await eventually(isEnded);
    return 'answered, then the upstream session ended';
  },
  async vanished({ era }) {
    const answered = await clients.countOf('answered');
    const from = clients.upstream(era).calls.length;
    const client = await clients.ask(clients.request('hang', era));
    await clients.arrived(era, from);
    client.socket.resetAndDestroy();
    await eventually(() => clients.sockets.size === 0);
    clients.control.gate.resolve();
    await eventually(async () => (await clients.countOf('answered')) === answered + 1);
    return 'nothing left in flight';
  },
};

clients.testCases<FaultCase>('client-cancels.jsonl', { cancel: 14, session: 3 }, async (each) => {
  assert.equal(await { ...CANCELS, ...SESSIONS }[each.fault]!(each), each.expected);
});
