// The thread that writes the log, seen from the gateway: started when it is first needed, asked by number, started
// again when it has died.

import { getCompileCacheDir } from 'node:module';
import { dirname, extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { GatewayError } from '../domain/errors.ts';
import type { FromWriter, ToWriter, WriterAnswer, WriterRequest, WriterSettings } from './messages.ts';

/** From sources and from `dist` alike: the file beside this one, with this one's ending. */
const ENTRY = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly resolve: (answer: WriterAnswer) => void;
  readonly reject: (error: GatewayError) => void;
}

export class WriterThread {
  readonly #settings: WriterSettings;
  readonly #onMessage: (message: Exclude<FromWriter, { kind: 'done' }>) => void;
  readonly #onDeath: (error: unknown) => void;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #asked = 0;
  #isClosing = false;

  /** `onDeath` is told when the thread has ended by itself; what it had not written is lost. */
  constructor(
    settings: WriterSettings,
    onMessage: (message: Exclude<FromWriter, { kind: 'done' }>) => void,
    onDeath: (error: unknown) => void,
  ) {
    this.#settings = settings;
    this.#onMessage = onMessage;
    this.#onDeath = onDeath;
  }

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  start(): void {
    if (this.#worker !== undefined) return;
    // Of the environment, in which secrets may stand, it gets the cache of compiled modules: it starts twice as fast.
    const cache = getCompileCacheDir();
    const env = cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) };
    const worker = new Worker(ENTRY, { workerData: this.#settings, env, execArgv: [], name: 'audit-log' });
    // A process that has nothing else to do ends; who waits for an answer is something to do.
    worker.unref();
    let cause: unknown;
    worker.on('message', (message: FromWriter) => this.#receive(message));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.once('exit', () => {
      if (this.#worker === worker) this.#onExit(cause);
    });
    this.#worker = worker;
  }

  post(message: Exclude<ToWriter, { kind: 'request' }>): void {
    this.start();
    this.#worker?.postMessage(message, message.kind === 'batch' ? [message.batch.buffer] : []);
  }

  /** Throws `internal` when the thread dies over it. */
  ask(request: WriterRequest): Promise<WriterAnswer> {
    this.start();
    const number = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker?.ref();
      this.#worker?.postMessage({ kind: 'request', number, request } satisfies ToWriter);
    });
  }

  /** Ends the thread when it has written what it could. Returns how many records it could not write. */
  async close(): Promise<number> {
    const worker = this.#worker;
    if (worker === undefined) return 0;
    // Its last answer and its end may be told in one turn, before anybody who waits for the answer goes on.
    this.#isClosing = true;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const { lost = 0 } = await this.ask({ kind: 'close' });
    this.#worker = undefined;
    worker.ref();
    await ended;
    return lost;
  }

  #receive(message: FromWriter): void {
    if (message.kind !== 'done') {
      this.#onMessage(message);
      return;
    }
    this.#waiting.get(message.number)?.resolve(message.answer);
    this.#waiting.delete(message.number);
    if (this.#waiting.size === 0) this.#worker?.unref();
  }

  #onExit(cause: unknown): void {
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) {
      reject(new GatewayError('internal', 'The thread that writes the audit log has ended. Try again.', { cause }));
    }
    if (!this.#isClosing) this.#onDeath(cause);
  }
}
