// A gateway for clients that behave badly, with an upstream of each era behind it: what one of them does concerns its own
// call and nobody else's, and nothing of it stays behind in the gateway.

import assert from 'node:assert/strict';
import type http2 from 'node:http2';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, mock, suite, test } from 'node:test';
import { createLogger } from '../../src/telemetry/logger.ts';
import { trackSockets } from './accepted-sockets.ts';
import { Control, realNow, startControlledUpstream } from './controlled-upstream.ts';
import { assertNoCanary, CANARY, type CorpusCase, readCorpus, reportCounts } from './corpus.ts';
import { eventually } from './eventually.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { type CallOptions, cancellation, type Sent, send, toolCall } from './mcp-http.ts';
import { RawHttp1, toHttp1 } from './raw-http1.ts';
import { connectHttp2, openHttp2, type RawHttp2, statusOf } from './raw-http2.ts';
import type { RecordedCall, RecordingUpstream } from './recording-upstream.ts';
import type { Era } from './sdk-server-replies.ts';

/** A case of a corpus: what a client does wrong, and what comes of it in the words of its test. */
export interface FaultCase extends CorpusCase {
  readonly era: Era;
  readonly wire: 'h1' | 'h2';
  readonly fault: string;
  readonly expected: string;
}

export type Fault = (each: FaultCase) => Promise<string>;
export type Request = Sent & { readonly body: string };

export const MIB = 1024 * 1024;
/** Most calls of one token at once; so many must fit in when all cases are over. */
const CALLS = 300;
const TOKENED: CallOptions = { meta: '"progressToken":"p"' };

/** To be made once in a test file, outside of its suites; `testCases` then makes all of its tests. */
export class FaultyClients {
  /** Of the case that runs. */
  readonly control = new Control();
  readonly #upstreams = new Map<Era, RecordingUpstream>();
  #gateway: TestGateway | undefined;
  #sockets: ReadonlySet<Socket> = new Set();
  readonly #logged: string[] = [];
  #connections: { destroy(): void }[] = [];
  #clients: RawHttp1[] = [];
  #jumpedMs = 0;

