// A command as an upstream that speaks Streamable HTTP: what the gateway dispatches is answered by processes, one for all
// who share a credential or one for each session. So nothing above this room knows of stdio.

import { Dispatcher } from 'undici';
import { findMember, stringAt } from '../../protocol/json-scan.ts';
import { errorAnswer, type Message, resultAnswer, scanMessage } from '../../protocol/jsonrpc.ts';
import type { Pieces } from '../../protocol/splice.ts';
import { UpstreamIds } from '../../protocol/upstream-id.ts';
import { findMembers, skipSpace } from '../loose-json.ts';
import type { UpstreamPoolStats, UpstreamPools } from '../pool.ts';
import { Exchange } from './exchange.ts';
import { StdioFault } from './fault.ts';
import { type Greeting, type GreetingOptions, greet } from './greeting.ts';
import type { Requester, StdioProcess } from './process.ts';
import { SHUT, type StartOptions, StdioProcesses, toFault } from './processes.ts';

export interface StdioOptions extends StartOptions, Pick<GreetingOptions, 'clientInfo' | 'probeMs'> {
  /** From its start to its answer to the first question. */
  readonly startTimeoutMs: number;
  /** Most that waits for readers who have stopped, of all requests together; 128 MiB unless told. */
  readonly maxHeldBytes?: number;
}

/** Requests during which a server may ask something of the client that waits for them. */
const CALLS = new Set(['tools/call', 'prompts/get', 'resources/read', 'completion/complete']);
const MAX_HELD_BYTES = 128 * 1024 * 1024;
const SESSION_ID = 'mcp-session-id';
const NO_SESSION = errorAnswer(undefined, { code: -32600, message: 'Unknown session' });
const UNTAKEN = new StdioFault('overloaded', 'its answers are not taken as fast as they come');
const LEGACY: Greeting = { era: 'legacy', result: undefined };

/** The pools of an upstream that is a command. Nothing is started before the first request. */
export function createStdioPools(options: StdioOptions): UpstreamPools {
  const bridge = new StdioBridge(options);
  return {
    calls: bridge,
    streams: bridge,
    stats: () => bridge.stats(),
    close: () => bridge.close(),
    destroy: () => void bridge.destroy(),
  };
}

