// `diff`, `apply` and `export`: a file in git against a running gateway, over REST.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { type CliResult, listedTools, runCli, scratchFolder } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { listenLocally } from '../support/local-server.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const VALUES = {
  WIKI_KEY: 'canary-value-of-the-wiki-key',
  CI_TOKEN: 'canary-value-of-the-token-of-ci-0123456789',
};
const FILE = 'team.yaml';

let cwd: string;
let upstream: RecordingUpstream;
let gateway: TestGateway;

before(async () => {
  cwd = await scratchFolder();
  const tools = ['read_page', 'delete_page'].map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } }));
  upstream = await startRecordingUpstream({ era: 'modern', tools });
  gateway = await startGateway({
    configs: [{ name: 'declared', url: upstream.url }],
    limits: { list_wait_ms: 1_500 },
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
});

after(async () => {
  await gateway.close();
  await upstream.close();
});

async function run(line: string, values: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  const env = { SWITCHBOARD_URL: gateway.url, SWITCHBOARD_API_KEY: gateway.apiKey, ...values };
  const result = await runCli(line.split(' '), { cwd, env });
  assert.doesNotMatch(result.stderr, /^\s+at /m, 'a stack trace');
  for (const value of Object.values(VALUES)) assert.equal(JSON.stringify(result).includes(value), false);
  return result;
}

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${gateway.url}/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, path);
  return (await response.json()) as Record<string, unknown>;
}

async function epoch(): Promise<number> {
  const headers = { authorization: `Bearer ${gateway.apiKey}` };
  const view = await (await fetch(`${gateway.url}/v1/issues`, { headers })).json();
  return (view as { epoch: number }).epoch;
}

function write(wikiTools: readonly string[], more: readonly object[] = [], endpoint = upstream.url): Promise<void> {
  const wiki = { name: 'wiki-ro', endpoint, allowed_tools: wikiTools, description: 'pages' };
  const grants = [{ mcp_config: 'wiki-ro', secret: 'WIKI_KEY', allowed_tools: ['read_*', 'wiki.delete_*'] }];
  const document = {
    secrets: [{ name: 'WIKI_KEY', value_from: { env: 'WIKI_KEY' } }],
    mcp_configs: [wiki, ...more],
    tokens: [{ name: 'ci', value_from: { env: 'CI_TOKEN' }, expires_at: '2099-01-31', grants }],
  };
  return writeFile(join(cwd, FILE), stringify(document));
}

