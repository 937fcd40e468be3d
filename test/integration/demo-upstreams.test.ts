// The demo's upstreams as real processes on real sockets, driven by the SDK clients of both lines.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, matchesGlob } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { connectLines } from '../../src/cli/demo/connect-lines.ts';
import { createLegacySessions, type LegacyServer } from '../../src/cli/demo/legacy-sessions.ts';
import { type DemoUpstreams, startDemoUpstreams } from '../../src/cli/demo/start-demo-upstreams.ts';
import { type ConnectedClient, connectSdkV1, connectSdkV2 } from '../clients/sdk-clients.ts';
import { closeServer, listenLocally } from '../support/local-server.ts';

const DEMO = new URL('../../src/cli/demo/', import.meta.url);
const MODERN = { pin: '2026-07-28' };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

const silent = { warn: () => undefined };
const folders: string[] = [];
async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-demo-'));
  folders.push(folder);
  return folder;
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

function urlOf(demo: DemoUpstreams, name: string): string {
  return demo.upstreams.find((upstream) => upstream.name === name)!.url;
}

interface Answer {
  readonly status: number;
  readonly sessionId: string | undefined;
  readonly text: string;
}

/** Plain HTTP, as `fetch` does not let a test choose Host or Origin. */
async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const accept = 'application/json, text/event-stream';
  const sent = request(url, { method: 'POST', headers: { 'content-type': 'application/json', accept, ...headers } });
  sent.end(JSON.stringify(body));
  const [response] = await once(sent, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, sessionId: response.headers['mcp-session-id'], text };
}

async function isRefused(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

/** Process ids of our own children that run a script of that name. */
function childrenNamed(script: string): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=', '-o', 'ppid=', '-o', 'args='], { encoding: 'utf8' });
  const rows = table.split('\n').filter((row) => row.includes(script));
  return rows
    .map((row) => row.trim().split(/\s+/).map(Number))
    .flatMap(([pid, parent]) => (parent === process.pid ? [pid!] : []));
}

