import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CircuitBreaker } from '../../../src/upstream/circuit-breaker.ts';

const OPTIONS = { failures: 5, openMs: 1_000, maxOpenMs: 5_000 };

function start() {
  const clock = { nowMs: 1_000_000 };
  return { clock, breaker: new CircuitBreaker({ ...OPTIONS, now: () => clock.nowMs }) };
}

function open(breaker: CircuitBreaker): void {
  for (let failure = 0; failure < OPTIONS.failures; failure++) breaker.fail();
  assert.equal(breaker.state, 'open');
}

describe('CircuitBreaker', () => {
  it('opens at the fifth failure in a row, and not when an answer came in between', () => {
    const { breaker } = start();
    for (let round = 0; round < 3; round++) {
      for (let failure = 1; failure < OPTIONS.failures; failure++) breaker.fail();
      assert.deepEqual([breaker.state, breaker.tryAcquire({})], ['closed', true]);
      breaker.succeed();
    }
    open(breaker);
    assert.equal(breaker.tryAcquire({}), false);
  });

  it('lets one test through after a second, and everybody after its success', () => {
    const { breaker, clock } = start();
    open(breaker);
    clock.nowMs += 999;
    assert.deepEqual([breaker.tryAcquire({}), breaker.retryAfterMs()], [false, 1]);
    clock.nowMs += 1;
    const [first, second] = [{}, {}];
    assert.deepEqual([breaker.tryAcquire(first), breaker.tryAcquire(second)], [true, false]);
    assert.equal(breaker.state, 'half_open');
    breaker.succeed();
    assert.deepEqual([breaker.state, breaker.tryAcquire(second), breaker.retryAfterMs()], ['closed', true, 0]);
  });

  it('stays open for 1, 2, 4, 5 and 5 seconds while tests fail, and for 1 again after a recovery', () => {
    const { breaker, clock } = start();
    open(breaker);
    const waits: number[] = [];
    for (let test = 0; test < 5; test++) {
      waits.push(breaker.retryAfterMs());
      clock.nowMs += breaker.retryAfterMs();
      assert.equal(breaker.tryAcquire({}), true);
      breaker.fail();
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
    breaker.succeed();
    open(breaker);
    assert.equal(breaker.retryAfterMs(), 1_000);
  });

  it('lets the caller who tests send its request again', () => {
    const { breaker, clock } = start();
    open(breaker);
    clock.nowMs += 1_000;
    const tester = {};
    assert.deepEqual([breaker.tryAcquire(tester), breaker.tryAcquire(tester)], [true, true]);
  });

  it('lets another test at once when the one that tests is abandoned, but not when any other request is', () => {
    const { breaker, clock } = start();
    open(breaker);
    clock.nowMs += 1_000;
    const tester = {};
    breaker.tryAcquire(tester);
    breaker.abandon({});
    assert.equal(breaker.tryAcquire({}), false);
    breaker.abandon(tester);
    assert.equal(breaker.tryAcquire({}), true);
  });

  it('is not kept open by requests that began before it opened and fail one after the other', () => {
    const { breaker, clock } = start();
    open(breaker);
    for (let late = 0; late < 10; late++) {
      clock.nowMs += 100;
      breaker.fail();
    }
    assert.equal(breaker.tryAcquire({}), true);
  });

  it('is not kept open by a clock that is set back', () => {
    const { breaker, clock } = start();
    open(breaker);
    clock.nowMs -= 60 * 60 * 1_000;
    assert.equal(breaker.tryAcquire({}), true);
  });

  it('never has two tests at a time, unless one has not ended in all the time the breaker was open', () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
        const { breaker, clock } = start();
        open(breaker);
        let test: { readonly caller: object; readonly lostAtMs: number } | undefined;
        for (const step of steps) {
          const isLetThrough = take(step, breaker, clock);
          const { kind, caller } = step;
          if (kind === 'succeed' || kind === 'fail' || (kind === 'abandon' && test?.caller === caller))
            test = undefined;
          if (!isLetThrough || breaker.state === 'closed' || test?.caller === caller) continue;
          assert.ok(test === undefined || clock.nowMs >= test.lostAtMs, 'a second test');
          test = { caller, lostAtMs: clock.nowMs + OPTIONS.openMs };
        }
      }),
      { numRuns: 500 },
    );
  });

  it('always recovers: whatever happened, within five seconds a request is let through, and its answer closes it', () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
        const { breaker, clock } = start();
        for (const step of steps) take(step, breaker, clock);
        assert.ok(breaker.retryAfterMs() <= OPTIONS.maxOpenMs);
        clock.nowMs += breaker.retryAfterMs();
        assert.equal(breaker.tryAcquire({}), true);
        breaker.succeed();
        assert.equal(breaker.state, 'closed');
      }),
      { numRuns: 500 },
    );
  });
});

const STEP = fc.record({
  kind: fc.constantFrom('wait', 'acquire', 'abandon', 'succeed', 'fail', 'fail'),
  caller: fc.constantFrom({ name: 'a' }, { name: 'b' }, { name: 'c' }),
  forMs: fc.integer({ min: 1, max: 3_000 }),
});
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

/** Returns whether a request was let through. */
function take({ kind, caller, forMs }: Step, breaker: CircuitBreaker, clock: { nowMs: number }): boolean {
  if (kind === 'acquire') return breaker.tryAcquire(caller);
  if (kind === 'wait') clock.nowMs += forMs;
  else if (kind === 'abandon') breaker.abandon(caller);
  else if (kind === 'succeed') breaker.succeed();
  else breaker.fail();
  return false;
}