  constructor() {
    before(() => this.#start());
    after(() => this.#stop());
    beforeEach(() => this.control.reset());
    afterEach(() => this.#leaveNothing());
  }

  get gateway(): TestGateway {
    assert.ok(this.#gateway, 'the gateway runs only inside of tests');
    return this.#gateway;
  }

  get upstreams(): readonly RecordingUpstream[] {
    return [...this.#upstreams.values()];
  }

  /** What the gateway holds open towards its clients. */
  get sockets(): ReadonlySet<Socket> {
    return this.#sockets;
  }

  upstream(era: Era): RecordingUpstream {
    return this.#upstreams.get(era)!;
  }

  /** Moves the gateway's clock. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  /** A test for each case of `test/corpus/FILE`, by class, and one that nothing of them is left; `run` fails a case. */
  testCases<T extends CorpusCase & { readonly era: Era }>(
    file: string,
    counts: Readonly<Record<string, number>>,
    run: (each: T) => Promise<void>,
  ): void {
    const cases = readCorpus<T>(file, counts);
    let runs = 0;
    for (const name of Object.keys(counts)) {
      suite(`a client's fault, ${name}:`, () => {
        for (const each of cases.filter((one) => one.class === name)) {
          test(each.name, async () => {
            await run(each);
            await this.quick(each.era);
            runs++;
          });
        }
      });
    }
    suite('after all of them', () => {
      test('no call and no connection is left behind', () => this.#fitsInStill());
      test('no log line holds the credential', (t) => {
        assertNoCanary(this.#logged.join(''));
        reportCounts(t, file, cases, runs);
      });
    });
  }

  /** Need not be closed. */
  async connect1(): Promise<RawHttp1> {
    const client = await RawHttp1.connect(this.gateway.url);
    this.#connections.push(client.socket);
    this.#clients.push(client);
    return client;
  }

  /** Need not be closed. */
  async connect2(options?: http2.ClientSessionOptions): Promise<RawHttp2> {
    const client = await connectHttp2(this.gateway.url, options);
    this.#connections.push(client.session, client.socket);
    return client;
  }

  /** A call by the agent, with a progress token. */
  request(tool: string, era: Era, options: CallOptions = TOKENED): Request {
    return { ...toolCall(`${era}.${tool}`, { era, ...options }), token: this.gateway.token() };
  }

  send(sent: Sent): ReturnType<typeof send> {
    return send(this.gateway.mcpUrl, { token: this.gateway.token(), ...sent });
  }

  /** Writes a request in one go, on a connection of its own. */
  async ask(sent: Sent): Promise<RawHttp1> {
    const client = await this.connect1();
    const { head, body } = toHttp1(this.gateway.mcpUrl, sent);
    client.write(Buffer.concat([head, body]));
    return client;
  }

  /** A call by somebody else, which must be answered at once. */
  async quick(era: Era): Promise<void> {
    const startedMs = realNow();
    const { text } = await this.send(this.request('quick', era));
    assert.equal(text, '{"result":{"got":null},"jsonrpc":"2.0","id":1}');
    assert.ok(realNow() - startedMs < 1_000, 'somebody else had to wait');
  }

  /** Cancels the agent's call of that id (JSON text), in a connection of its own. */
  async cancel(requestId: string, more: { readonly era?: Era; readonly sent?: Sent } = {}): Promise<void> {
    const { headers, ...rest } = cancellation(requestId, more.era);
    const { status } = await this.send({ ...rest, ...more.sent, headers: { ...headers, ...more.sent?.headers } });
    assert.equal(status, 202);
  }

  /** Calls that have reached the upstream since `from`. */
  async arrived(era: Era, from: number, count = 1): Promise<RecordedCall[]> {
    const { calls } = this.upstream(era);
    await eventually(() => calls.length >= from + count);
    return calls.slice(from);
  }

  /** How many calls have ended like this. */
  async countOf(outcome: string): Promise<number> {
    const lines = (await this.#metrics()).matchAll(/^switchboard_calls_total\{[^}]*outcome="(\w+)"\} (\d+)$/gm);
    return [...lines].reduce((sum, [, name, count]) => sum + (name === outcome ? Number(count) : 0), 0);
  }

  async assertAborted({ signal }: RecordedCall): Promise<void> {
    await eventually(() => signal.aborted, 1_000);
  }

  async assertToldToCancel(era: Era, { idText }: RecordedCall): Promise<void> {
    await eventually(() =>
      this.upstream(era).requests.some(
        ({ body }) => body.includes('notifications/cancelled') && body.includes(`"requestId":${idText}`),
      ),
    );
  }

  async #start(): Promise<void> {
    mock.method(performance, 'now', () => realNow() + this.#jumpedMs);
    const eras: readonly Era[] = ['modern', 'legacy'];
    for (const era of eras) this.#upstreams.set(era, await startControlledUpstream(era, this.control));
    this.#gateway = await startGateway({
      configs: eras.map((name) => ({ name, url: this.upstream(name).url, credential: CANARY })),
      tokens: [{ name: 'agent' }, { name: 'other' }],
      limits: { calls_per_token: CALLS, connections_per_credential: CALLS + 20 },
      log: createLogger({ level: 'debug', destination: { write: (line: string) => void this.#logged.push(line) } }),
    });
    this.#sockets = trackSockets(this.#gateway.url);
    await Promise.all(eras.map((era) => this.quick(era)));
  }

  async #stop(): Promise<void> {
    this.control.gate.resolve();
    await this.#gateway?.close();
    await Promise.all(this.upstreams.map((upstream) => upstream.close()));
    mock.restoreAll();
  }

  async #leaveNothing(): Promise<void> {
    this.control.gate.resolve();
    for (const { text, bytesReceived } of this.#clients) if (bytesReceived < MIB) assertNoCanary(text);
    for (const connection of this.#connections) connection.destroy();
    this.#connections = [];
    this.#clients = [];
    await eventually(() => this.#sockets.size === 0);
  }

  async #fitsInStill(): Promise<void> {
    await eventually(async () => !/^switchboard_pool_connections\{.*state="busy"\} [1-9]/m.test(await this.#metrics()));
    const sessions = await Promise.all([this.connect2(), this.connect2()]);
    const from = this.upstream('modern').calls.length;
    const statuses = Array.from({ length: CALLS }, (_, index) => {
      const { session } = sessions[index % 2]!;
      return statusOf(openHttp2(session, this.gateway.mcpUrl, this.request('hang', 'modern')));
    });
    await this.arrived('modern', from, CALLS);
    assert.equal((await this.send(this.request('hang', 'modern'))).status, 429);
    this.control.gate.resolve();
    assert.deepEqual([...new Set(await Promise.all(statuses))], [200]);
    for (const { session } of sessions) session.destroy();
    await eventually(() => this.#sockets.size === 0);
  }

  async #metrics(): Promise<string> {
    return (await fetch(`${this.gateway.url}/metrics`, { headers: { connection: 'close' } })).text();
  }
}
