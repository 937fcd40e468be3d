// Many who change one McpConfig at once: If-Match lets exactly one of those who read the same revision win, and nothing
// that was answered with 200 is lost. test/full/control-plane.test.ts counts to 10,000.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAllCounted, countTogether } from '../support/counting-writers.ts';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { createRestClient, type RestClient } from '../support/rest-client.ts';

const ROUNDS = 100;
const COUNTING = { writers: 32, counters: 8, writes: 300 };

let folder: string;
let gateway: TestGateway;
let client: RestClient;

before(async () => {
  folder = await makeFolder();
  gateway = await startGateway({
    folder,
    configs: [],
    tokens: [],
    limits: { api_requests_per_minute: 1_000_000 },
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
  client = createRestClient(gateway.url, gateway.apiKey);
});

after(async () => {
  client.close();
  await gateway.close();
  await rm(folder, { recursive: true, force: true });
});

test('of two writers with one If-Match exactly one wins', async () => {
  const config = { name: 'two-writers', endpoint: 'http://127.0.0.1:9/mcp', allowed_tools: [] };
  const { id } = await client.make('/mcp-configs', config);
  const path = `/mcp-configs/${id}`;
  for (let round = 0; round < ROUNDS; round++) {
    const headers = { 'if-match': String((await client.get(path)).headers.etag) };
    const answers = await Promise.all(
      ['one', 'other'].map((writer) => client.post(path, { description: `${writer} ${round}` }, headers)),
    );
    const [won, lost] = answers.toSorted((a, b) => a.status - b.status);
    assert.deepEqual([won?.status, lost?.status], [200, 412]);
    assert.match(lost!.message.message as string, /somebody else has changed it/);
    const read = await client.get(path);
    assert.deepEqual(read.message, won?.message);
    assert.equal(read.headers.etag, `"${round + 2}"`);
  }
});

test(`${COUNTING.writers} writers who count together lose none of ${COUNTING.writes} writes`, async (t) => {
  const counted = await countTogether(client, COUNTING);
  t.diagnostic(`${counted.refused} came too late and were begun again`);
  await assertAllCounted(client, join(folder, 'store/switchboard.db'), counted, COUNTING.writes);
});
