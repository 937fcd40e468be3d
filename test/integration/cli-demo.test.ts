// `switchboard` without arguments, as a newcomer runs it: what the first start makes and prints, what the second one
// finds again, and that nothing outlives it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { connectSdkV1, connectSdkV2 } from '../clients/sdk-clients.ts';
import { callTool, listedTools, type RunningCli, runCli, scratchFolder, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';

const ENV = { SWITCHBOARD_LISTEN: '127.0.0.1:0' };

interface Printed {
  readonly url: string;
  readonly token: string;
  readonly apiKey: string;
}

function readPrinted({ output: { stdout } }: RunningCli): Printed {
  const [, url = '', token = '', apiKey = ''] =
    /^ {2}URL {6}(\S+)\n {2}Token {4}(swb_agt_\S+)\n {2}API key {2}(swb_key_\S+)$/m.exec(stdout) ?? [];
  return { url, token, apiKey };
}

/** Processes that have one of `pids` as their parent. */
function childrenOf(...pids: readonly number[]): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=', '-o', 'ppid='], { encoding: 'utf8' });
  const rows = table
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/).map(Number));
  return rows.flatMap(([pid = 0, parent = 0]) => (pids.includes(parent) ? [pid] : []));
}

/** A child that has ended is a zombie until somebody waits for it, which for an orphan its new parent does. */
function isRunning(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z');
  } catch {
    return false;
  }
}

