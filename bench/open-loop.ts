// Calls at rates that change by the second, more than can be answered among them, over connections that are all open
// beforehand. What is refused is told apart from what fails, and the generator's own queue from the wait for an answer.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { createArrivals } from '../src/load/arrivals.ts';
import { LoadConnection, type LoadOutcome } from '../src/load/load-connection.ts';
import { FIRST_ID, type RpcRequest } from '../src/load/rpc-request.ts';

export interface Phase {
  /** Requests per second, in Poisson arrivals. */
  readonly rate: number;
  readonly ms: number;
}

export interface OpenLoopOptions {
  readonly url: URL;
  /** Connections send them in turn, each always the same. */
  readonly requests: readonly RpcRequest[];
  readonly connections: number;
  readonly phases: readonly Phase[];
  readonly seed: number;
  /** What has had no answer for so long after it was sent, or no connection after it was due, is given up. */
  readonly timeoutMs: number;
  /** Told when a phase ends. */
  readonly onPhase?: (index: number) => void;
}

/** What became of the requests that were due in a phase. Times in microseconds. */
export class PhaseReport {
  due = 0;
  /** Results that came while the phase ran, whenever they were due. */
  completed = 0;
  /** With 503 and the words that clients know. */
  refused = 0;
  /** No answer in time, or no connection: nothing else is. */
  unanswered = 0;
  /** Anything else, by its words. */
  readonly problems = new Map<string, number>();
  /** Of results: from when they were due, and from when they were sent. */
  readonly sinceDue = histogram();
  readonly sinceSent = histogram();
  /** Of refusals, from when they were sent. */
  readonly untilRefused = histogram();
  /** How late requests were sent for which there was a connection. */
  readonly lag = histogram();

  get answered(): number {
    return this.sinceDue.count;
  }
}

const REFUSED = 'error overloaded';
const UNANSWERED = 'no answer in time';
const LOOK_MS = 250;
/** So many at a time are opened: the queue for accepting them has an end. */
const OPENED_AT_ONCE = 128;
const HIGHEST_US = 120_000_000;

/** Of times in microseconds. */
export function histogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: HIGHEST_US, figures: 3 });
}

function note(into: RecordableHistogram, ms: number): void {
  into.record(Math.min(HIGHEST_US, Math.max(1, Math.round(ms * 1000))));
}

interface Sent {
  readonly dueMs: number;
  readonly sentMs: number;
  readonly phase: PhaseReport;
}

interface Due {
  readonly dueMs: number;
  readonly phase: PhaseReport;
}

/** Resolves with a report for each phase when all that was due in them is answered or given up. */
export async function runOpenLoop(options: OpenLoopOptions): Promise<readonly PhaseReport[]> {
  const loop = new OpenLoop(options);
  try {
    await loop.connect();
    return await loop.run();
  } finally {
    loop.close();
  }
}

class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #all: LoadConnection[] = [];
  /** The one that has been free for longest is taken first, so that all are in use. */
  #free: LoadConnection[] = [];
  #freeFrom = 0;
  readonly #sent = new Map<LoadConnection, Sent>();
  #waiting: Due[] = [];
  #waitingFrom = 0;
  #id = FIRST_ID;
  #running: PhaseReport | undefined;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
  }

  async connect(): Promise<void> {
    const { url, requests, connections } = this.#options;
    for (let index = 0; index < connections; index++) {
      const request = requests[index % requests.length] as RpcRequest;
      const onAnswer = (connection: LoadConnection, outcome: LoadOutcome) => this.#onAnswer(connection, outcome);
      this.#all.push(new LoadConnection({ url, request, onAnswer }));
    }
    for (let from = 0; from < connections; from += OPENED_AT_ONCE) {
      await Promise.all(this.#all.slice(from, from + OPENED_AT_ONCE).map((connection) => connection.open()));
    }
    this.#free = [...this.#all];
  }

  async run(): Promise<readonly PhaseReport[]> {
    const { phases, seed, onPhase } = this.#options;
    const watch = setInterval(() => this.#giveUpLate(), LOOK_MS);
    const reports: PhaseReport[] = [];
    let startMs = performance.now();
    for (const [index, { rate, ms }] of phases.entries()) {
      const report = new PhaseReport();
      reports.push(report);
      this.#running = report;
      await this.#send(report, startMs, startMs + ms, createArrivals({ rate, pattern: 'poisson', seed: seed + index }));
      startMs += ms;
      onPhase?.(index);
    }
    this.#running = undefined;
    while (this.#sent.size > 0 || this.#waitingFrom < this.#waiting.length) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    clearInterval(watch);
    return reports;
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #send(phase: PhaseReport, startMs: number, endMs: number, nextGap: () => number): Promise<void> {
    let nextMs = startMs + nextGap();
    return new Promise((resolve) => {
      const turn = (): void => {
        const nowMs = performance.now();
        for (; nextMs <= nowMs && nextMs < endMs; nextMs += nextGap()) this.#arrive({ dueMs: nextMs, phase });
        if (nowMs >= endMs) resolve();
        else setImmediate(turn);
      };
      turn();
    });
  }

  #arrive(due: Due): void {
    due.phase.due++;
    const connection = this.#free[this.#freeFrom];
    if (connection === undefined) {
      this.#waiting.push(due);
      return;
    }
    this.#freeFrom++;
    if (this.#freeFrom >= this.#all.length) {
      this.#free = this.#free.slice(this.#freeFrom);
      this.#freeFrom = 0;
    }
    note(due.phase.lag, performance.now() - due.dueMs);
    this.#sendOn(connection, due);
  }

  #sendOn(connection: LoadConnection, { dueMs, phase }: Due): void {
    this.#sent.set(connection, { dueMs, phase, sentMs: performance.now() });
    connection.send(this.#id++);
  }

  #onAnswer(connection: LoadConnection, { problem }: LoadOutcome): void {
    const sent = this.#sent.get(connection);
    this.#sent.delete(connection);
    if (sent !== undefined) this.#count(sent, problem);
    const next = this.#waiting[this.#waitingFrom];
    if (next === undefined) {
      this.#waiting = [];
      this.#waitingFrom = 0;
      this.#free.push(connection);
    } else {
      this.#waitingFrom++;
      this.#sendOn(connection, next);
    }
  }

  #count({ phase, dueMs, sentMs }: Sent, problem: string | undefined): void {
    const nowMs = performance.now();
    if (problem === undefined) {
      if (this.#running !== undefined) this.#running.completed++;
      note(phase.sinceDue, nowMs - dueMs);
      note(phase.sinceSent, nowMs - sentMs);
    } else if (problem === REFUSED) {
      phase.refused++;
      note(phase.untilRefused, nowMs - sentMs);
    } else if (problem === UNANSWERED) phase.unanswered++;
    else phase.problems.set(problem, (phase.problems.get(problem) ?? 0) + 1);
  }

  #giveUpLate(): void {
    const lateMs = performance.now() - this.#options.timeoutMs;
    for (;;) {
      const due = this.#waiting[this.#waitingFrom];
      if (due === undefined || due.dueMs >= lateMs) break;
      due.phase.unanswered++;
      this.#waitingFrom++;
    }
    for (const [connection, { sentMs }] of this.#sent) if (sentMs < lateMs) connection.giveUp(UNANSWERED);
  }
}
