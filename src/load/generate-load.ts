// Load on one URL. In an open loop requests are sent when they are due, and a target that is slow is not spared the next:
// latency counts from when a request was due, not from when a connection was free for it (no coordinated omission). In a
// closed loop, without a rate, each connection sends again as soon as it is answered.

import { type ArrivalPattern, createArrivals } from './arrivals.ts';
import { DueClock } from './due-clock.ts';
import { DueTimes } from './due-times.ts';
import { LoadConnection, type LoadOutcome } from './load-connection.ts';
import { LoadFigures, type LoadReport } from './load-figures.ts';
import { FIRST_ID, type RpcRequest } from './rpc-request.ts';

export interface LoadOptions {
  readonly url: URL;
  readonly request: RpcRequest;
  /** Requests per second; `undefined` for a closed loop. */
  readonly rate: number | undefined;
  readonly pattern?: ArrivalPattern;
  readonly seed?: number;
  /** Connections in a closed loop, and the most that an open one opens: what is due beyond waits for one. */
  readonly connections: number;
  /** Before anything is counted. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** A request that has no answer this long after it was due has none, and its connection is closed. */
  readonly timeoutMs: number;
  /** Told about once a second, with what is known so far. */
  readonly onProgress?: (report: LoadReport) => void;
  /** Ends the load early; what is under way is waited for a second more. */
  readonly signal?: AbortSignal;
}

const DEFAULT_SEED = 1;
const UNANSWERED = 'no answer in time';
const STOPPED = 'no answer when it was stopped';
/** Who stops a load waits for its report. */
const STOP_MS = 1_000;
/** Before a closed loop asks again a target that did not answer with a result. */
const PAUSE_MS = 10;
const PROGRESS_MS = 1_000;
/** A connection is held so much longer than the time-out at most. */
const LOOK_MS = 100;

/** Resolves when all that was sent is answered or given up. Never rejects: what goes wrong is counted by its words. */
export function generateLoad(options: LoadOptions): Promise<LoadReport> {
  return new Promise((resolve) => new LoadRun(options, resolve).start());
}

class LoadRun {
  readonly #options: LoadOptions;
  readonly #onEnd: (report: LoadReport) => void;
  readonly #figures = new LoadFigures();
  readonly #clock: DueClock;
  readonly #free: LoadConnection[] = [];
  readonly #busy = new Set<LoadConnection>();
  readonly #waiting = new DueTimes();
  #id = FIRST_ID;
  #countFromMs = 0;
  #endMs = 0;
  #progressMs = 0;
  /** Whether the clock has told of every arrival; a closed loop has none. */
  #isAllDue: boolean;
  #isOver = false;
  #watch: NodeJS.Timeout | undefined;
  #stop: NodeJS.Timeout | undefined;

