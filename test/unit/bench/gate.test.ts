// What CI takes for worse.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findWorse, ratiosToPipe } from '../../../bench/gate.ts';
import { lane } from './lanes.ts';

const committed = [
  { name: 'small', lanes: [lane('pipe', 10, 10, 10), lane('gateway', 12, 12, 12), lane('nginx', 5, 5, 5)] },
];

function measured(...lanes: readonly ReturnType<typeof lane>[]) {
  return [{ name: 'small', lanes: [lane('pipe', 20, 20, 20), ...lanes] }];
}

test('ratios are those to the pipe of the same rounds', () => {
  assert.deepEqual(
    [...ratiosToPipe(committed[0]!)],
    [
      ['gateway', 1.2],
      ['nginx', 0.5],
    ],
  );
  assert.deepEqual([...ratiosToPipe({ lanes: [lane('gateway', 1)] })], []);
});

test('a slower machine is not worse; a ratio up to 15 % higher is not, either', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 24, 24, 24)), committed), []);
  assert.deepEqual(findWorse(measured(lane('gateway', 27.5, 27.5, 27.5)), committed), []);
});

test('a ratio beyond that is, with both numbers', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 28, 28, 28)), committed), [
    { scenario: 'small', lane: 'gateway', committed: 1.2, measured: 1.4 },
  ]);
});

test('one bad round of three changes nothing', () => {
  assert.deepEqual(findWorse(measured(lane('gateway', 24, 90, 24)), committed), []);
});

test('others than the gateway, and what was not measured before, are held to nothing', () => {
  assert.deepEqual(findWorse(measured(lane('nginx', 90), lane('gateway-new', 90)), committed), []);
  assert.deepEqual(findWorse([{ name: 'new', lanes: [lane('pipe', 1), lane('gateway', 9)] }], committed), []);
});
