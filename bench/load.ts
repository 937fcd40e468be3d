// Closed-loop load on one URL: keep-alive connections that each send the same call again as soon as it is answered.
// wrk does it when it is installed; `switchboard bench` otherwise, which needs more CPU itself.

import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { generateLoad as generate } from '../src/load/generate-load.ts';
import type { LoadReport } from '../src/load/load-figures.ts';
import { type RpcRequestOptions, toRpcRequest } from '../src/load/rpc-request.ts';

export const CONNECTIONS = 32;
const TIMEOUT_S = 30;
/** At a rate; what is due beyond waits for one, and its time counts. */
const MOST_CONNECTIONS = 512;

export const GENERATORS = ['wrk', 'own'] as const;
export type Generator = (typeof GENERATORS)[number];

export interface Call {
  /** The same for our own generator. */
  readonly request: RpcRequestOptions;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadOptions {
  readonly connections?: number;
  /** Bearer tokens that take turns; wrk only. */
  readonly tokens?: readonly string[];
  /** Another id for every request, without which a session mistakes one answer for another; our own always does that. */
  readonly hasOwnIds?: boolean;
  /** What wrk is started by, to run elsewhere than this process; our own runs in it. */
  readonly startedBy?: readonly string[];
}

export interface LoadResult {
  readonly completed: number;
  /** Answers other than 2xx, refused or broken connections, timeouts. */
  readonly errors: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** wrk where it is installed, else our own. */
export function defaultGenerator(): Generator {
  try {
    execFileSync('which', ['wrk'], { stdio: 'ignore' });
    return 'wrk';
  } catch {
    return 'own';
  }
}

/** Sends `call` for `seconds` (whole seconds with wrk). Never throws for an error of the target: it is counted. */
export function generateLoad(
  generator: Generator,
  call: Call,
  seconds: number,
  options: LoadOptions = {},
): Promise<LoadResult> {
  return generator === 'wrk' ? loadWithWrk(call, seconds, options) : loadWithSockets(call, seconds, options);
}

const REPORT_IN_LUA = `
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\nREPORT{"completed":%d,"errors":%d,"seconds":%.6f,"p50Us":%.0f,"p99Us":%.0f,"p999Us":%.0f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`;

const OWN_IDS_IN_LUA = `
local id = 1000000000
local head, tail = wrk.body:match('^(.*"id":)%d+(.*)$')
request = function()
  id = id + 1
  return wrk.format(nil, nil, nil, head .. string.format("%d", id) .. tail)
end
`;

/** The requests are written out before the load begins. */
const TURNS_IN_LUA = `
local turns, last = {}, 0
init = function()
  for i, token in ipairs(tokens) do
    wrk.headers["authorization"] = "Bearer " .. token
    turns[i] = wrk.format()
  end
end
request = function()
  last = last % #turns + 1
  return turns[last]
end
`;

async function loadWithWrk(
  call: Call,
  seconds: number,
  { connections = CONNECTIONS, tokens, hasOwnIds = false, startedBy = [] }: LoadOptions,
): Promise<LoadResult> {
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-wrk-'));
  try {
    const script = join(directory, 'call.lua');
    const headers = Object.entries(call.headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`);
    const turns =
      tokens === undefined ? [] : [`local tokens = {${tokens.map((token) => `"${token}"`).join()}}`, TURNS_IN_LUA];
    const ids = hasOwnIds ? [OWN_IDS_IN_LUA] : [];
    const lines = [
      'wrk.method = "POST"',
      ...headers,
      `wrk.body = [==[${call.body}]==]`,
      ...turns,
      ...ids,
      REPORT_IN_LUA,
    ];
    writeFileSync(script, lines.join('\n'));
    const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', `${TIMEOUT_S}s`, '-s', script, call.url];
    const [program, ...rest] = [...startedBy, 'wrk', ...options] as [string, ...string[]];
    const { stdout } = await promisify(execFile)(program, rest);
    const report = /^REPORT(.*)$/m.exec(stdout)?.[1];
    if (report === undefined) throw new Error(`wrk printed no report:\n${stdout}`);
    return JSON.parse(report) as LoadResult;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export interface RateOptions {
  /** Requests per second, in Poisson arrivals. */
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
  /** At most; what is due beyond waits for one. */
  readonly connections?: number;
}

/** Sends `call` when it is due, whatever has been answered; latency counts from then. Throws when anything but results came back. */
export async function loadAtRate({ url, request }: Call, options: RateOptions): Promise<LoadReport> {
  const { rate, seconds, seed, connections = MOST_CONNECTIONS } = options;
  const report = await generate({
    url: new URL(url),
    request: toRpcRequest(request),
    rate,
    seed,
    connections,
    warmUpMs: 0,
    durationMs: seconds * 1000,
    timeoutMs: TIMEOUT_S * 1000,
  });
  const problems = Object.entries(report.problems).map(([problem, count]) => `${count} × ${problem}`);
  if (problems.length > 0) throw new Error(`${url} at ${rate}/s: ${problems.join(', ')}`);
  return report;
}

/** Of the gateway's own load generator, in a closed loop. */
async function loadWithSockets(
  { url, request }: Call,
  seconds: number,
  { connections = CONNECTIONS, tokens }: LoadOptions,
): Promise<LoadResult> {
  if (tokens !== undefined) throw new Error('tokens take turns with wrk only');
  const report = await generate({
    url: new URL(url),
    request: toRpcRequest(request),
    rate: undefined,
    connections,
    warmUpMs: 0,
    durationMs: seconds * 1000,
    timeoutMs: TIMEOUT_S * 1000,
  });
  return {
    completed: report.answered,
    errors: Object.values(report.problems).reduce((sum, count) => sum + count, 0),
    seconds: report.seconds,
    p50Us: report.latencyUs.p50,
    p99Us: report.latencyUs.p99,
    p999Us: report.latencyUs.p999,
  };
}
