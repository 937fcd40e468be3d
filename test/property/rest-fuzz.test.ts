// 5,000 requests made from the OpenAPI document, over real connections: every one is answered as the document says, none
// breaks the gateway, and none touches another account. FUZZ_SEED repeats a run.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { createJudge, type DescribedOperation, fetchOpenApi, operationsOf } from '../support/openapi.ts';
import { readWholeRecord } from '../support/recorded-changes.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';
import { createRestClient, type RestClient } from '../support/rest-client.ts';
import { type FuzzRequest, fuzzRequests } from '../support/rest-requests.ts';

const REQUESTS = 5_000;
const AT_ONCE = 8;
/** Of operations that need much to come together. */
const MOST_NEVER_DONE = 3;
const DECLARED = 'declared';
const NAMES = ['fuzz', 'fuzz-readonly', 'other', 'x'];

interface Accounts {
  readonly keys: Readonly<Record<FuzzRequest['key'], string>>;
  readonly own: RestClient;
  /** Of the owner of another account. */
  readonly foreign: RestClient;
  readonly foreignIds: readonly string[];
}

const LISTS = ['mcp-configs', 'secrets', 'mcp-tokens', 'devboxes', 'api-keys', 'audit'];

/** Everything that an owner of the other account is told. */
async function readAccount({ foreign }: Accounts): Promise<unknown[]> {
  const told: unknown[] = [];
  for (const list of LISTS) told.push((await foreign.get(`/${list}`)).message);
  return told;
}

/** Keys of all roles, and another account with one of each object. */
async function fill(gateway: TestGateway, endpoint: string): Promise<Accounts> {
  const own = createRestClient(gateway.url, gateway.apiKey);
  const config = (name: string) => ({ name, endpoint, allowed_tools: ['*'] });
  const editor = await own.make('/api-keys', { name: 'fuzz-editor', role: 'editor' });
  const viewer = await own.make('/api-keys', { name: 'fuzz-viewer', role: 'viewer' });
  await own.make('/mcp-configs', config('fuzz'));
  await own.make('/mcp-tokens', { name: 'fuzz', grants: [{ mcp_config: 'fuzz' }] });
  const foreign = createRestClient(gateway.url, (await own.make('/accounts', { name: 'foreign' })).api_key);
  const granted = { mcp_config: 'foreign', secret: 'foreign' };
  const made = [
    await foreign.make('/mcp-configs', config('foreign')),
    await foreign.make('/secrets', { name: 'foreign', value: 'x' }),
    await foreign.make('/mcp-tokens', { name: 'foreign', grants: [granted] }),
    await foreign.make('/devboxes', { mcp: { FOREIGN: granted } }),
  ];
  const keys = { owner: gateway.apiKey, editor: editor.api_key, viewer: viewer.api_key, nobody: 'swb_key_of_nobody' };
  return { keys, own, foreign, foreignIds: made.map(({ id }) => id) };
}

/** As `mcp-configs`. */
function kindOf({ path }: DescribedOperation): string {
  return path.split('/')[2] ?? '';
}

function describe({ operation, id, query, body, headers, key }: FuzzRequest): string {
  return `${key}: ${operation.name} id ${id} ?${query} ${JSON.stringify(headers)} ${body?.toString().slice(0, 1_000)}`;
}

async function start(t: TestContext) {
  const upstream = await startRecordingUpstream({ era: 'modern' });
  t.after(() => upstream.close());
  const folder = await makeFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const gateway = await startGateway({
    folder,
    configs: [{ name: DECLARED, url: upstream.url, credential: 'declared-credential' }],
    tokens: [{ name: DECLARED }],
    limits: { api_requests_per_minute: 1_000_000 },
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
  t.after(() => gateway.close());
  return { upstream, folder, gateway };
}

test(`${REQUESTS} requests made from the document are answered as the document says`, async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`FUZZ_SEED=${seed}`);
  const { upstream, folder, gateway } = await start(t);
  const accounts = await fill(gateway, upstream.url);
  t.after(() => [accounts.own, accounts.foreign].forEach((client) => void client.close()));
  const document = await fetchOpenApi(gateway.url);
  const judge = createJudge(document);
  const endpoints = [upstream.url, `${upstream.url}?more`];
  const world = { endpoints, names: NAMES, declared: DECLARED, foreignIds: accounts.foreignIds };
  const operations = operationsOf(document);
  const requests = fc.sample(fuzzRequests(operations, world), { numRuns: REQUESTS, seed });
  const before = await readAccount(accounts);

  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const made = new Map<string, string[]>();
  const counts: Record<string, number> = {};
  const neverDone = new Set(operations.map(({ name }) => name));
  const serve = async (request: FuzzRequest): Promise<void> => {
    const { operation, query, headers, body } = request;
    const ids = made.get(kindOf(operation)) ?? [];
    const id = typeof request.id === 'string' ? request.id : (ids[request.id] ?? 'mcp_unknown');
    const url = `${gateway.url}${operation.path.replace('{id}', id)}${query === '' ? '' : `?${query}`}`;
    const sent = {
      method: operation.method,
      token: accounts.keys[request.key],
      headers,
      ...(body !== undefined && { body }),
    };
    const answer = await send(url, sent, agent);
    const { status, text } = answer;
    judge(operation, { status, type: answer.headers['content-type'] ?? null, text });
    assert.ok(status < 500, `${status} ${text}`);
    counts[status] = (counts[status] ?? 0) + 1;
    if (status !== 200) return;
    neverDone.delete(operation.name);
    const newId = /"id":"(\w+)"/.exec(text)?.[1];
    if (/^create/.test(operation.name) && newId !== undefined) made.set(kindOf(operation), [newId, ...ids].slice(0, 4));
  };
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < requests.length) {
      const request = requests[next++]!;
      await serve(request).catch((error: Error) => {
        throw new Error(`FUZZ_SEED=${seed} request ${next}: ${describe(request)}\n${error.message}`, { cause: error });
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  t.diagnostic(JSON.stringify(counts));

  assert.ok((counts[200] ?? 0) > REQUESTS / 4, 'too few are done');
  assert.ok(neverDone.size <= MOST_NEVER_DONE, `never done: ${[...neverDone].join(', ')}`);
  assert.deepEqual(await readAccount(accounts), before);
  const { token } = await accounts.own.make('/mcp-tokens', { name: 'after', grants: [] });
  assert.deepEqual((await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token })).message.result.tools, []);
  const record = await readWholeRecord(join(folder, 'store/switchboard.db'));
  t.diagnostic(`${record.length} revisions`);
});
