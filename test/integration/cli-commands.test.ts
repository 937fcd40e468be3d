// The operator's commands as processes beside a running `switchboard serve`, and what they change there.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import {
  type CliResult,
  callTool,
  listedTools,
  type RunningCli,
  runCli,
  scratchFolder,
  startCli,
} from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, configFile, tokenValue, variablesOf } from '../support/gateway.ts';
import { send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const CREDENTIAL = 'ghp_credential_of_github';
const FILE = 'switchboard.json';
/** Each case is processes of its own, one after the other. */
const PARALLEL = { concurrency: 3 };

function tools(...names: readonly string[]): string[] {
  return names.map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } }));
}

let cwd: string;
let github: RecordingUpstream;
let wiki: RecordingUpstream;
let options: ConfigFileOptions;
let gateway: RunningCli;
let apiKey: string;

before(async () => {
  cwd = await scratchFolder();
  github = await startRecordingUpstream({
    era: 'modern',
    tools: tools('search_issues', 'get_issue', 'delete_repo', 'create_issue'),
  });
  wiki = await startRecordingUpstream({ era: 'legacy', tools: tools('read_page') });
  options = {
    configs: [
      { name: 'github-readonly', url: github.url, allowedTools: ['search_*', 'github.get_*'], credential: CREDENTIAL },
      { name: 'github-admin', url: github.url, allowedTools: ['search_issues', 'create_*'] },
      { name: 'wiki', url: wiki.url },
      { name: 'gone', url: 'http://127.0.0.1:9/mcp' },
    ],
    tokens: [
      { name: 'reader', grants: ['github-readonly', 'wiki'] },
      { name: 'narrow', grants: [{ config: 'github-readonly', allowedTools: ['get_*'] }] },
      { name: 'admin', grants: ['github-readonly', 'github-admin'] },
      { name: 'unlucky', grants: ['gone'] },
    ],
    limits: { list_wait_ms: 1000, connect_timeout_ms: 500 },
  };
  await writeFile(join(cwd, FILE), configFile(options));
  apiKey = lines((await run('keys', 'create', 'tests', '-c', FILE)).stdout)[0] ?? '';
  gateway = await startCli(['serve', '--config', FILE], { cwd, env: variablesOf(options) });
});

after(async () => {
  await gateway.stop();
  await Promise.all([github.close(), wiki.close()]);
});

async function run(...args: readonly string[]): Promise<CliResult> {
  const env = { ...variablesOf(options), SWITCHBOARD_URL: gateway?.url ?? '', SWITCHBOARD_API_KEY: apiKey ?? '' };
  return runCli(args, { cwd, env });
}

