// Writers that count together in the description of an McpConfig: each reads, adds one and writes with If-Match, and
// begins again when another was first. Whatever is lost is missing in the end.

import assert from 'node:assert/strict';
import { readWholeRecord } from './recorded-changes.ts';
import type { RestClient } from './rest-client.ts';

export interface CountingOptions {
  readonly writers: number;
  /** Over which the writers spread: those of one get into each other's way. */
  readonly counters: number;
  /** Writes that are done, of all writers. */
  readonly writes: number;
}

export interface Counted {
  /** Writes that came too late, and were begun again. */
  readonly refused: number;
  /** Of the McpConfigs that were counted in. */
  readonly ids: readonly string[];
}

export async function countTogether(client: RestClient, options: CountingOptions): Promise<Counted> {
  const ids: string[] = [];
  for (let index = 0; index < options.counters; index++) {
    const config = {
      name: `counter-${index}`,
      endpoint: 'http://127.0.0.1:9/mcp',
      allowed_tools: [],
      description: '0',
    };
    ids.push((await client.make('/mcp-configs', config)).id);
  }
  let refused = 0;
  let begun = 0;
  const addOne = async (path: string): Promise<void> => {
    for (;;) {
      const read = await client.get(path);
      const description = String(Number(read.message.description) + 1);
      const { status, text } = await client.post(path, { description }, { 'if-match': String(read.headers.etag) });
      if (status === 200) return;
      assert.equal(status, 412, text);
      refused++;
    }
  };
  const work = async (writer: number): Promise<void> => {
    while (begun++ < options.writes) await addOne(`/mcp-configs/${ids[writer % ids.length]}`);
  };
  await Promise.all(Array.from({ length: options.writers }, (_, writer) => work(writer)));
  return { refused, ids };
}

/** Fails when a write is lost, done twice, or missing in the record. */
export async function assertAllCounted(
  client: RestClient,
  storeFile: string,
  { ids }: Counted,
  writes: number,
): Promise<void> {
  const record = await readWholeRecord(storeFile);
  let sum = 0;
  for (const id of ids) {
    const { description, revision } = (await client.get(`/mcp-configs/${id}`)).message;
    const revisions = record.filter(({ objectId }) => objectId === id);
    assert.equal(revision, Number(description) + 1);
    assert.deepEqual(
      revisions.map((each) => [each.revision, each.after?.description]),
      Array.from({ length: revisions.length }, (_, index) => [index + 1, String(index)]),
    );
    assert.equal(revisions.length, revision);
    sum += Number(description);
  }
  assert.equal(sum, writes);
}
