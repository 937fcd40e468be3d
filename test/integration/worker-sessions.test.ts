// One conversation whose requests come on connections of different workers: it goes on as if there were one process.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type Agent } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { ALL, LegacyCall, needed, textOf, toModern } from '../support/asked-clients.ts';
import { eventually } from '../support/eventually.ts';
import type { TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, cancellation, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { connectHttp2, openHttp2, sendHttp2, statusOf } from '../support/raw-http2.ts';
import type { ServeChild } from '../support/serve-child.ts';
import { startWorkers, startWorkerUpstreams, type WorkerUpstreams } from '../support/worker-children.ts';
import { metricOf, oneEach } from '../support/worker-connections.ts';

let upstreams: WorkerUpstreams;
let child: ServeChild;
let a: Agent;
let b: Agent;
let close: () => void;

before(async () => {
  upstreams = await startWorkerUpstreams();
  child = await startWorkers(upstreams);
  ({ a, b, close } = await oneEach(child.url));
});
after(async () => {
  close();
  await child.stop();
  await upstreams.close();
});

type Session = Readonly<Record<string, string>>;

async function openSession(agent: Agent): Promise<Session> {
  const client = `"capabilities":${JSON.stringify(ALL)},"clientInfo":{"name":"t","version":"1"}`;
  const sent = { ...mcpRequest('initialize', { params: `"protocolVersion":"2025-11-25",${client}` }) };
  const { headers, text } = await send(child.mcpUrl, { ...sent, token: child.token() }, agent);
  assert.ok(headers['mcp-session-id'], text);
  return { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' };
}

/** `ask.first`, which asks the user before it answers. */
function begin(session: Session, agent: Agent, id = 'c'): LegacyCall {
  const { body } = toolCall('ask.first', { id: JSON.stringify(id), params: '"arguments":{}' });
  const authorization = `Bearer ${child.token()}`;
  const headers = { ...session, accept: BOTH, authorization, 'content-type': 'application/json' };
  return new LegacyCall(http.request(child.mcpUrl, { method: 'POST', agent, headers }), body);
}

function tell(session: Session, agent: Agent, message: object): Promise<Answer> {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  return send(child.mcpUrl, { headers: { ...session, accept: BOTH }, body, token: child.token() }, agent);
}

suite('a legacy session', () => {
  test('is asked and answers, whichever workers its messages come to', async () => {
    // Each connection carries one request at a time, so the answer comes on the other one's, or on one of its own.
    for (const [opened, called, answered] of [
      [a, a, b],
      [a, b, a],
      [b, a, b],
      [b, b, a],
    ] as const) {
      const session = await openSession(opened);
      const call = begin(session, called);
      const [question] = await call.asked();
      const result = { action: 'accept', content: { n: 3 } };
      const { status, text } = await tell(session, answered, { id: question?.id, result });
      assert.equal(status, 202, text);
      const ended = await call.ended();
      assert.equal(JSON.parse(ended.result.content[0].text).said.content.n, 3);
    }
  });

  test('cancels a call that came to another worker', async () => {
    for (const [called, cancelled] of [
      [a, b],
      [b, a],
    ] as const) {
      const session = await openSession(called);
      const call = begin(session, called);
      await call.asked();
      const params = { requestId: 'c' };
      assert.equal((await tell(session, cancelled, { method: 'notifications/cancelled', params })).status, 202);
      await eventually(() => call.isOver);
      assert.equal(call.messages.filter(({ result, error }) => result ?? error).length, 0);
    }
  });

  test('has ended in both workers when it was deleted', async () => {
    const session = await openSession(a);
    for (const agent of [a, b]) assert.equal((await tell(session, agent, { id: 1, method: 'ping' })).status, 200);
    const ended = await send(child.mcpUrl, { method: 'DELETE', headers: session, token: child.token() }, b);
    assert.equal(ended.status, 204);
    for (const agent of [a, b]) assert.equal((await tell(session, agent, { id: 2, method: 'ping' })).status, 404);
  });

  test('has one session with its upstream, whichever workers its calls come to', async () => {
    const session = await openSession(a);
    const sent = { ...toolCall('ctl.quick', { params: '"arguments":{}', headers: session }), token: child.token() };
    for (const agent of [a, b, a, b]) assert.equal((await send(child.mcpUrl, sent, agent)).status, 200);
    const calls = upstreams.ctl.requests.slice(-4).map(({ headers }) => headers['mcp-session-id']);
    assert.equal(new Set(calls).size, 1);
    assert.ok(calls[0]);
  });

  test('goes on over HTTP/2, and its stream ends with it, whichever worker has the connection', async () => {
    const { session: client } = await connectHttp2(child.url);
    for (const opened of [a, b]) {
      const session = await openSession(opened);
      const token = child.token();
      const sent = {
        ...toolCall('ctl.quick', {
          params: '"arguments":{"big":"'.concat('x'.repeat(100_000), '"}'),
          headers: session,
        }),
        token,
      };
      const answer = await sendHttp2(client, child.mcpUrl, sent);
      assert.equal(answer.message.result?.got.big.length, 100_000, answer.text.slice(0, 200));
      const stream = openHttp2(client, child.mcpUrl, {
        method: 'GET',
        headers: { ...session, accept: 'text/event-stream' },
        token,
      });
      assert.equal(await statusOf(stream), 200);
      const ended = once(stream.resume(), 'end');
      assert.equal((await sendHttp2(client, child.mcpUrl, { method: 'DELETE', headers: session, token })).status, 204);
      await ended;
    }
    client.close();
  });

  test('of an SDK client is asked on whatever connections that opens', async () => {
    const clients = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const client = new Client({ name: 't', version: '1' }, { capabilities: { elicitation: {} } });
        client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { n: 5 } }));
        const requestInit = { headers: { authorization: `Bearer ${child.token()}` } };
        await client.connect(new StreamableHTTPClientTransport(new URL(child.mcpUrl), { requestInit }) as never);
        return client;
      }),
    );
    const calls = clients.flatMap((client) =>
      [1, 2, 3].map(() => client.callTool({ name: 'ask.first', arguments: {} })),
    );
    for (const { content } of await Promise.all(calls)) assert.match(JSON.stringify(content), /\\"n\\":5/);
    await Promise.all(clients.map((client) => client.close()));
  });
});

