import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../../src/domain/errors.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { renderMetrics } from '../../../src/telemetry/metrics-snapshot.ts';

interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|-?[0-9.e+-]+)$/s;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:\\[\\"n]|[^\\"\n])*)"(?:,|$)/gy;

/** A strict reader of the text format 0.0.4: every line is HELP, TYPE or a sample whose labels are read to the end. */
function readText(text: string): Sample[] {
  assert.ok(text.endsWith('\n'));
  const samples: Sample[] = [];
  for (const line of text.slice(0, -1).split('\n')) {
    if (/^# HELP [a-z_]+ \S.*$/.test(line) || /^# TYPE [a-z_]+ (?:counter|gauge|histogram)$/.test(line)) continue;
    const [, name = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? assert.fail(`not a sample: ${line}`);
    const pairs = [...labelText.matchAll(LABEL)];
    assert.equal(pairs.map(([pair]) => pair).join(''), labelText, `labels of ${line}`);
    const toPlain = (escaped: string) => escaped.replaceAll(/\\(.)/gs, (_, char) => (char === 'n' ? '\n' : char));
    const labels = new Map(pairs.map(([, key = '', escaped = '']) => [key, toPlain(escaped)]));
    samples.push({ name, labels, value: Number(value.replace('Inf', 'Infinity')) });
  }
  return samples;
}

describe('the registry', () => {
  test('a counter is rendered with its help, type and labels', () => {
    const metrics = new Metrics();
    const calls = metrics.counter<[service: string, outcome: string]>('calls_total', 'Calls.', 'service', 'outcome');
    const handle = calls.labels('github', 'ok');
    handle.add();
    handle.add(2);
    calls.labels('github', 'failed').add();
    assert.equal(
      renderMetrics(metrics.snapshot()),
      [
        '# HELP switchboard_calls_total Calls.',
        '# TYPE switchboard_calls_total counter',
        'switchboard_calls_total{service="github",outcome="ok"} 3',
        'switchboard_calls_total{service="github",outcome="failed"} 1',
        '',
      ].join('\n'),
    );
  });

  test('a family without labels has one series without braces', () => {
    const metrics = new Metrics();
    metrics.gauge('epoch', 'Version.').labels().set(-1.5);
    assert.match(renderMetrics(metrics.snapshot()), /^switchboard_epoch -1\.5$/m);
  });

  test('the same labels give the same series', () => {
    const metrics = new Metrics();
    const calls = metrics.counter<[service: string]>('calls_total', 'Calls.', 'service');
    assert.equal(calls.labels('github'), calls.labels('github'));
  });

  test('a histogram counts into cumulative buckets, bounds included', () => {
    const metrics = new Metrics();
    const overhead = metrics.histogram<[path: string]>('overhead_seconds', 'Time.', [0.0625, 0.5], 'path');
    for (const seconds of [0.0625, 0.25, 0.5, 0.75]) overhead.labels('/mcp').observe(seconds);
    assert.equal(
      renderMetrics(metrics.snapshot()),
      [
        '# HELP switchboard_overhead_seconds Time.',
        '# TYPE switchboard_overhead_seconds histogram',
        'switchboard_overhead_seconds_bucket{path="/mcp",le="0.0625"} 1',
        'switchboard_overhead_seconds_bucket{path="/mcp",le="0.5"} 3',
        'switchboard_overhead_seconds_bucket{path="/mcp",le="+Inf"} 4',
        'switchboard_overhead_seconds_sum{path="/mcp"} 1.5625',
        'switchboard_overhead_seconds_count{path="/mcp"} 4',
        '',
      ].join('\n'),
    );
  });

  test('a histogram without labels has only le', () => {
    const metrics = new Metrics();
    metrics.histogram('t', 'Time.', [1]).labels().observe(2);
    assert.match(
      renderMetrics(metrics.snapshot()),
      /^switchboard_t_bucket\{le="1"\} 0\nswitchboard_t_bucket\{le="\+Inf"\} 1$/m,
    );
  });

  test('a collected gauge is read at every scrape, and what is no longer reported is gone', () => {
    const metrics = new Metrics();
    const pools = metrics.gauge<[service: string]>('pool_connections', 'Connections.', 'service');
    let open: readonly [string, number][] = [
      ['github', 2],
      ['linear', 1],
    ];
    pools.collect((family) => {
      for (const [service, count] of open) family.labels(service).set(count);
    });
    assert.equal(readText(renderMetrics(metrics.snapshot())).length, 2);
    open = [['github', 5]];
    assert.deepEqual(
      readText(renderMetrics(metrics.snapshot())).map(({ labels, value }) => [labels.get('service'), value]),
      [['github', 5]],
    );
  });

  test('past 10,000 series the rest is counted together under `other`', () => {
    const metrics = new Metrics();
    const calls = metrics.counter<[tool: string, outcome: string]>('calls_total', 'Calls.', 'tool', 'outcome');
    for (let index = 0; index < 10_050; index++) calls.labels(`tool${index}`, 'ok').add();
    calls.labels('tool0', 'ok').add();
    const samples = readText(renderMetrics(metrics.snapshot()));
    assert.equal(samples.length, 10_001);
    const other = samples.find(({ labels }) => labels.get('tool') === 'other');
    assert.deepEqual([other?.value, other?.labels.get('outcome')], [50, 'other']);
    assert.equal(samples[0]?.value, 2);
  });

  test('a metric declared twice is refused', () => {
    const metrics = new Metrics();
    metrics.counter('calls_total', 'Calls.');
    assert.throws(() => metrics.gauge('calls_total', 'Calls.'), GatewayError);
  });

  test('infinities are written in the words of the format', () => {
    const metrics = new Metrics();
    const gauge = metrics.gauge<[name: string]>('g', 'G.', 'name');
    gauge.labels('up').set(Infinity);
    gauge.labels('down').set(-Infinity);
    gauge.labels('not').set(NaN);
    assert.deepEqual(
      renderMetrics(metrics.snapshot())
        .match(/ \S+$/gm)
        ?.map((value) => value.trim()),
      ['G.', 'gauge', '+Inf', '-Inf', 'NaN'],
    );
  });

  test('line feeds and backslashes in a help text are escaped', () => {
    const metrics = new Metrics();
    metrics.counter('c', 'a\nb\\');
    assert.match(renderMetrics(metrics.snapshot()), /^# HELP switchboard_c a\\nb\\\\$/m);
  });

  test('any label value survives the text format, and different values stay different series', () => {
    const value = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom(...'\\"\n,=}{a') }));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(value, value), { selector: JSON.stringify, maxLength: 20 }), (rows) => {
        const metrics = new Metrics();
        const family = metrics.counter<[a: string, b: string]>('c', 'C.', 'a', 'b');
        rows.forEach(([a, b], index) => {
          family.labels(a, b).add(index + 1);
        });
        const read = readText(renderMetrics(metrics.snapshot())).map(({ labels, value: n }) => [
          labels.get('a'),
          labels.get('b'),
          n,
        ]);
        assert.deepEqual(
          read,
          rows.map(([a, b], index) => [a, b, index + 1]),
        );
      }),
      { numRuns: 300 },
    );
  });
});
