// What the command line says when it cannot do what it was asked: lines an operator can act on, an exit code, and
// nothing started or written on the way.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { type CliResult, listedTools, runCli, scratchFolder, startCli } from '../support/cli.ts';
import { configFile, tokenValue, variablesOf } from '../support/gateway.ts';
import { findDeadPort, listenLocally } from '../support/local-server.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';

const TOKEN = 'devbox-token-0123456789-abcdefghijklmnop';
const EMPTY = '{ "listen": { "port": 0 }, "store": { "url": "sqlite:store/switchboard.db" } }';
const OTHER_MASTER_KEY = 'k8Jw2pQx5vN0sT7yB4mC1fH6gL9dR3aZ8eU2iO5kX0c=';

/** Each case is a process of its own or two. */
const PARALLEL = { concurrency: 4 };

function assertRefused(result: CliResult, code: number, lines: readonly (string | RegExp)[]): void {
  const said = result.stderr.trimEnd().split('\n');
  assert.equal(said.length, lines.length, result.stderr);
  lines.forEach((line, index) => {
    if (typeof line === 'string') assert.equal(said[index], line);
    else assert.match(said[index] ?? '', line);
  });
  assert.doesNotMatch(result.stderr, /^\s+at /m, 'a stack trace');
  assert.equal(result.stdout, '');
  assert.equal(result.code, code);
}

describe('a config file with problems is not served, and every problem has a line with its place', PARALLEL, () => {
  const files: readonly [fact: string, text: string, lines: readonly string[]][] = [
    ['empty', '', ['a.yaml:1:1 is empty: declare mcp_configs and tokens, or write {} for the defaults']],
    [
      'comments alone',
      '# later\n',
      ['a.yaml:1:1 is empty: declare mcp_configs and tokens, or write {} for the defaults'],
    ],
    ['broken YAML', 'listen:\n  host: "127.0.0.1\n', ['a.yaml:3:1 cannot be read as YAML: Missing closing "quote']],
    [
      'unknown keys',
      'lisen: { port: 0 }\nlisten: { prot: 0 }\n',
      [
        'a.yaml:1:1 lisen is not a known key (did you mean listen?)',
        'a.yaml:2:11 listen.prot is not a known key (did you mean port?)',
      ],
    ],
    [
      'duplicate names',
      [
        'mcp_configs:',
        '  - { name: github, endpoint: "https://a.example/mcp", allowed_tools: [] }',
        '  - { name: github, endpoint: "https://b.example/mcp", allowed_tools: [] }',
        '',
      ].join('\n'),
      ['a.yaml:3:13 mcp_configs[1].name is the name of mcp_configs[0] as well: names are unique'],
    ],
    [
      'a secret written into it',
      'secrets:\n  - name: GITHUB_TOKEN\n    value: ghp_do_not_print_me\n',
      [
        'a.yaml:2:5 secrets[0].value_from is missing: Where the value is read from when the file is loaded.',
        'a.yaml:3:5 secrets[0].value is a secret written into the file: take it out, write value_from: { env: NAME } or { file: PATH }, and rotate it',
      ],
    ],
    [
      "a token whose variable is not set, and one that holds an agent's placeholder",
      [
        'tokens:',
        '  - { name: a, value_from: { env: TOKEN_A }, grants: [] }',
        '  - { name: b, value_from: { env: TOKEN_B }, grants: [] }',
        '',
      ].join('\n'),
      [
        'a.yaml:2:35 tokens[0].value_from.env the environment variable TOKEN_A is not set: export it before starting',
        'a.yaml:3:35 tokens[1].value_from.env the value must be 32 to 256 visible ASCII characters, without blanks: make one with `openssl rand -hex 32`',
      ],
    ],
  ];
  for (const [fact, text, lines] of files) {
    test(fact, async () => {
      const cwd = await scratchFolder();
      await writeFile(join(cwd, 'a.yaml'), text);
      const env = { TOKEN_B: 'short' };
      for (const args of [
        ['serve', '--config', 'a.yaml'],
        ['check', 'a.yaml'],
      ]) {
        assertRefused(await runCli(args, { cwd, env }), 1, lines);
      }
      assert.equal(existsSync(join(cwd, '.switchboard')), false, 'a store was made');
    });
  }

  test('a store in PostgreSQL without a master key, which is said before anybody is asked for a connection', async () => {
    const cwd = await scratchFolder();
    await writeFile(join(cwd, 'a.yaml'), 'store: { url: "postgres://user:hunter2@127.0.0.1:1/switchboard" }\n');
    const { code, stderr } = await runCli(['serve', '--config', 'a.yaml'], { cwd });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^switchboard: There is no master key\. Set SWITCHBOARD_MASTER_KEY or SWITCHBOARD_MASTER_KEY_FILE\./,
    );
    const env = { SWITCHBOARD_MASTER_KEY: 'a-master-key-of-the-tests-0123456789' };
    const unreachable = await runCli(['serve', '--config', 'a.yaml'], { cwd, env });
    assert.match(
      unreachable.stderr,
      /^switchboard: The store in PostgreSQL at 127\.0\.0\.1:1 .* cannot be opened: .*ECONNREFUSED/,
    );
    assert.doesNotMatch(unreachable.stderr, /hunter2/);
  });

  test('there is no such file', async () => {
    const cwd = await scratchFolder();
    const lines = ['gone.yaml:1:1 is not there: give the path of a config file'];
    for (const args of [
      ['serve', '-c', 'gone.yaml'],
      ['check', 'gone.yaml'],
      ['keys', 'list', '-c', 'gone.yaml'],
    ]) {
      assertRefused(await runCli(args, { cwd }), 1, lines);
    }
  });
});