describe('a file', () => {
  const CREATED = [
    '+ secret WIKI_KEY',
    '+ mcp_config wiki-ro',
    '    endpoint: URL',
    '    allowed_tools: read_*',
    '    auth_mechanism: {"type":"bearer"}',
    '    description: pages',
    '    tools: +1 −0',
    '      + wiki.read_page',
    '+ token ci',
    '    grants: [{"mcp_config":"wiki-ro","secret":"WIKI_KEY","allowed_tools":["read_*","wiki.delete_*"]}]',
    '    names: dot',
    '    expire_time_ms: 2099-01-31T00:00:00.000Z',
    '',
  ].join('\n');
  const withoutUrl = (text: string): string => text.replaceAll(upstream.url, 'URL');

  test('is not applied with a value that is not in the shell, and nothing is written', async () => {
    await write(['read_*']);
    const before = await epoch();
    const { code, stdout, stderr } = await run(`apply ${FILE}`);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      /\nteam\.yaml:\d+:\d+ secrets\[0\]\.value_from\.env the environment variable WIKI_KEY is not set/,
    );
    assert.equal(await epoch(), before);
  });

  test('is applied as diff and a dry run have said', async () => {
    const before = await epoch();
    const diff = await run(`diff ${FILE}`);
    assert.deepEqual([diff.code, withoutUrl(diff.stdout)], [3, CREATED], diff.stderr);
    assert.equal(diff.stderr, 'Left to the config file of the gateway: token agent, mcp_config declared\n');
    const dry = await run(`apply ${FILE} --dry-run`, VALUES);
    assert.deepEqual([dry.code, dry.stdout, await epoch()], [0, diff.stdout, before]);
    const applied = await run(`apply ${FILE}`, VALUES);
    assert.deepEqual([applied.code, applied.stdout], [0, diff.stdout], applied.stderr);
    assert.deepEqual(await listedTools(gateway.url, VALUES.CI_TOKEN), ['wiki.read_page']);
    assert.equal(upstream.requests.at(-1)?.headers.authorization, `Bearer ${VALUES.WIKI_KEY}`);
  });

  test('that an export has written changes nothing, without any value in the shell', async () => {
    const { stdout, code } = await run('export');
    assert.equal(code, 0);
    await writeFile(join(cwd, 'export.yaml'), stdout);
    const before = await epoch();
    const [diff, applied] = [await run('diff export.yaml'), await run('apply export.yaml --prune -y')];
    assert.deepEqual([diff.code, diff.stdout, diff.stderr], [0, '', 'Nothing differs.\n']);
    assert.deepEqual([applied.code, applied.stdout, applied.stderr], [0, '', 'Nothing to do.\n']);
    assert.equal(await epoch(), before);
  });

  test('leaves what it does not declare, unless it is pruned, and what the gateway declares in any case', async () => {
    await post('/secrets', { name: 'EXTRA', value: 'x' });
    const headers = [{ name: 'X-Key', secret: 'EXTRA' }];
    await post('/mcp-configs', {
      name: 'extra',
      endpoint: upstream.url,
      allowed_tools: ['*'],
      custom_headers: headers,
    });
    await post('/mcp-tokens', { name: 'extra', grants: [{ mcp_config: 'extra' }] });
    await write(['read_*', 'wiki.delete_*'], [{ name: 'declared', endpoint: upstream.url, allowed_tools: ['read_*'] }]);
    const changed =
      '~ mcp_config wiki-ro\n    allowed_tools: read_* → read_*, wiki.delete_*\n    tools: +1 −0\n      + wiki.delete_page\n';
    const stuck =
      '~ mcp_config declared (the config file of the gateway declares it: change it there)\n    allowed_tools: * → read_*\n';
    const gone = '- token extra\n- mcp_config extra\n- secret EXTRA\n';

    const diff = await run(`diff ${FILE}`);
    assert.deepEqual([diff.code, diff.stdout], [3, changed + gone.replaceAll('\n', ' (only there)\n') + stuck]);
    const kept = await run(`apply ${FILE}`);
    assert.deepEqual([kept.code, kept.stdout], [1, changed + stuck]);
    const pruned = await run(`apply ${FILE} --prune -y`);
    assert.deepEqual([pruned.code, pruned.stdout], [1, gone + stuck]);
    assert.deepEqual((await listedTools(gateway.url, VALUES.CI_TOKEN)).sort(), ['wiki.delete_page', 'wiki.read_page']);
  });

  test('that moves an endpoint says whose grants that suspends and what is to be done, before and after', async () => {
    const moved = upstream.url.replace('127.0.0.1', '127.0.0.2');
    await write(['read_*', 'wiki.delete_*'], [], moved);
    const before = await epoch();
    const dry = await run(`apply ${FILE} --dry-run`);
    assert.deepEqual([dry.code, await epoch()], [0, before], dry.stderr);
    const [problem, warning, next, ...rest] = dry.stdout.split('\n').slice(2);
    assert.equal(
      problem,
      '    tools: not known (no grant says which secret may be sent to its endpoint; a preview that names one asks it with that)',
    );
    assert.match(
      String(warning),
      /^ {4}warning: endpoint moves .* suspends the grants of token ci \(secret WIKI_KEY\)/,
    );
    assert.deepEqual([next, ...rest], ['    then: switchboard configs confirm wiki-ro', '']);
    const applied = await run(`apply ${FILE}`);
    assert.deepEqual([applied.code, applied.stdout], [0, dry.stdout]);
    assert.match(
      applied.stderr,
      /^warning: ~ mcp_config wiki-ro: endpoint moves to another origin: the grants of token ci are suspended until /m,
    );
    assert.deepEqual(await listedTools(gateway.url, VALUES.CI_TOKEN), []);
  });

  test('with problems is told them with their places, and what the API does not take as well', async () => {
    await writeFile(
      join(cwd, 'bad.yaml'),
      'mcp_configs: [{ name: a, endpint: "https://a.example/", allowed_tools: [] }]\n',
    );
    const far = { name: 'far', endpoint: 'https://far.example/mcp', allowed_tools: ['*'], limits: { calls: 3 } };
    await write(['read_*'], [far]);
    const grants = [{ mcp_config: 'wiki-ro' }, { mcp_config: 'wiki-ro' }];
    const token = { name: 'twice', value_from: { env: 'CI_TOKEN' }, expires_at: '2001-01-01', grants };
    const wiki = { name: 'wiki-ro', endpoint: upstream.url, allowed_tools: ['*'] };
    await writeFile(join(cwd, 'refused.yaml'), stringify({ mcp_configs: [wiki], tokens: [token] }));
    const before = await epoch();
    const [bad, limited, refused] = await Promise.all([
      run('diff bad.yaml'),
      run(`diff ${FILE}`),
      run('apply refused.yaml', VALUES),
    ]);
    assert.deepEqual([bad.code, limited.code, bad.stdout + limited.stdout], [1, 1, '']);
    assert.deepEqual([refused.code, refused.stdout, await epoch()], [1, '', before], 'nothing is written');
    assert.match(refused.stderr, /^refused\.yaml:\d+:\d+ tokens\[0\]\.grants\[1\] is the same as grants\[0\]/m);
    assert.match(refused.stderr, /^refused\.yaml:\d+:\d+ tokens\[0\]\.expires_at is past/m);
    assert.match(
      bad.stderr,
      /^bad\.yaml:1:26 mcp_configs\[0\]\.endpint is not a known key \(did you mean endpoint\?\)$/m,
    );
    assert.match(limited.stderr, /^team\.yaml:\d+:\d+ mcp_configs\[1\]\.limits cannot be set over REST: /m);
  });
});

test('an edit that somebody else makes between the read and the write is not overwritten', async () => {
  let wasAsked = false;
  // A config that is new is previewed, and the preview waits for this upstream: in that time the other one is edited.
  const silent = createServer(() => {
    wasAsked = true;
  });
  const port = await listenLocally(silent);
  try {
    await write(['read_page'], [{ name: 'slow', endpoint: `http://127.0.0.1:${port}/mcp`, allowed_tools: ['*'] }]);
    const applying = run(`apply ${FILE}`);
    await eventually(async () => wasAsked);
    await post('/mcp-configs/wiki-ro', { description: 'edited meanwhile' });
    const { code, stdout, stderr } = await applying;
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      /switchboard: Stopped at ~ mcp_config wiki-ro\. The gateway refused \(HTTP 412\): .* Done before: nothing\./,
    );
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});