  constructor(options: LoadOptions, onEnd: (report: LoadReport) => void) {
    this.#options = options;
    this.#onEnd = onEnd;
    const { rate = 1, pattern = 'poisson', seed = DEFAULT_SEED } = options;
    this.#isAllDue = options.rate === undefined;
    this.#clock = new DueClock({
      nextGap: createArrivals({ rate, pattern, seed }),
      endMs: () => this.#endMs,
      onDue: (dueMs) => this.#arrive(dueMs),
      onEnd: () => {
        this.#isAllDue = true;
        // The last arrivals may still wait for a connection, or for their answers.
        this.#endIfDone();
      },
    });
  }

  start(): void {
    const { warmUpMs, durationMs, rate, connections, signal } = this.#options;
    const nowMs = performance.now();
    this.#countFromMs = nowMs + warmUpMs;
    this.#endMs = this.#countFromMs + durationMs;
    this.#progressMs = nowMs + PROGRESS_MS;
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
    signal?.addEventListener('abort', () => this.#stopAt(performance.now()), { once: true });
    if (rate !== undefined) this.#clock.start(nowMs);
    else for (let count = 0; count < connections; count++) this.#sendNow(this.#connection());
  }

  #stopAt(nowMs: number): void {
    if (this.#isOver) return;
    this.#endMs = Math.min(this.#endMs, nowMs);
    this.#isAllDue = true;
    this.#stop = setTimeout(() => this.#giveUpAll(), STOP_MS);
    this.#endIfDone();
  }

  #giveUpAll(): void {
    for (let dueMs = this.#waiting.shift(); dueMs !== undefined; dueMs = this.#waiting.shift()) {
      this.#noteProblem(dueMs, STOPPED);
    }
    for (const connection of [...this.#busy]) connection.giveUp(STOPPED);
    this.#endIfDone();
  }

  #arrive(dueMs: number): void {
    const { connections } = this.#options;
    if (this.#isCounted(dueMs)) {
      this.#figures.noteDue();
      this.#figures.noteLag(performance.now() - dueMs);
    }
    const connection = this.#free.pop() ?? (this.#busy.size < connections ? this.#connection() : undefined);
    if (connection !== undefined) {
      this.#send(connection, dueMs);
      return;
    }
    this.#waiting.push(dueMs);
    if (this.#isCounted(dueMs)) this.#figures.noteWaited();
  }

  #isCounted(dueMs: number): boolean {
    return dueMs >= this.#countFromMs;
  }

  #isLate(dueMs: number, nowMs: number): boolean {
    return nowMs - dueMs > this.#options.timeoutMs;
  }

  #connection(): LoadConnection {
    const { url, request } = this.#options;
    return new LoadConnection({ url, request, onAnswer: (connection, outcome) => this.#onAnswer(connection, outcome) });
  }

  #send(connection: LoadConnection, dueMs: number): void {
    connection.dueMs = dueMs;
    this.#busy.add(connection);
    connection.send(this.#id++);
  }

  #onAnswer(connection: LoadConnection, outcome: LoadOutcome): void {
    const nowMs = performance.now();
    const { dueMs } = connection;
    this.#busy.delete(connection);
    const problem = outcome.problem ?? (this.#isLate(dueMs, nowMs) ? UNANSWERED : undefined);
    if (problem !== undefined) this.#noteProblem(dueMs, problem);
    else {
      if (this.#isCounted(nowMs) && nowMs <= this.#endMs) this.#figures.noteCompleted();
      if (this.#isCounted(dueMs)) this.#figures.noteAnswered(nowMs - dueMs, outcome.bytes);
    }
    const waiting = this.#nextWaiting(nowMs);
    if (waiting !== undefined) this.#send(connection, waiting);
    else if (this.#options.rate === undefined && nowMs < this.#endMs) this.#again(connection, problem);
    else {
      this.#free.push(connection);
      this.#endIfDone();
    }
  }

  /** Also of what was due in the warm-up: a closed loop that hangs from there on would have nothing else to show. */
  #noteProblem(dueMs: number, problem: string): void {
    if (!this.#isCounted(performance.now())) return;
    if (!this.#isCounted(dueMs)) this.#figures.noteDue();
    this.#figures.noteProblem(problem);
  }

  /** The one that has waited longest and is still in its time; who waited beyond it is counted as unanswered. */
  #nextWaiting(nowMs: number): number | undefined {
    for (;;) {
      const dueMs = this.#waiting.shift();
      if (dueMs === undefined || !this.#isLate(dueMs, nowMs)) return dueMs;
      this.#noteProblem(dueMs, UNANSWERED);
    }
  }

  /** A target that refuses at once would otherwise be asked as fast as this process can. */
  #again(connection: LoadConnection, problem: string | undefined): void {
    if (problem === undefined) this.#sendNow(connection);
    else {
      this.#free.push(connection);
      setTimeout(() => this.#takeUp(), PAUSE_MS);
    }
  }

  #takeUp(): void {
    const nowMs = performance.now();
    const connection = nowMs < this.#endMs ? this.#free.pop() : undefined;
    if (connection === undefined) this.#endIfDone();
    else this.#sendNow(connection);
  }

  /** In a closed loop a request is due when there is a connection for it. */
  #sendNow(connection: LoadConnection): void {
    const nowMs = performance.now();
    if (this.#isCounted(nowMs)) this.#figures.noteDue();
    this.#send(connection, nowMs);
  }

  #look(): void {
    const nowMs = performance.now();
    for (const connection of [...this.#busy]) {
      if (this.#isLate(connection.dueMs, nowMs)) connection.giveUp(UNANSWERED);
    }
    if (nowMs >= this.#progressMs) {
      this.#progressMs += PROGRESS_MS;
      this.#options.onProgress?.(this.#report(nowMs));
    }
    this.#endIfDone();
  }

  #endIfDone(): void {
    const nowMs = performance.now();
    if (this.#isOver || !this.#isAllDue || nowMs < this.#endMs || this.#busy.size > 0 || !this.#waiting.isEmpty) return;
    this.#isOver = true;
    clearInterval(this.#watch);
    clearTimeout(this.#stop);
    this.#clock.close();
    for (const connection of this.#free) connection.close();
    this.#onEnd(this.#report(this.#endMs));
  }

  #report(nowMs: number): LoadReport {
    return this.#figures.toReport(Math.max(0, Math.min(nowMs, this.#endMs) - this.#countFromMs) / 1000);
  }
}
