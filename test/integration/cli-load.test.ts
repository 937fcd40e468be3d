// The load tester's commands as processes: load on a gateway before a mock upstream, and what is said when it goes wrong.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { MOCK_DEFAULTS } from '../../src/load/mock-options.ts';
import { MockUpstream } from '../../src/load/mock-upstream.ts';
import { runCli, scratchFolder, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway } from '../support/gateway.ts';
import { closeServer, listenLocally } from '../support/local-server.ts';

const SHORT = ['--duration', '0.5', '--warm-up', '0', '--seed', '0'];

test('a bench through a gateway to a mock upstream reports what was answered', async (t) => {
  const cwd = await scratchFolder();
  const upstream = await startCli(['mock-upstream', '--port', '0', '--tools', '2', '--latency', '5..10'], { cwd });
  assert.match(upstream.output.stdout, /^A mock upstream \(legacy, 2 tools\) serves http:\/\/127\.0\.0\.1:\d+\/mcp\n$/);
  const gateway = await startGateway({ configs: [{ name: 'mock', url: `${upstream.url}/mcp` }] });
  t.after(() => gateway.close());
  const to = ['bench', gateway.mcpUrl, '--token', gateway.token()];

  // Calls of 5 ms and more, due every 5 ms, over one connection: some must wait for it.
  const even = ['--rate', '200', '--arrivals', 'even', '--connections', '1'];
  const asked = await runCli([...to, '--tool', 'mock.echo', ...even, ...SHORT], { cwd });
  assert.equal(asked.code, 0, asked.stderr + asked.stdout);
  const [head, answered, latency, waited, generator, ...more] = asked.stdout.trimEnd().split('\n');
  assert.match(head ?? '', /^tools\/call mock\.echo \(legacy\) at http:.*: 200\/s over at most 1 connections, 0\.5 s$/);
  assert.match(answered ?? '', /^answered {3}100 of 100, \d+\.\d\/s, \d\.\d\d MB$/);
  assert.match(latency ?? '', /^latency {4}p50 \d+\.\d\d ms {2}p90 .* max \d+\.\d\d ms$/);
  assert.match(waited ?? '', /^waited {5}\d+ of 100 for a connection \(--connections 1\)$/);
  assert.match(generator ?? '', /^generator {2}p99 \d+\.\d\d ms late$/);
  assert.deepEqual(more, []);

  const hidden = await runCli([...to, '--tool', 'mock.none', '--rate', '20', '-o', 'json', ...SHORT], { cwd });
  assert.equal(hidden.code, 1);
  const { due, problems, latencyUs } = JSON.parse(hidden.stdout);
  assert.deepEqual([problems, latencyUs.p99], [{ 'error -32602': due }, 0]);

  const { code } = await upstream.stop();
  assert.equal(code, 0);
});

test('a bench that cannot begin says why in one line', async (t) => {
  const cwd = await scratchFolder();
  const gateway = await startGateway({ configs: [] });
  t.after(() => gateway.close());
  const refused = await runCli(['bench', gateway.mcpUrl, '--token', 'wrong', ...SHORT], { cwd });
  assert.deepEqual([refused.code, refused.stdout], [1, '']);
  assert.match(
    refused.stderr,
    /^switchboard: No session can be opened at http:.*: it answered initialize with HTTP 401: /,
  );
});

test('a bench without an answer fails, and says why there is none', async (t) => {
  const cwd = await scratchFolder();
  const upstream = new MockUpstream({ ...MOCK_DEFAULTS, port: 0, era: 'modern', latency: { fromMs: 700, toMs: 700 } });
  const to = ['bench', `http://127.0.0.1:${await upstream.listen()}/mcp`, '--era', 'modern', '--tool', 'echo'];
  t.after(() => upstream.close());
  const rare = runCli([...to, '--rate', '0.01', '--duration', '0.1', '--warm-up', '0.1'], { cwd });
  const slow = runCli([...to, '--duration', '0.1', '--warm-up', '0.1'], { cwd });
  for (const [{ code, stdout, stderr }, why] of [
    [await rare, 'nothing was due in 0.1 s at 0.01/s: raise --rate or --duration.'],
    [await slow, 'the calls of the warm-up outlasted the 0.1 s behind it: raise --duration.'],
  ] as const) {
    assert.match(stdout, /^answered {3}0 of 0, /m);
    assert.deepEqual([code, stderr], [1, `switchboard: Nothing was answered: ${why}\n`]);
  }
});

test('a bench gives its report at a signal, however long the next call is away', async (t) => {
  const cwd = await scratchFolder();
  const upstream = new MockUpstream({ ...MOCK_DEFAULTS, port: 0, era: 'modern' });
  const to = ['bench', `http://127.0.0.1:${await upstream.listen()}/mcp`, '--era', 'modern', '--tool', 'echo'];
  t.after(() => upstream.close());
  const signalled = eventually(() => upstream.calls === 1 && 'SIGTERM');
  const rare = ['--rate', '0.01', '--arrivals', 'even', '--warm-up', '0', '--duration', '200'];
  const { code, stdout, stderr } = await runCli([...to, ...rare], { cwd, signalled });
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^answered {3}1 of 1, /m);
});

test('a bench whose session is not opened in time says so', async (t) => {
  const cwd = await scratchFolder();
  const server = createServer((_, response) => response.writeHead(200, { 'content-length': 100 }).write('{'));
  const url = `http://127.0.0.1:${await listenLocally(server)}/mcp`;
  t.after(() => closeServer(server));
  const { code, stderr } = await runCli(['bench', url, '--timeout', '0.2'], { cwd });
  const line = `switchboard: No session can be opened at ${url}: it has not answered within 0.2 s (--timeout)\n`;
  assert.deepEqual([code, stderr], [1, line]);
});

test('a bench or a mock upstream that is called wrongly says what to write', async () => {
  const cwd = await scratchFolder();
  const url = 'http://127.0.0.1:9/mcp';
  const wrong: [string[], RegExp][] = [
    [['bench', 'gateway:8080'], /'gateway:8080' is invalid.* Write an http\(s\) URL/],
    [['bench', url, '--tool', 'a.b', '--arguments', '[1]'], /Write a JSON object/],
    [['bench', url, '--arguments', '{}'], /^switchboard: --arguments are those of a tool: name it with --tool/],
    [['bench', url, '--rate', '999999999'], /Write a number from 0\.01 to 100000/],
    [
      ['bench', url, '--era', 'modern', '--token', 'a\r\nx-evil: 1'],
      /^switchboard: --token must be visible ASCII[^\r]+$/,
    ],
    [['mock-upstream', '--latency', '9..1'], /Write milliseconds, such as 20, or a range, such as 5\.\.50/],
    [['mock-upstream', '--progress-events', '2'], /^switchboard: --progress-events .*: add --answer sse/],
  ];
  const ended = await Promise.all(wrong.map(([args]) => runCli(args, { cwd })));
  for (const [index, { code, stdout, stderr }] of ended.entries()) {
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, wrong[index]?.[1] as RegExp);
    assert.doesNotMatch(stderr, /x-evil/);
  }
});
