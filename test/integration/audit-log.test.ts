// A real gateway's log of calls: one record for every call, whatever became of it, whole after any end of the process.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, globSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import type { CallRecord } from '../../src/audit-log/call-record.ts';
import { readCheckpoint } from '../../src/audit-log/checkpoint.ts';
import { deriveCallLogKeys } from '../../src/audit-log/format.ts';
import { type CallLogReport, verifyCallLog } from '../../src/audit-log/verify.ts';
import { deriveKeys } from '../../src/vault/keys.ts';
import { readMasterKey } from '../../src/vault/master-key.ts';
import { type CliResult, type RunningCli, runCli, scratchFolder, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import {
  type ConfigFileOptions,
  configFile,
  makeFolder,
  startGateway,
  type TestGateway,
  tokenValue,
  variablesOf,
} from '../support/gateway.ts';
import { cancellation, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const CANARY = 'canary-of-the-audit-log';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`;

const SLOW = '{"name":"slow","inputSchema":{"type":"object"}}';
const ECHO = '{"name":"echo","inputSchema":{"type":"object"}}';
const SECRET = '{"name":"secret","inputSchema":{"type":"object"}}';

describe('one record for every call', () => {
  let upstream: RecordingUpstream;
  let gateway: TestGateway;
  let folder: string;

  before(async () => {
    upstream = await startRecordingUpstream({
      era: 'modern',
      tools: [ECHO, SLOW, SECRET],
      onCall: ({ name }) =>
        name === 'slow' ? new Promise(() => {}) : `{"content":[{"type":"text","text":"${CANARY}"}]}`,
    });
    folder = await makeFolder();
    gateway = await startGateway({
      folder,
      configs: [
        { name: 'github-readonly', url: upstream.url, allowedTools: ['{echo,slow}'], credential: CANARY },
        { name: 'dead', url: 'http://127.0.0.1:9/mcp' },
      ],
      tokens: [
        { name: 'agent', grants: ['github-readonly'] },
        { name: 'narrow', grants: [{ config: 'github-readonly', allowedTools: ['ech*'] }] },
      ],
      limits: { calls_per_token: 1, list_wait_ms: 500 },
      settings: { audit: { calls: true } },
    });
  });

  after(async () => {
    await gateway.close();
    await upstream.close();
    rmSync(folder, { recursive: true });
  });

  function call(sent: Sent, token = 'agent') {
    return send(gateway.mcpUrl, { token: gateway.token(token), ...sent });
  }

  /** The records of the account, newest first, as the API shows them. */
  async function records(query = ''): Promise<CallRecord[]> {
    const answer = await send(`${gateway.url}/v1/audit?kind=calls${query}`, { method: 'GET', token: gateway.apiKey });
    assert.equal(answer.status, 200, answer.text);
    return (JSON.parse(answer.text) as { readonly calls: CallRecord[] }).calls;
  }

  test('a call that is answered is there at once, with who, what, by which pattern, and how it went', async () => {
    const sent = toolCall('github.echo', {
      era: 'modern',
      params: `"arguments":{"text":"${CANARY}"}`,
      meta: `"traceparent":"${TRACEPARENT}"`,
    });
    const answer = await call(sent);
    assert.equal(answer.status, 200);
    const [record] = await records();
    const { time, token, config_id, ms, upstream_ms, ...rest } = record!;
    assert.deepEqual(rest, {
      account: 'acct_default',
      tool: 'github.echo',
      config: 'github-readonly@1',
      pattern: '{echo,slow}',
      narrowing_pattern: null,
      epoch: rest.epoch,
      method: 'tools/call',
      outcome: 'answered',
      reason: null,
      era: 'modern',
      request_bytes: Buffer.byteLength(sent.body),
      response_bytes: answer.bytes.length,
      trace_id: TRACE,
    });
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 5_000);
    assert.match(token, /^tok_/);
    assert.match(config_id ?? '', /^mcp_/);
    assert.ok(Number(upstream_ms) > 0 && ms >= Number(upstream_ms));
    assert.ok(Number(rest.epoch) > 0);
  });

  test("a grant's own pattern is named as well, and the trace may stand in the HTTP header", async () => {
    await call(toolCall('github.echo', { headers: { traceparent: TRACEPARENT } }), 'narrow');
    const [record] = await records();
    assert.deepEqual(
      [record?.pattern, record?.narrowing_pattern, record?.era, record?.trace_id],
      ['{echo,slow}', 'ech*', 'legacy', TRACE],
    );
  });

  const refusals: readonly [what: string, sent: Sent, expected: Partial<CallRecord>][] = [
    [
      'a hidden tool',
      toolCall('github.secret'),
      { tool: 'github.secret', outcome: 'unknown_tool', reason: 'unknown_tool', config: null },
    ],
    ['a tool that does not exist', toolCall('nowhere.é"\n'), { tool: 'nowhere.é"\n', outcome: 'unknown_tool' }],
    ['no tool at all', mcpRequest('tools/call'), { tool: null, outcome: 'invalid', reason: 'invalid_params' }],
  ];
  for (const [what, sent, expected] of refusals) {
    test(`who asks for ${what} is recorded, with no time of an upstream`, async () => {
      const answer = await call(sent);
      const [record] = await records();
      assert.deepEqual({ ...record, ...expected }, record);
      assert.equal(record?.upstream_ms, null);
      assert.equal(record?.response_bytes, answer.bytes.length);
    });
  }

  test('a call beyond a limit, a cancelled one and one whose client left are recorded with the reason', async () => {
    const waiting = call(toolCall('github.slow', { id: '7' }));
    await eventually(() => upstream.calls.at(-1)?.name === 'slow');
    assert.equal((await call(toolCall('github.echo'))).status, 429);
    assert.deepEqual(pick((await records())[0]), ['github.echo', 'limited', 'rate_limited']);
    await call(cancellation('7'));
    await waiting;
    assert.deepEqual(pick((await records())[0]), ['github.slow', 'cancelled', 'client_cancelled']);

    const agent = new Agent();
    const left = send(gateway.mcpUrl, { token: gateway.token(), ...toolCall('github.slow', { era: 'modern' }) }, agent);
    await eventually(() => upstream.calls.length > 0 && upstream.calls.at(-1)?.signal.aborted === false);
    agent.destroy();
    await assert.rejects(left);
    await eventually(async () => pick((await records())[0]).join() === 'github.slow,cancelled,client_left');
  });

  test('every call has exactly one record, and filters find it', async () => {
    const earlier = (await records('&limit=1000')).length;
    for (let count = 0; count < 20; count++) await call(toolCall(count % 2 === 0 ? 'github.echo' : 'github.none'));
    assert.equal((await records('&limit=1000')).length, earlier + 20);
    assert.ok((await records('&outcome=unknown_tool')).every(({ outcome }) => outcome === 'unknown_tool'));
    assert.ok((await records('&config=github-readonly')).every(({ config }) => config === 'github-readonly@1'));
  });

  test('neither arguments nor results nor credentials nor tokens are in the files, which only their owner can read', () => {
    const files = globSync(join(folder, 'store/audit/*'));
    assert.ok(files.length > 0);
    for (const file of files) {
      const text = readFileSync(file, 'latin1');
      for (const secret of [CANARY, gateway.token(), gateway.apiKey]) assert.equal(text.includes(secret), false);
    }
  });

  test('an operator sees how the log is doing', async () => {
    const answer = await send(`${gateway.url}/readyz?detail`, { method: 'GET', token: gateway.apiKey });
    assert.equal(JSON.parse(answer.text).audit.state, 'ok');
  });
});

function pick(record: CallRecord | undefined): unknown[] {
  return [record?.tool, record?.outcome, record?.reason];
}

test('with audit.calls false nothing is recorded, and the API says so', async () => {
  const upstream = await startRecordingUpstream({ era: 'modern' });
  const folder = await makeFolder();
  const gateway = await startGateway({
    folder,
    configs: [{ name: 'github', url: upstream.url }],
    settings: { audit: { calls: false } },
  });
  assert.equal((await send(gateway.mcpUrl, { token: gateway.token(), ...toolCall('github.echo') })).status, 200);
  const answer = await send(`${gateway.url}/v1/audit?kind=calls`, { method: 'GET', token: gateway.apiKey });
  assert.equal(answer.status, 404);
  assert.match(answer.text, /audit\.calls/);
  await gateway.close();
  await upstream.close();
  assert.equal(existsSync(join(folder, 'store/audit')), false);
  rmSync(folder, { recursive: true });
});

describe('the log of a process', () => {
  const FILE = 'switchboard.json';
  let upstream: RecordingUpstream;
  let cwd: string;
  let options: ConfigFileOptions;

  before(async () => {
    upstream = await startRecordingUpstream({ era: 'modern' });
    cwd = await scratchFolder();
    options = {
      configs: [{ name: 'github', url: upstream.url }],
      settings: { audit: { calls: true, checkpoint_file: 'elsewhere/audit.json', segment_bytes: 65_536 } },
    };
    writeFileSync(join(cwd, FILE), configFile(options));
  });

  after(() => upstream.close());

  function serve(): Promise<RunningCli> {
    return startCli(['serve', '--config', FILE], { cwd, env: variablesOf(options) });
  }

  function command(...args: readonly string[]): Promise<CliResult> {
    return runCli(['audit', 'verify', '-c', FILE, ...args], { cwd, env: variablesOf(options) });
  }

  /** What the command does, without the time it takes to start it. */
  function verify(): CallLogReport {
    const keys = deriveCallLogKeys(deriveKeys(readMasterKey({ beside: join(cwd, 'store/switchboard.db.key') })).audit);
    const checkpoint = readCheckpoint(join(cwd, 'elsewhere/audit.json'), keys);
    assert.ok(checkpoint);
    return verifyCallLog(join(cwd, 'store/audit'), keys, checkpoint);
  }

  test('after SIGKILL at any moment under load it is whole, goes on, and nothing sealed before is lost', async (t) => {
    let sealed = 0;
    for (let kill = 0; kill < 5; kill++) {
      const gateway = await serve();
      await killUnderLoad(gateway);
      const { findings, notes, records, chains } = verify();
      assert.deepEqual(findings, []);
      assert.ok(records >= sealed);
      assert.equal(chains, 1);
      sealed = records;
      t.diagnostic(`${records} records, ${notes.length} notes`);
    }
    assert.ok(sealed > 0);
    const { code, stdout, stderr } = await command();
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^calls: ${sealed} records in \\d+ batches, \\d+ files and 1 chains in /`));
    assert.match(stdout, /^The audit is as it was written; up to the checkpoint and on\.$/m);
  });

  test('what was changed or cut off is found at its place, and the command exits with 1', async () => {
    const gateway = await serve();
    for (let count = 0; count < 5; count++) {
      await send(`${gateway.url}/mcp`, { token: tokenValue('agent'), ...toolCall('github.echo') });
    }
    assert.equal((await gateway.stop()).code, 0);
    assert.deepEqual(verify().findings, []);
    const names = readdirSync(join(cwd, 'store/audit')).filter((each) => each.endsWith('.jsonl'));
    const name = names.sort().at(-1) ?? '';
    const path = join(cwd, 'store/audit', name);
    const text = readFileSync(path, 'latin1');

    writeFileSync(path, text.replace('"outcome":"answered"', '"outcome":"internal"'));
    const edited = await command();
    assert.equal(edited.code, 1);
    assert.match(edited.stderr, new RegExp(`${name}:\\d+ batch \\d+ \\(lines \\d+ to \\d+\\) was changed`));

    const lines = text.split(/(?<=\n)/);
    const sealOrHead = lines.slice(0, -1).findLastIndex((line) => /^\{"(?:batch|chain)"/.test(line));
    writeFileSync(path, lines.slice(0, sealOrHead + 1).join(''));
    assert.match(verify().findings[0]?.message ?? '', /the checkpoint has seen batch \d+: it was cut off/);

    writeFileSync(path, text);
    renameSync(join(cwd, 'elsewhere/audit.json'), join(cwd, 'copy.json'));
    assert.match((await command()).stderr, /^switchboard: There is no checkpoint .*elsewhere\/audit\.json\./);
    assert.equal((await command('--checkpoint', 'copy.json')).code, 0);
  });

  test('so is what was changed in the record of writes, or cut off its end', async () => {
    const database = new DatabaseSync(join(cwd, 'store/switchboard.db'));
    after(() => database.close());
    const last = database.prepare('SELECT * FROM revisions ORDER BY sequence DESC LIMIT 1').get();
    const sequence = Number(last?.sequence);
    const check = async (found: RegExp) => {
      const { code, stderr, stdout } = await command('--checkpoint', 'copy.json');
      assert.equal(code, 1, stdout);
      assert.match(stderr, found);
    };
    database.exec(
      `UPDATE revisions SET content = replace(content, '"file"', '"api_key"') WHERE sequence = ${sequence}`,
    );
    await check(new RegExp(`^changes of acct_default: revision ${sequence} is not what was written`));
    database.exec(`DELETE FROM revisions WHERE sequence = ${sequence}`);
    await check(new RegExp(`the checkpoint knows ${sequence}: the end was cut off`));
  });
});

/** Eight clients call without a pause until the process is killed, some hundred milliseconds after the first answer. */
async function killUnderLoad(gateway: RunningCli): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let isRunning = true;
  const sent = { token: tokenValue('agent'), ...toolCall('github.echo') };
  await send(`${gateway.url}/mcp`, sent);
  const loads = Array.from({ length: 8 }, async () => {
    while (isRunning) await send(`${gateway.url}/mcp`, sent, agent).catch(() => undefined);
  });
  const killAtMs = performance.now() + randomInt(80, 350);
  await eventually(() => performance.now() > killAtMs);
  await gateway.stop('SIGKILL');
  isRunning = false;
  agent.destroy();
  await Promise.all(loads);
}
