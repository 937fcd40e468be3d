// How an upstream fares: what is wrong with it now, for those who are told, and whether it may be asked at all.

import { CircuitBreaker } from './circuit-breaker.ts';
import { type FailureStage, judgeHealth, UpstreamError, type UpstreamFailure } from './failure.ts';

export interface HealthOptions {
  readonly now: () => number;
  readonly onFailure: (failure: UpstreamFailure) => void;
}

/** Five failures in a row open the breaker, so that one slow tool does not; it tests again within five seconds. */
const BREAKER = { failures: 5, openMs: 1_000, maxOpenMs: 4_000 };

export class Health {
  readonly breaker: CircuitBreaker;
  readonly #options: HealthOptions;
  /** Errors that have been counted: all who wait for one handshake get the same one. */
  readonly #recorded = new WeakSet<UpstreamError>();
  /** Calls in flight when the answer to another broke off: what ends an upstream's process ends them all, once. */
  #doomed = 0;
  #failure: UpstreamFailure | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.breaker = new CircuitBreaker({ ...BREAKER, now: options.now });
  }

  get failure(): UpstreamFailure | undefined {
    return this.#failure;
  }

  succeed(): void {
    this.#failure = undefined;
    this.#doomed = 0;
    this.breaker.succeed();
  }

  /**
   * Records a failure once, keeping the time at which the trouble began; returns it as an error to throw. `calls` are
   * those in flight, one that failed included.
   */
  fail(error: unknown, stage: FailureStage, calls: number): UpstreamError {
    const known =
      error instanceof UpstreamError
        ? error
        : new UpstreamError('broken_answer', stage, 'its answer could not be read', { cause: error });
    if (this.#recorded.has(known)) return known;
    this.#recorded.add(known);
    const { reason, message } = known;
    const atMs = this.#options.now();
    this.#failure = { reason, stage: known.stage, message, sinceMs: this.#failure?.sinceMs ?? atMs, atMs };
    this.#options.onFailure(this.#failure);
    const health = judgeHealth(known);
    if (health === 'answering') this.breaker.succeed();
    else if (health === 'failing' && !this.#isAftermath(known, calls)) this.breaker.fail();
    return known;
  }

  /** Else a restart would shut out the upstream that is back already, for having had five calls to lose. */
  #isAftermath({ reason, stage }: UpstreamError, calls: number): boolean {
    if (reason !== 'broken_answer' || stage !== 'call' || this.breaker.state !== 'closed') return false;
    const isAftermath = this.#doomed > 0;
    const others = Math.max(0, calls - 1);
    this.#doomed = isAftermath ? Math.min(this.#doomed - 1, others) : others;
    return isAftermath;
  }
}
