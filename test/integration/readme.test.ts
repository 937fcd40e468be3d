// README is run: every command of its `sh` blocks in order, in a copy of the checkout, with the config file it shows.
// Its tables are compared with the code they describe.

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { connectLines } from '../../src/cli/demo/connect-lines.ts';
import { ERRORS, UPSTREAM_FAILURE_REASONS } from '../../src/domain/errors.ts';
import { settingsSchema, toSettingsTable } from '../../src/settings/schema.ts';
import { scratchFolder } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENTED_URL = 'http://127.0.0.1:8080';
const START_LIMIT_MS = 30_000;
const run = promisify(execFile);

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

const readme = read('README.md');
const scripts: Record<string, string> = JSON.parse(read('package.json')).scripts;

function blocksOf(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, text]) => text ?? '');
}

function between(marker: string): string {
  return new RegExp(`<!-- ${marker} -->\\n(.*?)<!-- /${marker} -->`, 's').exec(readme)?.[1]?.trimEnd() ?? '';
}

/** Commands that this test cannot run, with what runs them and a look that it does. */
const RUN_ELSEWHERE: readonly [command: RegExp, check: (command: string) => void][] = [
  [
    /^npm ci && npm test$/,
    // The command that this test is a part of: CI calls it as it is printed.
    (command) => {
      assert.ok(scripts.test?.includes('test/integration/**/*.test.ts'));
      assert.ok(read('.ci/run').split('\n').includes(command));
    },
  ],
  [
    /^claude mcp add /,
    // `npm run test:clients` installs Claude Code and runs the line that `npm start` prints, which this one is.
    (command) => {
      const token = 'swb_agt_example';
      const printed = connectLines({ url: `${DOCUMENTED_URL}/mcp`, token });
      assert.ok(printed.includes(`  ${command.replace('$SWITCHBOARD_TOKEN', token)}\n`), command);
      assert.equal(scripts['test:clients'], 'node test/clients/run.ts');
      assert.match(read('test/clients/run.ts'), /claude mcp add \(the printed line\)/);
    },
  ],
  [/^claude mcp list$/, () => assert.match(read('test/clients/run.ts'), /'claude', \['mcp', 'list'\]/)],
];

const SHORT_BENCH = '--rounds 1 --seconds 0.2 --load own --scenarios small-call-modern --lanes gateway';

/** Commands that are run in a shorter form. */
const SHORTENED: ReadonlyMap<string, string> = new Map([
  // The packages are a link to this checkout's own.
  ['npm ci && npm start', 'npm start'],
  [
    'npx switchboard bench http://127.0.0.1:8080/mcp --token "$DEVBOX_CI_TOKEN" --rate 100 --duration 10',
    'npx switchboard bench http://127.0.0.1:8080/mcp --token "$DEVBOX_CI_TOKEN" --rate 100 --duration 1',
  ],
  ['npm run bench', `npm run bench -- ${SHORT_BENCH}`],
  ['npm run bench:full', `npm run bench:full -- ${SHORT_BENCH}`],
]);

const NPX = 'npx switchboard';
const SERVES = /\bnpm start$|\bswitchboard(?:\.cjs)? serve\b/;

/** bash takes the socket that is its stdin here for a login from elsewhere, and would run this machine's `~/.bashrc` first. */
const SHELL = ['--norc', '-c'];

/** The cache of compiled modules halves the time a process takes to start. */
function shellVariables(): Record<string, string> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE = '' } = process.env;
  return { PATH, HOME, NODE_COMPILE_CACHE };
}

/** What README's reader has: a folder, a shell's variables, and at most one gateway that runs in another window. */
class Reader {
  readonly #cwd: string;
  readonly env: Record<string, string> = shellVariables();
  #gateway: ChildProcess | undefined;
  #url = DOCUMENTED_URL;
  #hasUsedNpx = false;

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  async type(line: string): Promise<void> {
    const command = this.#withoutNpx((SHORTENED.get(line) ?? line).replaceAll(DOCUMENTED_URL, this.#url));
    const variable = /^export (\w+)=/.exec(command)?.[1];
    if (SERVES.test(command)) await this.#serve(command);
    else if (variable === undefined) await this.#run(command);
    else this.env[variable] = await this.#run(`${command}; printf %s "$${variable}"`);
    if (variable === 'SWITCHBOARD_API_KEY') await eventually(() => this.#isKeyKnown());
  }

  /** The gateway follows the store within half a second, which is faster than people type. */
  async #isKeyKnown(): Promise<boolean> {
    const headers = { authorization: `Bearer ${this.env.SWITCHBOARD_API_KEY}` };
    return (await fetch(`${this.#url}/v1/mcp-configs?limit=1`, { headers })).ok;
  }

  /** npx takes longer to find this package's own command than the command takes: it is asked to the first time. */
  #withoutNpx(command: string): string {
    if (!command.includes(NPX)) return command;
    if (this.#hasUsedNpx) return command.replaceAll(NPX, 'node src/switchboard.cjs');
    this.#hasUsedNpx = true;
    return command;
  }