/** Polls until nothing listens there any more. */
async function waitUntilRefused(port: number): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!(await isRefused('127.0.0.1', port))) {
    assert.ok(Date.now() < deadline, `port ${port} still answers`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

suite('demo upstreams', () => {
  let folder: string;
  let demo: DemoUpstreams;
  let toolbox: ConnectedClient;
  before(async () => {
    folder = join(await scratchFolder(), 'new', 'demo');
    demo = await startDemoUpstreams({ folder, log: silent });
    toolbox = await connectSdkV2({ url: urlOf(demo, 'toolbox-demo'), token: '' }, MODERN);
  });
  after(async () => {
    await toolbox.close();
    await demo.close();
  });

  test('the allow-list admits every tool of server-everything but get-env and the one that asks for tasks, without a lone star', async () => {
    const { url, policy } = demo.upstreams[0]!;
    const capabilities = { roots: {}, sampling: {}, elicitation: { form: {}, url: {} } };
    const tasks = { requests: { sampling: { createMessage: {} }, elicitation: { create: {} } } };
    const opened = await post(url, {
      ...INITIALIZE,
      params: { ...INITIALIZE.params, capabilities: { ...capabilities, tasks } },
    });
    const headers = { 'mcp-session-id': opened.sessionId!, 'mcp-protocol-version': '2025-11-25' };
    await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, headers);
    const { text } = await post(url, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, headers);
    const names: string[] = JSON.parse(text.split('data: ')[1]!).result.tools.map(
      (tool: { name: string }) => tool.name,
    );
    const hidden = names.filter((name) => !policy.allowedTools.some((pattern) => matchesGlob(name, pattern)));
    assert.deepEqual(hidden.sort(), ['get-env', 'simulate-research-query']);
    assert.ok(names.length >= 19, `all conditional tools are listed: ${names}`);
    assert.ok(demo.upstreams.every((upstream) => !upstream.policy.allowedTools.includes('*')));
  });

  test('the environment of server-everything is empty and it opens no connections', async () => {
    let hits = 0;
    const target = createServer((_, response) => response.end(String(++hits)));
    const port = await listenLocally(target);
    const client = await connectSdkV1({ url: urlOf(demo, 'everything-demo'), token: '' });
    assert.match(await client.call('get-env', {}), /"text":"\{\}"/);
    const data = `http://127.0.0.1:${port}/`;
    await assert.rejects(client.call('gzip-file-as-resource', { data }), /opens no connections/);
    assert.match(await client.call('gzip-file-as-resource', { data: 'data:,hello' }), /resource_link/);
    assert.equal(hits, 0);
    await client.close();
    target.close();
  });

  test('server-everything speaks the legacy era and the toolbox both', async () => {
    const everything = { url: urlOf(demo, 'everything-demo'), token: '' };
    for (const [connecting, version] of [
      [connectSdkV1(everything), '2025-11-25'],
      [connectSdkV2(everything, 'auto'), '2025-11-25'],
      [connectSdkV1({ url: urlOf(demo, 'toolbox-demo'), token: '' }), '2025-11-25'],
      [connectSdkV2({ url: urlOf(demo, 'toolbox-demo'), token: '' }, 'auto'), '2026-07-28'],
    ] as const) {
      const client = await connecting;
      assert.equal(client.protocolVersion, version);
      await client.close();
    }
  });

  test('every tool of the toolbox is admitted and explains itself', async () => {
    const { allowedTools } = demo.upstreams[1]!.policy;
    const names = await toolbox.toolNames();
    assert.deepEqual(names.toSorted(), ['kv_delete', 'kv_get', 'kv_list', 'kv_set', 'list_files', 'read_file', 'time']);
    assert.ok(names.every((name) => allowedTools.some((pattern) => matchesGlob(name, pattern))));
  });

  test('both listen on loopback only and refuse a foreign Host, an Origin and other paths', async () => {
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4');
    for (const { url } of demo.upstreams) {
      const { port } = new URL(url);
      for (const { address } of outside) assert.ok(await isRefused(address, Number(port)), `${address} answers`);
      assert.equal((await post(url, INITIALIZE, { host: `rebound.test:${port}` })).status, 403);
      assert.equal((await post(url, INITIALIZE, { origin: 'http://localhost' })).status, 403);
      assert.equal((await post(url.replace('/mcp', '/'), INITIALIZE)).status, 404);
    }
  });

  test('the time is given in the zone asked for, with its offset', async () => {
    const structured = JSON.parse(await toolbox.call('time', { zone: 'Asia/Kolkata' })).structuredContent;
    assert.match(structured.iso, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+05:30$/);
    assert.ok(Math.abs(Date.parse(structured.iso) - Date.now()) < 60_000);
    assert.match(await toolbox.call('time', {}), /\+00:00/);
    await assert.rejects(toolbox.call('time', { zone: 'Mars/Olympus' }), /Unknown time zone/);
  });

  test('a new demo folder holds a welcome file that can be listed and read', async () => {
    assert.match(await toolbox.call('list_files', {}), /welcome\.md/);
    assert.match(await toolbox.call('read_file', { path: './welcome.md' }), /Welcome to Switchboard/);
  });

  test('what is outside the folder looks exactly like what does not exist', async () => {
    const files = join(folder, 'files');
    await mkdir(join(files, 'sub'));
    await writeFile(join(folder, 'secret.txt'), 'outside');
    await mkdir(join(folder, 'files-sibling'));
    await symlink('../secret.txt', join(files, 'link-to-file'));
    await symlink('..', join(files, 'link-to-folder'));
    await symlink('welcome.md', join(files, 'link-inside'));
    const outside = [
      '../secret.txt',
      'sub/../../secret.txt',
      join(folder, 'secret.txt'),
      '/etc/passwd',
      'link-to-file',
    ];
    const refused = [
      ...outside,
      'link-to-folder/secret.txt',
      'link-to-folder',
      '..',
      '../files-sibling',
      'a\0b',
      'missing',
    ];
    for (const path of refused) {
      for (const tool of ['read_file', 'list_files']) {
        const expected = `No such file: "${path}". list_files shows what there is.`;
        await assert.rejects(toolbox.call(tool, { path }), (error: Error) => {
          assert.equal(JSON.parse(error.message.slice(error.message.indexOf('{'))).content[0].text, expected);
          return true;
        });
      }
    }
    assert.match(await toolbox.call('read_file', { path: 'link-inside' }), /Welcome/);
  });

  test('a file too large, not UTF-8, not a file or a pipe is refused with the reason', async () => {
    const files = join(folder, 'files');
    await writeFile(join(files, 'limit.txt'), 'x'.repeat(256 * 1024));
    await writeFile(join(files, 'large.txt'), 'x'.repeat(256 * 1024 + 1));
    await writeFile(join(files, 'binary'), Buffer.from([0xff, 0xfe]));
    execFileSync('mkfifo', [join(files, 'pipe')]);
    await mkdir(join(files, 'folder'));
    assert.match(await toolbox.call('read_file', { path: 'limit.txt' }), /"size_bytes":262144/);
    await assert.rejects(toolbox.call('read_file', { path: 'large.txt' }), /larger than 262144 bytes/);
    await assert.rejects(toolbox.call('read_file', { path: 'binary' }), /not UTF-8/);
    await assert.rejects(toolbox.call('read_file', { path: 'pipe' }), /not a regular file/);
    await assert.rejects(toolbox.call('read_file', { path: 'folder' }), /is a folder/);
    await assert.rejects(toolbox.call('list_files', { path: 'welcome.md' }), /is a file/);
  });

  test('values are kept, listed by prefix, replaced and deleted; concurrent writes all count', async () => {
    const keys = Array.from({ length: 20 }, (_, index) => `many/${String(index).padStart(2, '0')}`);
    await Promise.all(keys.map((key) => toolbox.call('kv_set', { key, value: key })));
    assert.match(await toolbox.call('kv_set', { key: 'many/00', value: '"é"' }), /"created":false/);
    assert.deepEqual(JSON.parse(await toolbox.call('kv_get', { key: 'many/00' })).structuredContent, { value: '"é"' });
    assert.deepEqual(JSON.parse(await toolbox.call('kv_list', { prefix: 'many/' })).structuredContent, { keys });
    assert.match(await toolbox.call('kv_delete', { key: 'many/00' }), /"deleted":true/);
    assert.match(await toolbox.call('kv_delete', { key: 'many/00' }), /"deleted":false/);
    assert.match(await toolbox.call('kv_get', { key: 'many/00' }), /"value":null/);
    assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => name.startsWith('kv'))), ['kv.json']);
  });

  test('odd keys, long values and a full store are refused and change nothing', async () => {
    for (const key of ['', '__proto__', 'a b', 'x'.repeat(129)]) {
      await assert.rejects(toolbox.call('kv_set', { key, value: '' }), /kv_set: key/);
    }
    await assert.rejects(toolbox.call('kv_set', { key: 'long', value: 'x'.repeat(8193) }), /value/);
    const before = JSON.parse(await toolbox.call('kv_list', {})).structuredContent.keys.length;
    for (let index = before; index < 256; index++) await toolbox.call('kv_set', { key: `fill/${index}`, value: '' });
    await assert.rejects(toolbox.call('kv_set', { key: 'one-more', value: '' }), /full \(256 keys\)/);
    assert.match(await toolbox.call('kv_get', { key: 'one-more' }), /"value":null/);
    assert.match(await toolbox.call('kv_set', { key: 'fill/255', value: 'replaced' }), /"created":false/);
  });
});

