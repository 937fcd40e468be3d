// `npm run test:clients [-- --url URL --token TOKEN]`: real clients against a real gateway, by default against
// `npm start`. Needs the npm registry; everything after the installs stays on 127.0.0.1.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { connectLines } from '../../src/cli/demo/connect-lines.ts';
import { runChild } from './child.ts';
import { type Endpoint, type RunningGateway, startGateway } from './gateway.ts';
import { CLIENT_VERSIONS, installClients } from './install.ts';
import { type ConnectedClient, connectSdkV1, connectSdkV2 } from './sdk-clients.ts';

/** One tool of each demo upstream, and what its result must hold. */
const CALLS = [
  { tool: 'everything.echo', args: { message: 'over the gateway' }, expected: /over the gateway/ },
  { tool: 'toolbox.time', args: { zone: 'Asia/Tokyo' }, expected: /\d{4}-\d\d-\d\dT[\d:.]+\+09:00/ },
];
const HIDDEN_TOOL = 'everything.get-env';
const CLIENT_LIMIT_MS = 60_000;

type Run = (command: string, args: readonly string[]) => Promise<string>;
type Check = (name: string, body: () => Promise<string>) => Promise<void>;

function assertLists(listing: string): void {
  for (const { tool } of CALLS) assert.ok(listing.includes(tool), `${tool} is not listed: ${listing.slice(0, 400)}`);
  assert.ok(!listing.includes(HIDDEN_TOOL), `${HIDDEN_TOOL} is listed`);
}

async function checkSdkClient(
  check: Check,
  name: string,
  connect: () => Promise<ConnectedClient>,
  version: RegExp,
): Promise<void> {
  let client: ConnectedClient | undefined;
  await check(`${name} connects`, async () => {
    client = await connect();
    assert.match(client.protocolVersion, version);
    return client.protocolVersion;
  });
  if (client === undefined) return;
  const connected = client;
  await check(`${name} lists tools`, async () => {
    const names = await connected.toolNames();
    assertLists(names.join(' '));
    return `${names.length} tools`;
  });
  for (const { tool, args, expected } of CALLS) {
    await check(`${name} calls ${tool}`, async () => {
      const result = await connected.call(tool, args);
      assert.match(result, expected);
      return result;
    });
  }
  await connected.close();
}

async function checkInspector(check: Check, run: Run, { url, token }: Endpoint): Promise<void> {
  const line = connectLines({ url, token }).match(/npx @modelcontextprotocol.*/)?.[0] ?? '';
  // The version that is installed here, and no later one.
  const printed = line.replace('@latest', '');
  await check('inspector lists tools (the printed line)', async () => {
    const listing = await run('sh', ['-c', printed]);
    assertLists(listing);
    return `${listing.match(/"inputSchema"/g)?.length} tools`;
  });
  const target = ['mcp-inspector', '--cli', url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`];
  for (const { tool, args, expected } of CALLS) {
    await check(`inspector calls ${tool}`, async () => {
      const pairs = Object.entries(args).map(([key, value]) => `${key}=${value}`);
      const result = await run('npx', [
        ...target,
        '--method',
        'tools/call',
        '--tool-name',
        tool,
        '--tool-arg',
        ...pairs,
      ]);
      assert.match(result, expected);
      return result;
    });
  }
}

async function checkClaudeCode(check: Check, run: Run, printedLine: string): Promise<void> {
  await check('claude mcp add (the printed line)', () => run('sh', ['-c', printedLine]));
  await check('claude mcp list', async () => {
    const listing = await run('claude', ['mcp', 'list']);
    assert.match(listing, /switchboard: .*✔ Connected/);
    return listing;
  });
}

async function checkEverything(check: Check, scratch: string, gateway: Endpoint, claudeLine: string): Promise<void> {
  const legacy = /^2025-11-25$/;
  const modern = /^2026-07-28$/;
  await checkSdkClient(check, 'sdk v1', () => connectSdkV1(gateway), legacy);
  await checkSdkClient(check, 'sdk v2 pinned', () => connectSdkV2(gateway, { pin: '2026-07-28' }), modern);
  await checkSdkClient(check, 'sdk v2 auto', () => connectSdkV2(gateway, 'auto'), modern);
  let bin = '';
  const versions = Object.entries(CLIENT_VERSIONS).map((entry) => entry.join('@'));
  await check('npm installs the command-line clients', async () => {
    ({ bin } = await installClients(scratch));
    return versions.join(' ');
  });
  if (bin === '') return;
  const env = clientEnvironment(scratch, bin);
  const run: Run = (command, args) => runChild(command, args, { cwd: scratch, env, timeoutMs: CLIENT_LIMIT_MS });
  await checkInspector(check, run, gateway);
  await checkClaudeCode(check, run, claudeLine);
}

/** Nothing of the person's own set-up is read or written, and what would leave loopback runs into a closed proxy. */
function clientEnvironment(scratch: string, bin: string): NodeJS.ProcessEnv {
  const home = join(scratch, 'home');
  const proxy = 'http://127.0.0.1:9';
  return {
    PATH: [bin, dirname(process.execPath), process.env.PATH].join(delimiter),
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, 'claude'),
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    NO_PROXY: '127.0.0.1',
  };
}

const { values } = parseArgs({ options: { url: { type: 'string' }, token: { type: 'string' } } });
const scratch = await mkdtemp(join(tmpdir(), 'switchboard-clients-'));
let passed = 0;
let failed = 0;
const check: Check = async (name, body) => {
  try {
    const detail = await body();
    passed += 1;
    console.log(`ok ${name} ${oneLine(detail)}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name} ${oneLine(error instanceof Error ? error.message : String(error))}`);
  }
};
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);

let started: RunningGateway | undefined;
try {
  await mkdir(join(scratch, 'home'));
  const { url, token = '' } = values;
  if (url !== undefined) {
    const claudeLine = connectLines({ url, token }).match(/claude mcp add.*/)?.[0] ?? '';
    await checkEverything(check, scratch, { url, token }, claudeLine);
  } else {
    await check('npm start prints the URL, the token and the lines', async () => {
      await mkdir(join(scratch, 'gateway'));
      started = await startGateway(join(scratch, 'gateway'));
      return started.url;
    });
    if (started !== undefined) await checkEverything(check, scratch, started, started.claudeLine);
  }
} finally {
  await started?.close();
  await rm(scratch, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