/** Its stdout, after a look that it went well. */
async function ask(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

function lines(text: string): string[] {
  return text.trimEnd().split('\n');
}

describe('check', PARALLEL, () => {
  test('a good file is said to be good, with what it declares', async () => {
    const { code, stdout, stderr } = await run('check', FILE);
    assert.deepEqual([code, stdout, stderr], [0, `${FILE} is good: 4 McpConfigs, 1 secrets, 4 tokens.\n`, '']);
  });

  test('a warning goes to stderr and does not make the file bad', async () => {
    const configs = [{ name: 'wiki', url: wiki.url, allowedTools: ['wika.*'] }];
    const warned = { configs, tokens: [] };
    await writeFile(join(cwd, 'warned.json'), configFile(warned));
    const { code, stderr } = await run('check', 'warned.json');
    assert.equal(code, 0);
    assert.match(stderr, /^warning: warned\.json:\d+:\d+ mcp_configs\[0\]\.allowed_tools\[0\] /);
  });

  test('a bad file exits with 1', async () => {
    await writeFile(join(cwd, 'bad.json'), '{"lisen":{}}');
    assert.equal((await run('check', 'bad.json')).code, 1);
  });

  test('--effective prints every setting as YAML in the words of the file, and no secret', async () => {
    const text = await ask('check', '--effective', FILE);
    const effective = parse(text);
    assert.deepEqual(effective.listen, { host: '127.0.0.1', port: 0 });
    assert.deepEqual(effective.mcp_configs[0].allowed_tools, ['search_*', 'github.get_*']);
    assert.equal(effective.limits.body_bytes, 4_194_304);
    assert.deepEqual(effective.secrets, [{ name: 'SECRET_GITHUB_READONLY', value: '[redacted]' }]);
    for (const secret of [CREDENTIAL, tokenValue('reader'), tokenValue('admin')]) {
      assert.equal(text.includes(secret), false);
    }
  });
});

describe('keys', PARALLEL, () => {
  /** Whether the running gateway lets this key ask. */
  async function isAccepted(key: string): Promise<boolean> {
    const answer = await send(`${gateway.url}/v1/explain?tool=wiki.read_page&token=reader`, {
      method: 'GET',
      token: key,
    });
    return answer.status === 200;
  }

  test('create prints the key alone on stdout, and a running gateway takes it', async () => {
    const { stdout, stderr } = await run('keys', 'create', 'ops', '-c', FILE);
    assert.match(stdout, /^swb_key_\S+\n$/);
    assert.match(stderr, /^key_\S+ 'ops' was made\. This is its value; it is not shown again:\n$/);
    await eventually(() => isAccepted(stdout.trim()));
  });

  test('list shows no value, and -o json is for programs', async () => {
    const made = JSON.parse(await ask('keys', 'create', 'ci', '--role', 'viewer', '-o', 'json', '-c', FILE));
    assert.deepEqual(Object.keys(made), ['id', 'name', 'role', 'api_key']);
    const listed = await ask('keys', 'list', '-o', 'json', '-c', FILE);
    const found = JSON.parse(listed).find((key: { id: string }) => key.id === made.id);
    assert.deepEqual([found.name, found.role, found.state], ['ci', 'viewer', 'live']);
    assert.equal(listed.includes(made.api_key), false);
    const [header, ...rows] = lines(await ask('keys', 'list', '-c', FILE));
    assert.match(header ?? '', /^ID +NAME +ROLE +CREATED +STATE$/);
    assert.ok(rows.some((row) => row.startsWith(`${made.id}  ci `)));
  });

  test('a revoked key is refused by the running gateway, and a second revocation says so', async () => {
    const { id, api_key: key } = JSON.parse(await ask('keys', 'create', 'old', '-o', 'json', '-c', FILE));
    await eventually(() => isAccepted(key));
    assert.equal(await ask('keys', 'revoke', 'old', '-c', FILE), `${id}\n`);
    await eventually(async () => !(await isAccepted(key)));
    const again = await run('keys', 'revoke', id, '-c', FILE);
    assert.deepEqual([again.code, again.stderr], [1, `switchboard: The API key 'old' (${id}) is revoked already.\n`]);
  });

  test('the secrets of the file need not be in the shell', async () => {
    const { code, stdout } = await runCli(['keys', 'list', '-c', FILE], { cwd });
    assert.equal(code, 0);
    assert.match(stdout, / tests /);
  });

  test('a name that is taken is refused', async () => {
    const { code, stderr } = await run('keys', 'create', 'tests', '-c', FILE);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^switchboard: name: the API key 'tests' exists already \(key_\S+\): choose another name, or revoke that one\.\n$/,
    );
  });
});