  /**
   * Ends what runs in the other window: `npm start` by a SIGTERM to npm alone, as a supervisor does, which it passes on
   * because the script replaces its shell (`exec`); anything else by Ctrl-C, which the whole process group gets.
   */
  async interrupt(): Promise<void> {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    if (gateway?.pid === undefined || gateway.exitCode !== null || gateway.signalCode !== null) return;
    const group = -gateway.pid;
    const ended = once(gateway, 'exit');
    if (gateway.spawnargs.at(-1) === 'npm start') gateway.kill('SIGTERM');
    else process.kill(group, 'SIGINT');
    const kill = setTimeout(() => process.kill(group, 'SIGKILL'), START_LIMIT_MS);
    const [code, signal] = await ended.finally(() => clearTimeout(kill));
    // npm waits for the gateway and then ends as it was told to, by the signal.
    assert.ok(code === 0 || signal === 'SIGINT' || signal === 'SIGTERM', `it ended with ${code ?? signal}`);
    await assert.rejects(fetch(`${this.#url}/livez`), 'it still serves');
  }

  async #run(command: string): Promise<string> {
    const { stdout } = await run('bash', [...SHELL, `set -e; ${command}`], {
      cwd: this.#cwd,
      env: this.env,
      timeout: 60_000,
    });
    return stdout;
  }

  async #serve(command: string): Promise<void> {
    await this.interrupt();
    const env = { ...this.env, SWITCHBOARD_LISTEN: '127.0.0.1:0' };
    const child = spawn('bash', [...SHELL, command], {
      cwd: this.#cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#gateway = child;
    let output = '';
    const onText = (text: string): void => {
      output += text;
    };
    child.stderr.setEncoding('utf8').on('data', onText);
    child.stdout.setEncoding('utf8').on('data', onText);
    const limit = AbortSignal.timeout(START_LIMIT_MS);
    while (!/\/mcp\b.*\n$/s.test(output)) {
      await Promise.race([once(child.stdout, 'data', { signal: limit }), once(child, 'exit', { signal: limit })]);
      assert.equal(child.exitCode, null, `${command} ended: ${output}`);
    }
    this.#url = /(http:\/\/\S+)\/mcp\b/.exec(output)?.[1] ?? '';
    this.env.SWITCHBOARD_TOKEN ??= /swb_agt_\S+/.exec(output)?.[0] ?? '';
  }
}

test('every command does what it says, from the first to the last', async () => {
  const cwd = await scratchFolder();
  const upstream = await startRecordingUpstream({
    era: 'modern',
    tools: ['get_issue', 'search_issues', 'delete_issue'].map(
      (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
    ),
  });
  for (const name of ['package.json', 'config', 'bench']) {
    await cp(join(ROOT, name), join(cwd, name), { recursive: true });
  }
  // A copy of the sources would be compiled anew, by every process that is the first to need a part of them.
  for (const name of ['src', 'node_modules']) await symlink(join(ROOT, name), join(cwd, name));
  const [config = ''] = blocksOf('yaml');
  const endpoint = 'https://tracker.example.com/mcp';
  assert.ok(config.includes(endpoint));
  await writeFile(join(cwd, 'switchboard.yaml'), config.replace(endpoint, upstream.url));

  const commands = blocksOf('sh').flatMap((block) => block.trimEnd().split('\n'));
  assert.ok(commands.length > 20);
  const reader = new Reader(cwd);
  try {
    for (const command of commands) {
      const elsewhere = RUN_ELSEWHERE.find(([pattern]) => pattern.test(command));
      if (elsewhere === undefined) await reader.type(command);
      else elsewhere[1](command);
    }
    assert.ok(upstream.requests.every(({ headers }) => headers.authorization === `Bearer ${reader.env.TRACKER_KEY}`));
    assert.ok(upstream.requests.length > 0);
    await reader.interrupt();
  } finally {
    await upstream.close();
    await reader.interrupt();
  }
});

test('every other YAML that it shows is a part of a config file', () => {
  const [, ...parts] = blocksOf('yaml');
  for (const part of parts) assert.deepEqual(settingsSchema.safeParse(parse(part)).error?.issues, undefined, part);
});

describe('its tables say what the code does', () => {
  test('settings', () => assert.equal(between('settings'), toSettingsTable()));

  test('environment variables', () => {
    const documented = [...readme.matchAll(/^\| `(SWITCHBOARD_\w+)` \|/gm)].map(([, name]) => name);
    const known = [...read('src/settings/environment.ts').matchAll(/read\('(SWITCHBOARD_\w+)'/g)].map(
      ([, name]) => name,
    );
    assert.deepEqual(documented.sort(), known.sort());
  });

  test('errors', () => {
    const rows = Object.entries(ERRORS).map(
      ([code, { status, jsonRpcCode, fault, title }]) =>
        `| \`${code}\` | ${status} | ${jsonRpcCode} | ${fault} | ${title} |`,
    );
    const table = ['| Code | HTTP | JSON-RPC | Whose mistake | Title |', '| --- | --- | --- | --- | --- |', ...rows];
    assert.equal(between('errors'), table.join('\n'));
  });

  test('reasons of an upstream that failed', () => {
    const documented = [...between('reasons').matchAll(/^\| `(\w+)` \| \S/gm)].map(([, reason]) => reason);
    assert.deepEqual(documented, [...UPSTREAM_FAILURE_REASONS]);
  });
});

test('no command is printed without a block that is run', () => {
  const inline = [...readme.matchAll(/`((?:npm|npx|claude|switchboard) [^`]+)`/g)].map(([, command]) => command ?? '');
  const commands = blocksOf('sh').join('\n');
  // Run by test/integration/cli-demo.test.ts, which reads it from what the demo prints.
  const elsewhere = 'npx switchboard explain everything.get-env --token demo';
  assert.deepEqual(
    inline.filter((command) => !commands.includes(command) && command !== elsewhere),
    [],
  );
});
