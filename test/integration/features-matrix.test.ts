// Every feature of the protocol between clients and servers of the official SDKs of both lines, through one gateway, era
// by era, and beside it without the gateway. The table is printed under the tests, or alone when this file is run directly.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { ANSWERS, FeaturesClient } from '../support/features-clients.ts';
import {
  ASKS,
  type Ask,
  ELICITATION_ID,
  type FeaturesServer,
  type Grown,
  LOG_LEVELS,
  NAMES,
  PROGRESS_STEPS,
  startFeaturesServer,
} from '../support/features-servers.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const ERAS = ['legacy', 'modern'] as const;
type Era = (typeof ERAS)[number];
type Outcome = 'passes' | 'bridged';

/** One client towards one server. `via` is the service's name in front of the dot; directly there is none. */
interface Row {
  readonly name: string;
  readonly clientEra: Era;
  readonly upstreamEra: Era;
  readonly via: string | undefined;
}

const ROWS: readonly Row[] = [
  ...ERAS.map((era) => ({ name: `${era} → ${era}, directly`, clientEra: era, upstreamEra: era, via: undefined })),
  ...ERAS.flatMap((clientEra) =>
    ERAS.map((upstreamEra) => ({
      name: `${clientEra} → ${upstreamEra}`,
      clientEra,
      upstreamEra,
      via: `${upstreamEra}_one`,
    })),
  ),
];

const CELLS: Readonly<Record<string, (row: Row) => Promise<void>>> = {
  sampling: asksForSampling,
  'form elicitation': asksForForm,
  'URL elicitation': asksForUrl,
  roots: asksForRoots,
  progress: reportsProgress,
  logging: logs,
  cancellation: cancels,
  list_changed: tellsOfLists,
  'resource updated': tellsOfResource,
  'prompt get': getsPrompt,
  'resource read': readsResource,
  completion: completes,
};

const outcomes = new Map<string, Outcome | 'fails'>();
const servers = {} as Record<Era, FeaturesServer>;
const clients = new Map<string, FeaturesClient>();
let gateway: TestGateway;

before(async () => {
  for (const era of ERAS) servers[era] = await startFeaturesServer(era);
  const all = { allowed_prompts: ['*'], allowed_resources: ['*'] };
  gateway = await startGateway({
    configs: ERAS.map((era) => ({ name: `${era}_one`, url: servers[era].url, more: all })),
    tokens: ERAS.map((name) => ({ name })),
  });
  await Promise.all(
    ROWS.map(async ({ name, clientEra, upstreamEra, via }) => {
      const url = via === undefined ? servers[upstreamEra].url : gateway.mcpUrl;
      clients.set(name, await FeaturesClient.connect(clientEra, url, gateway.token(clientEra)));
    }),
  );
});
after(async () => {
  await Promise.all([...clients.values()].map((client) => client.close()));
  await gateway.close();
  await Promise.all(ERAS.map((era) => servers[era].close()));
});

suite('between clients and servers', { concurrency: true }, () => {
  for (const row of ROWS) {
    suite(row.name, { concurrency: false }, () => {
      for (const [feature, run] of Object.entries(CELLS)) {
        test(`${row.name}: ${feature}`, async () => {
          outcomes.set(`${row.name}: ${feature}`, 'fails');
          await run(row);
          outcomes.set(`${row.name}: ${feature}`, row.clientEra === row.upstreamEra ? 'passes' : 'bridged');
        });
      }
    });
  }
});

test('every feature passes between equal eras and is bridged between different ones', (t) => {
  const print = process.env.NODE_TEST_CONTEXT === undefined ? console.log : (line: string) => t.diagnostic(line);
  const features = Object.keys(CELLS);
  const width = Math.max(...features.map((feature) => feature.length));
  print([''.padEnd(width), ...ROWS.map(({ name }) => name)].join('  '));
  for (const feature of features) {
    const cells = ROWS.map(({ name }) => (outcomes.get(`${name}: ${feature}`) ?? '?').padEnd(name.length));
    print([feature.padEnd(width), ...cells].join('  ').trimEnd());
  }
  assert.deepEqual(
    [...outcomes].filter(([, outcome]) => outcome === 'fails'),
    [],
  );
  assert.equal(outcomes.size, ROWS.length * features.length);
});

/** Calls a tool that asks, and checks that the client was asked what the server asks, and the server told what it answered. */
async function ask(row: Row, tool: Ask, params: object | undefined, answer: object): Promise<void> {
  const client = clientOf(row);
  client.asked.length = 0;
  const text = await client.call(nameOf(row, tool));
  assert.equal(client.asked.length, 1, 'asked once');
  const [got] = client.asked;
  assert.equal(got!.method, ASKS[tool].method);
  const { _meta, ...asked } = got!.params ?? {};
  assert.deepEqual(asked, params ?? {});
  assert.deepEqual(JSON.parse(text), answer);
}

async function asksForSampling(row: Row): Promise<void> {
  await ask(row, 'sample', ASKS.sample.params, ANSWERS['sampling/createMessage']);
}

async function asksForForm(row: Row): Promise<void> {
  const client = clientOf(row);
  client.elicited = { action: 'accept', content: { size: 7 } };
  await ask(row, 'ask', ASKS.ask.params, client.elicited);
  client.elicited = { action: 'decline' };
  await ask(row, 'ask', ASKS.ask.params, client.elicited);
}

