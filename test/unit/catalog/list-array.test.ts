import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ListArray } from '../../../src/catalog/list-array.ts';

const toolsOf = (parts: readonly Buffer[]): string => Buffer.concat(parts).toString().slice(1, -1);

test('the pages of any size make up the whole, byte for byte', () => {
  const tool = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => Buffer.from(JSON.stringify(value)));
  fc.assert(
    fc.property(fc.array(tool, { maxLength: 30 }), fc.integer({ min: 1, max: 40 }), (tools, size) => {
      const array = new ListArray(tools);
      assert.equal(array.count, tools.length);
      assert.equal(array.bytes.toString(), `[${tools.join()}]`);
      assert.deepEqual(array.slice(0, tools.length), [array.bytes]);
      const pages: string[] = [];
      for (let from = 0; from < tools.length; from += size) {
        const page = array.slice(from, from + size);
        assert.equal(JSON.parse(Buffer.concat(page).toString()).length, Math.min(size, tools.length - from));
        pages.push(toolsOf(page));
      }
      assert.equal(pages.join(), toolsOf([array.bytes]));
    }),
  );
});

test('behind its end there is nothing', () => {
  const array = new ListArray([Buffer.from('{}')]);
  for (const from of [1, 2, 99]) assert.equal(Buffer.concat(array.slice(from, from + 1)).toString(), '[]');
});

test('equal tools have equal digests, others have not', () => {
  const digestOf = (...tools: string[]): string => new ListArray(tools.map((tool) => Buffer.from(tool))).digest;
  assert.equal(digestOf('{"a":1}', '{}'), digestOf('{"a":1}', '{}'));
  assert.equal(
    new Set([digestOf('{"a":1}', '{}'), digestOf('{}', '{"a":1}'), digestOf('{"a":1}'), digestOf()]).size,
    4,
  );
});
