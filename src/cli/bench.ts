// `switchboard bench`: load on an MCP endpoint, with live figures on a terminal and a report at the end.

import { GatewayError } from '../domain/errors.ts';
import type { ArrivalPattern } from '../load/arrivals.ts';
import { generateLoad } from '../load/generate-load.ts';
import type { LoadReport } from '../load/load-figures.ts';
import { openSession } from '../load/open-session.ts';
import { type RpcRequestOptions, toRpcRequest } from '../load/rpc-request.ts';
import type { Era } from '../protocol/era.ts';
import { UsageError } from './command-errors.ts';
import { type OutputFormat, print } from './output.ts';

export interface BenchOptions {
  readonly token?: string;
  readonly era: Era;
  readonly tool?: string;
  /** Raw JSON. */
  readonly arguments?: string;
  /** Requests per second; absent for a closed loop. */
  readonly rate?: number;
  readonly arrivals: ArrivalPattern;
  readonly connections: number;
  readonly duration: number;
  readonly warmUp: number;
  readonly timeout: number;
  readonly seed: number;
  readonly output: OutputFormat;
}

/** Ends with exit code 1 when anything but results came back, or nothing. Throws `GatewayError` when nothing can be measured. */
export async function bench(url: URL, options: BenchOptions): Promise<void> {
  const { token, era, tool, arguments: args } = options;
  if (args !== undefined && tool === undefined) {
    throw new UsageError('--arguments are those of a tool: name it with --tool, or leave them out.');
  }
  const sessionId = era === 'legacy' ? await open(url, options) : undefined;
  const asked: RpcRequestOptions = { url, token, era, tool, args: args ?? '{}', sessionId };
  const stop = new AbortController();
  // A second one is of no account: npm passes on the Ctrl-C that arrives here as well, and the report is near.
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, onSignal);
  const report = await generateLoad({
    url,
    request: toRpcRequest(asked),
    rate: options.rate,
    pattern: options.arrivals,
    seed: options.seed,
    connections: options.connections,
    warmUpMs: options.warmUp * 1000,
    durationMs: options.duration * 1000,
    timeoutMs: options.timeout * 1000,
    onProgress: showProgress,
    signal: stop.signal,
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, onSignal);
  clearProgress();
  await print(options.output, { url: url.href, ...describe(options), ...report }, toText(url, options, report));
  if (Object.keys(report.problems).length > 0) process.exitCode = 1;
  else if (report.answered === 0) {
    throw new GatewayError('invalid_argument', `Nothing was answered: ${whyNothing(options, report)}.`);
  }
}

/** Where there is no problem to tell of. */
function whyNothing({ rate, duration }: BenchOptions, { seconds }: LoadReport): string {
  if (seconds === 0) return 'it was stopped in the warm-up';
  if (rate !== undefined) return `nothing was due in ${duration} s at ${rate}/s: raise --rate or --duration`;
  return `the calls of the warm-up outlasted the ${duration} s behind it: raise --duration`;
}

async function open(url: URL, { token, timeout }: BenchOptions): Promise<string | undefined> {
  try {
    return await openSession(url, token, timeout * 1000);
  } catch (error) {
    const { name, message, cause } = error as Error;
    const failure = cause instanceof Error ? cause.message : message;
    const why = name === 'TimeoutError' ? `it has not answered within ${timeout} s (--timeout)` : failure;
    throw new GatewayError('invalid_argument', `No session can be opened at ${url.href}: ${why}`);
  }
}

function describe({ era, tool, rate, arrivals, connections, seed }: BenchOptions): object {
  return { era, tool: tool ?? null, rate: rate ?? null, arrivals, connections, seed };
}

function showProgress({ seconds, answered, latencyUs, problems }: LoadReport): void {
  if (!process.stderr.isTTY) return;
  const failed = Object.values(problems).reduce((sum, count) => sum + count, 0);
  const line = `${seconds.toFixed(0)} s  ${answered} answered  p99 ${toMs(latencyUs.p99)}  ${failed} failed`;
  process.stderr.write(`\r\x1b[K${line}`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function toText(url: URL, { tool, era, rate, connections }: BenchOptions, report: LoadReport): string {
  const { seconds, due, answered, waited, perSecond, bytes, latencyUs, lagP99Us, problems } = report;
  const what = tool === undefined ? 'tools/list' : `tools/call ${tool}`;
  const how = rate === undefined ? `${connections} connections` : `${rate}/s over at most ${connections} connections`;
  const { p50, p90, p99, p999, max } = latencyUs;
  const latencies = `p50 ${toMs(p50)}  p90 ${toMs(p90)}  p99 ${toMs(p99)}  p99.9 ${toMs(p999)}  max ${toMs(max)}`;
  const lines = [
    `${what} (${era}) at ${url.href}: ${how}, ${seconds.toFixed(1)} s`,
    `answered   ${answered} of ${due}, ${perSecond.toFixed(1)}/s, ${(bytes / 1e6).toFixed(2)} MB`,
    ...(answered === 0 ? [] : [`latency    ${latencies}`]),
    ...(waited === 0 ? [] : [`waited     ${waited} of ${due} for a connection (--connections ${connections})`]),
    ...(rate === undefined ? [] : [`generator  p99 ${toMs(lagP99Us)} late`]),
    ...Object.entries(problems).map(([problem, count]) => `problem    ${count} × ${problem}`),
  ];
  return `${lines.join('\n')}\n`;
}

function toMs(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(2)} ms`;
}
