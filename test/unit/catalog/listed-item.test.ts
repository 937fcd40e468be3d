import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import fc from 'fast-check';
import {
  type ListedItem,
  readListedPrompt,
  readListedResource,
  readListedTemplate,
} from '../../../src/catalog/listed-item.ts';
import type { Unusable } from '../../../src/catalog/readable-members.ts';
import { splice } from '../../../src/protocol/splice.ts';

type Kind = 'prompts' | 'resources' | 'templates';

const READ: Readonly<Record<Kind, (bytes: Buffer) => ListedItem | Unusable>> = {
  prompts: readListedPrompt,
  resources: readListedResource,
  templates: readListedTemplate,
};
const GOOD: Readonly<Record<Kind, string>> = {
  prompts: '{"name":"t"}',
  resources: '{"name":"t","uri":"t:"}',
  templates: '{"name":"t","uriTemplate":"t:{x}"}',
};
const KINDS = Object.keys(GOOD) as Kind[];

const read = (kind: Kind, text: string) => READ[kind](Buffer.from(text));

function keep(kind: Kind, text: string): ListedItem {
  const item = read(kind, text);
  assert.ok(!('reason' in item), 'reason' in item ? `${item.reason}: ${text}` : '');
  return item;
}

/** Edits must be sorted, inside the bytes, and must not overlap or touch what names the object. */
function mend({ bytes, repairs, nameAt }: ListedItem): string {
  let from = 0;
  for (const { start, end } of repairs) {
    assert.ok(from <= start && start <= end && end <= bytes.length, JSON.stringify(repairs));
    assert.ok(end <= nameAt.start || start >= nameAt.end, 'an edit touches the name');
    from = end;
  }
  return splice(bytes, repairs).toString();
}

function withMember(kind: Kind, key: string, raw: string): string {
  return GOOD[kind].replace('{', `{"x":1.0,"${key}":${raw},"y":"\\u00e9",`);
}

/** Clients of both SDKs, without a socket: each asks for one list, as `shown` has it. */
const clients: (Client | ModernClient)[] = [];
let shown: Readonly<Record<Kind, string>> = { prompts: '', resources: '', templates: '' };

