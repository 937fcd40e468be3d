// Every metric of the gateway, each declared once: name, help, labels and the closed sets of their values.

import type { ErrorCode, UpstreamFailureReason } from '../domain/errors.ts';
import {
  type Counter,
  type CounterFamily,
  type Gauge,
  type GaugeFamily,
  type Histogram,
  type HistogramFamily,
  Metrics,
} from './metrics.ts';

/**
 * How a call ended, be it of a tool, a prompt or a resource. `answered`: the upstream's bytes were passed on, whatever they say (results are not read).
 * `invalid`: refused before it was looked up. `limited`: a rate limit or overload. `cancelled`: the client left.
 */
export const CALL_OUTCOMES = [
  'answered',
  'unknown_tool',
  'unknown_prompt',
  'unknown_resource',
  'invalid',
  'limited',
  'upstream_failed',
  'cancelled',
  'internal',
] as const;
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

/** How a list was answered. `partial`: without an upstream that was never seen before and did not answer in time. */
export const LIST_OUTCOMES = ['complete', 'partial'] as const;
export type ListOutcome = (typeof LIST_OUTCOMES)[number];

export const CONNECTION_STATES = ['busy', 'idle'] as const;
export type ConnectionState = (typeof CONNECTION_STATES)[number];

/** Seconds. From 50 µs, because a warm call costs the gateway less than a millisecond. */
const OVERHEAD_BOUNDS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
] as const;

export interface Telemetry {
  readonly metrics: Metrics;
  /** For a name that is not in the catalog, `service` and `tool` are empty: what a client makes up is never a label. */
  readonly calls: CounterFamily<[service: string, tool: string, outcome: CallOutcome]>;
  readonly callOverhead: Histogram;
  readonly lists: Readonly<Record<ListOutcome, Counter>>;
  readonly upstreamFailures: CounterFamily<[service: string, reason: UpstreamFailureReason]>;
  readonly callsInFlight: GaugeFamily<[service: string]>;
  readonly callsWaiting: GaugeFamily<[service: string]>;
  readonly clientConnections: GaugeFamily<[]>;
  readonly clientStreams: GaugeFamily<[]>;
  readonly poolConnections: GaugeFamily<[service: string, state: ConnectionState]>;
  readonly upstreamSessions: GaugeFamily<[service: string]>;
  readonly residentMemory: GaugeFamily<[]>;
  readonly heapUsed: GaugeFamily<[]>;
  readonly epoch: GaugeFamily<[account: string]>;
  readonly configReloadFailures: Counter;
  readonly configLastReloadOk: Gauge;
  readonly httpRefusals: CounterFamily<[reason: ErrorCode]>;
  /** Of `httpRefusals`, resolved ahead: under overload it is counted tens of thousands of times a second. */
  readonly turnedAway: Counter;
  readonly overloaded: Gauge;
  readonly loopUtilization: GaugeFamily<[]>;
  readonly auditDropped: Counter;
  readonly auditFailing: Gauge;
  readonly auditPendingBytes: GaugeFamily<[]>;
  readonly buildInfo: GaugeFamily<[version: string, node: string]>;
}

/** A registry of its own with every metric declared; the composition root sets `buildInfo` and the collectors. */
export function createTelemetry(): Telemetry {
  const metrics = new Metrics();
  const overhead: HistogramFamily<[]> = metrics.histogram(
    'call_overhead_seconds',
    'Time the gateway itself added to a tools/call.',
    OVERHEAD_BOUNDS,
  );
  const lists: CounterFamily<[outcome: ListOutcome]> = metrics.counter(
    'list_total',
    'Lists answered, by how they ended.',
    'outcome',
  );
  const configLastReloadOk = metrics
    .gauge('config_last_reload_ok', '1 if the last read of the config file was good.')
    .labels();
  // The gateway does not start on a bad file, so until a reload fails this is the truth.
  configLastReloadOk.set(1);
  const httpRefusals: CounterFamily<[reason: ErrorCode]> = metrics.counter(
    'http_refusals_total',
    'Requests refused by the gateway.',
    'reason',
  );
  return {
    metrics,
    calls: metrics.counter('calls_total', 'Tool calls, by how they ended.', 'service', 'tool', 'outcome'),
    callOverhead: overhead.labels(),
    lists: { complete: lists.labels('complete'), partial: lists.labels('partial') },
    upstreamFailures: metrics.counter('upstream_failures_total', 'Failed upstream requests.', 'service', 'reason'),
    callsInFlight: metrics.gauge('calls_in_flight', 'Calls that have not ended.', 'service'),
    callsWaiting: metrics.gauge('calls_waiting', 'Calls that wait for a connection to their upstream.', 'service'),
    clientConnections: metrics.gauge('client_connections', 'Open connections of clients.'),
    clientStreams: metrics.gauge(
      'client_streams',
      'Open streams that clients listen to: of legacy sessions (GET), and modern listens.',
    ),
    poolConnections: metrics.gauge('pool_connections', 'Open upstream connections.', 'service', 'state'),
    upstreamSessions: metrics.gauge('upstream_sessions', 'Open sessions with stateful upstreams.', 'service'),
    residentMemory: metrics.gauge('resident_memory_bytes', 'Memory of the process.'),
    heapUsed: metrics.gauge('heap_used_bytes', 'JavaScript heap in use, garbage included.'),
    epoch: metrics.gauge('epoch', 'Version of the configuration in force.', 'account'),
    configReloadFailures: metrics
      .counter('config_reload_failures_total', 'Config files that could not be used.')
      .labels(),
    configLastReloadOk,
    httpRefusals,
    turnedAway: httpRefusals.labels('overloaded'),
    overloaded: metrics
      .gauge('overloaded', '1 while requests are turned away because the process cannot keep up.')
      .labels(),
    loopUtilization: metrics.gauge(
      'loop_utilization',
      'Share of the time since the last scrape that the event loop was busy; 1 is all that the process can do.',
    ),
    auditDropped: metrics.counter('audit_dropped_total', 'Calls that are not in the audit log.').labels(),
    auditFailing: metrics.gauge('audit_failing', '1 while the audit log or its checkpoint cannot be written.').labels(),
    auditPendingBytes: metrics.gauge('audit_pending_bytes', 'Audit records that wait to be written.'),
    buildInfo: metrics.gauge('build_info', 'Always 1; the labels say what is running.', 'version', 'node'),
  };
}
