// The commands over REST as processes of their own, beside a running gateway: what they print, and their exit codes.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { createProgram } from '../../src/cli/program.ts';
import { type CliResult, listedTools, runCli, scratchFolder } from '../support/cli.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { listenLocally } from '../support/local-server.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const CANARY = 'canary-value-of-the-secret-0123456789';
const TOOLS = ['search_issues', 'get_issue', 'delete_repo'];

let cwd: string;
let upstream: RecordingUpstream;
let gateway: TestGateway;

before(async () => {
  cwd = await scratchFolder();
  const tools = TOOLS.map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } }));
  upstream = await startRecordingUpstream({ era: 'modern', tools });
  gateway = await startGateway({
    configs: [{ name: 'declared', url: upstream.url }],
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
});

after(async () => {
  await gateway.close();
  await upstream.close();
});

interface Options {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function run(args: readonly string[], { input = '', env = {} }: Options = {}): Promise<CliResult> {
  const where = { SWITCHBOARD_URL: gateway.url, SWITCHBOARD_API_KEY: gateway.apiKey };
  const result = await runCli(args, { cwd, input, env: { ...where, ...env } });
  assert.doesNotMatch(result.stderr, /^\s+at /m, 'a stack trace');
  assert.equal(`${result.stdout}${result.stderr}`.includes(CANARY), false);
  return result;
}

/** Its stdout, after a look that it went well. */
async function ask(line: string, options?: Options): Promise<string> {
  const { code, stdout, stderr } = await run(line.split(' '), options);
  assert.equal(code, 0, stderr);
  return stdout;
}

describe('help', () => {
  function* commandsIn(command: Command): Generator<Command> {
    for (const each of command.commands) {
      yield each;
      yield* commandsIn(each);
    }
  }

  test('of every command says what it is for, and shows two examples that it would take', () => {
    const program = createProgram();
    const all = [...commandsIn(program)];
    assert.ok(all.length > 40, String(all.length));
    for (const command of all) {
      let help = '';
      command.configureOutput({
        writeOut: (text) => {
          help += text;
        },
      });
      command.outputHelp();
      const name = command.name();
      assert.notEqual(command.description(), '', name);
      const examples = [...help.matchAll(/^ {2}\$ (?:\w+=\S+ )?switchboard(?: (.*))?$/gm)].map(
        ([, words]) => words ?? '',
      );
      assert.equal(examples.length, 2, `${name}: ${help}`);
      for (const example of examples) assert.ok(findCommand(program, example) !== undefined, `${name}: ${example}`);
    }
  });

  /** The command that the first words of an example name, if it has all the options that it is given. */
  function findCommand(program: Command, example: string): Command | undefined {
    const words = example.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
    let found = program;
    for (const word of words) {
      const next = found.commands.find((each) => [each.name(), ...each.aliases()].includes(word));
      if (next === undefined) break;
      found = next;
    }
    const flags = words.filter((word) => word.startsWith('-'));
    const known = found.options.flatMap(({ short, long }) => [short, long]);
    return flags.every((flag) => known.includes(flag)) ? found : undefined;
  }
});

test('an McpConfig is made, listed, previewed, changed and deleted, and its revisions are told', async () => {
  const create = `configs create --name github-readonly --endpoint ${upstream.url} --allowed-tools {get,search}_*`;
  const id = (await ask(`${create} --header X-Team=search`)).trim();
  assert.match(id, /^mcp_\w+$/);

  const [table, yaml, preview] = await Promise.all([
    ask('mcpc ls --name github'),
    ask('config get github-readonly -o yaml'),
    ask('preview github-readonly --allowed-tools get_*,delete_*'),
  ]);
  const [header, row, ...others] = table.trimEnd().split('\n');
  assert.match(header ?? '', /^ID +NAME +ENDPOINT +ALLOWED_TOOLS +REVISION +MANAGED_BY$/);
  assert.match(row ?? '', new RegExp(`^${id}  github-readonly  http\\S+  \\{get,search\\}_\\* +1 +api$`));
  assert.deepEqual(others, []);
  const shown = parse(yaml);
  assert.deepEqual([shown.id, shown.custom_headers], [id, [{ name: 'X-Team', value: 'search' }]]);
  assert.match(
    preview,
    /^\+ github\.delete_repo {2}by 'delete_\*'\n- github\.search_issues {2}was by '\{get,search\}_\*'\n/,
  );
  assert.match(preview, /^tools {3}\+1 −1, 1 unchanged$/m);

  assert.equal(await ask('configs update github-readonly --allowed-tools get_*'), `${id}\n`);
  const [stale, history, diff] = await Promise.all([
    run(['configs', 'update', id, '--description', 'x', '--if-match', '1']),
    ask('history github-readonly -o json'),
    ask(`configs diff ${id}`),
  ]);
  assert.deepEqual([stale.code, stale.stdout], [1, '']);
  assert.match(
    stale.stderr,
    /^switchboard: The gateway refused \(HTTP 412\): .*is at revision 2, and this request is about 1/,
  );
  assert.deepEqual(
    JSON.parse(history).map((each: { revision: number; action: string }) => [each.revision, each.action]),
    [
      [2, 'update'],
      [1, 'create'],
    ],
  );
  assert.equal(diff, 'allowed_tools\n  - {get,search}_*\n  + get_*\n');

  assert.equal(await ask(`revert ${id} 1`), `${id}\n`);
  const unasked = await run(['configs', 'rm', id]);
  assert.deepEqual([unasked.code, unasked.stdout], [2, '']);
  assert.match(unasked.stderr, /^switchboard: Delete the McpConfig 'mcp_\w+'\? .* say -y to do it\.\n$/);
  assert.equal(await ask(`configs rm ${id} -y`), `${id}\n`);
});

test('an endpoint that has moved is confirmed as the origin that was seen', async () => {
  await ask('secrets create MOVING_KEY', { input: CANARY });
  const id = (await ask(`configs create --name moving --endpoint ${upstream.url} --allowed-tools *`)).trim();
  await ask('tokens create mover --grant moving=MOVING_KEY');
  const origin = 'http://127.0.0.1:9';
  await ask(`configs update moving --endpoint ${origin}/mcp`);
  const [unasked, elsewhere] = await Promise.all([
    run(['configs', 'confirm', 'moving']),
    run(['configs', 'confirm', id, '--origin', new URL(upstream.url).origin]),
  ]);
  assert.deepEqual([unasked.code, unasked.stdout], [2, '']);
  assert.ok(unasked.stderr.includes(`Let the secrets granted with 'moving' go to ${origin}?`), unasked.stderr);
  assert.deepEqual([elsewhere.code, elsewhere.stdout], [1, '']);
  assert.ok(elsewhere.stderr.includes(`points to ${origin} now`), elsewhere.stderr);
  assert.match(await ask(`configs confirm moving --origin ${origin}`), /^tok_\S+\n$/);
  assert.equal(await ask('configs confirm moving -y'), '');
});

test('the value of a secret comes from stdin and is nowhere in what is printed', async () => {
  const id = (await ask('secret create TRACKER_KEY', { input: `${CANARY}\n` })).trim();
  assert.match(id, /^sec_\w+$/);
  const [updated, empty] = await Promise.all([
    ask('s update TRACKER_KEY', { input: `${CANARY}-2` }),
    run(['secrets', 'update', 'TRACKER_KEY']),
  ]);
  assert.equal(updated, `${id}\n`);
  assert.deepEqual([empty.code, empty.stderr], [1, 'switchboard: The value is empty: give it on stdin.\n']);
  assert.match(await ask('secrets get TRACKER_KEY'), /^revision +2$/m);
});

test('a token is made, narrowed, rotated and revoked, its values alone on stdout', async () => {
  await ask(`configs create --name wiki --endpoint ${upstream.url} --allowed-tools get_*`);
  const made = await run('tokens create devbox-1 --grant wiki --names underscore'.split(' '));
  assert.match(made.stderr, /^tok_\S+ 'devbox-1' was made\. This is its value; it is not shown again:\n$/);
  const token = made.stdout.trim();
  assert.deepEqual(await listedTools(gateway.url, token), ['wiki__get_issue']);

  const [catalog, prompts, audit] = await Promise.all([
    ask('catalog --token devbox-1'),
    run('catalog --token devbox-1 --kind prompts'.split(' ')),
    ask('audit --object-kind token --action create --limit 1'),
  ]);
  assert.match(
    catalog,
    /^TOOL +CONFIG +PATTERN +CONTEXT_TOKENS +UPSTREAM\nwiki__get_issue +wiki@1 +get_\* +\d+ +ok\n$/,
  );
  assert.deepEqual([prompts.code, prompts.stdout], [0, '']);
  assert.match(prompts.stderr, /^1 tools, about \d+ tokens of context; 0 prompts, 0 resources\n$/);
  assert.match(audit, /^TIME .*\n\S+Z +test-\w+ +create +token devbox-1@1 +not known\n$/);

  await ask('tokens update devbox-1 --grant declared --names dot');
  assert.deepEqual((await listedTools(gateway.url, token)).sort(), TOOLS.map((name) => `declared.${name}`).sort());
  const own = 'a-token-of-the-operator-0123456789';
  assert.equal(await ask('tokens rotate devbox-1 --overlap 0 --stdin', { input: own }), `${own}\n`);
  assert.equal((await listedTools(gateway.url, own)).length, 3);
  assert.match(await ask('tokens revoke devbox-1'), /^tok_\S+\n$/);
  assert.match(await ask('tokens list --name devbox-1'), / devbox-1 +declared +never +api +revoked\n$/);
});

test('an API key of a viewer reads, and is told what it may not', async () => {
  const key = (await ask('keys create looker --role viewer')).trim();
  const env = { SWITCHBOARD_API_KEY: key };
  const [refused, issues] = await Promise.all([
    run(['tokens', 'revoke', 'agent'], { env }),
    run(['issues', '--fail-on', 'warning', '-o', 'yaml'], { env }),
  ]);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^switchboard: The gateway refused \(HTTP 403\): .* has the role viewer, and revokeMcpToken needs editor/,
  );
  const isBad = parse(issues.stdout).issues.some(({ severity }: { severity: string }) => severity !== 'info');
  assert.equal(issues.code, isBad ? 1 : 0, issues.stdout);
});

test('a write that does not get through is sent again under the same id, when the gateway says', async () => {
  const seen: { readonly id: unknown; readonly atMs: number }[] = [];
  const flaky = createServer((request, response) => {
    seen.push({ id: request.headers['x-request-id'], atMs: performance.now() });
    request.resume();
    if (seen.length === 1) request.socket.destroy();
    else if (seen.length === 2) response.writeHead(503, { 'retry-after-ms': '250' }).end('{"message":"full"}');
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"mcp_1"}');
  });
  const port = await listenLocally(flaky);
  try {
    assert.equal(await ask(`configs delete a -y --url http://127.0.0.1:${port}`), 'mcp_1\n');
    assert.equal(seen.length, 3);
    assert.match(String(seen[0]?.id), /^[0-9a-f-]{36}$/);
    assert.equal(new Set(seen.map(({ id }) => id)).size, 1);
    assert.ok((seen[2]?.atMs ?? 0) - (seen[1]?.atMs ?? 0) >= 245);
  } finally {
    flaky.close();
  }
});