async function answer(_url: unknown, init?: { method?: string; body?: unknown }): Promise<Response> {
  if (init?.method !== 'POST') return new Response(null, { status: 405 });
  const { id, method } = JSON.parse(String(init.body));
  const capabilities = '"capabilities":{"prompts":{},"resources":{}},"serverInfo":{"name":"s","version":"1"}';
  const modern = '"resultType":"complete","ttlMs":0,"cacheScope":"private"';
  const results: Readonly<Record<string, string>> = {
    initialize: `{"protocolVersion":"2025-11-25",${capabilities}}`,
    'server/discover': `{"supportedVersions":["2026-07-28"],${capabilities},${modern}}`,
    'prompts/list': `{"prompts":[${shown.prompts}],${modern}}`,
    'resources/list': `{"resources":[${shown.resources}],${modern}}`,
    'resources/templates/list': `{"resourceTemplates":[${shown.templates}],${modern}}`,
  };
  if (id === undefined) return new Response(null, { status: 202 });
  const headers = { 'content-type': 'application/json' };
  return new Response(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${results[method]}}`, { headers });
}

before(async () => {
  const info = { name: 'sdk-client', version: '1' };
  const nowhere = new URL('http://127.0.0.1/mcp');
  const v1 = new Client(info);
  const transport = new StreamableHTTPClientTransport(nowhere, { fetch: answer });
  await v1.connect(transport as Parameters<typeof v1.connect>[0]);
  clients.push(v1);
  for (const mode of ['legacy', { pin: '2026-07-28' }] as const) {
    const v2 = new ModernClient(info, { versionNegotiation: { mode } });
    await v2.connect(new ModernTransport(nowhere, { fetch: answer }));
    clients.push(v2);
  }
});
after(() => Promise.all(clients.map((client) => client.close())));

/** How many objects each line of SDK client reads from a list. */
async function listByClients(kind: Kind, texts: readonly string[]): Promise<number[]> {
  shown = { ...shown, [kind]: texts.join() };
  const list = async (client: Client | ModernClient): Promise<number> => {
    if (kind === 'prompts') return (await client.listPrompts()).prompts.length;
    if (kind === 'resources') return (await client.listResources()).resources.length;
    return (await client.listResourceTemplates()).resourceTemplates.length;
  };
  return Promise.all(clients.map(list));
}

describe('what all clients can read', () => {
  const texts: readonly (readonly [Kind, string])[] = [
    ['prompts', '{ "arguments" : [ ] ,\r\n "name" : "t" }'],
    [
      'prompts',
      '{"name":"t","title":"","description":"é \\ud800","icons":[{"src":"a","theme":"dark"}],"_meta":{},"x":null}',
    ],
    [
      'prompts',
      '{"name":"t","arguments":[{"name":"a"},{"name":"b","title":"B","description":"c","required":true,"x":1e400}]}',
    ],
    [
      'resources',
      '{"uri":"ui://a b/é?x#y","name":"","size":1.0,"mimeType":"text/html","_meta":{"ui":{}},"description":""}',
    ],
    [
      'resources',
      '{"name":"t","uri":"t:","annotations":{"audience":["user","assistant"],"priority":0.5,"lastModified":"2025-01-12T15:00:58.1+02:00","x":[]}}',
    ],
    [
      'resources',
      '{"name":"t","uri":"t:","annotations":{"audience":[],"priority":0,"lastModified":"2024-02-29T00:00:00Z"}}',
    ],
    ['templates', '{"name":"t","uriTemplate":"file://{+path}{?q*,r:3}","mimeType":"a/b","annotations":{"priority":1}}'],
  ];
  for (const [kind, text] of texts) {
    test(`keeps its bytes: ${text.slice(0, 70)}`, async () => {
      const item = keep(kind, text);
      assert.deepEqual(item.repairs, []);
      assert.equal(item.bytes.toString(), text);
      assert.equal(JSON.parse(item.bytes.toString('utf8', item.nameAt.start, item.nameAt.end)), item.name);
      assert.deepEqual(await listByClients(kind, [GOOD[kind], text]), [2, 2, 2]);
    });
  }
});

const BAD_ICONS = [
  'null',
  '{"src":"a"}',
  '[{}]',
  '[{"src":1}]',
  '[{"src":"a","sizes":"any"}]',
  '[{"src":"a","theme":"blue"}]',
];
/** Optional members that clients could not read. */
const BAD: Readonly<Record<string, readonly string[]>> = {
  title: ['null', '7'],
  description: ['null', '["a"]'],
  icons: BAD_ICONS,
  _meta: ['null', '[]', '"a"'],
};
const BAD_OF_RESOURCES: Readonly<Record<string, readonly string[]>> = {
  ...BAD,
  mimeType: ['null', '[]'],
  annotations: ['null', '[]', '"a"'],
};
const BAD_ANNOTATIONS: Readonly<Record<string, readonly string[]>> = {
  audience: ['null', '"user"', '["system"]', '[1]'],
  priority: ['null', '"1"', '1.01', '-0.1', '1e400'],
  lastModified: [
    'null',
    '"yesterday"',
    '"2025-01-12"',
    '"2025-02-29T00:00:00Z"',
    '"2025-01-12T15:00:58"',
    '"2025-01-12T15:00Z"',
    '"2025-01-12T24:00:00Z"',
    '1',
  ],
};

describe('a member that clients could not read', () => {
  for (const kind of KINDS) {
    const bad =
      kind === 'prompts'
        ? BAD
        : { ...BAD_OF_RESOURCES, ...(kind === 'resources' ? { size: ['null', '"1"', '1e400'] } : {}) };
    for (const [key, raws] of Object.entries(bad)) {
      test(`is cut out, and nothing else: ${key} of ${kind}`, async () => {
        for (const raw of raws) {
          const text = withMember(kind, key, raw);
          await assert.rejects(listByClients(kind, [text]), `clients read ${raw}`);
          assert.equal(mend(keep(kind, text)), text.replace(`"${key}":${raw},`, ''));
          assert.deepEqual(await listByClients(kind, [mend(keep(kind, text)), GOOD[kind]]), [2, 2, 2]);
        }
      });
    }
  }

  for (const [key, raws] of Object.entries(BAD_ANNOTATIONS)) {
    test(`is cut out of annotations, and nothing else: ${key}`, async () => {
      for (const raw of raws) {
        const text = withMember('resources', 'annotations', `{"a":1.0, "${key}":${raw}}`);
        await assert.rejects(listByClients('resources', [text]), `clients read ${raw}`);
        const mended = mend(keep('resources', text));
        assert.equal(mended, text.replace(`{"a":1.0, "${key}":${raw}}`, '{"a":1.0}'));
        assert.deepEqual(await listByClients('resources', [mended]), [1, 1, 1]);
      }
    });
  }

  test("is cut out of a prompt's arguments", async () => {
    const text =
      '{"name":"t","arguments":[{"description":null,"name":"a","required":"yes"},{"name":"b","x":1.0}],"title":null}';
    const mended = mend(keep('prompts', text));
    assert.equal(mended, '{"name":"t","arguments":[{"name":"a"},{"name":"b","x":1.0}]}');
    assert.deepEqual(await listByClients('prompts', [mended]), [1, 1, 1]);
  });
});

describe('what cannot be mended', () => {
  const cases: readonly (readonly [Kind, string, RegExp])[] = [
    ['prompts', '[]', /no JSON object/],
    ['prompts', '{"name":"a","name":"b"}', /key twice/],
    ['prompts', '{"title":"a"}', /no 'name'/],
    ['prompts', '{"name":7}', /no 'name'/],
    ['prompts', '{"name":"a","Name":"b"}', /case only/],
    ['prompts', '{"name":"a b"}', /1 to 128/],
    ['prompts', '{"name":""}', /1 to 128/],
    ['prompts', '{"name":"a","arguments":null}', /no list/],
    ['prompts', '{"name":"a","arguments":{"name":"b"}}', /no list/],
    ['prompts', '{"name":"a","arguments":["b"]}', /no name/],
    ['prompts', '{"name":"a","arguments":[{"name":null}]}', /no name/],
    ['prompts', '{"name":"a","arguments":[{"name":"b","name":"c"}]}', /key twice/],
    ['prompts', `{"name":"a","x":"${'x'.repeat(1024 * 1024)}"}`, /larger than/],
    ['resources', '{"name":"a"}', /no 'uri'/],
    ['resources', '{"uri":"a:"}', /no 'name'/],
    ['resources', '{"uri":"a:","name":null}', /no 'name'/],
    ['resources', '{"uri":"","name":"a"}', /1 to 4096/],
    ['resources', '{"uri":"a:\\n","name":"a"}', /control/],
    ['resources', '{"uri":"a:\\ud800","name":"a"}', /control/],
    ['resources', `{"uri":"a:${'x'.repeat(4095)}","name":"a"}`, /1 to 4096/],
    ['resources', '{"uri":"a:","URI":"b:","name":"a"}', /case only/],
    ['resources', '{"uri":"a:","name":"a","annotations":{"priority":0,"priority":1}}', /key twice/],
    ['templates', '{"uriTemplate":null,"name":"a"}', /no 'uriTemplate'/],
    ['templates', '{"uriTemplate":"a:{","name":"a"}', /RFC 6570/],
  ];
  for (const [kind, text, reason] of cases) {
    test(`is left out of ${kind}, and said why: ${text.slice(0, 60)}`, () => {
      const item = read(kind, text);
      assert.match('reason' in item ? item.reason : 'kept', reason);
    });
  }
});

test('whatever an upstream lists, clients can read what is kept of it', async () => {
  const value = fc.oneof(
    fc.json({ maxDepth: 2 }),
    fc.constantFrom(
      'null',
      '"a"',
      '1',
      '1e400',
      'true',
      '[]',
      '{}',
      '[{"name":"b","required":null}]',
      '{"priority":2,"audience":["user"]}',
    ),
  );
  const key = fc.constantFrom(
    'title',
    'description',
    'icons',
    '_meta',
    'mimeType',
    'size',
    'annotations',
    'arguments',
    'x',
  );
  const members = fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...KINDS), members, async (kind, more) => {
      const text = `{${more.map(([name, raw]) => `"${name}":${raw},`).join('')}${GOOD[kind].slice(1)}`;
      const item = read(kind, text);
      if ('reason' in item) assert.equal(kind, 'prompts', text);
      else assert.deepEqual(await listByClients(kind, [mend(item), GOOD[kind]]), [2, 2, 2]);
    }),
    { numRuns: 150 },
  );
});