describe('tokens', PARALLEL, () => {
  test('create makes a token that the running gateway serves, with its grants and its spelling of names', async () => {
    const args = ['--grant', 'wiki', '--grant', 'github-readonly=SECRET_GITHUB_READONLY', '--names', 'underscore'];
    const token = (await ask('tokens', 'create', 'devbox-1', ...args, '-c', FILE)).trim();
    assert.match(token, /^swb_agt_/);
    await eventually(async () => (await send(`${gateway.url}/mcp`, { token, method: 'GET' })).status !== 401);
    const listed = await eventually(async () => {
      const names = await listedTools(gateway.url, token);
      return names.length === 3 && names;
    });
    assert.deepEqual(listed.sort(), ['github__get_issue', 'github__search_issues', 'wiki__read_page']);
    await callTool(gateway.url, token, 'github__get_issue');
    assert.equal(github.calls.at(-1)?.headers.authorization, `Bearer ${CREDENTIAL}`);
  });

  test('list shows grants, expiry and state, and no value', async () => {
    const made = JSON.parse(
      await ask('tokens', 'create', 'devbox-2', '--grant', 'wiki', '--expires', '2099-01-31', '-o', 'json', '-c', FILE),
    );
    const listed = await ask('tokens', 'list', '-o', 'json', '-c', FILE);
    assert.equal(listed.includes(made.token), false);
    assert.deepEqual(
      JSON.parse(listed).find((token: { id: string }) => token.id === made.id),
      {
        id: made.id,
        name: 'devbox-2',
        grants: 'wiki',
        expires: '2099-01-31T00:00:00.000Z',
        managed_by: 'api',
        state: 'live',
      },
    );
    assert.match(await ask('tokens', 'list', '-c', FILE), /^ID +NAME +GRANTS +EXPIRES +MANAGED_BY +STATE\n/);
  });

  test('a revoked token is refused by the running gateway, also one that the file declares', async () => {
    const made = (await ask('tokens', 'create', 'devbox-3', '--grant', 'wiki', '-c', FILE)).trim();
    await eventually(async () => (await send(`${gateway.url}/mcp`, { token: made, method: 'GET' })).status !== 401);
    await ask('tokens', 'revoke', 'devbox-3', '-c', FILE);
    await ask('tokens', 'revoke', 'unlucky', '-c', FILE);
    for (const token of [made, tokenValue('unlucky')]) {
      const refused = await eventually(async () => {
        const answer = await send(`${gateway.url}/mcp`, { token, method: 'GET' });
        return answer.status === 401 && answer;
      });
      assert.match(refused.text, /was revoked on /);
    }
  });

  test('an unknown config or secret is named, with those there are', async () => {
    for (const [grant, line] of [
      [
        'jira',
        "grants[0].mcp_config: there is no McpConfig 'jira'; there are: gone, github-admin, github-readonly, wiki.",
      ],
      ['wiki=JIRA', 'grants[0].secret: there is no secret of this name or id; there are: SECRET_GITHUB_READONLY.'],
    ] as const) {
      const { code, stderr } = await run('tokens', 'create', 'devbox-4', '--grant', grant, '-c', FILE);
      assert.equal(code, 1);
      assert.equal(sorted(stderr), sorted(`switchboard: ${line}\n`));
    }
  });
});

/** The same letters: the order of names in a list is the store's. */
function sorted(text: string): string {
  return text
    .split(/[ ,.]+/)
    .sort()
    .join(' ');
}