describe('a store that cannot be used is left as it is', PARALLEL, () => {
  let made: string;
  before(async () => {
    made = await scratchFolder();
    await writeFile(join(made, 'a.yaml'), EMPTY);
    assert.equal((await runCli(['keys', 'list', '-c', 'a.yaml'], { cwd: made })).code, 0);
  });

  async function copyStore(change: (file: string) => void | Promise<void> = () => undefined): Promise<string> {
    const cwd = await scratchFolder();
    await cp(made, cwd, { recursive: true });
    await change(join(cwd, 'store', 'switchboard.db'));
    return cwd;
  }

  /** Every command that opens the store says the same one line, and not a byte of the file has changed. */
  async function assertStoreRefused(cwd: string, line: RegExp, env: Record<string, string> = {}): Promise<void> {
    const file = join(cwd, 'store', 'switchboard.db');
    const before = await readFile(file).catch(() => undefined);
    for (const args of [
      ['serve', '-c', 'a.yaml'],
      ['keys', 'create', 'ops', '-c', 'a.yaml'],
    ]) {
      assertRefused(await runCli(args, { cwd, env }), 1, [line]);
    }
    assert.deepEqual(await readFile(file).catch(() => undefined), before);
  }

  test('a file that is no database', async () => {
    const cwd = await copyStore((file) => writeFile(file, 'a letter to mother, not a database. '.repeat(200)));
    await assertStoreRefused(
      cwd,
      /^switchboard: The store \S+ cannot be opened: file is not a database\. .*restore a backup/,
    );
  });

  test('a directory in its place', async () => {
    const cwd = await scratchFolder();
    await mkdir(join(cwd, 'store', 'switchboard.db'), { recursive: true });
    await writeFile(join(cwd, 'a.yaml'), EMPTY);
    await assertStoreRefused(cwd, /^switchboard: The store \S+ cannot be opened: .*It must be a file/);
  });

  test('one of a newer version', async () => {
    const cwd = await copyStore((file) => {
      const database = new DatabaseSync(file);
      database.exec('UPDATE schema_version SET version = 999; PRAGMA wal_checkpoint(TRUNCATE)');
      database.close();
    });
    await assertStoreRefused(
      cwd,
      /^switchboard: The store \S+ was written by a newer Switchboard \(schema 999, this one knows \d+\)\. Start the newer version/,
    );
  });

  test('another master key than its own', async () => {
    await assertStoreRefused(
      await copyStore(),
      /^switchboard: The master key is not the one this store was made with .*Start with the first key/,
      { SWITCHBOARD_MASTER_KEY: OTHER_MASTER_KEY },
    );
  });

  test('a master key that could be guessed, or one given twice', async () => {
    const cwd = await copyStore();
    await assertStoreRefused(cwd, /^switchboard: SWITCHBOARD_MASTER_KEY has 6 characters\. Expected is 32 bytes/, {
      SWITCHBOARD_MASTER_KEY: 'secret',
    });
    await assertStoreRefused(
      cwd,
      /^switchboard: SWITCHBOARD_MASTER_KEY and SWITCHBOARD_MASTER_KEY_FILE are both set: keep one$/,
      { SWITCHBOARD_MASTER_KEY: OTHER_MASTER_KEY, SWITCHBOARD_MASTER_KEY_FILE: 'key' },
    );
  });
});

