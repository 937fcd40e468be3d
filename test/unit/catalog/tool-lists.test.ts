import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readToolArray } from '../../../src/catalog/tool-lists.ts';

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
