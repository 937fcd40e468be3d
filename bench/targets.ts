// What is measured: per scenario (era) the same call against the upstream itself, the pipe and the gateway.
// Each target is a child process of its own on 127.0.0.1, port 0; adding one is adding a row to TARGETS.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Call } from './load.ts';

export const ERAS = ['legacy', 'modern'] as const;
export type Era = (typeof ERAS)[number];

export const TARGET_NAMES = ['direct', 'pipe', 'gateway'] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface RunningTarget {
  readonly name: TargetName;
  readonly child: ChildProcess;
  readonly pid: number;
  readonly call: Call;
}

export interface Upstream {
  readonly child: ChildProcess;
  readonly url: string;
}

interface TargetRow {
  /** The command after `node`, from the root of the checkout; none for the upstream, which runs already. */
  command(upstreamUrl: string, directory: string): readonly string[] | undefined;
  readonly toolName: string;
}

const root = join(import.meta.dirname, '..');

// 40 visible characters: an operator-supplied token (32–256 characters).
const BENCH_TOKEN = 'bench-token-0123456789-abcdefghijklmnopq';

const TARGETS: Readonly<Record<TargetName, TargetRow>> = {
  direct: { command: () => undefined, toolName: 'echo' },
  pipe: { command: (upstreamUrl) => ['bench/pipe.ts', '--upstream', upstreamUrl], toolName: 'echo' },
  gateway: {
    command: (upstreamUrl, directory) => [
      'src/switchboard.cjs',
      'serve',
      '--config',
      writeConfig(upstreamUrl, directory),
    ],
    toolName: 'bench.echo',
  },
};

function writeConfig(upstreamUrl: string, directory: string): string {
  const path = join(directory, 'switchboard.yaml');
  const lines = [
    'listen: { host: 127.0.0.1, port: 0 }',
    `store: { url: "sqlite:${join(directory, 'bench.db')}" }`,
    'mcp_configs:',
    '  - name: bench',
    `    endpoint: ${upstreamUrl}`,
    '    allowed_tools: ["*"]',
    'tokens:',
    '  - name: bench',
    '    value_from: { env: BENCH_TOKEN }',
    '    grants: [{ mcp_config: bench }]',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** Starts the upstream of one era. */
export async function startUpstream(era: Era, resultBytes: number): Promise<Upstream> {
  const sizes = ['--era', era, '--result-bytes', String(resultBytes)];
  const { child, url } = await startChild(['src/switchboard.cjs', 'mock-upstream', '--port', '0', ...sizes]);
  return { child, url };
}

/** Starts a target before `upstream` and returns the call it is measured with. `directory` is its own, for files. */
export async function startTarget(
  name: TargetName,
  era: Era,
  upstream: Upstream,
  directory: string,
): Promise<RunningTarget> {
  const row = TARGETS[name];
  const command = row.command(upstream.url, directory);
  const { child, url } = command === undefined ? upstream : await startChild(command);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} has no process id`);
  return { name, child, pid, call: toolCall(era, url, row.toolName) };
}

export const CALL_ID = 7;

/** A small call in the member order the SDK clients write. The legacy one has no session: it is served without. */
function toolCall(era: Era, url: string, toolName: string): Call {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    authorization: `Bearer ${BENCH_TOKEN}`,
  };
  const params = { name: toolName, arguments: { text: 'hello' } };
  const args = JSON.stringify(params.arguments);
  const request = { url: new URL(url), token: BENCH_TOKEN, era, tool: toolName, args };
  if (era === 'legacy') {
    const body = JSON.stringify({ method: 'tools/call', params, jsonrpc: '2.0', id: CALL_ID });
    return { url, request, headers: { ...headers, 'mcp-protocol-version': '2025-11-25' }, body };
  }
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'switchboard-bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const body = JSON.stringify({ method: 'tools/call', params: { ...params, _meta }, jsonrpc: '2.0', id: CALL_ID });
  const modernHeaders = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': toolName };
  return { url, request, headers: { ...headers, ...modernHeaders }, body };
}

const READY = /"port":(\d+)|http:\/\/127\.0\.0\.1:(\d+)\/mcp/;
const START_TIMEOUT_MS = 20_000;

/** Starts `node …command` and waits until it prints its port or its URL. */
async function startChild(command: readonly string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, command, {
    cwd: root,
    env: { ...process.env, BENCH_TOKEN },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // The benchmark may be ended at any point; nothing it started may outlive it.
  process.once('exit', () => child.kill());
  const lastLines: string[] = [];
  const remember = (line: string) => {
    if (lastLines.push(line) > 20) lastLines.shift();
  };
  createInterface({ input: child.stderr }).on('line', remember);
  const lines = createInterface({ input: child.stdout });
  const port = await new Promise<string>((resolve, reject) => {
    const fail = (reason: string) => {
      child.kill();
      reject(new Error(`${command[0]} ${reason}; its output:\n${lastLines.join('\n')}`));
    };
    const timer = setTimeout(() => fail('printed no port'), START_TIMEOUT_MS);
    child.once('close', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code} before it was ready`);
    });
    lines.on('line', (line) => {
      remember(line);
      const match = READY.exec(line);
      const found = match?.[1] ?? match?.[2];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
  return { child, url: `http://127.0.0.1:${port}/mcp` };
}

/** Asks the process to end, and makes it end after five seconds. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  child.kill();
  await ended;
  clearTimeout(timer);
}
