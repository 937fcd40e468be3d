// An MCP upstream on a bare socket that behaves, in either era and framing, until a fault is armed: then the chosen
// operation is struck, byte by byte as `upstream-faults.ts` says. All that it was asked is kept, with its connection.

import { once } from 'node:events';
import net, { type LookupFunction, type Socket } from 'node:net';
import tls from 'node:tls';
import { type Issued, toIdentity } from './certificates.ts';
import { closeServer, listenLocally } from './local-server.ts';
import { type Era, listResult, replyToProtocolMethod, toMessage } from './sdk-server-replies.ts';
import { type ClientMessage, parseClientMessage } from './sdk-server-rules.ts';
import { Blow, type FaultName, isConnectFault, STRIKES, toHttp } from './upstream-faults.ts';

export type Framing = 'json' | 'sse';
export type Operation = 'list' | 'call';

/** A request as it came: read whole, and kept before it is answered or struck. */
export interface SeenRequest {
  /** The JSON-RPC method or, without a JSON body, the HTTP method. */
  readonly method: string;
  /** Connections are numbered from 1. */
  readonly connection: number;
  /** `params.arguments.text` of a call. */
  readonly text: string | undefined;
}

export type TlsFault = 'tls-untrusted' | 'tls-wrong-name' | 'tls-expired';

export interface FaultUpstreamOptions {
  readonly era: Era;
  readonly framing: Framing;
  /** Its host in `url`: 127.0.0.1 or, for faults of the look-up, a name that `createLookup` answers. */
  readonly host?: string;
  /** Makes it speak TLS, well and badly. */
  readonly identities?: Readonly<Record<'good' | TlsFault, Issued>>;
  /** Where its redirects lead. */
  readonly trapUrl?: string;
}

const METHOD_OF: Readonly<Record<Operation, string>> = { list: 'tools/list', call: 'tools/call' };

export async function startFaultUpstream(options: FaultUpstreamOptions): Promise<FaultUpstream> {
  const upstream = new FaultUpstream(options);
  await upstream.listen();
  return upstream;
}

/** Answers the names of these upstreams as they want, and no other name. */
export function createLookup(upstreams: ReadonlyMap<unknown, FaultUpstream>): LookupFunction {
  return (hostname, options, callback) => {
    const upstream = [...upstreams.values()].find(({ host }) => host === hostname);
    process.nextTick(() => {
      // Listening on an address looks it up, too.
      if (net.isIP(hostname) > 0) callback(null, options.all ? [{ address: hostname, family: 4 }] : hostname, 4);
      else if (upstream === undefined) callback(new Error('a name that is not of this test'), []);
      else upstream.lookUp(callback);
    });
  };
}

export class FaultUpstream {
  readonly host: string;
  readonly seen: SeenRequest[] = [];
  /** The connections on which a fault has struck since it was armed. */
  readonly struck = new Set<number>();
  /** Names of its tools. */
  tools: readonly string[] = ['echo'];
  /** While it returns a promise, the answer to a call waits for it. */
  beforeAnswer: (text: string) => Promise<void> | undefined = () => undefined;
  /** Whether a connection ends, without a word before, once an answer was written to it. */
  closesBehindAnswers = false;
  readonly #options: FaultUpstreamOptions;
  readonly #server = net.createServer((socket) => this.#accept(socket));
  readonly #tlsServer: tls.Server | undefined;
  readonly #open = new Map<number, Socket>();
  readonly #sessions = new Set<string>();
  /** Struck requests that wait for another, to get its answer. */
  readonly #waiting: Blow[] = [];
  #port = 0;
  #connections = 0;
  #lastIdText = '0';
  #armed: { readonly fault: FaultName; readonly method: string } | undefined;

  constructor(options: FaultUpstreamOptions) {
    const { host = '127.0.0.1', identities } = options;
    this.host = host;
    this.#options = options;
    if (identities === undefined) return;
    this.#tlsServer = tls.createServer(toIdentity(identities.good), (socket) => this.#serve(socket));
    this.#tlsServer.on('tlsClientError', () => {});
  }

  get url(): string {
    return `${this.#tlsServer === undefined ? 'http' : 'https'}://${this.host}:${this.#port}/mcp`;
  }

  get connections(): number {
    return this.#connections;
  }

  count(method: string): number {
    return this.seen.filter((request) => request.method === method).length;
  }

  isOpen(connection: number): boolean {
    return this.#open.has(connection);
  }

  async listen(): Promise<void> {
    this.#port = await listenLocally(this.#server);
  }

  /** From now on the operation is struck. What strikes connections closes the open ones first. */
  async arm(fault: FaultName, operation: Operation): Promise<void> {
    this.struck.clear();
    this.#armed = { fault, method: METHOD_OF[operation] };
    const { identities } = this.#options;
    if (identities !== undefined && fault in identities)
      this.#tlsServer?.setSecureContext(toIdentity(identities[fault as TlsFault]));
    if (isConnectFault(fault)) await this.hangUp();
  }

  /** Behaves again; what a fault does to connections that it has struck goes on. */
  disarm(): void {
    this.#armed = undefined;
    const { identities } = this.#options;
    if (identities !== undefined) this.#tlsServer?.setSecureContext(toIdentity(identities.good));
  }

