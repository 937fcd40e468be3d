// The processes of one upstream: how many there may be, and when one may be started.

import type { StdioCommand } from '../../domain/mcp-config.ts';
import type { UpstreamIds } from '../../protocol/upstream-id.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { BackOff } from './back-off.ts';
import { StdioFault } from './fault.ts';
import type { Launch, Launcher } from './launcher.ts';
import { StdioProcess } from './process.ts';

export interface StartOptions {
  /** Of the McpConfig, for the log. */
  readonly name: string;
  readonly launch: Launch;
  readonly process: StdioCommand['process'];
  /** Values of its environment that no log may show. */
  readonly secrets: readonly string[];
  readonly launcher: Pick<Launcher, 'launch'>;
  /** Most processes at once. */
  readonly maxProcesses: number;
  readonly log: Logger;
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/** A start that is due so soon is waited for. */
const PATIENCE_MS = 1_000;
export const SHUT = new StdioFault('unreachable', 'the gateway has closed its connections to it');

export class StdioProcesses {
  readonly #options: StartOptions;
  readonly #ids: UpstreamIds;
  readonly #onGone: (process: StdioProcess) => void;
  readonly #backOff: BackOff;
  /** All that have not ended. */
  readonly #running = new Set<StdioProcess>();
  #starting = 0;
  /** Why the last one that ended by itself did. */
  #lastFault: StdioFault | undefined;
  #isClosed = false;

  constructor(options: StartOptions, ids: UpstreamIds, onGone: (process: StdioProcess) => void) {
    const { now, random = Math.random } = options;
    this.#options = options;
    this.#ids = ids;
    this.#onGone = onGone;
    this.#backOff = new BackOff({ now, random });
  }

  get count(): number {
    return this.#running.size;
  }

  /** Those that have answered everything. */
  get idle(): number {
    return [...this.#running].filter(({ busy }) => busy === 0).length;
  }

  /** Starts a process, to which nothing has been sent yet. Throws `StdioFault`. */
  async start(): Promise<StdioProcess> {
    await this.#awaitBackOff();
    const { launcher, launch, maxProcesses } = this.#options;
    if (this.#isClosed) throw SHUT;
    if (this.#running.size + this.#starting >= maxProcesses) {
      throw new StdioFault('overloaded', `${maxProcesses} processes of it run, and its limits allow no more`);
    }
    this.#starting++;
    try {
      const process = this.#toProcess(await launcher.launch(launch));
      if (!this.#isClosed) return process;
      void process.stop();
      throw SHUT;
    } catch (error) {
      if (error !== SHUT) this.#noteEnd(toFault(error), 0);
      throw error;
    } finally {
      this.#starting--;
    }
  }

  /** Asks all to end, and starts none any more; resolves when they have. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#running].map((process) => process.stop()));
  }

  #toProcess(launched: Awaited<ReturnType<Launcher['launch']>>): StdioProcess {
    const process = new StdioProcess(launched, {
      ...this.#options,
      id: this.#ids.mint(),
      isShared: this.#options.process === 'credential',
      onGone: (gone, fault) => {
        this.#running.delete(gone);
        this.#onGone(gone);
        if (!gone.isStopping) this.#noteEnd(fault, gone.livedMs);
      },
    });
    this.#running.add(process);
    return process;
  }

  async #awaitBackOff(): Promise<void> {
    const waitMs = this.#backOff.waitMs();
    if (waitMs === 0) return;
    const { message } = this.#lastFault ?? SHUT;
    if (waitMs > PATIENCE_MS) {
      throw new StdioFault('unreachable', `${message}; it is started again in ${Math.ceil(waitMs / 1000)} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
  }

  #noteEnd(fault: StdioFault, livedMs: number): void {
    this.#lastFault = fault;
    this.#backOff.note(livedMs);
  }
}

export function toFault(error: unknown): StdioFault {
  return error instanceof StdioFault
    ? error
    : new StdioFault('unreachable', 'its process could not be spoken to', { cause: error });
}
