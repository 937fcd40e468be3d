import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { FetchSchedule } from '../../../src/catalog/fetch-schedule.ts';

/** A schedule on a clock that the test moves; `answer` ends the fetch under way. */
function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const begun: number[] = [];
  let pending = Promise.withResolvers<void>();
  const schedule = new FetchSchedule(() => {
    begun.push(Date.now());
    pending = Promise.withResolvers();
    return pending.promise;
  }, Date.now);
  return {
    schedule,
    begun,
    tick: (ms: number) => t.mock.timers.tick(ms),
    answer: async () => {
      const { running } = schedule;
      pending.resolve();
      await running;
    },
  };
}

describe('the fetches of a list', () => {
  test('are one for all who wait', async (t) => {
    const { schedule, begun, answer } = start(t);
    const first = schedule.run();
    assert.equal(schedule.run(), first);
    await answer();
    assert.equal(schedule.running, undefined);
    assert.deepEqual(begun, [0]);
  });

  test('are at most one a second in a storm of demands, and one begins after the last', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    void schedule.run();
    await answer();
    let lastDemandMs = 0;
    for (let count = 0; count < 1_000; count++) {
      tick(7);
      if (schedule.running !== undefined) await answer();
      schedule.demand();
      lastDemandMs = Date.now();
    }
    while (schedule.running !== undefined || schedule.isDemanded) {
      await answer();
      tick(500);
    }
    tick(60_000);
    assert.ok(begun.length <= 9, `${begun}`);
    for (const [index, atMs] of begun.entries())
      assert.ok(index === 0 || atMs - begun[index - 1]! >= 1_000, `${begun}`);
    assert.ok(begun.at(-1)! >= lastDemandMs && begun.at(-1)! <= lastDemandMs + 1_000, `${begun}`);
  });

  test('follow a demand at once when the last is long over', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    void schedule.run();
    await answer();
    tick(5_000);
    schedule.demand();
    assert.equal(schedule.isDemanded, true);
    tick(0);
    assert.deepEqual(begun, [0, 5_000]);
    assert.equal(schedule.isDemanded, false);
  });

  test('are one more after a thousand demands during one', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    void schedule.run();
    tick(3_000);
    for (let count = 0; count < 1_000; count++) schedule.demand();
    assert.deepEqual(begun, [0], 'never two at a time');
    await answer();
    tick(0);
    await answer();
    tick(60_000);
    assert.deepEqual(begun, [0, 3_000]);
  });

  test('come after a pause, or sooner when demanded', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    void schedule.run();
    schedule.runLater(30_000);
    await answer();
    tick(2_000);
    schedule.demand();
    tick(0);
    await answer();
    tick(60_000);
    assert.deepEqual(begun, [0, 2_000], 'the retry was for a list that has come since');
    schedule.runLater(30_000);
    schedule.runLater(500);
    schedule.runLater(10_000);
    tick(500);
    assert.deepEqual(begun, [0, 2_000, 62_500]);
  });

  test('are not put off by a clock that is set back', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    t.mock.timers.setTime(3_600_000);
    void schedule.run();
    await answer();
    t.mock.timers.reset();
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    schedule.demand();
    tick(1_000);
    assert.deepEqual(begun, [3_600_000, 1_000]);
  });

  test('end when it is stopped, the one under way included', async (t) => {
    const { schedule, begun, tick, answer } = start(t);
    void schedule.run();
    schedule.demand();
    schedule.stop();
    await answer();
    schedule.demand();
    schedule.runLater(1);
    tick(60_000);
    assert.deepEqual(begun, [0]);
  });
});
