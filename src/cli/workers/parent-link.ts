// A worker's side of the channel to the process that started it: connections, what the other workers say, and the end.

import type { Socket } from 'node:net';
import type { ConnectionSource } from '../../edge/port.ts';
import type { Question, WorkerPlace } from '../../gateway/worker-place.ts';
import type { Address } from '../../settings/environment.ts';
import type { FamilySnapshot } from '../../telemetry/metrics-snapshot.ts';
import type { FromWorker, PortName, ToWorker, WorkerStart } from './messages.ts';

/** How long the others are waited for, who are given less time by the process between. */
const ANSWERS_MS = 1_000;
/** How soon it is told that connections have ended. */
const OPEN_MS = 50;

type OnConnection = (socket: Socket) => void;

export interface LinkHooks {
  onGo(): void;
  onReload(): void;
  /** The worker is to end, for whatever reason: it was told to, or nobody is there any more to give it work. */
  onDrain(reason: string): void;
  answer(question: Question): Promise<unknown>;
}

export class ParentLink {
  readonly #start: WorkerStart;
  readonly #hooks: LinkHooks;
  readonly #ports = new Map<PortName, OnConnection>();
  readonly #asked = new Map<number, (answers: readonly unknown[]) => void>();
  #up: ReadonlySet<number> = new Set();
  #open = 0;
  #count = 0;
  #isTelling = false;

  constructor(start: WorkerStart, hooks: LinkHooks) {
    this.#start = start;
    this.#hooks = hooks;
    process.on('message', (message, socket) => this.#receive(message as ToWorker, socket as Socket | undefined));
    process.once('disconnect', () => hooks.onDrain('the process that started it has ended'));
  }

  /** What a gateway is told of its place. */
  place(): WorkerPlace {
    const { index, count, folder, main, admin = main } = this.#start;
    return {
      index,
      count,
      folder,
      main: this.#source('main', main),
      admin: this.#source('admin', admin),
      isUp: (other) => this.#up.has(other),
      ask: (question) => this.#ask(question),
      readMetrics: async () => (await this.#ask({ ask: 'metrics' })) as readonly FamilySnapshot[],
    };
  }

  tell(message: FromWorker): void {
    if (process.connected) process.send?.(message, () => undefined);
  }

  #source(port: PortName, address: Address): ConnectionSource {
    return {
      open: async (onConnection) => {
        this.#ports.set(port, onConnection);
        this.tell({ tell: 'accepting', port });
        return address;
      },
      close: () => {
        this.#ports.delete(port);
        this.tell({ tell: 'closed', port });
      },
    };
  }

  #receive(message: ToWorker, socket: Socket | undefined): void {
    switch (message.tell) {
      case 'go':
        this.#hooks.onGo();
        return;
      case 'connection':
        this.#take(message.number, message.port, socket);
        return;
      case 'up':
        this.#up = new Set(message.indexes);
        return;
      case 'question':
        void this.#answer(message.number, message.question);
        return;
      case 'answers':
        this.#asked.get(message.number)?.(message.answers);
        return;
      case 'reload':
        this.#hooks.onReload();
        return;
      case 'drain':
        this.#hooks.onDrain('the gateway stops');
    }
  }

  #take(number: number, port: PortName, socket: Socket | undefined): void {
    const onConnection = this.#ports.get(port);
    if (onConnection === undefined) {
      socket?.destroy();
      this.tell({ tell: 'refused', number });
      return;
    }
    if (socket !== undefined) this.#open++;
    // Before anything is read of it: from here on it ends with this process.
    this.tell({ tell: 'taken', number, open: this.#open });
    // The client has left meanwhile.
    if (socket === undefined) return;
    socket.allowHalfOpen = true;
    socket.once('close', () => this.#onClose());
    onConnection(socket);
  }

  #onClose(): void {
    this.#open--;
    if (this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      this.tell({ tell: 'open', open: this.#open });
    }, OPEN_MS).unref();
  }

  async #answer(number: number, question: Question): Promise<void> {
    // Who asked is told nothing of a failure, which is this process's to log.
    const answer = await this.#hooks.answer(question).catch(() => undefined);
    this.tell({ tell: 'answer', number, answer: answer ?? null });
  }

  #ask(question: Question): Promise<readonly unknown[]> {
    const number = ++this.#count;
    return new Promise((resolve) => {
      const timer = setTimeout(() => answered([]), ANSWERS_MS);
      const answered = (answers: readonly unknown[]): void => {
        clearTimeout(timer);
        this.#asked.delete(number);
        resolve(answers);
      };
      this.#asked.set(number, answered);
      this.tell({ tell: 'question', number, question });
    });
  }
}