describe('the first start', () => {
  let cwd: string;
  let demo: RunningCli;
  let printed: Printed;
  before(async () => {
    cwd = await scratchFolder();
    demo = await startCli([], { cwd, env: ENV });
    printed = readPrinted(demo);
  });

  test('prints URL, token, API key and a line per client', () => {
    assert.equal(printed.url, `${demo.url}/mcp`);
    const { stdout, stderr } = demo.output;
    const bearer = `Authorization: Bearer ${printed.token}`;
    const dotless = `"${printed.url}?names=underscore"`;
    for (const line of [
      `  claude mcp add switchboard --transport http ${printed.url} --header "${bearer}"\n`,
      `  export SWITCHBOARD_TOKEN=${printed.token}\n`,
      `  codex mcp add switchboard --url ${dotless} --bearer-token-env-var SWITCHBOARD_TOKEN\n`,
      "  code --add-mcp '{",
      `  npx @modelcontextprotocol/inspector@latest --cli ${printed.url} --transport http --method tools/list --header "${bearer}"\n`,
      '  npx switchboard explain everything.get-env --token demo\n',
    ]) {
      assert.ok(stdout.includes(line), `${line} is not in ${stdout}`);
    }
    assert.equal(stderr, '');
  });

  test('keeps everything in .switchboard, which only its owner can open', async () => {
    const entries = globSync('{.switchboard,.switchboard/**}', { cwd });
    assert.ok(entries.includes('.switchboard/switchboard.db') && entries.includes('.switchboard/demo.json'));
    for (const entry of entries) {
      const found = await stat(join(cwd, entry));
      assert.equal((found.mode & 0o777).toString(8), found.isDirectory() ? '700' : '600', entry);
    }
  });

  test('the token lists tools of both upstreams and calls one of each, in both eras', async () => {
    for (const connect of [connectSdkV1, (endpoint: Printed) => connectSdkV2(endpoint, { pin: '2026-07-28' })]) {
      const client = await connect(printed);
      const names = await client.toolNames();
      assert.ok(names.includes('everything.echo') && names.includes('toolbox.time'), String(names));
      // Its server lists that one only to clients that can be asked for a sample.
      assert.ok(names.includes('everything.trigger-sampling-request'), String(names));
      assert.match(await client.call('everything.echo', { message: 'hello there' }), /hello there/);
      assert.match(await client.call('toolbox.read_file', { path: 'welcome.md' }), /Welcome to Switchboard/);
      await client.close();
    }
  });

  test('get-env is hidden, and a call of it answers like one of a tool that does not exist', async () => {
    assert.equal(
      (await listedTools(demo.url, printed.token)).some((name) => name.includes('get-env')),
      false,
    );
    const [hidden, missing] = [
      await callTool(demo.url, printed.token, 'everything.get-env'),
      await callTool(demo.url, printed.token, 'everything.get-ewe'),
    ];
    assert.deepEqual(hidden.error, { code: -32602, message: 'Unknown tool: everything.get-env' });
    assert.deepEqual(missing.error, { code: -32602, message: 'Unknown tool: everything.get-ewe' });
  });

  test('the printed explain line works in that folder without any set-up, and sends its key nowhere else', async () => {
    const args = ['explain', 'everything.get-env', '--token', 'demo'];
    const { code, stdout } = await runCli(args, { cwd });
    assert.equal(code, 0);
    assert.match(stdout, /^'everything\.get-env' is hidden: .*To admit it: add 'everything\.get-env'/s);
    const elsewhere = await runCli([...args, '--url', demo.url.replace('127.0.0.1', 'localhost')], { cwd });
    assert.match(elsewhere.stderr, /^switchboard: Set SWITCHBOARD_API_KEY to an API key of http:\/\/localhost/);
  });

  test('its own configuration has no issue that anybody should mend, and refusals say what is possible', async () => {
    const headers = { authorization: `Bearer ${printed.apiKey}`, 'content-type': 'application/json' };
    const ask = async (path: string, body?: object) => {
      const how = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
      return (await (await fetch(`${demo.url}/v1${path}`, { ...how, headers })).json()) as {
        issues: Record<string, string>[];
        message: string;
      };
    };
    const { issues } = await ask('/issues');
    const found = issues.map(({ severity, code, message }) => [severity, code, message]);
    const left = 'tools of its upstream are left out, simulate-research-query: ';
    assert.deepEqual(found, [['info', 'tool_left_out', `${left}its 'execution' asks for tasks, which are not served`]]);
    const update = await ask('/mcp-configs/toolbox-demo', { allowed_tools: ['time'] });
    assert.match(update.message, /or by the demo: change it in the file, or make one of your own\.$/);
    const own = { name: 'own', endpoint: 'http://127.0.0.1:9301/mcp', allowed_tools: [] };
    assert.match((await ask('/mcp-configs', own)).message, / or with upstreams\.allow_http\.$/);
  });

  test('a key in the environment is used in its place, and only with the URL that it is for', async () => {
    const viewer = await runCli(['keys', 'create', 'look', '--role', 'viewer'], { cwd });
    const revoke = (env: Record<string, string>) => runCli(['keys', 'revoke', 'look'], { cwd, env });
    const key = { SWITCHBOARD_API_KEY: viewer.stdout.trim() };
    const alone = await revoke(key);
    assert.deepEqual([alone.code, alone.stdout], [1, '']);
    assert.match(
      alone.stderr,
      /^switchboard: SWITCHBOARD_API_KEY is set and SWITCHBOARD_URL is not: say .*, or unset it .*\n$/,
    );
    // Nobody is told to send it to a URL that came with the folder.
    assert.ok(!alone.stderr.includes(demo.url), alone.stderr);
    const both = await revoke({ ...key, SWITCHBOARD_URL: demo.url });
    assert.match(both.stderr, /The gateway refused \(HTTP 403\): The API key "look" has the role viewer/);
    const own = await revoke({ SWITCHBOARD_API_KEY: printed.apiKey });
    assert.equal(own.code, 0, own.stderr);
  });

  test('a second start prints the same token and key, and finds the values kept', async () => {
    await callTool(demo.url, printed.token, 'toolbox.kv_set', { key: 'colour', value: 'blue' });
    const stopped = await demo.stop();
    assert.deepEqual([stopped.code, stopped.stderr], [0, '']);
    demo = await startCli([], { cwd, env: ENV });
    const { token, apiKey } = readPrinted(demo);
    assert.deepEqual([token, apiKey], [printed.token, printed.apiKey]);
    const { result } = await callTool(demo.url, token, 'toolbox.kv_get', { key: 'colour' });
    assert.match(JSON.stringify(result), /blue/);
    await demo.stop();
  });

  test('a start whose credentials were lost makes new ones, and the lost key opens nothing', async () => {
    await writeFile(join(cwd, '.switchboard', 'demo.json'), '{');
    demo = await startCli([], { cwd, env: ENV });
    const { token, apiKey } = readPrinted(demo);
    assert.notEqual(token, printed.token);
    assert.notEqual(apiKey, printed.apiKey);
    const ask = (key: string): Promise<Response> =>
      fetch(`${demo.url}/v1/explain?tool=toolbox.time&token=demo`, { headers: { authorization: `Bearer ${key}` } });
    assert.deepEqual([(await ask(printed.apiKey)).status, (await ask(apiKey)).status], [401, 200]);
    assert.equal(JSON.parse(await readFile(join(cwd, '.switchboard', 'demo.json'), 'utf8')).api_key, apiKey);
    await demo.stop();
  });
});

describe('the end of it', () => {
  test('SIGTERM ends it with 0, its children included', async () => {
    const demo = await startCli([], { cwd: await scratchFolder(), env: ENV });
    const children = childrenOf(demo.pid);
    assert.equal(children.length, 2);
    assert.equal((await demo.stop()).code, 0);
    assert.deepEqual(children.filter(isRunning), []);
  });

  test('Ctrl-C, which arrives twice under npm, ends it as quietly', async () => {
    const demo = await startCli([], { cwd: await scratchFolder(), env: { ...ENV, SWITCHBOARD_LOG_LEVEL: 'debug' } });
    process.kill(demo.pid, 'SIGINT');
    await eventually(() => demo.output.stderr.includes('"draining"'));
    const { code, stderr } = await demo.stop('SIGINT');
    assert.equal(code, 0);
    assert.match(stderr, /"event":"stopped"/);
  });

  test('after SIGKILL its children are gone as well', async () => {
    const demo = await startCli([], { cwd: await scratchFolder(), env: ENV });
    const children = childrenOf(demo.pid);
    assert.equal(children.length, 2);
    await demo.stop('SIGKILL');
    await eventually(() => children.every((pid) => !isRunning(pid)));
  });
});
