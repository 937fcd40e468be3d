// One keep-alive connection of a load generator: sends a request, reads its answer, and says how it went.

import { Buffer } from 'node:buffer';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { HttpAnswer } from './http-answer.ts';
import { judgeAnswer } from './judge-answer.ts';
import { type RpcRequest, setId } from './rpc-request.ts';

export interface LoadConnectionOptions {
  readonly url: URL;
  readonly request: RpcRequest;
  /** The answer to the request that was sent last is there, or will not come. `isOpen`: another can be sent. */
  readonly onAnswer: (connection: LoadConnection, outcome: LoadOutcome) => void;
}

export interface LoadOutcome {
  /** Absent when it was the result that was asked for. */
  readonly problem: string | undefined;
  readonly bytes: number;
}

export class LoadConnection {
  /** When the request that is under way was due; the generator's to set. */
  dueMs = 0;
  readonly #options: LoadConnectionOptions;
  /** A copy: what the kernel has not taken yet must not change under it. */
  readonly #message: Buffer;
  readonly #answer = new HttpAnswer();
  #socket: Socket | undefined;
  #id = 0;
  #isBusy = false;

  constructor(options: LoadConnectionOptions) {
    this.#options = options;
    this.#message = Buffer.from(options.request.message);
  }

  /** Resolves when a request can be sent without waiting for a connection, or when there is none to be had. */
  open(): Promise<void> {
    const socket = this.#connect();
    this.#socket = socket;
    return new Promise((resolve) => {
      for (const event of ['connect', 'close']) socket.once(event, () => resolve());
    });
  }

  /** Sends the request under this id; connects first where it must. */
  send(id: number): void {
    this.#id = id;
    this.#isBusy = true;
    setId(this.#message, this.#options.request.idAt, id);
    this.#socket ??= this.#connect();
    this.#socket.write(this.#message);
  }

  /** Gives up what is under way. */
  giveUp(problem: string): void {
    this.#drop();
    this.#tell(problem);
  }

  close(): void {
    this.#isBusy = false;
    this.#drop();
  }

  #connect(): Socket {
    const { hostname, port, protocol } = this.#options.url;
    const host = hostname.replace(/^\[|\]$/g, '');
    const isTls = protocol === 'https:';
    const to = { host, port: Number(port || (isTls ? 443 : 80)), noDelay: true };
    // An address is not asked for by SNI (RFC 6066 §3), and Node refuses to.
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = isTls ? connectTls({ ...to, ...name, ALPNProtocols: ['http/1.1'] }) : connectTcp(to);
    const lost = (problem: string) => {
      if (this.#socket === socket) this.giveUp(problem);
    };
    socket.on('data', (bytes: Buffer) => {
      if (this.#socket === socket) this.#take(bytes);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => lost(error.code ?? error.message));
    socket.on('close', () => lost('connection closed'));
    return socket;
  }

  #take(bytes: Buffer): void {
    const answer = this.#answer;
    let isWhole: boolean;
    try {
      isWhole = answer.push(bytes);
    } catch (error) {
      this.giveUp((error as Error).message);
      return;
    }
    if (!isWhole) return;
    const problem = judgeAnswer(answer, this.#id);
    const { bodyBytes } = answer;
    if (!answer.canReuse) this.#drop();
    answer.reset();
    this.#tell(problem, bodyBytes);
  }

  #tell(problem: string | undefined, bytes = 0): void {
    if (!this.#isBusy) return;
    this.#isBusy = false;
    this.#options.onAnswer(this, { problem, bytes });
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#answer.reset();
    socket?.destroy();
  }
}
