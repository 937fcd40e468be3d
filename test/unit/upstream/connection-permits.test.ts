import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { ConnectionPermits, type PermitHolder } from '../../../src/upstream/connection-permits.ts';

interface Call extends PermitHolder {
  readonly name: number;
}

function start(limit: number) {
  const permits = new ConnectionPermits(limit);
  const started: number[] = [];
  const enter = (name: number): Call => {
    const call: Call = { name, permit: 'none' };
    if (permits.tryTake(call)) started.push(name);
    else permits.wait(call, () => started.push(name));
    return call;
  };
  return { permits, started, enter };
}

test('below the limit calls start at once, beyond it in the order in which they came', async () => {
  const { permits, started, enter } = start(2);
  const [first, second] = [enter(1), enter(2)];
  for (const name of [3, 4, 5]) enter(name);
  assert.deepEqual(started, [1, 2]);
  permits.giveBack(second);
  permits.giveBack(first);
  await nextTurn();
  await nextTurn();
  assert.deepEqual(started, [1, 2, 3, 4]);
  assert.equal(permits.waiting, 1);
});

test('a call that comes while others wait does not overtake them', async () => {
  const { permits, started, enter } = start(1);
  const first = enter(1);
  enter(2);
  permits.giveBack(first);
  enter(3);
  await nextTurn();
  await nextTurn();
  assert.deepEqual(started, [1, 2]);
});

test('a call that gives up while it waits leaves the queue', async () => {
  const { permits, started, enter } = start(1);
  const [first, second] = [enter(1), enter(2)];
  enter(3);
  permits.giveBack(second);
  permits.giveBack(first);
  await nextTurn();
  await nextTurn();
  assert.deepEqual([started, second.permit], [[1, 3], 'none']);
});

test('a call that gives its permit back twice frees one', () => {
  const { permits, started, enter } = start(1);
  const first = enter(1);
  permits.giveBack(first);
  permits.giveBack(first);
  enter(2);
  enter(3);
  assert.deepEqual(started, [1, 2]);
});

test('a call that rests lets another run, and runs on at once when it wakes', async () => {
  const { permits, started, enter } = start(1);
  const first = enter(1);
  enter(2);
  permits.rest(first);
  await nextTurn();
  await nextTurn();
  assert.deepEqual([started, first.permit], [[1, 2], 'resting']);
  enter(3);
  permits.wake(first);
  assert.equal(first.permit, 'held');
  permits.giveBack(first);
  await nextTurn();
  await nextTurn();
  assert.deepEqual(started, [1, 2]);
});

test('a call that may not rest yet does so as soon as another runs on, or has ended', async () => {
  for (const end of ['wake', 'giveBack'] as const) {
    const { permits, started, enter } = start(2);
    const [first, second] = [enter(1), enter(2)];
    enter(3);
    permits.rest(first, 1);
    permits.rest(second, 1);
    await nextTurn();
    await nextTurn();
    assert.deepEqual([second.permit, started], ['held', [1, 2, 3]]);
    permits[end](first);
    assert.equal(second.permit, 'resting');
  }
});

test('a call that could not rest and runs on keeps its permit when others no longer rest', () => {
  for (const end of ['wake', 'giveBack'] as const) {
    const { permits, enter } = start(2);
    const [first, second] = [enter(1), enter(2)];
    permits.rest(first, 1);
    permits.rest(second, 1);
    permits[end](second);
    const { permit } = second;
    permits.wake(first);
    assert.equal(second.permit, permit);
  }
});

test('a call that neither runs nor rests is not changed by either', () => {
  const { permits, enter } = start(1);
  enter(1);
  const [waiting, ended]: Call[] = [enter(2), { name: 3, permit: 'none' }];
  for (const call of [waiting, ended] as Call[]) {
    const { permit } = call;
    permits.rest(call);
    permits.wake(call);
    assert.equal(call.permit, permit);
  }
});

test('when all is shut everybody who waits starts, and is told', () => {
  const { permits, started, enter } = start(1);
  for (const name of [1, 2, 3]) enter(name);
  permits.startAll();
  assert.deepEqual([started, permits.waiting], [[1, 2, 3], 0]);
});

test('never more start than the limit, and all who do not leave are started once, in order', async () => {
  const most = 2;
  const step = fc.constantFrom('enter', 'end', 'leave', 'turn', 'rest', 'wake');
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
      const { permits, started, enter } = start(limit);
      const calls: Call[] = [];
      const left = new Set<Call>();
      const first = (permit: Call['permit']) => calls.find((call) => call.permit === permit);
      const run: Record<string, () => unknown> = {
        enter: () => calls.push(enter(calls.length)),
        turn: () => nextTurn(),
        end: () => permits.giveBack(first('held') ?? first('resting') ?? { permit: 'none' }),
        rest: () => permits.rest(first('held') ?? { permit: 'none' }, most),
        wake: () => permits.wake(first('resting') ?? { permit: 'none' }),
        leave: () => {
          const call = first('waiting');
          if (call !== undefined) permits.giveBack(call);
          if (call !== undefined) left.add(call);
        },
      };
      // In the end all end.
      for (const what of [...steps, ...steps.flatMap(() => ['end', 'turn', 'turn'])]) {
        const startedBefore = started.length;
        await run[what]?.();
        const count = (permit: Call['permit']) => calls.filter((call) => call.permit === permit).length;
        if (started.length > startedBefore) assert.ok(count('held') <= limit);
        // Each has a socket.
        assert.ok(count('resting') <= most && count('held') + count('resting') <= limit + most);
      }
      assert.deepEqual(
        started,
        calls.filter((call) => !left.has(call)).map(({ name }) => name),
      );
    }),
    { numRuns: 60 },
  );
});
