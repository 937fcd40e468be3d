import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinLists, locateLists, readInventory, readInventoryInTurns } from '../../../src/catalog/inventory.ts';
import type { UpstreamAbout } from '../../../src/upstream/about.ts';
import { UpstreamError } from '../../../src/upstream/failure.ts';
import type { UpstreamLists } from '../../../src/upstream/inventory.ts';

const SOUND = '{"name":"sound","inputSchema":{"type":"object"}}';
const ABOUT: UpstreamAbout = {
  tools: true,
  prompts: true,
  resources: true,
  subscribes: false,
  completions: false,
  logging: true,
  instructions: 'Search “first”.\n',
  extensions: '{"io.modelcontextprotocol/ui":{}}',
};
const FAILED = new UpstreamError('timeout', 'list', 'it did not answer');

function listsOf(lists: Partial<Record<'tools' | 'prompts' | 'resources' | 'templates', readonly string[]>>) {
  const [tools, prompts, resources, templates] = (['tools', 'prompts', 'resources', 'templates'] as const).map((kind) =>
    (lists[kind] ?? []).map((item) => Buffer.from(item)),
  );
  return { tools, prompts, resources, templates, ttlMs: undefined, about: ABOUT } as UpstreamLists;
}

function read(...tools: readonly (string | Buffer)[]) {
  const raw = Buffer.concat([Buffer.from('['), ...tools.flatMap((tool) => [Buffer.from(tool), Buffer.from(',')])]);
  raw[raw.length - 1] = 0x5d; // ']'
  const { leftOut, tools: kept } = readInventory(locateLists(raw)!, 0);
  return { names: [...kept.keys()], leftOut };
}

describe('readInventory', () => {
  const deep = (levels: number) => `"x":${'['.repeat(levels)}${']'.repeat(levels)}`;
  const cases: readonly (readonly [string, string | Buffer, string, RegExp])[] = [
    ['is nested too deep', `{"name":"odd","inputSchema":{"type":"object"},${deep(70)}}`, 'odd', /64 levels/],
    ['holds a broken literal', '{"name":"odd","inputSchema":{"type":"object"},"x":tru}', 'odd', /unknown literal/],
    ['holds a broken string', '{"x":"\\q","name":"odd","inputSchema":{"type":"object"}}', 'odd', /unknown escape/],
    ['has a broken name', '{"name":"\\q","inputSchema":{"type":"object"}}', '', /unknown escape/],
    ['is not UTF-8', Buffer.from('{"name":"odd","description":"\xff","inputSchema":{}}', 'latin1'), 'odd', /UTF-8/],
    ['is nothing at all', '', '', /expected|ends/],
    ['is no object', '"odd"', '', /no JSON object/],
  ];
  for (const [what, tool, name, reason] of cases) {
    it(`leaves out a tool that ${what}, says why, and keeps the others`, () => {
      const { names, leftOut } = read(SOUND, tool, SOUND.replace('sound', 'later'));
      assert.deepEqual(names, ['sound', 'later']);
      assert.deepEqual(
        leftOut.map((each) => each.name),
        [name],
      );
      assert.match(leftOut[0]?.reason ?? '', reason);
    });
  }

  it('keeps a tool as deep as an answer to a client may be', () => {
    const { names } = read(`{"name":"deep","inputSchema":{"type":"object"},${deep(60)}}`);
    assert.deepEqual(names, ['deep']);
    assert.deepEqual(read(`{"name":"deep","inputSchema":{"type":"object"},${deep(61)}}`).names, []);
  });

  it('knows everything by what clients ask for it by, and says of which list it leaves something out', () => {
    const inventory = readInventory(
      joinLists(
        listsOf({
          tools: [SOUND, '{"name":"a"}'],
          prompts: ['{"name":"greet"}', '{"name":"greet"}', '{"name":"no tool name"}'],
          resources: ['{"name":"r","uri":"docs://a"}', '{"uri":"docs://b"}'],
          templates: ['{"name":"t","uriTemplate":"docs://{id}"}', '{"name":"t","uriTemplate":"docs://{"}'],
        }),
      ),
      5,
    );
    assert.deepEqual(
      [inventory.tools, inventory.prompts, inventory.resources, inventory.templates].map((list) => [...list.keys()]),
      [['sound'], ['greet'], ['docs://a'], ['docs://{id}']],
    );
    assert.deepEqual(
      inventory.leftOut.map(({ kind, name }) => `${kind} ${name}`),
      ['tools a', 'prompts greet', 'prompts no tool name', 'resources docs://b', 'templates docs://{'],
    );
    assert.equal(inventory.about, ABOUT);
    assert.equal(inventory.fetchedAtMs, 5);
  });

  it('is the same in turns, and lets other work in between', async () => {
    const large = `,"description":"${'x'.repeat(400_000)}"}`;
    const tools = Array.from({ length: 60 }, (_, index) => SOUND.replace('sound', `t${index}`).replace(/}$/, large));
    const joined = joinLists(listsOf({ tools, prompts: ['{"name":"greet"}'] }));
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (turns < 100) setImmediate(turn);
    };
    setImmediate(turn);
    const inventory = await readInventoryInTurns(joined, 0);
    assert.equal(inventory.tools.size, 60);
    // As many as it takes slices, which are of time: in one go there would be none.
    assert.ok(turns >= 2, `${turns} turns`);
    turns = 100;
    assert.deepEqual(inventory, readInventory(joined, 0));
  });
});

describe('joined lists', () => {
  const lists = listsOf({
    tools: [SOUND, '{"x":tru}', ' { "name" : "b" } '.trim()],
    prompts: ['{"name":"greet","description":"\\u00e9, \\"}]"}'],
    resources: ['{"name":"r","uri":"docs://a","size":1.0}', '{"uri":1}'],
    templates: ['{"name":"t","uriTemplate":"docs://{id}"}'],
  });

  it('are found again in the text that the store keeps, byte for byte', () => {
    const joined = joinLists(lists);
    const located = locateLists(Buffer.from(joined.bytes))!;
    assert.deepEqual(located, joined);
    assert.deepEqual(joinLists({ ...lists, about: located.about }, located).bytes, joined.bytes);
  });

  it('keep what was known of a list that could not be had', () => {
    const before = joinLists(lists);
    const after = joinLists({ ...listsOf({ tools: [SOUND] }), prompts: FAILED, resources: FAILED }, before);
    const { tools, prompts, resources, templates } = readInventory(after, 0);
    assert.deepEqual(
      [tools.size, [...prompts.keys()], [...resources.keys()], templates.size],
      [1, ['greet'], ['docs://a'], 0],
    );
    assert.equal(readInventory(joinLists({ ...lists, prompts: FAILED }), 0).prompts.size, 0);
  });

  it('are the tools alone in what an earlier version stored', () => {
    const inventory = readInventory(locateLists(Buffer.from(`[${SOUND}]`))!, 0);
    assert.deepEqual([...inventory.tools.keys()], ['sound']);
    assert.deepEqual([inventory.prompts.size, inventory.about], [0, undefined]);
  });

  it('are not found in what is neither', () => {
    for (const text of ['', '{}', 'null', '[', '[{]', '{"tools":[]}', '{"about":nul,"tools":[]}', '{"about":null}']) {
      assert.equal(locateLists(Buffer.from(text)), undefined, text);
    }
  });
});