describe('a port in use', () => {
  const inUse = /^switchboard: Port \d+ on 127\.0\.0\.1 is in use\. Stop the other process, or set listen\.port/;

  test('a start beside a running gateway fails in one line and changes nothing there', async () => {
    const upstream = await startRecordingUpstream({ era: 'legacy' });
    const cwd = await scratchFolder();
    const options = { configs: [{ name: 'github', url: upstream.url }] };
    await writeFile(join(cwd, 'a.yaml'), configFile(options));
    const running = await startCli(['serve', '-c', 'a.yaml'], { cwd, env: variablesOf(options) });
    try {
      const { port } = new URL(running.url);
      const other = { ...JSON.parse(EMPTY), listen: { port: Number(port) } };
      await writeFile(join(cwd, 'b.yaml'), JSON.stringify(other));
      assertRefused(await runCli(['serve', '-c', 'b.yaml'], { cwd }), 1, [inUse]);
      assert.deepEqual(await listedTools(running.url, tokenValue('agent')), ['github.echo']);
    } finally {
      await running.stop();
      await upstream.close();
    }
  });

  test('one port for both listeners fails in one line, and nothing goes on being served', async () => {
    const cwd = await scratchFolder();
    const port = await findDeadPort();
    await writeFile(join(cwd, 'a.json'), JSON.stringify({ listen: { port }, admin: { listen: { port } } }));
    const env = { SWITCHBOARD_LOG_LEVEL: 'warn' };
    assertRefused(await runCli(['serve', '-c', 'a.json'], { cwd, env }), 1, [inUse]);
  });

  test('the demo fails in one line and leaves no folder behind', async () => {
    const cwd = await scratchFolder();
    const other = createServer();
    const port = await listenLocally(other);
    try {
      assertRefused(await runCli([], { cwd, env: { SWITCHBOARD_LISTEN: `127.0.0.1:${port}` } }), 1, [inUse]);
      assert.equal(existsSync(join(cwd, '.switchboard')), false);
    } finally {
      other.close();
    }
  });
});

describe('a failed system call is one line as well', () => {
  test("a file where the demo's folder should be", async () => {
    const cwd = await scratchFolder();
    await mkdir(join(cwd, '.switchboard'));
    await writeFile(join(cwd, '.switchboard', 'demo'), '');
    const result = await runCli([], { cwd, env: { SWITCHBOARD_LISTEN: '127.0.0.1:0' } });
    assertRefused(result, 1, [/^switchboard: ENOTDIR: not a directory, mkdir '\.switchboard\/demo\/files'$/]);
  });
});