test('a second start keeps files and values', async () => {
  const folder = await scratchFolder();
  for (const expected of [/"created":true/, /"created":false/]) {
    const demo = await startDemoUpstreams({ folder, log: silent });
    const client = await connectSdkV2({ url: urlOf(demo, 'toolbox-demo'), token: '' }, MODERN);
    assert.match(await client.call('kv_set', { key: 'kept', value: 'yes' }), expected);
    await client.close();
    await demo.close();
    await waitUntilRefused(Number(new URL(urlOf(demo, 'everything-demo')).port));
  }
});

test('an upstream that cannot start is named with its reason, and the other one is ended', async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, 'kv.json'), '{"broken"');
  await assert.rejects(startDemoUpstreams({ folder, log: silent }), (error: Error) => {
    assert.match(error.message, /"toolbox-demo" did not start: .*kv\.json does not hold/s);
    return true;
  });
  assert.deepEqual(childrenNamed('everything-upstream'), []);
});

test('a child that ends by itself is reported once, with its code', async () => {
  const reports: object[] = [];
  const reported = Promise.withResolvers<void>();
  const warn = (fields: object): void => {
    reports.push(fields);
    reported.resolve();
  };
  const demo = await startDemoUpstreams({ folder: await scratchFolder(), log: { warn } });
  const port = new URL(urlOf(demo, 'toolbox-demo')).port;
  process.kill(childrenNamed('toolbox-upstream')[0]!, 'SIGKILL');
  await reported.promise;
  await waitUntilRefused(Number(port));
  await demo.close();
  assert.deepEqual(reports, [{ upstream: 'toolbox-demo', code: null, stderr: '' }]);
});

