// Every kind of handle that an upstream or the gateway gives to one client, used with another token, in another session,
// or for something else: it is as unknown as one that nobody was given, no upstream hears of it, and its owner's call goes on.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { AskingUpstream } from '../support/asking-upstream.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { Listening, listen } from '../support/listening-client.ts';
import { type Answer, BOTH, type JsonRpcAnswer, MODERN, mcpRequest, type Sent, send } from '../support/mcp-http.ts';
import { tell } from '../support/watched-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
type Era = (typeof ERAS)[number];
const WHO = ['owner', 'thief'] as const;
type Who = (typeof WHO)[number];
const SAID = { action: 'accept', content: { n: 7 } };
const UNKNOWN_STATE = -32602;

/** What asks, by its method, and how it is named: the first and the second of each upstream. */
const ASKING = {
  'tools/call': (era: Era, which: string) => ({ name: `${era}_up.${which}` }),
  'prompts/get': (era: Era, which: string) => ({ name: `${era}_up.${which}` }),
  'resources/read': (era: Era, which: string) => ({ uri: upstreams[era].uri(which) }),
} as const;
type Asking = keyof typeof ASKING;
const METHODS = Object.keys(ASKING) as Asking[];

const upstreams = {} as Record<Era, AskingUpstream>;
let gateway: TestGateway;

before(async () => {
  for (const era of ERAS) upstreams[era] = await AskingUpstream.start(era);
  gateway = await startGateway({
    configs: ERAS.map((era) => ({
      name: `${era}_up`,
      url: upstreams[era].url,
      more: { allowed_prompts: ['*'], allowed_resources: ['*'] },
    })),
    tokens: WHO.map((name) => ({ name })),
    limits: { list_page_tools: 2 },
  });
  // Both are known from now on, so that nothing but the tests makes them hear anything.
  for (const who of WHO) await ask(who, mcpRequest('tools/list'));
});
after(async () => {
  await gateway.close();
  await Promise.all(ERAS.map((era) => upstreams[era].close()));
});

function ask(who: Who, sent: Sent): Promise<Answer> {
  return send(gateway.mcpUrl, { ...sent, token: gateway.token(who) });
}

/** A modern request of a client that can be asked by form. */
function modern(method: string, params: object): Sent {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
  };
  const { name, uri } = params as { name?: string; uri?: string };
  const mcpName = name ?? uri;
  return {
    body: JSON.stringify({ jsonrpc: '2.0', id: 'm', method, params: { ...params, _meta } }),
    headers: {
      accept: BOTH,
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(mcpName === undefined ? {} : { 'mcp-name': mcpName }),
    },
  };
}

/** Fails unless the upstreams hear nothing of any call while `steal` runs. */
async function unheard(steal: () => Promise<void>): Promise<void> {
  const heard = () => ERAS.map((era) => upstreams[era].touched);
  const before = heard();
  await steal();
  assert.deepEqual(heard(), before, 'no upstream has heard of it');
}

function textOf(result: Record<string, unknown>): { said: unknown; handle: unknown } {
  const found = JSON.stringify(result).match(/"text":("(?:[^"\\]|\\.)*")/);
  return JSON.parse(JSON.parse(found![1]!));
}

/** Without what differs between any two answers. */
function seen({ status, headers: { date, ...headers }, text }: Answer): object {
  return { status, headers, text };
}

suite('the request state of a modern client', () => {
  for (const era of ERAS) {
    for (const method of METHODS) {
      test(`from a ${era} upstream opens for nobody and nothing else (${method})`, async () => {
        const paramsOf = (which: string) => ASKING[method](era, which);
        const begun = await ask('owner', modern(method, paramsOf('first')));
        const { result } = begun.message;
        assert.equal(result?.resultType, 'input_required', begun.text);
        const [key] = Object.keys(result.inputRequests);
        const inputResponses = { [key!]: SAID };
        const retry = (which: string, requestState: string) =>
          modern(method, { ...paramsOf(which), inputResponses, requestState });
        const { requestState } = result;

        await unheard(async () => {
          const other = era === 'legacy' ? 'modern' : 'legacy';
          const thefts: [Who, (state: string) => Sent][] = [
            ['thief', (state) => retry('first', state)],
            ['owner', (state) => retry('second', state)],
            [
              'owner',
              (state) => modern(method, { ...ASKING[method](other, 'first'), inputResponses, requestState: state }),
            ],
            ...METHODS.filter((one) => one !== method).map((one): [Who, (state: string) => Sent] => [
              'owner',
              (state) => modern(one, { ...ASKING[one](era, 'first'), inputResponses, requestState: state }),
            ]),
          ];
          for (const [who, toSent] of thefts) {
            const stolen = await ask(who, toSent(requestState));
            assert.equal(stolen.message.error?.code, UNKNOWN_STATE, stolen.text);
            for (const made of ['made-up', altered(requestState)]) {
              assert.deepEqual(seen(await ask(who, toSent(made))), seen(stolen));
            }
          }
        });

        const done = await ask('owner', retry('first', requestState));
        assert.deepEqual(textOf(done.message.result).said, SAID, done.text);
        // The upstream has its own handle back, as it gave it.
        assert.match(String(textOf(done.message.result).handle), /^(state|question)-\d+$/);
      });
    }
  }
});

