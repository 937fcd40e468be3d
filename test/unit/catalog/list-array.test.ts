import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ListArray, ListPart } from '../../../src/catalog/list-array.ts';

const textOf = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString();
const inside = (pieces: readonly Buffer[]): string => textOf(pieces).slice(1, -1);
const partOf = (...objects: string[]): ListPart => new ListPart(objects.map((object) => Buffer.from(object)));

test('the pages of any size make up the whole, byte for byte, whatever parts it is made of', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value));
  const parts = fc.array(fc.array(object, { maxLength: 6 }), { maxLength: 8 });
  fc.assert(
    fc.property(parts, fc.integer({ min: 1, max: 40 }), (lists, size) => {
      const objects = lists.flat();
      const array = new ListArray(lists.map((list) => partOf(...list)));
      assert.equal(array.count, objects.length);
      assert.equal(textOf(array.slice()), `[${objects.join()}]`);
      assert.equal(
        array.byteLength,
        textOf(array.slice()).length + (Buffer.byteLength(objects.join()) - objects.join().length),
      );
      assert.deepEqual(
        objects.map((_, index) => array.sizeAt(index)),
        objects.map((each) => Buffer.byteLength(each)),
      );
      const pages: string[] = [];
      for (let from = 0; from < objects.length; from += size) {
        const page = array.slice(from, from + size);
        assert.equal(JSON.parse(textOf(page)).length, Math.min(size, objects.length - from));
        pages.push(inside(page));
      }
      assert.equal(pages.join(), objects.join());
    }),
  );
});

test('behind its end there is nothing', () => {
  const array = new ListArray([partOf('{}')]);
  for (const from of [1, 2, 99]) assert.equal(textOf(array.slice(from, from + 1)), '[]');
  assert.equal(array.sizeAt(1), 0);
});

test('equal objects in equal parts have equal digests, others have not', () => {
  const digestOf = (...objects: string[]): string => new ListArray([partOf(...objects)]).digest;
  assert.equal(digestOf('{"a":1}', '{}'), digestOf('{"a":1}', '{}'));
  assert.equal(new ListArray([partOf(), partOf('{}')]).digest, digestOf('{}'), 'a part that shows nothing is none');
  assert.equal(
    new Set([digestOf('{"a":1}', '{}'), digestOf('{}', '{"a":1}'), digestOf('{"a":1}'), digestOf()]).size,
    4,
  );
});