test('the children end when their parent is killed, and not before on Ctrl-C', async (t) => {
  const start = JSON.stringify(new URL('start-demo-upstreams.ts', DEMO).href);
  const folder = JSON.stringify(await scratchFolder());
  const source = `process.on('SIGINT', () => console.log('interrupted'));
    const { startDemoUpstreams } = await import(${start});
    const demo = await startDemoUpstreams({ folder: ${folder}, log: console });
    console.log(JSON.stringify(demo.upstreams));`;
  const args = ['--input-type=module', '-e', source];
  // A process group of its own, so that SIGINT reaches it and its children as Ctrl-C in a terminal would.
  const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  t.after(() => parent.kill('SIGKILL'));
  const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
  const upstreams: { url: string }[] = JSON.parse((await lines.next()).value ?? '');
  process.kill(-parent.pid!, 'SIGINT');
  assert.equal((await lines.next()).value, 'interrupted');
  for (const { url } of upstreams) assert.equal((await post(url, INITIALIZE)).status, 200);
  parent.kill('SIGKILL');
  await once(parent, 'close');
  for (const { url } of upstreams) await waitUntilRefused(Number(new URL(url).port));
});

test('without server-everything the toolbox is served alone, and a note says so', async () => {
  const root = await scratchFolder();
  await cp(DEMO, join(root, 'src/cli/demo'), { recursive: true });
  await cp(new URL('../../domain/', DEMO), join(root, 'src/domain'), { recursive: true });
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await mkdir(join(root, 'node_modules/@modelcontextprotocol'), { recursive: true });
  for (const name of ['zod', '@modelcontextprotocol/server']) {
    await symlink(new URL(`../../../node_modules/${name}`, DEMO), join(root, 'node_modules', name));
  }
  const { startDemoUpstreams: start } = await import(join(root, 'src/cli/demo/start-demo-upstreams.ts'));
  const demo: DemoUpstreams = await start({ folder: join(root, 'demo'), log: silent });
  await demo.close();
  assert.deepEqual(
    demo.upstreams.map(({ name }) => name),
    ['toolbox-demo'],
  );
  assert.match(demo.notes.join(), /everything-demo is left out/);
});