suite('a cursor', () => {
  for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']) {
    for (const era of ERAS) {
      test(`of ${method} is unknown to another token and for another list (${era} client)`, async () => {
        const page = (cursor?: string, list = method): Sent =>
          mcpRequest(list, { era, ...(cursor === undefined ? {} : { params: `"cursor":"${cursor}"` }) });
        const { nextCursor } = (await ask('owner', page())).message.result;
        assert.equal(typeof nextCursor, 'string');
        await unheard(async () => {
          const other = method === 'tools/list' ? 'prompts/list' : 'tools/list';
          for (const [who, list] of [
            ['thief', method],
            ['owner', other],
          ] as const) {
            const stolen = await ask(who, page(nextCursor, list));
            assert.equal(stolen.message.error?.code, -32602, stolen.text);
            assert.deepEqual(seen(await ask(who, page(altered(nextCursor), list))), seen(stolen));
          }
        });
        assert.ok((await ask('owner', page(nextCursor))).message.result);
      });
    }
  }
});

/** A session of a legacy client that can be asked. */
class OwnedSession {
  readonly headers: Record<string, string>;
  readonly who: Who;

  private constructor(who: Who, id: string) {
    this.who = who;
    this.headers = { accept: BOTH, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
  }

  static async open(who: Who): Promise<OwnedSession> {
    const params =
      '"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"t","version":"1"}';
    const { headers } = await ask(who, mcpRequest('initialize', { params }));
    return new OwnedSession(who, String(headers['mcp-session-id']));
  }

  /** Sends a request whose answer comes on a stream. */
  begin(body: object): Listening {
    return this.#listen({ body: JSON.stringify(body), headers: this.headers });
  }

  /** Asks for what follows an event. */
  resume(eventId: string): Listening {
    return this.#listen({
      method: 'GET',
      headers: { ...this.headers, accept: 'text/event-stream', 'last-event-id': eventId },
    });
  }

  send(body: object, headers: Record<string, string> = {}, who: Who = this.who): Promise<Answer> {
    return ask(who, { body: JSON.stringify({ jsonrpc: '2.0', ...body }), headers: { ...this.headers, ...headers } });
  }

  #listen(sent: Sent): Listening {
    return new Listening(gateway.mcpUrl, { ...sent, token: gateway.token(this.who) });
  }
}

function callOf(era: Era, id: string): object {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name: `${era}_up.first`, arguments: {} } };
}

interface OpenQuestion {
  readonly session: OwnedSession;
  readonly stream: Listening;
  readonly questionId: unknown;
}

/** A call of the owner's session that waits for an answer to its question. */
async function openQuestion(era: Era): Promise<OpenQuestion> {
  const session = await OwnedSession.open('owner');
  const stream = session.begin(callOf(era, 'c'));
  return { session, stream, questionId: await idOfQuestion(stream) };
}

async function idOfQuestion(stream: Listening): Promise<unknown> {
  const isQuestion = ({ method }: JsonRpcAnswer): boolean => method === 'elicitation/create';
  return (await eventually(() => stream.messages.find(isQuestion))).id;
}

/** Fails unless the stream ends with the answer to the question as its owner gave it. */
async function assertAnswered(stream: Listening): Promise<void> {
  await eventually(() => stream.isOver);
  assert.deepEqual(textOf(stream.messages.at(-1)!.result).said, SAID);
}

suite('a legacy session', () => {
  test('is unknown to another token, whatever it is used for', async () => {
    const { session, stream, questionId } = await openQuestion('legacy');
    await unheard(async () => {
      const made = { 'mcp-session-id': 'made-up' };
      for (const body of [
        { id: 1, method: 'tools/call', params: { name: 'legacy_up.first' } },
        { id: 1, method: 'ping' },
        { method: 'notifications/cancelled', params: { requestId: 'c' } },
        { id: questionId, result: SAID },
      ]) {
        const stolen = await session.send(body, {}, 'thief');
        assert.equal(stolen.status, 404, stolen.text);
        assert.deepEqual(seen(await session.send(body, made, 'thief')), seen(stolen));
      }
      for (const method of ['GET', 'DELETE']) {
        const headers = { ...session.headers, accept: 'text/event-stream' };
        assert.equal((await ask('thief', { method, headers })).status, 404);
      }
    });
    assert.equal((await session.send({ id: questionId, result: SAID })).status, 202);
    await assertAnswered(stream);
  });
});

