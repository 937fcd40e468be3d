import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { Overload } from '../../../src/data-plane/overload.ts';

const SWEEP_MS = 100;

interface Running {
  readonly overload: Overload;
  readonly changes: boolean[];
  /** Sweeps in which the loop is idle for `idleMs`, a turn takes `turnMs`, and the shortest wait of a call is `waitMs`. */
  pass(sweeps: number, of?: { readonly idleMs?: number; readonly turnMs?: number; readonly waitMs?: number }): void;
  /** Begins a turn with a request and lets time pass in it. */
  beginTurn(ms: number): void;
}

function start(t: TestContext, delayMs = 100): Running {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000;
  let idleMs = 0;
  let turns = 0;
  const changes: boolean[] = [];
  const onChange = (isOverloaded: boolean): void => void changes.push(isOverloaded);
  const overload = new Overload(
    { delayMs, onChange },
    { nowMs: () => nowMs, idleMs: () => idleMs, turns: () => turns },
  );
  t.after(() => overload.close());
  return {
    overload,
    changes,
    beginTurn: (ms) => {
      overload.noteRequest(nowMs);
      nowMs += ms;
    },
    pass: (sweeps, { idleMs: idle = 0, turnMs = 1, waitMs } = {}) => {
      for (let sweep = 0; sweep < sweeps; sweep++) {
        if (waitMs !== undefined) overload.noteWait(waitMs);
        const sweepMs = Math.max(SWEEP_MS, turnMs);
        nowMs += sweepMs;
        idleMs += idle;
        turns += sweepMs / turnMs;
        t.mock.timers.tick(SWEEP_MS);
      }
    },
  };
}

suite('overload', () => {
  test('is when a busy loop has let everything wait for half a second, in its turns and for connections together', (t) => {
    const { overload, changes, pass } = start(t);
    pass(4, { turnMs: 25, waitMs: 50 });
    assert.equal(overload.isOn, false);
    pass(1, { turnMs: 25, waitMs: 50 });
    assert.deepEqual([overload.isOn, changes], [true, [true]]);
  });

  test('is not what waits for slow upstreams while the loop has time', (t) => {
    const { overload, pass } = start(t);
    pass(50, { waitMs: 5_000, idleMs: 10 });
    assert.equal(overload.isOn, false);
  });

  test('is not what waits for one slow upstream while calls to others do not wait', (t) => {
    const { overload, pass } = start(t);
    for (let sweep = 0; sweep < 50; sweep++) {
      overload.noteWait(0.1);
      pass(1, { waitMs: 5_000, turnMs: 5 });
    }
    assert.equal(overload.isOn, false);
  });

  test('is told after half a second of long turns, too, of which few fit into it', (t) => {
    const { overload, pass } = start(t);
    pass(2, { turnMs: 200, waitMs: 0 });
    assert.equal(overload.isOn, false);
    pass(1, { turnMs: 200, waitMs: 0 });
    assert.equal(overload.isOn, true);
  });

  test('is not a pause, however long, and not a wait with a short moment in it', (t) => {
    const { overload, pass } = start(t);
    pass(2, { turnMs: 2_000, waitMs: 0 });
    for (let round = 0; round < 20; round++) {
      pass(4, { turnMs: 100, waitMs: 0 });
      pass(1, { turnMs: 5, waitMs: 0 });
    }
    assert.equal(overload.isOn, false);
  });

  test('is not work that is no call', (t) => {
    const { overload, pass } = start(t);
    pass(50, { turnMs: 100 });
    assert.equal(overload.isOn, false);
  });

  test('never is where the setting is 0', (t) => {
    const { overload, pass } = start(t, 0);
    pass(50, { turnMs: 500, waitMs: 500 });
    assert.equal(overload.isOn, false);
  });

  test('turns away what comes late in a turn, and what would wait behind many', (t) => {
    const { overload, pass, beginTurn } = start(t);
    pass(5, { turnMs: 50, waitMs: 0 });
    beginTurn(0);
    assert.equal(overload.refusesRequest('a'), false);
    beginTurn(45);
    assert.equal(overload.refusesRequest('a'), true);
    assert.deepEqual([overload.refusesCall('a', 0), overload.refusesCall('a', 64)], [false, true]);
  });

  test('lets those who are turned away late in a turn wait for its end, so that it has one', (t) => {
    const { overload, pass, beginTurn } = start(t);
    pass(5, { turnMs: 50, waitMs: 0 });
    beginTurn(50);
    assert.equal(overload.isTurnLong, false);
    beginTurn(1);
    assert.equal(overload.isTurnLong, true);
  });

  test('turns away what has waited too long already when it begins', (t) => {
    const { overload, pass } = start(t);
    assert.equal(overload.refusesWait(1_000), false);
    pass(5, { turnMs: 50, waitMs: 0 });
    assert.deepEqual([overload.refusesWait(100), overload.refusesWait(101)], [false, true]);
  });

  test('is over when for a second there was nothing to turn away', (t) => {
    const { overload, changes, pass } = start(t);
    pass(5, { turnMs: 50, waitMs: 0 });
    assert.equal(overload.refusesCall('a', 1_000), true);
    pass(10);
    assert.equal(overload.isOn, true);
    pass(1);
    assert.deepEqual([overload.isOn, changes], [false, [true, false]]);
    assert.equal(overload.refusesCall('a', 1_000), false);
  });

  test('turns away first who asks for more than others', (t) => {
    const { overload, pass, beginTurn } = start(t);
    pass(5, { turnMs: 50, waitMs: 0 });
    for (let count = 0; count < 90; count++) overload.refusesRequest('noisy');
    for (let count = 0; count < 5; count++) for (const quiet of ['a', 'b']) overload.refusesRequest(quiet);
    pass(1);
    beginTurn(30);
    assert.deepEqual(
      ['noisy', 'a', 'new'].map((token) => [overload.refusesRequest(token), overload.refusesCall(token, 40)]),
      [
        [true, true],
        [false, false],
        [false, false],
      ],
    );
  });
});
