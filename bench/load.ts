// Closed-loop load on one URL: 32 keep-alive connections that each send the same call again as soon as it is answered.
// wrk does it when it is installed; a generator of our own on node:net otherwise, which needs more CPU itself.

import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const CONNECTIONS = 32;

export const GENERATORS = ['wrk', 'own'] as const;
export type Generator = (typeof GENERATORS)[number];

export interface Call {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadResult {
  readonly completed: number;
  /** Answers other than 2xx, refused or broken connections, timeouts. */
  readonly errors: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
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

/** Sends `call` from 32 connections for `seconds` (whole seconds with wrk). Never throws for an error of the target: it is counted. */
export function generateLoad(generator: Generator, call: Call, seconds: number): Promise<LoadResult> {
  return generator === 'wrk' ? loadWithWrk(call, seconds) : loadWithSockets(call, seconds);
}

const REPORT_IN_LUA = `
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\nREPORT{"completed":%d,"errors":%d,"seconds":%.6f,"p50Us":%.0f,"p99Us":%.0f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
`;

async function loadWithWrk(call: Call, seconds: number): Promise<LoadResult> {
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-wrk-'));
  try {
    const script = join(directory, 'call.lua');
    const headers = Object.entries(call.headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`);
    writeFileSync(
      script,
      ['wrk.method = "POST"', ...headers, `wrk.body = [==[${call.body}]==]`, REPORT_IN_LUA].join('\n'),
    );
    const options = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, call.url];
    const { stdout } = await promisify(execFile)('wrk', options);
    const report = /^REPORT(.*)$/m.exec(stdout)?.[1];
    if (report === undefined) throw new Error(`wrk printed no report:\n${stdout}`);
    return JSON.parse(report) as LoadResult;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function loadWithSockets(call: Call, seconds: number): Promise<LoadResult> {
  const histogram = new LatencyHistogram();
  const started = performance.now();
  const deadline = started + seconds * 1000;
  const errors = await Promise.all(Array.from({ length: CONNECTIONS }, () => runConnection(call, deadline, histogram)));
  return {
    completed: histogram.count,
    errors: errors.reduce((sum, count) => sum + count, 0),
    seconds: (performance.now() - started) / 1000,
    p50Us: histogram.percentile(50),
    p99Us: histogram.percentile(99),
  };
}

/** One connection's loop until `deadline`; resolves with its number of errors, after the first of which it ends. */
function runConnection(call: Call, deadline: number, histogram: LatencyHistogram): Promise<number> {
  const { hostname, port, pathname } = new URL(call.url);
  const headers = { host: `${hostname}:${port}`, 'content-length': Buffer.byteLength(call.body), ...call.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const request = Buffer.from([`POST ${pathname} HTTP/1.1`, ...lines, '', call.body].join('\r\n'));
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let sentAt = 0;
    let received = '';
    const send = () => {
      sentAt = performance.now();
      socket.write(request);
    };
    const finish = (errors: number) => {
      resolve(errors);
      socket.destroy();
    };
    socket.setTimeout(10_000, () => finish(1));
    socket.on('error', () => finish(1));
    socket.on('close', () => finish(1));
    socket.on('connect', send);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      received += chunk;
      if (!isWholeResponse(received)) return;
      if (!received.startsWith('HTTP/1.1 2')) return finish(1);
      received = '';
      const now = performance.now();
      histogram.add((now - sentAt) * 1000);
      if (now < deadline) send();
      else finish(0);
    });
  });
}

/** Whether `text` (latin1) ends where its one response ends. Without content-length it must be chunked. */
function isWholeResponse(text: string): boolean {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))?.[1];
  return length === undefined ? text.endsWith('\r\n0\r\n\r\n') : text.length >= headEnd + 4 + Number(length);
}

const SUB_BUCKETS = 64;

/** Counts of latencies in buckets that widen with the value: at most 1/64 off, of constant size, cheap to add to. */
class LatencyHistogram {
  readonly #buckets = new Uint32Array(32 * SUB_BUCKETS);
  count = 0;

  add(microseconds: number): void {
    const value = Math.max(1, Math.round(microseconds));
    const exponent = 31 - Math.clz32(value);
    const index = exponent * SUB_BUCKETS + Math.floor((value / 2 ** exponent - 1) * SUB_BUCKETS);
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    this.count++;
  }

  /** The lower bound, in microseconds, of the bucket that holds this percentile; 0 when nothing was added. */
  percentile(percent: number): number {
    let left = Math.ceil((this.count * percent) / 100);
    const index = this.#buckets.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return this.count === 0
      ? 0
      : Math.round(2 ** Math.floor(index / SUB_BUCKETS) * (1 + (index % SUB_BUCKETS) / SUB_BUCKETS));
  }
}
