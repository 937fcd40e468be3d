// The report says what the JSON says, and the same each time.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { toCharts } from '../../../bench/report/charts.ts';
import { toMarkdown } from '../../../bench/report/markdown.ts';
import { toSvg } from '../../../bench/report/svg.ts';
import { readReport } from '../../../bench/report/write-report.ts';
import { readResults, writeResults } from '../../../bench/results.ts';
import { SCENARIOS } from '../../../bench/scenarios.ts';
import { lane, runResults, scenarioResult } from './lanes.ts';

test('the committed report is what the committed results say: node bench/report/write-report.ts', () => {
  assert.equal(readFileSync(join(import.meta.dirname, '../../../bench/REPORT.md'), 'utf8'), toMarkdown(readReport()));
});

test('it names the machine, the versions and the command, and shows medians with their range', () => {
  const report = toMarkdown({ full: runResults(), quick: undefined });
  for (const words of [
    'virtual, 2 cores (A CPU), 4 GiB, Linux 6.18',
    'node 26.10.0, wrk 4.1.0',
    '`npm run bench:full`',
  ]) {
    assert.ok(report.includes(words), words);
  }
  assert.ok(report.includes('| gateway | 52.0 (33.0–60.0) | 1.20 |'), report);
});

test('it says which bounds do not hold, by the median of ratios', () => {
  const report = toMarkdown({ full: runResults(), quick: undefined });
  assert.ok(report.includes('2 of 2 bounds hold.'));
  const slow = scenarioResult({ lanes: [lane('pipe', 10, 10, 10), lane('gateway', 13, 14, 15), lane('other', 200)] });
  const honest = toMarkdown({ full: runResults({ scenarios: [slow] }), quick: undefined });
  assert.ok(honest.includes('0 of 2 bounds hold; not kept: 2.'));
  assert.ok(honest.includes('CPU over the pipe | ≤ 1.2 × | 1.40 (1.30–1.50) × | **does not hold** |'), honest);
  assert.ok(honest.includes('- Small call, gateway: CPU over the pipe is 1.40 × where ≤ 1.2 × is wanted.'));
});

test('what could not be measured is named, with why', () => {
  const scenario = scenarioResult({
    skipped: [{ name: 'nginx', reason: 'nginx is not installed' }],
    notes: ['At 10/s.'],
  });
  const report = toMarkdown({ full: runResults({ scenarios: [scenario] }), quick: undefined });
  assert.ok(report.includes('Not measured here: nginx (nginx is not installed).'));
  assert.ok(report.includes('At 10/s.'));
});

test('the pieces of the hot path stand behind the scenarios, where they were timed', () => {
  const piece = {
    name: 'scan, one string',
    runsPerRound: 9,
    bestNs: 50.25,
    medianNs: 12_000,
    worstNs: 2e7,
    bestNsPerByte: 0.5,
  };
  const micro = {
    date: '2026-11-21T20:00:00.000Z',
    commit: 'abc1234',
    rounds: 15,
    cases: [piece, { ...piece, bestNsPerByte: null }],
  };
  const report = toMarkdown({ full: runResults(), quick: undefined, micro });
  assert.ok(report.includes('| scan, one string | 50.3 ns | 12.0 µs | 20.0 ms | 0.500 |'), report);
  assert.ok(report.includes('| 20.0 ms |  |'));
});

test('at a fixed rate it says what is added to the latency of the upstream itself', () => {
  const at = (name: string, ...p99: number[]) => ({ name, rounds: p99.map((p99Us) => ({ p99Us })) });
  const scenario = scenarioResult({ budgets: [], lanes: [at('direct', 100, 300), at('gateway', 150, 370)] });
  const report = toMarkdown({ full: runResults({ scenarios: [scenario] }), quick: undefined });
  assert.ok(report.includes('| gateway | 260 (150–370) | 60 (50–70) |'), report);
});

