import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UpstreamError } from '../../../src/upstream/failure.ts';
import { Health } from '../../../src/upstream/health.ts';

const STRIKES = 5;

function start(): Health {
  return new Health({ now: () => 1_000_000, onFailure: () => {} });
}

/** An answer that broke off while so many calls were in flight, this one included. */
function breakOff(health: Health, calls: number): void {
  health.fail(new UpstreamError('broken_answer', 'call', 'it closed the connection'), 'call', calls);
}

/** All calls in flight end one after the other, as when the process that should have answered them dies. */
function breakAllOff(health: Health, calls: number): void {
  for (let left = calls; left > 0; left--) breakOff(health, left);
}

describe('Health', () => {
  it('takes all calls that an upstream had in flight when it died for one failure', () => {
    const health = start();
    for (let death = 1; death < STRIKES; death++) breakAllOff(health, 100);
    assert.equal(health.breaker.state, 'closed');
    breakAllOff(health, 100);
    assert.equal(health.breaker.state, 'open');
  });

  it('counts one after the other what broke off one after the other', () => {
    const health = start();
    for (let failure = 1; failure <= STRIKES; failure++) breakOff(health, 1);
    assert.equal(health.breaker.state, 'open');
  });

  it('expects no end of calls that have ended in another way', () => {
    const health = start();
    breakOff(health, 100);
    for (let failure = 1; failure <= STRIKES; failure++) breakOff(health, 1);
    assert.equal(health.breaker.state, 'open');
  });

  it('counts every call that was not answered in time', () => {
    const health = start();
    for (let left = 100; left > 100 - STRIKES; left--) {
      health.fail(new UpstreamError('timeout', 'call', 'it did not begin to answer'), 'call', left);
    }
    assert.equal(health.breaker.state, 'open');
  });

  it('lets the test of a half-open breaker fail, whatever else is in flight', () => {
    const clock = { nowMs: 1_000_000 };
    const health = new Health({ now: () => clock.nowMs, onFailure: () => {} });
    for (let failure = 1; failure <= STRIKES; failure++) breakOff(health, 1);
    clock.nowMs += 1_000;
    assert.equal(health.breaker.tryAcquire({}), true);
    breakOff(health, 100);
    assert.equal(health.breaker.state, 'open');
  });

  it('records a failure that many waited for once', () => {
    const failures: string[] = [];
    const health = new Health({ now: () => 1, onFailure: ({ reason }) => failures.push(reason) });
    const error = new UpstreamError('unreachable', 'connect', 'it refused the connection');
    for (let waiting = 0; waiting < 100; waiting++) health.fail(error, 'connect', 100);
    assert.deepEqual([failures, health.breaker.state], [['unreachable'], 'closed']);
  });
});
