// Starts the two upstreams of `npm start` as child processes that cannot outlive this one.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { GatewayError } from '../../domain/errors.ts';

const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 2_000;
const MAX_STDERR_CHARS = 2048;

// Development dependencies: a production install has neither.
const EVERYTHING_FACTORY = '@modelcontextprotocol/server-everything/dist/server/index.js';
const LEGACY_TRANSPORT = '@modelcontextprotocol/sdk/server/streamableHttp.js';

/** Every tool of server-everything but `get-env`, which prints the environment, and one that cannot do without tasks. */
const EVERYTHING_TOOLS = [
  'echo',
  'get-annotated-message',
  'get-{resource-links,resource-reference,roots-list}',
  'get-structured-content',
  'get-sum',
  'get-tiny-image',
  'gzip-file-as-resource',
  'toggle-*',
  'trigger-*',
];
const EVERYTHING: DemoPolicy = {
  allowedTools: EVERYTHING_TOOLS,
  allowedPrompts: ['*'],
  allowedResources: ['demo://*'],
};
const TOOLBOX: DemoPolicy = {
  allowedTools: ['kv_*', 'list_files', 'read_file', 'time'],
  allowedPrompts: [],
  allowedResources: [],
};

const WELCOME = `# Welcome to Switchboard

You are reading a file through an MCP gateway: your client called \`toolbox.read_file\`, the gateway checked the
allow-list and passed the call to a demo upstream. Put files beside this one and ask for them.
`;

export interface DemoPolicy {
  readonly allowedTools: readonly string[];
  readonly allowedPrompts: readonly string[];
  readonly allowedResources: readonly string[];
}

export interface DemoUpstream {
  /** The McpConfig's name; the service is the part before `-`. */
  readonly name: string;
  readonly url: string;
  readonly policy: DemoPolicy;
}

export interface DemoUpstreams {
  readonly upstreams: readonly DemoUpstream[];
  /** What the operator should know, such as an upstream that was left out. */
  readonly notes: readonly string[];
  /** Ends the children and waits for that, two seconds at most. */
  close(): Promise<void>;
}

export interface DemoUpstreamsOptions {
  /** Created if missing: `files/` is what agents may read, `kv.json` keeps their values. */
  readonly folder: string;
  readonly log: { warn(fields: object, message: string): void };
}

interface RunningUpstream extends DemoUpstream {
  close(): Promise<void>;
}

/** @throws GatewayError `internal` when a child does not serve within ten seconds; nothing is left running then */
export async function startDemoUpstreams({ folder, log }: DemoUpstreamsOptions): Promise<DemoUpstreams> {
  await createFolder(folder);
  const notes: string[] = [];
  const starts = [startUpstream('toolbox-demo', TOOLBOX, startChild('toolbox-upstream', folder), log)];
  const factory = resolveInstalled(EVERYTHING_FACTORY);
  if (factory !== undefined && resolveInstalled(LEGACY_TRANSPORT) !== undefined) {
    starts.unshift(startUpstream('everything-demo', EVERYTHING, startChild('everything-upstream', factory), log));
  } else {
    notes.push('everything-demo is left out: @modelcontextprotocol/server-everything is not installed.');
  }
  const outcomes = await Promise.allSettled(starts);
  const running = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const close = async (): Promise<void> => {
    await Promise.all(running.map((upstream) => upstream.close()));
  };
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed === undefined) {
    return { upstreams: running.map(({ name, url, policy }) => ({ name, url, policy })), notes, close };
  }
  await close();
  throw failed.reason;
}

async function createFolder(folder: string): Promise<void> {
  const files = join(folder, 'files');
  const created = await mkdir(files, { recursive: true, mode: 0o700 });
  if (created !== undefined) await writeFile(join(files, 'welcome.md'), WELCOME, { mode: 0o600 });
}

function resolveInstalled(specifier: string): string | undefined {
  try {
    return import.meta.resolve(specifier);
  } catch {
    // The only failure of a constant specifier is that its package is not there.
    return undefined;
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** The environment is empty: whatever the tools of an upstream show, none of the operator's secrets is in it. */
function startChild(file: string, argument: string): Child {
  // `.ts` in a checkout, `.js` when built.
  const script = fileURLToPath(new URL(`./${file}${extname(import.meta.url)}`, import.meta.url));
  return spawn(process.execPath, [script, argument], { env: {}, stdio: ['pipe', 'pipe', 'pipe'] });
}

async function startUpstream(
  name: string,
  policy: DemoPolicy,
  child: Child,
  log: DemoUpstreamsOptions['log'],
): Promise<RunningUpstream> {
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_STDERR_CHARS);
  });
  const ended = once(child, 'close');
  let isClosing = false;
  const close = async (): Promise<void> => {
    isClosing = true;
    child.stdin.end();
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await ended.finally(() => clearTimeout(kill));
  };
  try {
    const url = await Promise.race([firstUrl(child), failure(ended)]);
    ended.then(
      ([code]) =>
        isClosing || log.warn({ upstream: name, code, stderr }, 'demo upstream ended; restart to have it back'),
      () => undefined,
    );
    return { name, policy, url, close };
  } catch (cause) {
    child.kill('SIGKILL');
    await ended.catch(() => undefined);
    const reason = stderr.trim() || (cause instanceof Error ? cause.message : String(cause));
    throw new GatewayError('internal', `The demo upstream "${name}" did not start: ${reason}`, { cause });
  }
}

/** The one line a demo upstream prints. */
async function firstUrl(child: Child): Promise<string> {
  const lines = createInterface({ input: child.stdout });
  const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(START_LIMIT_MS) }).catch((cause: unknown) => {
    throw new GatewayError('internal', `it printed no address within ${START_LIMIT_MS / 1000} s`, { cause });
  });
  const { url }: { url: string } = JSON.parse(line);
  return url;
}

async function failure(ended: Promise<unknown[]>): Promise<never> {
  const [code, signal] = await ended;
  throw new GatewayError('internal', `it ended with ${signal ?? `exit code ${code}`} before it served`);
}
