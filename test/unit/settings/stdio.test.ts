import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { readConfigFile } from '../../../src/settings/config-file.ts';
import { renderEffective } from '../../../src/settings/effective.ts';
import { inheritedEnvironment, readEnvironment } from '../../../src/settings/environment.ts';
import { formatProblem } from '../../../src/settings/file-problem.ts';
import { loadSettings } from '../../../src/settings/load-settings.ts';

const VARIABLES = { PATH: process.env.PATH, KEY: 'a-key', TOKEN: 'token-of-thirty-two-characters-0123456789' };

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-settings-'));
});
after(() => rm(directory, { recursive: true }));

async function linesOf(text: string): Promise<string[]> {
  const file = join(directory, 'config.yaml');
  await writeFile(file, text);
  const outcome = await readConfigFile(file, readEnvironment(VARIABLES).lookup);
  const lines = (outcome.ok ? outcome.warnings : outcome.problems).map(formatProblem);
  // Where a path stands in the file is the reader's to know.
  return lines.map((line) => line.replace(/^\S+ /, ''));
}

const SECRETS = 'secrets: [{ name: KEY, value_from: { env: KEY } }]\n';
const tokens = (grant: string) =>
  `tokens: [{ name: a, value_from: { env: TOKEN }, grants: [{ mcp_config: files, ${grant} }] }]\n`;
const config = (stdio: string, more = '') =>
  `mcp_configs:\n  - name: files\n    stdio: ${stdio}\n    allowed_tools: ["*"]\n${more}`;

test('a command is declared with its arguments, its environment and its directory', async () => {
  const stdio =
    '{ command: node, args: ["-e", ""], env: { ROOT: /srv, A: { secret: KEY }, B: { from: grant } }, cwd: . }';
  const file = join(directory, 'config.yaml');
  await writeFile(file, SECRETS + config(stdio) + tokens('secret: KEY'));
  const outcome = await loadSettings(file, readEnvironment(VARIABLES));
  assert.ok(outcome.ok);
  const { settings } = outcome;
  const [declared] = settings.declared.mcpConfigs;
  assert.equal(declared?.endpoint, 'stdio:files');
  assert.deepEqual(declared?.stdio, {
    command: 'node',
    args: ['-e', ''],
    env: [
      { name: 'ROOT', value: '/srv' },
      { name: 'A', secret: 'KEY' },
      { name: 'B', fromGrant: true },
    ],
    cwd: directory,
    process: 'credential',
  });
  const [shown] = parse(renderEffective(settings)).mcp_configs;
  assert.deepEqual(shown.stdio.env, { ROOT: '/srv', A: { secret: 'KEY' }, B: { from: 'grant' } });
  assert.equal(shown.endpoint, undefined);
});

const refused: readonly (readonly [fact: string, text: string, lines: readonly string[]])[] = [
  [
    'neither a URL nor a command',
    'mcp_configs:\n  - name: files\n    allowed_tools: ["*"]\n',
    ['mcp_configs[0].endpoint is missing: URL of the upstream MCP server. For one that is a command, write stdio'],
  ],
  [
    'a URL beside a command',
    config('{ command: node }', '    endpoint: https://a.example/\n'),
    ['mcp_configs[0].stdio stands beside endpoint, and an upstream is either a URL or a command: remove one'],
  ],
  [
    'an endpoint that claims to be a command',
    'mcp_configs:\n  - { name: files, endpoint: "stdio:files", allowed_tools: [] }\n',
    [
      'mcp_configs[0].endpoint begins with stdio:, which only stands for a process that the config file of the gateway declares under stdio: give an http(s) URL, or declare the process there',
    ],
  ],
  [
    'what is for URLs',
    config('{ command: node }', '    auth_mechanism: { type: bearer }\n    proxy: http://p.example:1/\n'),
    ['auth_mechanism', 'proxy'].map(
      (key) =>
        `mcp_configs[0].${key} is for an upstream at a URL, and this one is a command: give it what it needs in stdio.env`,
    ),
  ],
  [
    'a misspelt key',
    config('{ comand: node }'),
    ['mcp_configs[0].stdio.comand is not a known key (did you mean command?)'],
  ],
  [
    'a variable that is a number',
    config('{ command: node, env: { PORT: 1 } }'),
    [
      'mcp_configs[0].stdio.env.PORT must be text (numbers and true or false in quotes), { secret: NAME } or { from: grant }',
    ],
  ],
  [
    'a variable without a name of one',
    config('{ command: node, env: { a-b: "1" } }'),
    [
      'mcp_configs[0].stdio.env has "a-b", which is no name of an environment variable: letters, digits and _, not beginning with a digit',
    ],
  ],
  [
    'a secret that is not declared',
    SECRETS + config('{ command: node, env: { A: { secret: KEYS } } }'),
    ['mcp_configs[0].stdio.env.A.secret names no secret of this file (did you mean KEY?)'],
  ],
  [
    'a grant without the secret that the environment takes',
    config('{ command: node, env: { A: { from: grant } } }') + tokens('allowed_tools: ["*"]'),
    ['tokens[0].grants[0] needs a secret: A in the environment of this McpConfig is taken from the grant'],
  ],
  [
    'a NUL in an argument',
    config('{ command: node, args: ["a\\0b"] }'),
    ['mcp_configs[0].stdio.args[0] holds a NUL character, which no program can be given'],
  ],
];
for (const [fact, text, lines] of refused)
  test(`refused: ${fact}`, async () => assert.deepEqual(await linesOf(text), lines));

test('warned of: what is probably not meant', async () => {
  const stdio = '{ command: "npx -y server", env: { MY_TOKEN: literal }, cwd: /no/such/folder }';
  assert.deepEqual(await linesOf(SECRETS + config(stdio) + tokens('secret: KEY')), [
    'mcp_configs[0].stdio.command holds a space and has no args: no shell splits it, so write the program here and each argument in args',
    'mcp_configs[0].stdio.command is no program that can be run on this machine: install it, or give its path',
    'mcp_configs[0].stdio.env.MY_TOKEN is a literal, and its name is that of a secret, which does not belong into a file: declare it under secrets and write { secret: NAME }',
    'mcp_configs[0].stdio.cwd is no directory on this machine',
    'tokens[0].grants[0].secret is sent nowhere: no variable in stdio.env of this McpConfig is { from: grant }',
  ]);
});

test('a command inherits what programs need to run, and nothing of the gateway', () => {
  const inherited = inheritedEnvironment({
    PATH: '/bin',
    HOME: '/root',
    LC_ALL: 'C',
    TZ: 'UTC',
    SHELL: '() { :; }',
    SWITCHBOARD_MASTER_KEY: 'key',
    GITHUB_TOKEN: 'token',
    NODE_OPTIONS: '--inspect',
    LD_PRELOAD: '/tmp/a.so',
  });
  assert.deepEqual(inherited, { PATH: '/bin', HOME: '/root', LC_ALL: 'C', TZ: 'UTC' });
});