describe('a variable that cannot be read is named', PARALLEL, () => {
  const cases: readonly [name: string, value: string, line: RegExp][] = [
    ['SWITCHBOARD_LISTEN', '8080', /^switchboard: SWITCHBOARD_LISTEN must be HOST:PORT, such as 127\.0\.0\.1:8080/],
    ['SWITCHBOARD_LOG_LEVEL', 'inof', /^switchboard: SWITCHBOARD_LOG_LEVEL must be one of .*\(did you mean info\?\)$/],
    ['SWITCHBOARD_URL', 'gateway', /^switchboard: SWITCHBOARD_URL must be an http\(s\) URL/],
  ];
  for (const [name, value, line] of cases) {
    test(name, async () => {
      const cwd = await scratchFolder();
      assertRefused(await runCli(['explain', 'a.b', '--token', 'c'], { cwd, env: { [name]: value } }), 1, [line]);
    });
  }
});

describe('a command that was called wrongly exits with 2 and says what is wrong', PARALLEL, () => {
  const cases: readonly [args: string, line: string][] = [
    ['srve --config a.yaml', "unknown command 'srve' (did you mean serve?)"],
    [
      'proxy',
      "unknown command 'proxy'; there are demo, serve, check, configs, secrets, tokens, keys, explain, preview, issues, catalog, history, revert, diff, apply, export, audit, backup, restore, bench, mock-upstream, help",
    ],
    ['tokens creat ci', "unknown command 'creat' (did you mean create?)"],
    ['serve', "required option '-c, --config <file>' not specified"],
    ['check', "missing required argument 'file'"],
    ['check a.yaml --efective', "unknown option '--efective' (did you mean --effective?)"],
    [
      'keys create a/b',
      "command-argument value 'a/b' is invalid for argument 'name'. Use 1 to 128 of A-Z a-z 0-9 _ . -, starting with a letter or digit.",
    ],
    [
      'keys create a --role boss',
      "option '--role <role>' argument 'boss' is invalid. Allowed choices are owner, editor, viewer.",
    ],
    ['tokens create a', "required option '--grant <config[=secret]>' not specified"],
    [
      'tokens create a --grant b=',
      "option '--grant <config[=secret]>' argument 'b=' is invalid. Write CONFIG or CONFIG=SECRET.",
    ],
    [
      'tokens create a --grant b --expires 2099-02-31',
      "option '--expires <date>' argument '2099-02-31' is invalid. Write a date in the future as 2027-01-31 or 2027-01-31T18:00:00Z.",
    ],
    ['configs create --name a --endpoint b', "required option '--allowed-tools <patterns>' not specified"],
    [
      'configs delete a -y --if-match 0',
      "option '--if-match <revision>' argument '0' is invalid. Write a whole number from 1 on.",
    ],
    [
      'tokens create a --grant b --stdin -c a.yaml',
      "option '--stdin' cannot be used with option '-c, --config <file>'",
    ],
    ['explain a.b', "required option '--token <name>' not specified"],
    [
      'explain a.b --token c --url gateway',
      "option '--url <url>' argument 'gateway' is invalid. Write an http(s) URL without user name, such as http://127.0.0.1:8080.",
    ],
  ];
  for (const [args, line] of cases) {
    test(`switchboard ${args}`, async () => {
      const cwd = await scratchFolder();
      assertRefused(await runCli(args.split(' '), { cwd }), 2, [`switchboard: ${line}`]);
      assert.equal(existsSync(join(cwd, '.switchboard')), false);
    });
  }
});

test('a value that was not asked for is never printed', async () => {
  const cwd = await scratchFolder();
  const text = `secrets: [{ name: ${TOKEN}, value: ${TOKEN}, value_from: { env: ${TOKEN} } }]\ntokens: ${TOKEN}\n`;
  await writeFile(join(cwd, 'a.yaml'), text);
  const { stderr, code } = await runCli(['check', 'a.yaml'], { cwd });
  assert.equal(code, 1);
  assert.equal(stderr.includes(TOKEN), false, stderr);
});