for (const era of ERAS) {
  suite(`the question of a ${era} upstream to a legacy client`, () => {
    test(`is answered by nobody but the session that was asked (${era})`, async () => {
      const { session, stream, questionId } = await openQuestion(era);
      const stolen = { action: 'accept', content: { n: 666 } };
      await unheard(async () => {
        const others = [await OwnedSession.open('thief'), await OwnedSession.open('owner')];
        for (const other of others) {
          const answered = await other.send({ id: questionId, result: stolen });
          assert.deepEqual(seen(await other.send({ id: 'made-up', result: stolen })), seen(answered));
          await other.send({ method: 'notifications/cancelled', params: { requestId: questionId } });
          await other.send({ method: 'notifications/cancelled', params: { requestId: 'c' } });
        }
        const body = JSON.stringify({ jsonrpc: '2.0', id: questionId, result: stolen });
        for (const who of WHO) await ask(who, { headers: { accept: BOTH }, body });
      });
      assert.equal(stream.isOver, false);
      await session.send({ id: questionId, result: SAID });
      await assertAnswered(stream);
    });

    test(`is answered once (${era})`, async () => {
      const { session, stream, questionId } = await openQuestion(era);
      await session.send({ id: questionId, result: SAID });
      await assertAnswered(stream);
      await unheard(async () => {
        await session.send({ id: questionId, result: { action: 'decline' } });
      });
    });
  });
}

suite('an event id', () => {
  test('is unknown to another token and to another session of the same', async () => {
    const { session, stream, questionId } = await openQuestion('legacy');
    const [eventId] = stream.ids;
    assert.ok(eventId, stream.text);
    stream.cut();
    await unheard(async () => {
      for (const who of WHO) {
        const other = await OwnedSession.open(who);
        const stolen = other.resume(eventId);
        await eventually(() => stolen.status !== 0 && (stolen.text !== '' || stolen.isOver));
        assert.doesNotMatch(stolen.text, /How many/);
        assert.equal(stolen.messages.filter(({ method, result }) => method ?? result).length, 0, stolen.text);
        stolen.cut();
      }
    });
    // Its owner finds the question where it left off, and answers it.
    const rest = session.resume(eventId);
    assert.equal(await idOfQuestion(rest), questionId);
    await session.send({ id: questionId, result: SAID });
    await assertAnswered(rest);
  });
});

suite('a progress token', () => {
  test('is the call’s own: the same one of another client is told nothing', async () => {
    const { watched } = upstreams.legacy;
    const before = watched.of('tools/call').length;
    const opened = async (who: Who) => {
      const session = await OwnedSession.open(who);
      const params = { name: 'legacy_up.first', arguments: {}, _meta: { progressToken: 'same' } };
      const stream = session.begin({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params });
      return { session, stream, questionId: await idOfQuestion(stream) };
    };
    const calls = [await opened('owner'), await opened('thief')] as const;
    const [own, others] = watched.of('tools/call').slice(before);
    const [token, stolen] = [own, others].map((call) => call!.message.params._meta.progressToken);
    assert.notEqual(token, stolen);
    // An upstream that reports on one call under the token of another.
    const report = (progressToken: unknown, progress: number) =>
      tell(own!, { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress } });
    for (const foreign of [stolen, 'same', 'made-up']) report(foreign, 1);
    report(token, 2);
    const told = ({ stream }: { stream: Listening }) =>
      stream.messages.filter(({ method }) => method === 'notifications/progress').map(({ params }) => params);
    await eventually(() => told(calls[0]).length > 0);
    assert.deepEqual(calls.map(told), [[{ progressToken: 'same', progress: 2 }], []]);
    for (const { session, stream, questionId } of calls) {
      await session.send({ id: questionId, result: SAID });
      await assertAnswered(stream);
    }
  });
});

suite('the id of a listen', () => {
  test('ends nobody else’s: each client has ids of its own', async () => {
    const [owner, thief] = WHO.map((who) =>
      listen(gateway.mcpUrl, gateway.token(who), '{"toolsListChanged":true}', '"m"'),
    );
    await owner!.until(1);
    await thief!.until(1);
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'm' } };
    for (const headers of [{ accept: BOTH }, { accept: BOTH, 'mcp-protocol-version': MODERN }]) {
      await ask('thief', { body: JSON.stringify(cancel), headers });
    }
    thief!.cut();
    await eventually(() => thief!.isOver);
    await ask('owner', mcpRequest('tools/list'));
    assert.deepEqual([owner!.isOver, owner!.messages.length], [false, 1]);
    assert.equal(upstreams.modern.watched.of('subscriptions/listen').at(-1)!.isOver, false);
    owner!.cut();
  });
});

function altered(handle: string): string {
  const at = handle.length >> 1;
  return `${handle.slice(0, at)}${handle[at] === 'A' ? 'B' : 'A'}${handle.slice(at + 1)}`;
}