async function asksForUrl(row: Row): Promise<void> {
  const client = clientOf(row);
  client.elicited = { action: 'accept' };
  client.asked.length = 0;
  assert.deepEqual(JSON.parse(await client.call(nameOf(row, 'visit'))), { action: 'accept' });
  assert.equal(client.asked.length, 1);
  const { _meta, elicitationId, ...asked } = client.asked[0]!.params;
  assert.deepEqual(asked, ASKS.visit.params);
  // Only the legacy era knows it, and requires it there; one that the upstream did not give is the gateway's.
  if (row.clientEra === 'modern') assert.equal(elicitationId, undefined);
  else if (row.upstreamEra === 'legacy') assert.equal(elicitationId, ELICITATION_ID);
  else assert.equal(typeof elicitationId, 'string');
}

async function asksForRoots(row: Row): Promise<void> {
  await ask(row, 'roots', undefined, ANSWERS['roots/list']);
}

async function reportsProgress(row: Row): Promise<void> {
  const steps: unknown[] = [];
  const onprogress = ({ progress, message }: { progress: number; message?: string | undefined }): void => {
    steps.push([progress, message]);
  };
  assert.equal(await clientOf(row).call(nameOf(row, 'count'), {}, { onprogress }), 'done');
  assert.deepEqual(
    steps,
    Array.from({ length: PROGRESS_STEPS }, (_, index) => [index + 1, `step ${index + 1}`]),
  );
}

async function logs(row: Row): Promise<void> {
  const client = clientOf(row);
  const said = () => client.told.filter(({ method }) => method === 'notifications/message');
  const before = said().length;
  await client.wantLogs('info');
  assert.equal(await client.call(nameOf(row, 'log')), 'done');
  const wanted = LOG_LEVELS.slice(LOG_LEVELS.indexOf('info'));
  assert.deepEqual(
    said()
      .slice(before)
      .map(({ params: { level, data, logger } }) => ({ level, data, logger })),
    wanted.map((level) => ({ level, data: `said at ${level}`, logger: 'features' })),
  );
}

async function cancels(row: Row): Promise<void> {
  const key = row.name;
  const { waiting, aborted } = servers[row.upstreamEra];
  const controller = new AbortController();
  const rejected = assert.rejects(clientOf(row).call(nameOf(row, 'wait'), { key }, { signal: controller.signal }));
  await eventually(() => waiting.has(key));
  assert.equal(aborted.has(key), false);
  controller.abort(new Error('enough'));
  await rejected;
  await eventually(() => aborted.has(key), 1_000);
}

async function tellsOfLists(row: Row): Promise<void> {
  const client = clientOf(row);
  const kinds: readonly Grown[] = ['tool', 'prompt', 'resource'];
  const grown = (kind: Grown) => `${kind}_${ROWS.indexOf(row)}`;
  const told = (kind: Grown) =>
    client.told.filter(({ method }) => method === `notifications/${kind}s/list_changed`).length;
  // What a session has listed is what it can be told a change of.
  for (const kind of kinds) await client.names(kind);
  await client.watchLists();
  const before = kinds.map(told);
  for (const kind of kinds) await client.call(nameOf(row, 'grow'), { kind, name: grown(kind) });
  await eventually(() => kinds.every((kind, index) => told(kind) > before[index]!));
  for (const kind of kinds) {
    const name = kind === 'resource' ? `memo://grown/${grown(kind)}` : nameOf(row, grown(kind));
    // What it was told of may have been grown by another client of the same server.
    await eventually(async () => (await client.names(kind)).includes(name));
  }
}

async function tellsOfResource(row: Row): Promise<void> {
  const client = clientOf(row);
  const uri = servers[row.upstreamEra].stateUri;
  await client.watchResource(uri);
  const told = () => client.told.filter(({ method }) => method === 'notifications/resources/updated');
  const before = told().length;
  await client.call(nameOf(row, 'touch'));
  await eventually(() => told().length > before);
  assert.equal(told().at(-1)!.params.uri, uri);
}

async function getsPrompt(row: Row): Promise<void> {
  const { messages } = (await clientOf(row).prompt(nameOf(row, 'greet'), { name: 'Zoë' })) as { messages: object[] };
  assert.deepEqual(messages, [{ role: 'user', content: { type: 'text', text: 'Greet Zoë. é' } }]);
}

async function readsResource(row: Row): Promise<void> {
  const { stateUri, noteUri } = servers[row.upstreamEra];
  const read = async (uri: string) => (await clientOf(row).read(uri)).contents[0] as { uri: string; text: string };
  const state = await read(stateUri);
  assert.equal(state.uri, stateUri);
  assert.match(state.text, /^version \d+$/);
  const uri = noteUri('tea');
  assert.deepEqual(await read(uri), { uri, mimeType: 'text/plain', text: `a note of ${uri}` });
}

async function completes(row: Row): Promise<void> {
  const client = clientOf(row);
  const ofPrompt = await client.complete(
    { type: 'ref/prompt', name: nameOf(row, 'greet') },
    { name: 'name', value: 'An' },
  );
  assert.deepEqual(ofPrompt, NAMES.slice(0, 2));
  const uri = servers[row.upstreamEra].noteUri('{topic}');
  assert.deepEqual(await client.complete({ type: 'ref/resource', uri }, { name: 'topic', value: 'te' }), [
    'tea',
    'teapot',
  ]);
}

function clientOf({ name }: Row): FeaturesClient {
  return clients.get(name)!;
}

function nameOf({ via }: Row, name: string): string {
  return via === undefined ? name : `${via}.${name}`;
}
