// Medians, ranges, comparisons round by round, and bounds on them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../../bench/budgets.ts';
import { tellable } from '../../../bench/figures.ts';
import type { Budget } from '../../../bench/scenario.ts';
import { compare, spreadOf, toSpread } from '../../../bench/statistics.ts';
import { lane } from './lanes.ts';

test('a spread has the middle value, or the mean of the two in the middle', () => {
  assert.deepEqual(toSpread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(toSpread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
  assert.equal(toSpread([]), undefined);
});

test('rounds without a figure do not count', () => {
  assert.deepEqual(spreadOf([{ p50Us: 1 }, {}, { p50Us: 3 }], 'p50Us'), { median: 2, min: 1, max: 3 });
  assert.equal(spreadOf([{}], 'p50Us'), undefined);
});

test('a percentile takes ten calls above it', () => {
  const all = { p50Us: 1, p99Us: 2, p999Us: 3 };
  assert.deepEqual(tellable(10_000, all), all);
  assert.deepEqual(tellable(9_999, all), { p50Us: 1, p99Us: 2 });
  assert.deepEqual(tellable(999, all), { p50Us: 1 });
  assert.deepEqual(tellable(0, { refusalP99Us: 0 }), {});
});

test('ratios are taken round by round: a machine that slows down between rounds changes none of them', () => {
  const [pipe, gateway] = [lane('pipe', 10, 20, 40), lane('gateway', 12, 24, 48)];
  const ratio = compare(gateway.rounds, pipe.rounds, 'cpuUsPerCall', 'ratio');
  assert.deepEqual(ratio, { median: 1.2, min: 1.2, max: 1.2 });
  const difference = compare(gateway.rounds, pipe.rounds, 'cpuUsPerCall', 'difference');
  assert.deepEqual(difference, { median: 4, min: 2, max: 8 });
});

test('a round that the other lane lacks is left out', () => {
  assert.deepEqual(compare(lane('a', 2, 3).rounds, lane('b', 1).rounds, 'cpuUsPerCall', 'ratio'), {
    median: 2,
    min: 2,
    max: 2,
  });
});

test('a bound holds up to its value, and not beyond', () => {
  const budget: Budget = { words: '', lane: 'gateway', figure: 'cpuUsPerCall', over: 'pipe', atMost: 1.5 };
  const outcome = (cost: number) => judge(budget, [lane('pipe', 2), lane('gateway', cost)]).outcome;
  assert.deepEqual([outcome(3), outcome(3.1)], ['holds', 'missed']);
  const least: Budget = { words: '', lane: 'other', figure: 'cpuUsPerCall', atLeast: 20 };
  const reaches = (cost: number) => judge(least, [lane('other', cost)]).outcome;
  assert.deepEqual([reaches(20), reaches(19.9)], ['holds', 'missed']);
});

test('a bound on a lane that was not measured is unmeasured, which is not to hold', () => {
  const budget: Budget = { words: '', lane: 'gateway', figure: 'cpuUsPerCall', over: 'pipe', atMost: 1.5 };
  assert.equal(judge(budget, [lane('gateway', 1)]).outcome, 'unmeasured');
  assert.equal(judge(budget, [lane('pipe', 1)]).outcome, 'unmeasured');
});

test('of many rounds it is known where their median lies, and a bound within is not resolved', () => {
  const values = Array.from({ length: 28 }, (_, index) => index + 1);
  assert.deepEqual(toSpread(values)?.medianWithin, [9, 20]);
  assert.equal(toSpread(values.slice(0, 8))?.medianWithin, undefined);
  const rounds = [lane('gateway', ...values)];
  const outcome = (atMost: number) =>
    judge({ words: '', lane: 'gateway', figure: 'cpuUsPerCall', atMost }, rounds).outcome;
  assert.deepEqual([8, 9, 19, 20].map(outcome), ['missed', 'unresolved', 'unresolved', 'holds']);
});
