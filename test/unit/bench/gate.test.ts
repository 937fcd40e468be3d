// What CI takes for worse.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { committedRatios, findWorse, findWorseEachTime, ratiosOf } from '../../../bench/gate.ts';
import { lane } from './lanes.ts';

const small = {
  name: 'small',
  lanes: [lane('pipe', 10, 10, 10), lane('gateway', 12, 12, 12), lane('nginx', 5, 5, 5)],
};
const expected = committedRatios([small]);
const committed = { scenario: 'small', lane: 'gateway', baseline: 'pipe', committed: 1.2 };

function measured(...lanes: readonly ReturnType<typeof lane>[]) {
  return [{ name: 'small', lanes: [lane('pipe', 20, 20, 20), ...lanes] }];
}

test('ratios are those to the pipe of the same rounds, and of lists to the static answer', () => {
  const byLane = new Map([
    ['gateway', 1.2],
    ['nginx', 0.5],
  ]);
  assert.deepEqual(ratiosOf(small), { baseline: 'pipe', byLane });
  const list = { name: 'list', lanes: [lane('gateway', 3), lane('static', 2)] };
  assert.deepEqual(ratiosOf(list), { baseline: 'static', byLane: new Map([['gateway', 1.5]]) });
  assert.equal(ratiosOf({ lanes: [lane('gateway', 1)] }), undefined);
});

test('only the gateway is held to what it was', () => {
  assert.deepEqual(expected, [committed]);
});

test('a slower machine is not worse; a ratio up to 15 % higher is not, either', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 24, 24, 24)), expected), []);
  assert.deepEqual(findWorse(measured(lane('gateway', 27.5, 27.5, 27.5)), expected), []);
});

test('a ratio beyond that is, with both numbers', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 28, 28, 28)), expected), [{ ...committed, measured: 1.4 }]);
});

test('one bad round of three changes nothing', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 24, 90, 24)), expected), []);
});

test('a ratio that was not measured is no better than a worse one', () => {
  const unmeasured = [{ ...committed, measured: undefined }];
  assert.deepEqual(findWorse([], expected), unmeasured);
  assert.deepEqual(findWorse(measured(), expected), unmeasured);
  assert.deepEqual(findWorse([{ name: 'small', lanes: [lane('gateway', 1)] }], expected), unmeasured);
  const overOther = [{ name: 'small', lanes: [lane('static', 1), lane('gateway', 1)] }];
  assert.deepEqual(findWorse(overOther, expected), unmeasured);
});

test('what was not measured before is held to nothing', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 24), lane('gateway-new', 90)), expected), []);
});

const two = committedRatios([{ name: 'small', lanes: [lane('pipe', 10), lane('gateway', 10), lane('gateway-b', 10)] }]);

/** Each try gives one scenario, whose two ratios are these. */
function tries(...ratios: readonly (readonly [number, number])[]) {
  const asked: (readonly string[])[] = [];
  const left = [...ratios];
  const measure = async (scenarios: readonly string[]) => {
    asked.push(scenarios);
    const [a = 1, b = 1] = left.shift() ?? [];
    return [{ name: 'small', lanes: [lane('pipe', 10), lane('gateway', 10 * a), lane('gateway-b', 10 * b)] }];
  };
  return { asked, measure };
}

test('a ratio has to be worse in each of three tries itself, not by turns with others', async () => {
  const byTurns = tries([2, 1], [1, 2], [2, 1]);
  assert.deepEqual(await findWorseEachTime(two, byTurns.measure), []);
  assert.deepEqual(byTurns.asked, [['small'], ['small']]);
  const always = tries([1, 2], [1, 2], [1, 2]);
  assert.deepEqual(
    (await findWorseEachTime(two, always.measure)).map((each) => each.lane),
    ['gateway-b'],
  );
});

test('what is not worse is measured once', async () => {
  const fine = tries([1, 1]);
  assert.deepEqual(await findWorseEachTime(two, fine.measure), []);
  assert.deepEqual(fine.asked, [['small']]);
});
