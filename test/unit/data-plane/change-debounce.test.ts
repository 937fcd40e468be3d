import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ChangeDebounce } from '../../../src/data-plane/change-debounce.ts';

/** A debounce on a clock that the test moves, and when it looked. */
function start({ mock }: Pick<TestContext, 'mock'>) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const looks: number[] = [];
  const debounce = new ChangeDebounce(() => void looks.push(Date.now()), Date.now);
  // By single milliseconds: a timer that comes due in the middle of a longer tick would see the time at its end.
  const passTo = (atMs: number): void => {
    while (Date.now() < atMs) mock.timers.tick(1);
  };
  return {
    debounce,
    looks,
    passTo,
    /** Notes one change at each of the times. */
    noteAt: (...timesMs: readonly number[]) => {
      for (const atMs of timesMs) {
        passTo(atMs);
        debounce.note();
      }
    },
  };
}

describe('changes are looked at', () => {
  test('once, a tenth of a second after the last of a burst', (t) => {
    const { looks, noteAt, passTo } = start(t);
    noteAt(0, 50, 120, 210);
    passTo(10_000);
    assert.deepEqual(looks, [310]);
  });

  test('after half a second when the burst does not end', (t) => {
    const { looks, noteAt, passTo } = start(t);
    noteAt(...Array.from({ length: 10 }, (_, index) => index * 60));
    passTo(10_000);
    assert.deepEqual(looks, [500, 1_500]);
  });

  test('not before a second has passed since the last look, and then at once', (t) => {
    const { looks, noteAt, passTo } = start(t);
    noteAt(0, 300, 5_000);
    passTo(10_000);
    assert.deepEqual(looks, [100, 1_100, 5_100]);
  });

  test('not at all when there are none, or it was stopped', (t) => {
    const { looks, noteAt, passTo, debounce } = start(t);
    passTo(1_000);
    noteAt(2_000);
    debounce.stop();
    passTo(10_000);
    assert.deepEqual(looks, []);
  });

  test('each within a second, never two looks within one, and none without a change, whenever they come', (t) => {
    const dense = fc.array(fc.integer({ min: 0, max: 110 }), { minLength: 10, maxLength: 60 });
    const sparse = fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 10 });
    const gaps = fc.oneof(dense, sparse);
    fc.assert(
      fc.property(gaps, (pauses) => {
        const { looks, noteAt, passTo } = start(t);
        let lastMs = 0;
        const changes = pauses.map((pause) => {
          lastMs += pause;
          return lastMs;
        });
        noteAt(...changes);
        passTo(lastMs + 2_000);
        t.mock.timers.reset();
        for (const atMs of changes)
          assert.ok(
            looks.some((look) => look >= atMs && look <= atMs + 1_000),
            `${changes} → ${looks}`,
          );
        for (const [index, look] of looks.entries()) {
          const before = looks[index - 1] ?? Number.NEGATIVE_INFINITY;
          assert.ok(look - before >= 1_000, `${looks}`);
          assert.ok(
            changes.some((atMs) => atMs >= before && atMs <= look),
            `${changes} → ${looks}`,
          );
        }
      }),
      { numRuns: 50 },
    );
  });
});
