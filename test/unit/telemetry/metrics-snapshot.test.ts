import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addUp, countedOf, type FamilySnapshot, renderMetrics } from '../../../src/telemetry/metrics-snapshot.ts';
import { createTelemetry } from '../../../src/telemetry/telemetry.ts';

function snapshotOf(calls: number, epoch: number, seconds: number): FamilySnapshot[] {
  const telemetry = createTelemetry();
  telemetry.calls.labels('github', 'search', 'answered').add(calls);
  telemetry.epoch.labels('acct').set(epoch);
  telemetry.callsInFlight.labels('github').set(calls);
  telemetry.auditFailing.set(epoch % 2);
  telemetry.configLastReloadOk.set(epoch % 2);
  telemetry.buildInfo.labels('1', 'v26').set(1);
  telemetry.callOverhead.observe(seconds);
  return telemetry.metrics.snapshot();
}

function valuesOf(families: readonly FamilySnapshot[]): Record<string, number> {
  return Object.fromEntries(
    [...renderMetrics(families).matchAll(/^switchboard_(\w+)(?:\{.*\})? (\S+)$/gm)].map(([, name, value]) => [
      name,
      Number(value),
    ]),
  );
}

test('what is counted, and gauges of which there is a sum, are added up over processes', () => {
  const values = valuesOf(addUp([snapshotOf(3, 7, 0.5), snapshotOf(4, 7, 0.25)]));
  assert.equal(values.calls_total, 7);
  assert.equal(values.calls_in_flight, 7);
  assert.equal(values.call_overhead_seconds_count, 2);
  assert.equal(values.call_overhead_seconds_sum, 0.75);
});

test('of other gauges the one that an operator must see stands for all', () => {
  const values = valuesOf(addUp([snapshotOf(1, 7, 1), snapshotOf(1, 6, 1)]));
  assert.equal(values.epoch, 6);
  assert.equal(values.config_last_reload_ok, 0);
  assert.equal(values.audit_failing, 1);
  assert.equal(values.build_info, 1);
});

test('one process alone is itself, and none is nothing', () => {
  const alone = snapshotOf(2, 3, 0.1);
  assert.equal(renderMetrics(addUp([alone])), renderMetrics(alone));
  assert.equal(renderMetrics(addUp([])), '');
});

test('what a process has counted stays when it has ended, and its gauges go', () => {
  const values = valuesOf(countedOf(snapshotOf(5, 1, 1)));
  assert.equal(values.calls_total, 5);
  assert.equal('calls_in_flight' in values, false);
});
