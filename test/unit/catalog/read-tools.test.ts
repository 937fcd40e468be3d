import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinArray, readJoined, readToolArray } from '../../../src/catalog/read-tools.ts';

const SOUND = '{"name":"sound","inputSchema":{"type":"object"}}';

function read(...tools: readonly (string | Buffer)[]) {
  const raw = Buffer.concat([Buffer.from('['), ...tools.flatMap((tool) => [Buffer.from(tool), Buffer.from(',')])]);
  raw[raw.length - 1] = 0x5d; // ']'
  const list = readToolArray(raw, 0);
  return { names: [...(list?.tools.keys() ?? [])], leftOut: list?.leftOut };
}

describe('readToolArray', () => {
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
        leftOut?.map((tool) => tool.name),
        [name],
      );
      assert.match(leftOut?.[0]?.reason ?? '', reason);
    });
  }

  it('keeps a tool as deep as an answer to a client may be', () => {
    const { names } = read(`{"name":"deep","inputSchema":{"type":"object"},${deep(60)}}`);
    assert.deepEqual(names, ['deep']);
    assert.deepEqual(read(`{"name":"deep","inputSchema":{"type":"object"},${deep(61)}}`).names, []);
  });

  it('reads nothing out of what is no array', () => {
    for (const text of ['', '{}', 'null', '[', '[{]']) assert.equal(readToolArray(Buffer.from(text), 0), undefined);
  });
});

describe('readJoined', () => {
  it('reads what readToolArray reads of the same tools', async () => {
    const items = [SOUND, '{"name":"sound"}', '{ "name" : "b", "inputSchema":{"type":"object"} }', '{"x":tru}', SOUND];
    const tools = items.map((item) => Buffer.from(item));
    const raw = joinArray(tools);
    assert.equal(raw.toString(), `[${items}]`);
    assert.deepEqual(await readJoined(raw, tools, 7), readToolArray(raw, 7));
  });

  it('lets other work in between', async () => {
    const large = `,"description":"${'x'.repeat(400_000)}"}`;
    const tools = Array.from({ length: 20 }, (_, index) =>
      Buffer.from(SOUND.replace('sound', `t${index}`).replace(/}$/, large)),
    );
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (turns < 100) setImmediate(turn);
    };
    setImmediate(turn);
    const list = await readJoined(joinArray(tools), tools, 0);
    assert.equal(list.tools.size, 20);
    assert.ok(turns >= 8, `${turns} turns`);
    turns = 100;
  });
});
