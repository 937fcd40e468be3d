// A circuit breaker per upstream. Closed: requests flow. Open: they are refused at once. Half-open: one request tests
// whether the upstream is back. Only the upstream's own failures count: what a client caused or cancelled does not.

export interface CircuitBreakerOptions {
  /** Failures in a row that open the breaker. */
  readonly failures: number;
  /** How long it stays open the first time; doubled each time the test fails, up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  readonly now: () => number;
}

export type CircuitState = 'closed' | 'open' | 'half_open';

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failures = 0;
  #openMs: number;
  /** When the next test may begin. */
  #testableAtMs = 0;
  #state: CircuitState = 'closed';
  /** Whose request tests the upstream now. */
  #tester: object | undefined;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
    this.#openMs = options.openMs;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /**
   * Whether `caller` may send a request now; in the half-open state only the one that tests. A test that has not ended
   * after as long as the breaker was open is taken for lost, so one that hangs does not keep the upstream shut out.
   */
  tryAcquire(caller: object): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half_open' && this.#tester === caller) return true;
    if (this.retryAfterMs() > 0) return false;
    this.#state = 'half_open';
    this.#tester = caller;
    this.#testableAtMs = this.#options.now() + this.#openMs;
    return true;
  }

  /** How long until a request will be let through; 0 when one would be now. */
  retryAfterMs(): number {
    if (this.#state === 'closed') return 0;
    const leftMs = this.#testableAtMs - this.#options.now();
    // More than that can only be left because the clock was set back.
    return leftMs > this.#options.maxOpenMs ? 0 : Math.max(0, leftMs);
  }

  /** The upstream has answered, whoever asked. */
  succeed(): void {
    if (this.#state === 'closed' && this.#failures === 0) return;
    this.#state = 'closed';
    this.#failures = 0;
    this.#openMs = this.#options.openMs;
    this.#tester = undefined;
  }

  /** The upstream has failed, whoever asked. */
  fail(): void {
    // Requests sent before it opened must not keep it open by failing one after the other.
    if (this.#state === 'open') return;
    if (this.#state === 'half_open') this.#openMs = Math.min(this.#openMs * 2, this.#options.maxOpenMs);
    else if (++this.#failures < this.#options.failures) return;
    this.#state = 'open';
    this.#tester = undefined;
    this.#testableAtMs = this.#options.now() + this.#openMs;
  }

  /** The request of `caller` ended and said nothing about the upstream: if it was the test, another may begin at once. */
  abandon(caller: object): void {
    if (this.#tester !== caller) return;
    this.#state = 'open';
    this.#tester = undefined;
    this.#testableAtMs = this.#options.now();
  }
}