test('a call that waits in one worker goes on when its modern client comes back to the other', async () => {
  const gateway = { mcpUrl: child.mcpUrl, token: child.token } as TestGateway;
  for (const [first, second] of [
    [a, b],
    [b, a],
  ] as const) {
    const asked = needed(await send(child.mcpUrl, toModern(gateway, { name: 'ask.first' }), first));
    const inputResponses = { [asked.keys[0] ?? '']: { action: 'accept', content: { n: 4 } } };
    const { requestState } = asked;
    const again = toModern(gateway, { name: 'ask.first', inputResponses, requestState });
    const answer = await send(child.mcpUrl, again, second);
    assert.equal(JSON.parse(textOf(answer)).said.content.n, 4);
    // Once, and no more.
    assert.ok((await send(child.mcpUrl, again, second)).message.error);
  }
});

test('a client without a session cancels its call in the other worker, and none of two that have its id', async () => {
  const hang = (agent: Agent): Promise<Answer> =>
    send(child.mcpUrl, { ...toolCall('ctl.hang', { id: '77' }), token: child.token() }, agent);
  const running = async (count: number): Promise<void> => {
    await eventually(async () => (await metricOf(child.url, 'calls_in_flight', 'service="ctl"')) === count);
  };
  const cancel = (agent: Agent): Promise<Answer> =>
    send(child.mcpUrl, { ...cancellation('77'), token: child.token() }, agent);
  const call = hang(a);
  await running(1);
  assert.equal((await cancel(b)).status, 202);
  assert.equal((await call).status, 202);
  const both = [hang(a), hang(b)];
  await running(2);
  assert.equal((await send(child.mcpUrl, { ...cancellation('77'), token: child.token() })).status, 202);
  upstreams.control.gate.resolve();
  for (const { message } of await Promise.all(both)) assert.ok(message.result);
  upstreams.control.reset();
});

test('an edit and a revocation through one worker are in force in the other when they are acknowledged', async () => {
  const [key] = /swb_key_\w+/.exec(await child.command('keys', 'create', 'operator')) ?? [];
  const operate = async (method: string, path: string, body: object = {}) => {
    const sent = { method, token: key ?? '', body: JSON.stringify(body) };
    const { status, text } = await send(`${child.url}/v1/${path}`, sent, a);
    assert.ok(status < 300, text);
    return JSON.parse(text);
  };
  // The command wrote to the store behind their backs, which they look at four times a second.
  await eventually(() =>
    operate('POST', 'mcp-tokens/none/revoke').then(
      () => true,
      ({ message }) => !/unauthenticated/.test(message),
    ),
  );
  const config = { name: 'mine', endpoint: upstreams.ctl.url, allowed_tools: ['quick'] };
  const { id } = await operate('POST', 'mcp-configs', config);
  const token = await operate('POST', 'mcp-tokens', { name: 'mine', grants: [{ mcp_config: 'mine' }] });
  const call = (): Promise<Answer> => send(child.mcpUrl, { ...toolCall('mine.quick'), token: token.token }, b);
  assert.ok((await call()).message.result);
  for (let round = 0; round < 10; round++) {
    await operate('POST', `mcp-configs/${id}`, { allowed_tools: ['short'] });
    assert.equal((await call()).message.error?.code, -32602);
    await operate('POST', `mcp-configs/${id}`, { allowed_tools: ['quick'] });
    assert.ok((await call()).message.result);
  }
  await operate('POST', `mcp-tokens/${token.id}/revoke`);
  assert.equal((await call()).status, 401);
});