test('a scenario that failed is named before everything else, and its bounds stay in the count', () => {
  const scenario = scenarioResult({ lanes: [], failure: 'gateway: 3 of 9 calls failed' });
  const report = toMarkdown({ full: runResults({ scenarios: [scenario] }), quick: undefined });
  assert.ok(report.includes('**It failed:** gateway: 3 of 9 calls failed'));
  assert.ok(report.includes('0 of 2 bounds hold; not measured: 2.'));
  const named = report.indexOf('**Failed, and so not measured: [Small call](#small-call).**');
  assert.ok(named > 0 && named < report.indexOf('## What it ran on'), report);
  const unbound = toMarkdown({ full: runResults({ scenarios: [scenarioResult({ budgets: [] })] }), quick: undefined });
  assert.ok(unbound.includes('Nothing in this run has a bound.'));
});

test('a bound that nobody gave us says that it is ours', () => {
  const own = { words: 'heap', lane: 'gateway', figure: 'cpuUsPerCall', atMost: 5000, isOwn: true } as const;
  const report = toMarkdown({
    full: runResults({ scenarios: [scenarioResult({ budgets: [own] })] }),
    quick: undefined,
  });
  assert.ok(report.includes('| ≤ 5,000 µs (ours) |'), report);
});

test('beside a full run, of the quick one only what CI compares with is shown; alone it is the report', () => {
  const quick = runResults({ set: 'quick', commit: 'def5678' });
  const both = toMarkdown({ full: runResults(), quick });
  assert.equal(both.split('### Small call').length, 2);
  assert.ok(both.includes('commit def5678') && both.includes('commit | abc1234'));
  assert.ok(toMarkdown({ full: undefined, quick }).includes('### Small call'));
  assert.ok(toMarkdown({ full: undefined, quick: undefined }).includes('Nothing has been measured yet.'));
});

test('the JSON comes back as it was written, to five digits, and gives the same report', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'switchboard-bench-report-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'full.json');
  const results = runResults({
    scenarios: [scenarioResult({ lanes: [lane('pipe', 31.23456789), lane('gateway', 40)] })],
  });
  writeResults(file, results);
  const read = readResults(file);
  assert.deepEqual(read, {
    ...results,
    scenarios: [scenarioResult({ lanes: [lane('pipe', 31.235), lane('gateway', 40)] })],
  });
  assert.equal(toMarkdown({ full: read, quick: undefined }), toMarkdown({ full: read, quick: undefined }));
  assert.equal(readResults(`${file}.not`), undefined);
});

test('there is a chart for every subject that was measured, and one of the bounds', () => {
  const charts = toCharts(runResults());
  assert.deepEqual([...charts.keys()], ['calls.svg', 'bounds.svg']);
  for (const svg of charts.values()) {
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="\d+" height="\d+"/);
    assert.match(svg, /prefers-color-scheme:dark/);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  }
});

test('words are escaped in charts, and values of nothing have no bar', () => {
  const bar = { label: '<a & "b">', median: 0, min: 0, max: 0, text: '0', isOwn: true };
  const svg = toSvg({ title: 'x', groups: [{ title: 'y', bars: [bar] }] });
  assert.ok(svg.includes('&lt;a &amp; &quot;b&quot;&gt;'));
  assert.ok(svg.includes('width="0"'));
});

test('bars of very different lengths are drawn on a logarithmic scale that says so', () => {
  const bar = (median: number) => ({ label: 'x', median, min: median, max: median, text: '', isOwn: true });
  const svg = (...values: number[]) => toSvg({ title: 'x', groups: [{ title: 'y', bars: values.map(bar) }] });
  assert.ok(svg(1, 100).includes('(logarithmic)'));
  assert.ok(!svg(1, 10).includes('(logarithmic)'));
});

test('every scenario has a name of its own, says what it does, and bounds lanes by figures that are known', () => {
  const names = SCENARIOS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, method, title, budgets } of SCENARIOS) {
    assert.match(name, /^[a-z0-9-]+$/);
    assert.ok(title !== '' && method.endsWith('.'), name);
    for (const budget of budgets) assert.ok(budget.atMost !== undefined || budget.atLeast !== undefined, name);
  }
});