describe('explain', () => {
  interface Case {
    readonly fact: string;
    readonly tool: string;
    readonly token: string;
    readonly isCallable: boolean;
    readonly text: string;
  }
  const hidden = (tool: string): string =>
    `'${tool}' is hidden: a call answers "Unknown tool", as for a tool that does not exist`;
  const cases: readonly Case[] = [
    {
      fact: 'a shown tool, with the pattern that admits it',
      tool: 'github.search_issues',
      token: 'reader',
      isCallable: true,
      text: `'github.search_issues' is listed and callable: it is github.search_issues, served by McpConfig 'github-readonly'
  - token 'reader' (tok_…) has 2 grant(s), at epoch N
  - the name stands for tool 'search_issues' of service 'github'
  - McpConfig 'github-readonly' (revision 1) admits it by the pattern 'search_*'
`,
    },
    {
      fact: 'a tool hidden by the allow-list, with its patterns and what would admit it',
      tool: 'github.delete_repo',
      token: 'reader',
      isCallable: false,
      text: `${hidden('github.delete_repo')}
  - token 'reader' (tok_…) has 2 grant(s), at epoch N
  - McpConfig 'github-readonly' (revision 1) admits 'delete_repo' by none of its patterns: 'search_*', 'github.get_*'
  - its upstream has the tool as of TIME
To admit it: add 'github.delete_repo' to allowed_tools of McpConfig 'github-readonly'
`,
    },
    {
      fact: 'a tool of a service the token has no grant for',
      tool: 'jira.create_issue',
      token: 'reader',
      isCallable: false,
      text: `${hidden('jira.create_issue')}
  - token 'reader' (tok_…) has 2 grant(s), at epoch N
  - no grant is of a service that 'jira.create_issue' could name; the services of this token: github, wiki
`,
    },
    {
      fact: 'a tool that is admitted and that the upstream does not have',
      tool: 'github.get_nothing',
      token: 'reader',
      isCallable: false,
      text: `${hidden('github.get_nothing')}
  - token 'reader' (tok_…) has 2 grant(s), at epoch N
  - McpConfig 'github-readonly' (revision 1) admits 'get_nothing'
  - its upstream has no such tool as of TIME; it has 4: search_issues, get_issue, delete_repo, create_issue
`,
    },
    {
      fact: 'a tool that the grant narrows away',
      tool: 'github.search_issues',
      token: 'narrow',
      isCallable: false,
      text: `${hidden('github.search_issues')}
  - token 'narrow' (tok_…) has 1 grant(s), at epoch N
  - McpConfig 'github-readonly' (revision 1) admits 'search_issues', but the grant's own allow-list does not
  - its upstream has the tool as of TIME
To admit it: add 'github.search_issues' to allowed_tools of the token's grants of McpConfig 'github-readonly'
`,
    },
    {
      fact: 'a tool that passes the narrowing as well',
      tool: 'github.get_issue',
      token: 'narrow',
      isCallable: true,
      text: `'github.get_issue' is listed and callable: it is github.get_issue, served by McpConfig 'github-readonly'
  - token 'narrow' (tok_…) has 1 grant(s), at epoch N
  - the name stands for tool 'get_issue' of service 'github'
  - McpConfig 'github-readonly' (revision 1) admits it by the pattern 'github.get_*'
  - the grant's own allow-list admits it by the pattern 'get_*'
`,
    },
    {
      fact: 'a name that two configs of one service have: the first grant serves it',
      tool: 'github.search_issues',
      token: 'admin',
      isCallable: true,
      text: `'github.search_issues' is listed and callable: it is github.search_issues, served by McpConfig 'github-readonly'
  - token 'admin' (tok_…) has 2 grant(s), at epoch N
  - the name stands for tool 'search_issues' of service 'github'
  - McpConfig 'github-readonly' (revision 1) admits it by the pattern 'search_*'
  - McpConfig 'github-admin' has the name too; 'github-readonly' serves it, being first
`,
    },
    {
      fact: 'a tool that only the second config admits',
      tool: 'github.create_issue',
      token: 'admin',
      isCallable: true,
      text: `'github.create_issue' is listed and callable: it is github.create_issue, served by McpConfig 'github-admin'
  - token 'admin' (tok_…) has 2 grant(s), at epoch N
  - the name stands for tool 'create_issue' of service 'github'
  - McpConfig 'github-admin' (revision 1) admits it by the pattern 'create_*'
`,
    },
    {
      fact: 'a tool of an upstream that was never reached',
      tool: 'gone.anything',
      token: 'lonely',
      isCallable: false,
      text: `${hidden('gone.anything')}
  - token 'lonely' (tok_…) has 1 grant(s), at epoch N
  - McpConfig 'gone' (revision 1) admits 'anything'
  - its upstream has never been seen: it refused the connection (unreachable)
`,
    },
  ];

  function withoutVolatile(text: string): string {
    return text
      .replace(/\(tok_\w+\)/, '(tok_…)')
      .replace(/at epoch \d+/, 'at epoch N')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');
  }

  let lonely: string;
  before(async () => {
    lonely = (await ask('tokens', 'create', 'lonely', '--grant', 'gone', '-c', FILE)).trim();
    await eventually(async () => (await send(`${gateway.url}/mcp`, { token: lonely, method: 'GET' })).status !== 401);
  });

  /** What `/mcp` does with the name, in the words of `is_callable`. */
  async function isCallable(tool: string, token: string): Promise<boolean> {
    const { error } = await callTool(gateway.url, token === 'lonely' ? lonely : tokenValue(token), tool);
    if (error?.code === -32602) assert.equal(error.message, `Unknown tool: ${tool}`);
    return error?.code !== -32602;
  }

  describe('says of', PARALLEL, () => {
    for (const { fact, tool, token, text, isCallable: expected } of cases) {
      test(`${fact}, and /mcp agrees`, async () => {
        assert.equal(withoutVolatile(await ask('explain', tool, '--token', token)), text);
        const explanation = JSON.parse(await ask('explain', tool, '--token', token, '-o', 'json'));
        assert.deepEqual(
          [explanation.tool, explanation.token, explanation.is_callable],
          [tool, token, await isCallable(tool, token)],
        );
        assert.equal(explanation.is_callable, expected);
      });
    }
  });

  test('a tool of an upstream that fails since it was listed stays callable, and the failure is named', async () => {
    await wiki.close();
    assert.equal(await isCallable('wiki.read_page', 'reader'), true);
    const text = withoutVolatile(await ask('explain', 'wiki.read_page', '--token', 'reader'));
    assert.match(text, /^ {2}- its upstream fails since TIME \(unreachable: .+\); the last known list is used$/m);
    wiki = await startRecordingUpstream({ era: 'legacy' });
  });

  const refusals: readonly [fact: string, args: readonly string[], env: Record<string, string>, line: RegExp][] = [
    [
      'neither gateway nor key',
      [],
      {},
      /^switchboard: Which gateway\? Set SWITCHBOARD_URL and SWITCHBOARD_API_KEY, or run this in the folder where the demo was started\.\n$/,
    ],
    [
      'a gateway and no key',
      ['--url', 'http://127.0.0.1:9'],
      {},
      /^switchboard: Set SWITCHBOARD_API_KEY to an API key of http:\/\/127\.0\.0\.1:9; `switchboard keys create NAME -c CONFIG` makes one in its store\.\n$/,
    ],
    [
      'nobody there',
      ['--url', 'http://127.0.0.1:9'],
      { SWITCHBOARD_API_KEY: 'swb_key_x' },
      /^switchboard: No gateway answers at http:\/\/127\.0\.0\.1:9\. Is it running there\?\n$/,
    ],
  ];
  describe('where nothing can be asked says of', PARALLEL, () => {
    for (const [fact, args, env, line] of refusals) {
      test(`${fact}: one line`, async () => {
        const { code, stdout, stderr } = await runCli(['explain', 'a.b', '--token', 'c', ...args], { cwd, env });
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, line);
      });
    }
  });

  test('a wrong key, a token that does not exist and another web server are one line each', async () => {
    const refused = async (env: Record<string, string>): Promise<string> => {
      const all = { SWITCHBOARD_URL: gateway.url, SWITCHBOARD_API_KEY: apiKey, ...env };
      return (await runCli(['explain', 'a.b', '--token', 'nobody'], { cwd, env: all })).stderr;
    };
    assert.match(
      await refused({}),
      /^switchboard: The gateway refused \(HTTP 404\): There is no token 'nobody' in this account\.\n$/,
    );
    assert.match(
      await refused({ SWITCHBOARD_API_KEY: tokenValue('reader') }),
      /^switchboard: The gateway refused \(HTTP 401\): This is a token, .*\n$/,
    );
    assert.match(
      await refused({ SWITCHBOARD_URL: new URL(github.url).origin }),
      /^switchboard: What answers at http:\S+ \(HTTP \d+\) is no Switchboard\. Check SWITCHBOARD_URL or --url\.\n$/,
    );
  });
});