class StdioBridge extends Dispatcher {
  readonly #options: StdioOptions;
  readonly #ids = new UpstreamIds();
  readonly #exchanges = new Set<Exchange>();
  readonly #processes: StdioProcesses;
  /** The processes of legacy sessions, by session id, which is the id of the process. */
  readonly #sessions = new Map<string, StdioProcess>();
  /** The process that was asked for its era: all share it, or the next session takes it. */
  #asked: Promise<StdioProcess> | undefined;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(options: StdioOptions) {
    super();
    this.#options = options;
    this.#processes = new StdioProcesses(options, this.#ids, (process) => this.#onGone(process));
  }

  stats(): UpstreamPoolStats {
    const { count: connected, idle: free } = this.#processes;
    return { connected, free };
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const exchange = new Exchange(handler);
    exchange.start();
    if (this.#isClosed) exchange.fail(SHUT);
    if (exchange.isOver) return true;
    this.#exchanges.add(exchange);
    exchange.onOver = () => this.#onOver(exchange);
    exchange.onHeld = () => this.#onHeld(exchange);
    // No socket answers before `dispatch` has returned, and no handler expects it.
    process.nextTick(() => this.#serve(options, exchange).catch((error: unknown) => exchange.fail(toFault(error))));
    return true;
  }

  /** Takes no more requests; ends the processes when those under way have ended, and resolves when they are gone. */
  override async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#exchanges.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#processes.close();
  }

  override async destroy(): Promise<void> {
    this.#isClosed = true;
    for (const exchange of [...this.#exchanges]) exchange.fail(SHUT);
    await this.#processes.close();
  }

  #onOver(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
    if (this.#exchanges.size === 0) this.#onIdle?.();
  }

  /** One slow reader cannot stop a stdout that many share; what is held for all of them together is bounded instead. */
  #onHeld(exchange: Exchange): void {
    let heldBytes = 0;
    for (const each of this.#exchanges) heldBytes += each.heldBytes;
    if (heldBytes > (this.#options.maxHeldBytes ?? MAX_HELD_BYTES)) exchange.abort(UNTAKEN);
  }

  /** Awaits only a process that is not there yet: other requests are served within this turn. */
  async #serve({ method, headers, body }: Dispatcher.DispatchOptions, exchange: Exchange): Promise<void> {
    if (exchange.isOver) return;
    const sessionId = readHeader(headers, SESSION_ID);
    const session = sessionId === undefined ? undefined : this.#sessions.get(sessionId);
    if (sessionId !== undefined && session === undefined) exchange.respond(404, NO_SESSION);
    else if (method === 'GET') listen(session, exchange);
    else if (method === 'DELETE') this.#endSession(session, exchange);
    else {
      const message = scanMessage(toBytes(body));
      if (message.kind === 'fault')
        exchange.respond(400, errorAnswer(message.id, { code: -32600, message: message.message }));
      else if (session !== undefined) this.#pass(message, session, exchange);
      else await this.#serveOutsideSession(message, exchange);
    }
  }

  async #serveOutsideSession(message: Message, exchange: Exchange): Promise<void> {
    const { method } = message;
    if (method === 'initialize' && this.#options.process === 'session') await this.#openSession(message, exchange);
    else {
      const process = await this.#known();
      if (exchange.isOver) return;
      const { greeting } = process;
      if (process.isModern) this.#pass(message, process, exchange);
      else if (method === 'initialize' && greeting?.result !== undefined) {
        joinSession(message, process.id, greeting.result, exchange);
      } else exchange.respond(400, errorAnswer(idText(message), { code: -32601, message: 'This is a legacy server' }));
    }
  }

  #pass(message: Message, process: StdioProcess, exchange: Exchange): void {
    const id = message.kind === 'request' ? idOf(message) : undefined;
    if (id !== undefined) this.#request(id, message, process, exchange);
    else {
      // Not to a process that many share: it was told so when the gateway initialised it.
      const isTold = message.method === 'notifications/initialized' && process.greeting?.result !== undefined;
      if (!isTold) process.send(message.bytes);
      exchange.respond(202);
    }
  }

  #request(id: string, message: Message, process: StdioProcess, requester: Exchange): void {
    requester.isCall = CALLS.has(message.method);
    requester.onAbort = () => process.forget(id);
    process.request(id, message.bytes, requester);
  }

  /** Opens a session with a process of its own: the one that was asked for its era, if no session has taken it. */
  async #openSession(message: Message, exchange: Exchange): Promise<void> {
    const asked = this.#asked;
    this.#asked = undefined;
    const spare = await asked?.catch(() => undefined);
    if (spare?.isModern) this.#asked = asked;
    const process = spare === undefined || spare.isModern || spare.isGone ? await this.#processes.start() : spare;
    process.greeting = LEGACY;
    const id = idOf(message);
    if (exchange.isOver || id === undefined) {
      void process.stop();
      return;
    }
    exchange.onAbort = () => void process.stop();
    const opening: Requester = {
      isCall: false,
      event: (line) => exchange.event(line),
      answer: (line) => {
        const isOpen = isResult(line) && !exchange.isOver;
        exchange.onAbort = undefined;
        if (isOpen) this.#sessions.set(process.id, process);
        else void process.stop();
        exchange.answer(line, isOpen ? { [SESSION_ID]: process.id } : {});
      },
      end: () => exchange.end(),
      fail: (fault) => exchange.fail(fault),
    };
    process.request(id, message.bytes, opening);
  }

  #endSession(session: StdioProcess | undefined, exchange: Exchange): void {
    // A shared process goes on for the other sessions, and a modern one has no sessions.
    if (session === undefined || this.#options.process === 'credential') {
      exchange.respond(405);
      return;
    }
    this.#sessions.delete(session.id);
    void session.stop();
    exchange.respond(200);
  }

  /** A process whose era is known, started if there is none; all who ask meanwhile get the same. */
  #known(): Promise<StdioProcess> {
    if (this.#asked !== undefined) return this.#asked;
    const asked = this.#startKnown();
    this.#asked = asked;
    asked.catch(() => {
      if (this.#asked === asked) this.#asked = undefined;
    });
    return asked;
  }

  async #startKnown(): Promise<StdioProcess> {
    const { startTimeoutMs: timeoutMs } = this.#options;
    const initializes = this.#options.process === 'credential';
    const process = await this.#processes.start();
    const mintId = () => this.#ids.mint();
    try {
      const greeting = await greet(process, { ...this.#options, initializes, timeoutMs, mintId });
      process.greeting = greeting;
      if (greeting.result !== undefined && !process.isGone) this.#sessions.set(process.id, process);
      return process;
    } catch (error) {
      process.kill(toFault(error));
      throw error;
    }
  }

  #onGone(process: StdioProcess): void {
    this.#sessions.delete(process.id);
    void this.#asked?.then(
      (asked) => {
        if (asked === process) this.#asked = undefined;
      },
      () => undefined,
    );
  }
}

/** Answers `initialize` for a process that many sessions share with what it said when the gateway initialised it. */
function joinSession(message: Message, sessionId: string, result: Buffer, exchange: Exchange): void {
  const text = resultAnswer(idText(message) ?? 'null', result.toString('latin1'));
  exchange.answer(Buffer.from(text, 'latin1'), { [SESSION_ID]: sessionId });
}

/** Opens the stream of what belongs to no request; one at a time, as no message may go to two (2025-11-25 basic/transports). */
function listen(session: StdioProcess | undefined, exchange: Exchange): void {
  if (session === undefined) exchange.respond(405);
  else if (!session.listen(exchange)) exchange.respond(409);
  else {
    exchange.onAbort = () => session.unlisten(exchange);
    exchange.begin();
  }
}

function idOf({ id, bytes }: Message): string | undefined {
  return id === undefined ? undefined : stringAt(bytes, id);
}

function idText(message: Message): string | undefined {
  const id = idOf(message);
  return id === undefined ? undefined : JSON.stringify(id);
}

function isResult(line: Buffer): boolean {
  return findMember(findMembers(line, skipSpace(line, 0)) ?? [], 'result') !== undefined;
}

/** Reads from the flat [name, value, …] array that the upstream room sends. */
function readHeader(headers: Dispatcher.DispatchOptions['headers'], name: string): string | undefined {
  if (!Array.isArray(headers)) return undefined;
  const at = headers.indexOf(name);
  return at < 0 || at % 2 === 1 ? undefined : String(headers[at + 1]);
}

/** A long body comes in pieces. */
function toBytes(body: Dispatcher.DispatchOptions['body'] | Pieces): Buffer {
  if (Array.isArray(body)) return Buffer.concat(body as readonly Buffer[]);
  return Buffer.isBuffer(body) ? body : Buffer.from(String(body));
}
