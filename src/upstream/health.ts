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
    this.breaker.succeed();
  }

  /** Records a failure once, keeping the time at which the trouble began; returns it as an error to throw. */
  fail(error: unknown, stage: FailureStage): UpstreamError {
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
    if (health === 'failing') this.breaker.fail();
    else if (health === 'answering') this.breaker.succeed();
    return known;
  }
}
