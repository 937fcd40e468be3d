// `switchboard serve` with more than one worker: this process binds the ports and starts the workers, and a new one for
// each that ends. It serves nothing itself.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../../domain/errors.ts';
import type { Question } from '../../gateway/worker-place.ts';
import type { Address } from '../../settings/environment.ts';
import type { Settings } from '../../settings/settings.ts';
import { createLogger, type Logger } from '../../telemetry/logger.ts';
import { Connections } from './connections.ts';
import { Counted } from './counted.ts';
import { type WorkerEnd, type WorkerHooks, WorkerProcess } from './worker-process.ts';

export interface WorkersOptions {
  readonly config: string;
  readonly settings: Settings;
  readonly count: number;
}

/** Between the ends of two workers of one index that did not live long; doubled with each, and none before the first. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
const LONG_LIFE_MS = 10_000;
/** Beyond the drain, for connections to upstreams, processes and the log of calls. */
const CLOSE_MS = 15_000;

export class Workers {
  readonly log: Logger;
  readonly #options: WorkersOptions;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #connections = new Connections(() => this.#workers.values());
  readonly #counted = new Counted();
  readonly #pauses = new Map<number, number>();
  #place: { readonly folder: string; readonly main: Address; readonly admin: Address | undefined } | undefined;
  #hasStarted = false;
  #isStopping = false;
  /** Told whenever a worker serves, or has ended. */
  #onChange = (): void => undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.log = createLogger({ level: options.settings.log.level });
  }

  /**
   * Binds the ports and starts the workers. Resolves when all serve, or with `undefined` when one could not and has said
   * why. Throws `GatewayError` for an address that cannot be bound.
   */
  async listen(): Promise<{ readonly main: Address; readonly admin: Address | undefined } | undefined> {
    const { settings, count } = this.#options;
    const { admin } = settings;
    // Nothing that was started here may outlive this process, however it ends. Of SIGKILL the workers learn by themselves.
    process.once('exit', () => this.#killAll());
    const addresses = {
      main: await this.#connections.open('main', settings.listen),
      admin: admin && (await this.#connections.open('admin', admin.listen)),
    };
    this.#place = { ...addresses, folder: await mkdtemp(join(tmpdir(), 'switchboard-')) };
    for (let index = 0; index < count; index++) this.#start(index);
    // One by one: the first makes the store and the key, and whatever is wrong with them is said once.
    for (let index = 0; index < count; index++) {
      this.#workers.get(index)?.tell({ tell: 'go' });
      await this.#until(() => this.#workers.get(index)?.state !== 'starting');
      if (this.#workers.size < count) {
        await this.#giveUp();
        return undefined;
      }
    }
    this.#hasStarted = true;
    return addresses;
  }

  /** Has every worker read the config file. */
  reload(): void {
    for (const worker of this.#workers.values()) worker.tell({ tell: 'reload' });
  }

  /** Lets every worker finish what it has begun, and waits for all of them to end. */
  async close(): Promise<void> {
    this.#isStopping = true;
    this.#connections.close('main');
    for (const worker of this.#workers.values()) worker.tell({ tell: 'drain' });
    const late = setTimeout(() => this.#killAll(), this.#options.settings.limits.drainMs + CLOSE_MS);
    await this.#until(() => this.#workers.size === 0);
    clearTimeout(late);
    // Last, so that `/readyz` says that the gateway stops.
    this.#connections.close('admin');
    if (this.#place !== undefined) await rm(this.#place.folder, { recursive: true, force: true });
  }

  /** None of them has served anybody yet. */
  #giveUp(): Promise<void> {
    this.#killAll();
    return this.close();
  }

  #killAll(): void {
    for (const worker of this.#workers.values()) worker.kill();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }

  #start(index: number): WorkerProcess | undefined {
    const { config, count } = this.#options;
    if (this.#place === undefined) return undefined;
    const hooks: WorkerHooks = {
      onState: () => this.#onState(),
      onReturned: (connections) => this.#connections.giveAgain(connections),
      onQuestion: (asking, question) => this.#askOthers(asking, question),
      onEnd: (ended, end) => this.#onEnd(ended, end),
    };
    try {
      const worker = new WorkerProcess({ config, index, count, ...this.#place }, hooks);
      this.#workers.set(index, worker);
      return worker;
    } catch (error) {
      this.#logNotStarted(index, error);
      return undefined;
    }
  }

  #logNotStarted(index: number, cause: unknown): void {
    const { code = '' } = cause as NodeJS.ErrnoException;
    const error = new GatewayError('internal', `The system has no room for another process (${code}).`, { cause });
    this.log.error('worker not started', { worker: index + 1, error });
  }

  #onState(): void {
    const indexes = [...this.#workers.values()].filter(({ state }) => state === 'ready').map(({ index }) => index);
    for (const worker of this.#workers.values()) worker.tell({ tell: 'up', indexes });
    this.#connections.giveAgain([]);
    this.#onChange();
  }

  async #askOthers(asking: WorkerProcess, question: Question): Promise<readonly unknown[]> {
    const serving = [...this.#workers.values()].filter(({ state }) => state === 'ready');
    if (question.ask === 'metrics') return this.#counted.read(new Set([asking, ...serving]));
    const others = serving.filter((worker) => worker !== asking);
    const answers = await Promise.all(others.map((worker) => worker.ask(question)));
    return answers.filter((answer) => answer !== undefined);
  }

  #onEnd(worker: WorkerProcess, end: WorkerEnd): void {
    const { index, startedMs, pid } = worker;
    this.#counted.onEnd(worker);
    this.#workers.delete(index);
    this.#onChange();
    if ('error' in end) this.#logNotStarted(index, end.error);
    // One that never served is the start's to give up.
    if (this.#isStopping || !this.#hasStarted) return;
    if ('code' in end) this.log[end.code === 0 ? 'info' : 'warn']('worker ended', { worker: index + 1, pid, ...end });
    const lived = performance.now() - startedMs;
    const pauseMs = lived > LONG_LIFE_MS ? 0 : (this.#pauses.get(index) ?? 0);
    this.#pauses.set(index, Math.min(Math.max(2 * pauseMs, FIRST_PAUSE_MS), MAX_PAUSE_MS));
    void this.#replace(index, pauseMs);
  }

  async #replace(index: number, pauseMs: number): Promise<void> {
    if (pauseMs > 0) await delay(pauseMs);
    if (this.#isStopping) return;
    const worker = this.#start(index);
    if (worker === undefined) return this.#replace(index, MAX_PAUSE_MS);
    worker.tell({ tell: 'go' });
    if (worker.pid !== undefined) this.log.info('worker started', { worker: index + 1, pid: worker.pid });
  }
}