suite('legacy sessions', () => {
  const MAX_SESSIONS = 3;
  let createEverything: () => LegacyServer;
  before(async () => {
    const factory: string = '@modelcontextprotocol/server-everything/dist/server/index.js';
    ({ createServer: createEverything } = await import(factory));
  });

  async function serve(t: TestContext) {
    const clock = { nowMs: 0 };
    const ended: (string | undefined)[] = [];
    const sessions = createLegacySessions({
      createServer: () => {
        const { server, cleanup } = createEverything();
        return { server, cleanup: (id) => [ended.push(id), cleanup(id)] };
      },
      maxSessions: MAX_SESSIONS,
      idleMs: 1000,
      now: () => clock.nowMs,
    });
    const server = createServer((incoming, outgoing) => void sessions.answer(incoming, outgoing));
    const url = `http://127.0.0.1:${await listenLocally(server)}/mcp`;
    t.after(() => closeServer(server));
    const ping = (id: string) => post(url, { jsonrpc: '2.0', id: 9, method: 'ping' }, { 'mcp-session-id': id });
    const open = async () => (await post(url, INITIALIZE)).sessionId!;
    return { url, clock, ended, sessions, ping, open };
  }

  test('a session ends when it has been idle long enough, and is then unknown', async (t) => {
    const { clock, sessions, ping, open, ended } = await serve(t);
    const [old, used] = [await open(), await open()] as const;
    clock.nowMs = 600;
    assert.equal((await ping(used)).status, 200);
    clock.nowMs = 1000;
    await sessions.closeIdle();
    assert.equal((await ping(old)).status, 404);
    assert.equal((await ping(used)).status, 200);
    assert.deepEqual(ended, [old]);
  });

  test('a full table gives up the session idle longest; one with an open stream stays', async (t) => {
    const { url, ping, open } = await serve(t);
    const [streaming, idle, used] = [await open(), await open(), await open()] as const;
    const headers = { accept: 'text/event-stream', 'mcp-session-id': streaming };
    const stream = request(url, { headers });
    stream.end();
    await once(stream, 'response');
    await ping(used);
    const added = await open();
    assert.equal((await ping(idle)).status, 404);
    for (const id of [used, added]) assert.equal((await ping(id)).status, 200);
    const stillOpen = await post(url, { jsonrpc: '2.0', id: 3, method: 'ping' }, { 'mcp-session-id': streaming });
    assert.equal(stillOpen.status, 200);
    stream.destroy();
  });

  test('a table full of sessions in use answers 503, and a refused request leaves no session', async (t) => {
    const { url, ping, open, ended } = await serve(t);
    assert.equal((await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' })).status, 400);
    assert.deepEqual(ended, [undefined]);
    const streams = [];
    for (let index = 0; index < MAX_SESSIONS; index++) {
      const stream = request(url, { headers: { accept: 'text/event-stream', 'mcp-session-id': await open() } });
      stream.end();
      await once(stream, 'response');
      streams.push(stream);
    }
    assert.equal((await post(url, INITIALIZE)).status, 503);
    assert.equal((await ping('unknown')).status, 404);
    for (const stream of streams) stream.destroy();
  });
});

test('a pasted line gives each client its arguments exactly, whatever the token holds', () => {
  const visible = fc.string({
    unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
  });
  const tokens = fc.oneof(fc.constant('swb_agt_1_aZ'), visible);
  const programs = ['claude', 'codex', 'code', 'npx'].map((name) => `${name}() { printf '%s\\0' ${name} "$@"; }`);
  const property = fc.property(tokens, (token) => {
    const lines = connectLines({ url: 'http://127.0.0.1:8080/mcp', token })
      .split('\n')
      .filter((line) => line.startsWith(' '));
    const script = [...programs, ...lines, `printf '%s\\0' "$SWITCHBOARD_TOKEN"`].join('\n');
    const words = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
    const url = 'http://127.0.0.1:8080/mcp';
    const dotless = `${url}?names=underscore`;
    const vsCode = { name: 'switchboard', type: 'http', url: dotless, headers: { Authorization: `Bearer ${token}` } };
    const header = `Authorization: Bearer ${token}`;
    assert.deepEqual(words, [
      ...['claude', 'mcp', 'add', 'switchboard', '--transport', 'http', url, '--header', header],
      ...['codex', 'mcp', 'add', 'switchboard', '--url', dotless, '--bearer-token-env-var', 'SWITCHBOARD_TOKEN'],
      ...['code', '--add-mcp', JSON.stringify(vsCode)],
      ...[
        'npx',
        '@modelcontextprotocol/inspector@latest',
        '--cli',
        url,
        '--transport',
        'http',
        '--method',
        'tools/list',
      ],
      ...['--header', header, token],
    ]);
  });
  fc.assert(property, { numRuns: 100 });
});
