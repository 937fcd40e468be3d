import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UPSTREAM_FAILURE_REASONS } from '../../../src/domain/errors.ts';
import { renderMetrics } from '../../../src/telemetry/metrics-snapshot.ts';
import {
  CALL_OUTCOMES,
  CONNECTION_STATES,
  createTelemetry,
  LIST_OUTCOMES,
  type Telemetry,
} from '../../../src/telemetry/telemetry.ts';

function textOf({ metrics }: Telemetry): string {
  return renderMetrics(metrics.snapshot());
}

test('every metric is declared, also before anything happened', () => {
  const types = [...textOf(createTelemetry()).matchAll(/^# TYPE switchboard_(\S+) (\S+)$/gm)];
  assert.deepEqual(types.map(([, name, type]) => `${name} ${type}`).sort(), [
    'audit_dropped_total counter',
    'audit_failing gauge',
    'audit_pending_bytes gauge',
    'build_info gauge',
    'call_overhead_seconds histogram',
    'calls_in_flight gauge',
    'calls_total counter',
    'calls_waiting gauge',
    'client_connections gauge',
    'client_streams gauge',
    'config_last_reload_ok gauge',
    'config_reload_failures_total counter',
    'epoch gauge',
    'heap_used_bytes gauge',
    'http_refusals_total counter',
    'list_total counter',
    'loop_utilization gauge',
    'overloaded gauge',
    'pool_connections gauge',
    'resident_memory_bytes gauge',
    'upstream_failures_total counter',
    'upstream_sessions gauge',
  ]);
});

test('two gateways in one process count apart', () => {
  const first = createTelemetry();
  const second = createTelemetry();
  first.calls.labels('github', 'search', 'answered').add();
  assert.match(textOf(first), /^switchboard_calls_total\{.*\} 1$/m);
  assert.doesNotMatch(textOf(second), /^switchboard_calls_total\{/m);
});

test('the overhead histogram starts at 50 µs and its bounds ascend', () => {
  const telemetry = createTelemetry();
  telemetry.callOverhead.observe(0.00004);
  const bounds = [...textOf(telemetry).matchAll(/^switchboard_call_overhead_seconds_bucket\{le="([^"]+)"\} 1$/gm)];
  const seconds = bounds.map(([, bound]) => (bound === '+Inf' ? Infinity : Number(bound)));
  assert.equal(seconds[0], 0.00005);
  assert.equal(seconds.at(-1), Infinity);
  assert.deepEqual(
    seconds,
    seconds.toSorted((left, right) => left - right),
  );
});

test('counters without labels start at zero, so that an alert on their increase sees the first one', () => {
  const text = textOf(createTelemetry());
  assert.match(text, /^switchboard_config_reload_failures_total 0$/m);
  assert.match(text, /^switchboard_config_last_reload_ok 1$/m);
});

test('closed sets of label values hold words that need no escaping', () => {
  for (const word of [...CALL_OUTCOMES, ...LIST_OUTCOMES, ...CONNECTION_STATES, ...UPSTREAM_FAILURE_REASONS]) {
    assert.match(word, /^[a-z_]+$/);
  }
});