test('a gateway with a second listener says where operators connect, and serves them there alone', async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, FILE), '{ "listen": { "port": 0 }, "admin": { "listen": { "port": 0 } } }');
  const split = await startCli(['serve', '--config', FILE], { cwd: folder });
  const [, adminUrl = ''] = /^Operators connect to (http:\S+)$/m.exec(split.output.stdout) ?? [];
  const statusOf = async (url: string): Promise<number> => (await send(url, { method: 'GET' })).status;
  assert.deepEqual([await statusOf(`${adminUrl}/metrics`), await statusOf(`${split.url}/metrics`)], [200, 404]);
  assert.deepEqual([await statusOf(`${adminUrl}/mcp`), await statusOf(`${split.url}/mcp`)], [404, 401]);
  assert.equal((await split.stop()).code, 0);
});

test('a rejected command leaves the store as it was', async () => {
  const list = () => ask('tokens', 'list', '-o', 'json', '-c', FILE);
  const before = await list();
  await run('tokens', 'create', 'reader', '--grant', 'wiki', '-c', FILE);
  await run('tokens', 'create', 'new', '--grant', 'wiki', '--grant', 'nowhere', '-c', FILE);
  assert.equal(await list(), before);
  assert.equal(await readFile(join(cwd, FILE), 'utf8'), configFile(options));
});
