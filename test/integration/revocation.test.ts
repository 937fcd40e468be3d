// A token that is revoked while its calls are under way: within a second nothing more reaches its holder or is done for
// them, whatever the answer was sent as, and nobody else notices.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import http, { type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { COMMAND, change } from '../../src/control-plane/change.ts';
import { revokeToken } from '../../src/control-plane/tokens.ts';
import { ERRORS } from '../../src/domain/errors.ts';
import { openVaulted } from '../../src/gateway/vaulted.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { loadSettings } from '../../src/settings/load-settings.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, makeFolder, startGateway, type TestGateway, variablesOf } from '../support/gateway.ts';
import { type CallOptions, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import {
  type RecordedCall,
  type RecordedRequest,
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';
import { callResult } from '../support/sdk-server-replies.ts';

const ERAS = ['legacy', 'modern'] as const;
type Era = (typeof ERAS)[number];
const TRANSPORTS = ['HTTP/1.1', 'HTTP/2'] as const;
type Transport = (typeof TRANSPORTS)[number];

const WITHIN_MS = 1_000;

/** How the upstream answers: not at all, with events, with JSON too large to be held, or with one event as large. */
const FORMS = ['silence', 'events', 'parts', 'long event'] as const;
type Form = (typeof FORMS)[number];

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
  readonly folder: string;
  /** Lets the upstream end what it has begun. */
  readonly release: () => void;
  readonly revoke: (name: string) => Promise<void>;
}

interface Options extends Partial<RecordingUpstreamOptions> {
  readonly now?: () => number;
  readonly tokens?: ConfigFileOptions['tokens'];
}

async function start(t: TestContext, era: Era, { now, tokens, ...options }: Options = {}): Promise<Running> {
  const folder = await makeFolder();
  const gate = Promise.withResolvers<void>();
  const upstream = await startRecordingUpstream({
    era,
    sessions: era === 'legacy',
    intercept: (request, response) => answerSlowly(request, response, gate.promise),
    ...options,
  });
  const clock = now === undefined ? {} : { now };
  const gateway = await startGateway({ folder, ...fileFor(upstream, tokens), ...clock });
  t.after(async () => {
    gate.resolve();
    await gateway.close();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    gateway,
    upstream,
    folder,
    release: gate.resolve,
    revoke: async (name) => {
      // As the command line does it: in the store of the running gateway, which hears of it.
      const { store, keys } = await openVaulted({ store: { url: `sqlite:${folder}/store/switchboard.db` } }, {});
      const deps = { store, auditKey: keys.audit, now: Date.now };
      await change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) => revokeToken(each, each.find('token', name)));
      await store.close();
    },
  };
}

function fileFor({ url }: RecordingUpstream, tokens: ConfigFileOptions['tokens']): ConfigFileOptions {
  return { configs: [{ name: 'rec', url }], tokens: tokens ?? [{ name: 'holder' }, { name: 'other' }] };
}

