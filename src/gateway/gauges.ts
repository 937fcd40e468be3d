// What is read off the running gateway when somebody looks: the gauges of a scrape, and the upstreams of `/readyz?detail`.

import { performance } from 'node:perf_hooks';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { ConfigurationInForce } from '../catalog/configuration-in-force.ts';
import { VERSION } from '../domain/version.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Listeners } from './listeners.ts';
import type { WorkerPlace } from './worker-place.ts';

export function describeUpstreams(catalogs: Catalogs): object[] {
  return [...catalogs.upstreams()].map((upstream) => {
    const { service, failure, circuit } = upstream;
    const tools = catalogs.lists.get(upstream)?.tools.size ?? null;
    if (failure === undefined) return { service, state: tools === null ? 'starting' : 'ok', tools };
    const { stage, message, reason, atMs, sinceMs } = failure;
    return {
      service,
      state: 'failing',
      circuit,
      tools,
      last_failure: {
        stage,
        reason,
        message,
        at: new Date(atMs).toISOString(),
        since: new Date(sinceMs).toISOString(),
      },
    };
  });
}

/** What one worker has of all: metrics are of all together. */
export function describeWorker(
  { index, count }: WorkerPlace,
  { metrics }: Telemetry,
  { connections }: Listeners,
): { readonly number: number; readonly of: number; readonly connections: number; readonly calls: number } {
  const counted = metrics.snapshot().find(({ name }) => name === 'calls_total')?.samples ?? [];
  const calls = counted.reduce((sum, [, , value]) => sum + value, 0);
  return { number: index + 1, of: count, connections, calls };
}

export function declareGauges(telemetry: Telemetry, catalogs: Catalogs, configuration: ConfigurationInForce): void {
  telemetry.buildInfo.labels(VERSION, process.version).set(1);
  telemetry.epoch.collect((family) => {
    for (const [account, epoch] of Object.entries(configuration.epochs())) family.labels(account).set(epoch);
  });
  telemetry.poolConnections.collect((family) => {
    for (const { service, pools } of catalogs.upstreams()) {
      const { connected, free } = pools.stats();
      family.labels(service, 'idle').add(free);
      family.labels(service, 'busy').add(connected - free);
    }
  });
  telemetry.callsInFlight.collect((family) => {
    for (const { service, calls } of catalogs.upstreams()) family.labels(service).add(calls);
  });
  telemetry.callsWaiting.collect((family) => {
    for (const { service, permits } of catalogs.upstreams()) family.labels(service).add(permits.waiting);
  });
  telemetry.upstreamSessions.collect((family) => {
    for (const { service, sessions } of catalogs.upstreams()) family.labels(service).add(sessions);
  });
  let before = performance.eventLoopUtilization();
  telemetry.loopUtilization.collect((family) => {
    const now = performance.eventLoopUtilization();
    family.labels().set(performance.eventLoopUtilization(now, before).utilization);
    before = now;
  });
  telemetry.residentMemory.collect((family) => family.labels().set(process.memoryUsage.rss()));
  telemetry.heapUsed.collect((family) => family.labels().set(process.memoryUsage().heapUsed));
}
