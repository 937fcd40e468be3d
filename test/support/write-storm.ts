// Writers at the REST API of a real process that is killed under them, again and again: what was answered is there, what
// was not answered is done once when it is sent again, and nothing is done by half.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { readWholeRecord } from './recorded-changes.ts';
import { createRestClient, type RestClient } from './rest-client.ts';
import { startServe } from './serve-child.ts';
import { OPEN, startServeRest } from './serve-rest.ts';

export interface WriteStormOptions {
  readonly kills: number;
  readonly writers: number;
}

export interface Survived {
  readonly acknowledged: number;
  /** Sent again: done before the kill, and not. */
  readonly replayed: number;
  readonly repeated: number;
}

interface Write {
  readonly requestId: string;
  readonly path: string;
  readonly body: object | undefined;
  /** Revisions that it leaves, all or none. */
  readonly revisions: number;
  /** What it was answered; `undefined` where the answer was lost. */
  view?: Readonly<Record<string, unknown>>;
}

/** Behind this many answers, and so many milliseconds, the process is killed. */
const MOST_WRITES = 60;
const MOST_DELAY_MS = 15;

export async function stormWrites({ kills, writers }: WriteStormOptions): Promise<Survived> {
  const first = await startServeRest();
  const { storeFile } = first.child;
  const options = { ...OPEN, settings: { ...OPEN.settings, store: { url: `sqlite:${storeFile}` } } };
  let { child, client } = first;
  const counts = { acknowledged: 0, replayed: 0, repeated: 0 };
  for (let kill = 0; kill < kills; kill++) {
    const storm = new Storm(client, `k${kill}`);
    const writing = Array.from({ length: writers }, (_, writer) => storm.writeAlways(writer));
    await Promise.race([storm.whenAnswered(randomInt(MOST_WRITES)), Promise.all(writing)]);
    await delay(randomInt(MOST_DELAY_MS));
    await child.stop('SIGKILL');
    await Promise.all(writing);
    client.close();

    child = await startServe(options);
    client = createRestClient(child.url, first.apiKey);
    const lost = storm.writes.filter(({ view }) => view === undefined);
    const answered = storm.writes.filter(({ view }) => view !== undefined);
    for (const write of lost) {
      const isReplay = await repeat(client, write);
      counts[isReplay ? 'replayed' : 'repeated']++;
    }
    // What was answered last is the likeliest to be missing.
    for (const write of answered.slice(-writers)) assert.ok(await repeat(client, write), write.path);
    counts.acknowledged += answered.length;
    await assertRecorded(storeFile, storm.writes);
  }
  client.close();
  await child.stop('SIGKILL');
  return counts;
}

/** Sends it again; fails when it is answered with anything else than before. Gives whether it had been done. */
async function repeat(client: RestClient, write: Write): Promise<boolean> {
  const { status, headers, message, text } = await client.post(write.path, write.body, {
    'x-request-id': write.requestId,
  });
  assert.equal(status, 200, `${write.path}: ${text}`);
  if (write.view !== undefined) assert.deepEqual(message, write.view);
  write.view ??= message;
  return headers['idempotent-replayed'] === 'true';
}

async function assertRecorded(storeFile: string, writes: readonly Write[]): Promise<void> {
  const record = await readWholeRecord(storeFile);
  const counts = new Map<string | null, number>();
  for (const { requestId } of record) counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
  for (const { requestId, path, revisions } of writes) assert.equal(counts.get(requestId), revisions, path);
}

const LOST = Symbol('the answer is lost');

class Storm {
  readonly writes: Write[] = [];
  readonly #client: RestClient;
  readonly #prefix: string;
  #answered = 0;
  #wanted: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor(client: RestClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  whenAnswered(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = { count, resolve };
    });
  }

  /** Until an answer is lost; every kind of object in turn. */
  async writeAlways(writer: number): Promise<void> {
    try {
      for (let turn = 0; ; turn++) await this.#writeEach(`${this.#prefix}-${writer}-${turn}`);
    } catch (error) {
      if (error !== LOST) throw error;
    }
  }

  async #writeEach(name: string): Promise<void> {
    await this.#write('/secrets', { name, value: `value of ${name}` });
    await this.#write('/mcp-configs', { name, endpoint: 'http://127.0.0.1:9/mcp', allowed_tools: [] });
    await this.#write(`/mcp-configs/${name}`, { description: `edited ${name}` });
    const grant = { mcp_config: name, secret: name };
    // The token, and that its secret is bound to where it goes.
    await this.#write('/mcp-tokens', { name, grants: [grant] }, 2);
    await this.#write(`/mcp-tokens/${name}/rotate`);
    const { id } = await this.#write('/devboxes', { name, mcp: { TOKEN: grant } });
    await this.#write(`/devboxes/${id}/create_mcp_token`, grant);
    // The devbox and its token in one transaction.
    await this.#write(`/devboxes/${id}/shutdown`, undefined, 2);
    await this.#write(`/mcp-tokens/${name}/revoke`);
    await this.#write(`/mcp-configs/${name}/delete`);
  }

  async #write(path: string, body?: object, revisions = 1): Promise<NonNullable<Write['view']>> {
    const write: Write = { requestId: `${this.#prefix}-${this.writes.length}`, path, body, revisions };
    this.writes.push(write);
    // Whatever goes wrong with the connection: the answer is lost.
    const answer = await this.#client.post(path, body, { 'x-request-id': write.requestId }).catch(() => undefined);
    if (answer === undefined) throw LOST;
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    write.view = answer.message;
    this.#answered++;
    if (this.#answered >= (this.#wanted?.count ?? Infinity)) this.#wanted?.resolve();
    return answer.message;
  }
}