/** Takes over the calls that ask for a form; goes on with it until the gate opens. */
function answerSlowly({ body, signal }: RecordedRequest, response: ServerResponse, gate: Promise<void>): boolean {
  const { id, method, params } = JSON.parse(body.toString() || '{}');
  const form: Form | undefined = params?.arguments?.form;
  if (method !== 'tools/call' || form === undefined) return false;
  const isStream = form === 'events' || form === 'long event';
  if (form !== 'silence') response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : MEDIA_TYPE });
  if (form === 'long event') response.write('event: message\ndata: ');
  if (form === 'parts' || form === 'long event') response.write(`{"result":{"content":[{"text":"${PADDING}`);
  let progress = 0;
  const more = (): void => {
    const params = `{"progressToken":${JSON.stringify(id)},"progress":${++progress}}`;
    if (form === 'events') {
      response.write(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":${params}}\n\n`);
    } else if (form !== 'silence') response.write('x'.repeat(1_000));
  };
  const going = setInterval(more, 5);
  const stop = (): void => clearInterval(going);
  signal.addEventListener('abort', stop);
  void gate.then(() => {
    stop();
    const tail = `"type":"text"}]},"jsonrpc":"2.0","id":${JSON.stringify(id)}}`;
    if (form === 'silence') response.writeHead(200, { 'content-type': MEDIA_TYPE });
    const isBegun = form === 'parts' || form === 'long event';
    response.end(
      `${isBegun ? 'the end",' : `${isStream ? 'data: ' : ''}{"result":{"content":[{"text":"the end",`}${tail}${isStream ? '\n\n' : ''}`,
    );
  });
  return true;
}

const MEDIA_TYPE = 'application/json';
const PADDING = 'x'.repeat(100_000);

/** What a client has received so far. */
interface Receiving {
  text: string;
  status: number;
  isOver: boolean;
  /** Once it is over: whether it ended as a whole answer ends. */
  isWhole: boolean;
  readonly resume: () => void;
}

/** Sends on a connection of its own. A client that is `paused` takes nothing until it is resumed. */
function begin(t: TestContext, transport: Transport, { mcpUrl }: TestGateway, sent: Sent, paused = false): Receiving {
  const headers = { 'content-type': MEDIA_TYPE, authorization: `Bearer ${sent.token}`, ...sent.headers };
  let resume = (): void => undefined;
  const receiving: Receiving = { text: '', status: 0, isOver: false, isWhole: false, resume: () => resume() };
  const read = (body: NodeJS.ReadableStream): void => {
    resume = () => void body.on('data', (chunk: Buffer) => (receiving.text += chunk.toString()));
    if (!paused) resume();
  };
  const end = (isWhole: boolean): void => void Object.assign(receiving, { isOver: true, isWhole });
  if (transport === 'HTTP/1.1') {
    const request = http.request(mcpUrl, { method: 'POST', agent: false, headers });
    request
      .on('error', () => end(false))
      .on('response', (response) => {
        receiving.status = response.statusCode ?? 0;
        read(response);
        response.on('error', () => undefined).on('close', () => end(response.complete));
      });
    request.end(sent.body);
    t.after(() => request.destroy());
    return receiving;
  }
  const session = http2.connect(mcpUrl).on('error', () => undefined);
  t.after(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': '/mcp', ...headers });
  let isEnded = false;
  stream.on('response', (answer) => {
    receiving.status = Number(answer[':status']);
    read(stream);
  });
  stream.on('end', () => (isEnded = true)).on('error', () => undefined);
  stream.on('close', () => end(isEnded && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR));
  stream.end(sent.body);
  return receiving;
}

interface Asked extends CallOptions {
  readonly token?: string;
}

function ask({ gateway }: Running, form: Form, { token = 'holder', ...options }: Asked = {}): Sent {
  const call = toolCall('rec.echo', {
    params: `"arguments":{"form":"${form}"}`,
    meta: '"progressToken":"p"',
    ...options,
  });
  return { ...call, token: gateway.token(token) };
}

/** Whether the form has reached the client as far as it can. */
function hasBegun({ text }: Receiving, form: Form, accept: string | undefined): boolean {
  if (form === 'silence') return true;
  // A client that takes no events is sent the answer alone.
  if (accept === MEDIA_TYPE && form === 'events') return true;
  return form === 'events' ? text.includes('"progress":3') : text.includes('xxx') || accept === MEDIA_TYPE;
}

async function assertNothingLeft({ gateway }: Running): Promise<void> {
  await eventually(async () => (await metric(gateway, 'switchboard_calls_in_flight')) === 0);
}

/** Until a new request of the holder is refused. */
async function refused({ gateway }: Running): Promise<void> {
  const ping = { ...mcpRequest('ping'), token: gateway.token('holder') };
  await eventually(async () => (await send(gateway.mcpUrl, ping)).status === 401, WITHIN_MS);
}

async function metric({ url }: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

const { jsonRpcCode } = ERRORS.unauthenticated;

function assertTold(data: string, what: string): void {
  const { error } = JSON.parse(data);
  assert.equal(error.code, jsonRpcCode, what);
  assert.match(error.message, /revoked or replaced/, what);
}

interface Variant {
  readonly what: string;
  readonly form: Form;
  readonly accept: string | undefined;
  readonly receiving: Receiving;
}

const EVENT_STREAM = 'text/event-stream';

/** All forms over both transports, to clients that take both framings, or only one. */
function beginAll(t: TestContext, running: Running, era: Era, token: string): Variant[] {
  return TRANSPORTS.flatMap((transport) =>
    FORMS.flatMap((form) =>
      [undefined, EVENT_STREAM, MEDIA_TYPE].map((accept) => {
        const asked = ask(running, form, { era, token, ...(accept === undefined ? {} : { accept }) });
        const receiving = begin(t, transport, running.gateway, asked);
        return { what: `${form}, ${transport}, ${accept ?? 'either'}`, form, accept, receiving };
      }),
    ),
  );
}

function assertEnded({ what, form, accept, receiving }: Variant): void {
  const { text, isWhole, status } = receiving;
  assert.ok(!text.includes('the end'), what);
  assert.equal(status, 200, what);
  const isJson = form === 'parts' || form === 'silence' ? accept !== EVENT_STREAM : accept === MEDIA_TYPE;
  const isHalf = form === 'parts' || form === 'long event';
  if (isHalf && isJson) {
    assert.equal(isWhole, false, `${what}: half a JSON text ended as if it were whole`);
    return;
  }
  assert.ok(isWhole, what);
  const events = isJson ? [text] : text.split('\n\n').filter((event) => event !== '');
  assertTold(events.at(-1)!.replace(/^event: message\ndata: /, ''), what);
  if (isHalf) {
    assert.match(events.at(-2) ?? '', /\ndata: \(cut off\)$/, `${what}: the half event can be read as a whole one`);
  }
}

for (const upstreamEra of ERAS) {
  for (const era of ERAS) {
    test(`every answer to a ${era} client from a ${upstreamEra} upstream ends within a second, and no other token's`, async (t) => {
      const running = await start(t, upstreamEra);
      const variants = beginAll(t, running, era, 'holder');
      const others = beginAll(t, running, era, 'other');
      const all = [...variants, ...others];
      await eventually(() => running.upstream.calls.length === all.length, 10_000);
      await eventually(() => all.every(({ receiving, form, accept }) => hasBegun(receiving, form, accept)));
      await running.revoke('holder');
      await eventually(() => variants.every(({ receiving }) => receiving.isOver), WITHIN_MS);
      for (const variant of variants) assertEnded(variant);
      assert.ok(others.every(({ receiving }) => !receiving.isOver));
      const given = (): readonly RecordedCall[] => running.upstream.calls.filter(({ signal }) => signal.aborted);
      await eventually(() => given().length === variants.length, WITHIN_MS);
      running.release();
      await eventually(() => others.every(({ receiving }) => receiving.isOver));
      for (const { what, receiving } of others) {
        assert.ok(receiving.isWhole && receiving.text.includes('the end'), `${what}: ${receiving.text.slice(-200)}`);
      }
      await assertNothingLeft(running);
    });
  }
}

suite('the token of a call', { concurrency: 3 }, () => {
  test('is revoked: what waits for a client that does not read is not sent', async (t) => {
    const running = await start(t, 'legacy', {
      intercept: ({ body }, response) => {
        const { id, method } = JSON.parse(body.toString() || '{}');
        if (method !== 'tools/call') return false;
        const text = 'x'.repeat(3_000_000);
        response.writeHead(200, { 'content-type': EVENT_STREAM });
        response.end(`data: {"result":{"content":[{"text":"${text}"}]},"jsonrpc":"2.0","id":"${id}"}\n\n`);
        return true;
      },
    });
    const tokens = { holder: MEDIA_TYPE, other: EVENT_STREAM };
    for (const [token, accept] of Object.entries(tokens)) {
      const receiving = begin(t, 'HTTP/2', running.gateway, ask(running, 'silence', { token, accept }), true);
      await eventually(() => receiving.status === 200);
      await running.revoke(token);
      await eventually(async () => (await metric(running.gateway, 'switchboard_calls_in_flight')) === 0, WITHIN_MS);
      receiving.resume();
      await eventually(() => receiving.isOver);
      assert.equal(receiving.isWhole, false);
      assert.ok(receiving.text.length < 200_000, `${receiving.text.length} characters came`);
    }
  });

  test('is revoked: an answered call whose answer is not taken is broken off', async (t) => {
    const running = await start(t, 'modern', {
      // Wrapped for legacy clients, and so sent as a whole.
      tools: ['{"name":"echo","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}'],
      onCall: () => `{"resultType":"complete","content":[],"structuredContent":["${'x'.repeat(3_000_000)}"]}`,
    });
    const asked = ask(running, 'silence', { params: '"arguments":{}' });
    const receiving = begin(t, 'HTTP/2', running.gateway, asked, true);
    await eventually(async () => (await metric(running.gateway, 'switchboard_calls_total')) === 1);
    assert.equal(await metric(running.gateway, 'switchboard_calls_in_flight'), 1);
    await running.revoke('holder');
    await eventually(async () => (await metric(running.gateway, 'switchboard_calls_in_flight')) === 0, WITHIN_MS);
    receiving.resume();
    await eventually(() => receiving.isOver);
    assert.equal(receiving.isWhole, false);
    assert.ok(receiving.text.length < 200_000, `${receiving.text.length} characters came`);
  });

  test('is revoked while its tool is looked for: it is not called', async (t) => {
    let list: (() => void) | undefined;
    const running = await start(t, 'legacy', {
      intercept: ({ body }, response) => {
        if (!body.includes('"tools/list"')) return false;
        const { id } = JSON.parse(body.toString());
        list = () => {
          response.writeHead(200, { 'content-type': MEDIA_TYPE });
          response.end(
            `{"jsonrpc":"2.0","id":"${id}","result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}}`,
          );
        };
        return true;
      },
    });
    const kept = begin(
      t,
      'HTTP/1.1',
      running.gateway,
      ask(running, 'silence', { token: 'other', params: '"arguments":{}' }),
    );
    const lost = begin(t, 'HTTP/1.1', running.gateway, ask(running, 'silence', { params: '"arguments":{}' }));
    const listing = begin(t, 'HTTP/1.1', running.gateway, {
      ...mcpRequest('tools/list'),
      token: running.gateway.token('holder'),
    });
    const answer = await eventually(() => list);
    await running.revoke('holder');
    await refused(running);
    answer();
    await eventually(() => [lost, kept, listing].every(({ isOver }) => isOver));
    assert.deepEqual([lost.status, listing.status, kept.status], [401, 401, 200]);
    assertTold(lost.text, 'call');
    assertTold(listing.text, 'list');
    assert.equal(running.upstream.calls.length, 1);
  });

  for (const era of ERAS) {
    test(`is revoked while a ${era} body is still coming: it is not called`, async (t) => {
      const running = await start(t, 'legacy');
      await send(running.gateway.mcpUrl, ask(running, 'silence', { era, params: '"arguments":{}' }));
      const client = await RawHttp1.connect(running.gateway.url);
      const { head, body } = toHttp1(
        running.gateway.mcpUrl,
        ask(running, 'silence', { era, params: '"arguments":{}' }),
      );
      client.write(head, body.subarray(0, 20));
      // Answered on another connection, so the head before it has been read.
      await send(running.gateway.mcpUrl, { ...mcpRequest('ping'), token: running.gateway.token('other') });
      await running.revoke('holder');
      await refused(running);
      client.write(body.subarray(20));
      assert.match(await client.ended(), /^HTTP\/1\.1 401 [\s\S]*revoked or replaced/);
      assert.equal(running.upstream.calls.length, 1);
    });
  }

  test('is revoked when its legacy client has left: the upstream is told', async (t) => {
    const running = await start(t, 'legacy');
    const client = await RawHttp1.connect(running.gateway.url);
    const { head, body } = toHttp1(running.gateway.mcpUrl, ask(running, 'silence'));
    client.write(head, body);
    const call = await eventually(() => running.upstream.calls[0]);
    client.socket.resetAndDestroy();
    await running.revoke('holder');
    await eventually(() => call.signal.aborted, WITHIN_MS);
    await eventually(() =>
      running.upstream.requests.some((request) => request.body.includes('notifications/cancelled')),
    );
    await assertNothingLeft(running);
  });

  test('is given another value: the calls of the old one end', async (t) => {
    const running = await start(t, 'legacy');
    const [holder, other] = ['holder', 'other'].map((token) =>
      begin(t, 'HTTP/1.1', running.gateway, ask(running, 'silence', { token })),
    );
    await eventually(() => running.upstream.calls.length === 2);
    const file = fileFor(running.upstream, undefined);
    const variables = { ...variablesOf(file), TOKEN_HOLDER: 'another-value-0123456789abcdef0123456789' };
    const outcome = await loadSettings(join(running.folder, 'switchboard.json'), readEnvironment(variables));
    assert.ok(outcome.ok);
    await running.gateway.gateway.apply(outcome.settings.declared);
    await eventually(() => holder!.isOver, WITHIN_MS);
    assertTold(holder!.text, 'call');
    running.release();
    await eventually(() => other!.isOver);
    assert.match(other!.text, /the end/);
  });

  test('expires: a call that has begun may end, whatever is edited meanwhile', async (t) => {
    let nowMs = Date.parse('2026-01-01');
    const tokens = [{ name: 'holder', expiresAt: '2026-01-02' }];
    const running = await start(t, 'legacy', { now: () => nowMs, tokens });
    const receiving = begin(t, 'HTTP/1.1', running.gateway, ask(running, 'silence'));
    await eventually(() => running.upstream.calls.length === 1);
    nowMs = Date.parse('2026-01-03');
    await running.gateway.reload(fileFor(running.upstream, [...tokens, { name: 'third' }]));
    assert.equal((await send(running.gateway.mcpUrl, ask(running, 'silence'))).status, 401);
    running.release();
    await eventually(() => receiving.isOver);
    assert.match(receiving.text, /the end/);
  });
});

test('a revocation leaves nothing behind that keeps the gateway from stopping', async (t) => {
  const running = await start(t, 'legacy', { onCall: () => callResult('legacy') });
  const receiving = begin(t, 'HTTP/2', running.gateway, ask(running, 'events'));
  await eventually(() => receiving.text.includes('"progress":3'));
  await running.revoke('holder');
  await eventually(() => receiving.isOver, WITHIN_MS);
  const startedMs = performance.now();
  await running.gateway.gateway.close();
  assert.ok(performance.now() - startedMs < 5_000);
});
