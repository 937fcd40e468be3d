// One worker as the process that started it sees it: whether it serves, what connections it has, what it answers.

import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Question } from '../../gateway/worker-place.ts';
import { type FromWorker, type PortName, type ToWorker, WORKER, type WorkerStart } from './messages.ts';

/** What does not answer in this time is busy, and an operator's request must not wait for it. */
const ANSWER_MS = 500;

/** A connection that a worker is to have. Nothing was read of it. */
export interface Pending {
  readonly socket: Socket;
  readonly port: PortName;
}

/** How the process ended, or why there never was one. */
export type WorkerEnd =
  | { readonly code: number | null; readonly signal: NodeJS.Signals | null }
  | { readonly error: unknown };

export interface WorkerHooks {
  /** Whether it accepts or serves is another than before. */
  onState(worker: WorkerProcess): void;
  /** It does not take these. */
  onReturned(connections: readonly Pending[]): void;
  /** It wants to know what the others say. */
  onQuestion(worker: WorkerProcess, question: Question): Promise<readonly unknown[]>;
  onEnd(worker: WorkerProcess, end: WorkerEnd): void;
}

export class WorkerProcess {
  readonly index: number;
  readonly startedMs = performance.now();
  /** When it was last given a connection, by a count of all. */
  lastGiven = 0;
  state: 'starting' | 'ready' | 'leaving' | 'ended' = 'starting';
  readonly #child: ChildProcess;
  readonly #hooks: WorkerHooks;
  readonly #accepting = new Set<PortName>();
  readonly #pending = new Map<number, Pending>();
  readonly #asked = new Map<number, (answer: unknown) => void>();
  #open = 0;
  #count = 0;

  /** That the system has no room for another process is thrown or told by `onEnd`, as Node does either. */
  constructor(start: WorkerStart, hooks: WorkerHooks) {
    this.index = start.index;
    this.#hooks = hooks;
    const [, program = ''] = process.argv;
    this.#child = fork(program, [WORKER, JSON.stringify(start)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (message) => this.#receive(message as FromWorker));
    this.#child.once('error', (error) => {
      if (this.pid === undefined) this.#onEnd({ error });
      else this.kill();
    });
    this.#child.once('exit', (code, signal) => this.#onEnd({ code, signal }));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  accepts(port: PortName): boolean {
    return this.#accepting.has(port) && this.state !== 'ended';
  }

  /** Connections that it has or is about to have. */
  get connections(): number {
    return this.#open + this.#pending.size;
  }

  /** Gives it a connection, which comes back by `onReturned` if it ends before it has it. */
  give(connection: Pending): void {
    const number = ++this.#count;
    this.#pending.set(number, connection);
    // Kept open here until it is taken: a worker that dies before that must not take the connection with it.
    const message: ToWorker = { tell: 'connection', number, port: connection.port };
    this.#child.send(message, connection.socket, { keepOpen: true }, () => undefined);
  }

  /** `undefined` when there is no answer in time. */
  ask(question: Question): Promise<unknown> {
    const number = ++this.#count;
    return new Promise((resolve) => {
      const timer = setTimeout(() => answer(undefined), ANSWER_MS);
      const answer = (value: unknown): void => {
        clearTimeout(timer);
        this.#asked.delete(number);
        resolve(value);
      };
      this.#asked.set(number, answer);
      this.tell({ tell: 'question', number, question });
    });
  }

  /** One that has ended is told nothing. */
  tell(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #receive(message: FromWorker): void {
    switch (message.tell) {
      case 'accepting':
        this.#accepting.add(message.port);
        this.#hooks.onState(this);
        return;
      case 'ready':
        this.state = 'ready';
        this.#hooks.onState(this);
        return;
      case 'closed':
        this.#accepting.delete(message.port);
        // Operators are still told on theirs that it stops.
        if (message.port === 'main') this.state = 'leaving';
        this.#hooks.onState(this);
        return;
      case 'taken':
        this.#open = message.open;
        this.#pending.get(message.number)?.socket.destroy();
        this.#pending.delete(message.number);
        return;
      case 'refused':
        this.#return(message.number);
        return;
      case 'open':
        this.#open = message.open;
        return;
      case 'question':
        void this.#hooks.onQuestion(this, message.question).then((answers) => {
          this.tell({ tell: 'answers', number: message.number, answers });
        });
        return;
      case 'answer':
        this.#asked.get(message.number)?.(message.answer);
    }
  }

  #return(number: number): void {
    const connection = this.#pending.get(number);
    this.#pending.delete(number);
    if (connection !== undefined) this.#hooks.onReturned([connection]);
  }

  #onEnd(end: WorkerEnd): void {
    this.state = 'ended';
    const returned = [...this.#pending.values()];
    this.#pending.clear();
    for (const answer of [...this.#asked.values()]) answer(undefined);
    this.#hooks.onState(this);
    this.#hooks.onReturned(returned);
    this.#hooks.onEnd(this, end);
  }
}