  /** Ends the open connections; resolves when the other side has noticed. */
  async hangUp(): Promise<void> {
    const sockets = [...this.#open.values()];
    await Promise.all(sockets.map((socket) => once(socket.end(), 'close')));
  }

  /** Sessions are unknown from now on, as after a restart. */
  forgetSessions(): void {
    this.#sessions.clear();
  }

  lookUp(callback: Parameters<LookupFunction>[2]): void {
    const fault = this.#armed?.fault;
    const fail = (code: string): void => callback(Object.assign(new Error(`getaddrinfo ${code}`), { code }), []);
    if (fault === 'dns-unknown') fail('ENOTFOUND');
    else if (fault === 'dns-fails') fail('EAI_AGAIN');
    // A missing route is reported in the same way, and cannot be had without a packet that leaves the machine.
    else if (fault === 'unreachable') fail('EHOSTUNREACH');
    // On another address of the loopback network nobody listens at this port.
    else if (fault !== 'dns-silent')
      callback(null, [{ address: fault === 'refused' ? '127.0.0.2' : '127.0.0.1', family: 4 }]);
  }

  close(): Promise<void> {
    return closeServer(this.#server, this.#open.values());
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#tlsServer === undefined) this.#serve(socket);
    else if (this.#armed?.fault === 'tls-silent') socket.resume();
    else this.#tlsServer.emit('connection', socket);
  }

  #serve(socket: Socket): void {
    const connection = ++this.#connections;
    this.#open.set(connection, socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(connection));
    let held: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      for (let request = readRequest(held); request !== undefined; request = readRequest(held)) {
        held = held.subarray(request.end);
        this.#onRequest(request, connection, socket);
      }
    });
  }

  #onRequest({ head, body }: HttpRequest, connection: number, socket: Socket): void {
    const message = parseClientMessage(body);
    const method = message?.method ?? head.slice(0, head.indexOf(' '));
    this.seen.push({ method, connection, text: message && textOf(message) });
    if (message?.idText === undefined) {
      socket.write(toHttp(message === undefined ? (method === 'DELETE' ? 200 : 405) : 202, ''));
      return;
    }
    const { framing, trapUrl = '' } = this.#options;
    const { idText } = message;
    const answer = this.#answerTo(method, idText, message);
    const blow = new Blow({ socket, framing, idText, earlierIdText: this.#lastIdText, answer, trapUrl });
    this.#lastIdText = idText;
    const session = /^mcp-session-id: (.*)$/im.exec(head)?.[1] ?? '';
    if (method === 'initialize') this.#initialize(blow);
    else if (this.#armed?.method === method && !isConnectFault(this.#armed.fault))
      this.#strike(this.#armed.fault, blow, connection, session);
    else if (this.#isLost(method, session)) STRIKES['session-404'](blow, []);
    else void this.#answer(blow, method, message);
  }

  #strike(fault: keyof typeof STRIKES, blow: Blow, connection: number, session: string): void {
    this.struck.add(connection);
    if (fault.startsWith('session-')) this.#sessions.delete(session);
    // A session is lost once.
    if (fault.startsWith('session-') && fault !== 'session-always-lost') this.disarm();
    STRIKES[fault](blow, this.#waiting);
  }

  async #answer(blow: Blow, method: string, message: ClientMessage): Promise<void> {
    if (method === 'tools/call') await this.beforeAnswer(textOf(message) ?? '');
    // The probe of a modern client is answered in JSON, as SDK servers do with what they refuse.
    blow.write(method === 'server/discover' ? toHttp(200, blow.answer) : blow.whole(blow.answer));
    if (this.closesBehindAnswers) blow.socket.end();
  }

  #initialize(blow: Blow): void {
    const id = `session-${blow.idText.slice(1, -1)}`;
    this.#sessions.add(id);
    blow.write(blow.whole(blow.answer, 200, [`mcp-session-id: ${id}`]));
  }

  #isLost(method: string, session: string): boolean {
    return this.#options.era === 'legacy' && method !== 'server/discover' && !this.#sessions.has(session);
  }

  #answerTo(method: string, idText: string, message: ClientMessage): string {
    const { era } = this.#options;
    const result =
      method === 'tools/list'
        ? listResult(era, this.tools.map(toTool), undefined, this.tools.length)
        : method === 'tools/call'
          ? `{"content":[{"type":"text","text":${JSON.stringify(textOf(message) ?? 'ok')}}]${era === 'modern' ? ',"resultType":"complete"' : ''}}`
          : replyToProtocolMethod(era, method, message.params);
    return toMessage(idText, result ?? { error: '{"code":-32601,"message":"Method not found"}' });
  }
}

interface HttpRequest {
  readonly head: string;
  readonly body: Buffer;
  readonly end: number;
}

/** The first request of what has come, if it is there as a whole. */
function readRequest(bytes: Buffer): HttpRequest | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n') + 4;
  if (headEnd < 4) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const end = headEnd + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  return bytes.length < end ? undefined : { head, body: bytes.subarray(headEnd, end), end };
}

function textOf({ params }: ClientMessage): string | undefined {
  return (params as { arguments?: { text?: string } }).arguments?.text;
}

function toTool(name: string): string {
  return `{"name":"${name}","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}`;
}
