import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Span } from '../../../src/protocol/json-scan.ts';
import { findElements, findJsonProblem, findMembers, readString } from '../../../src/upstream/loose-json.ts';

function elementsOf(text: string): string[] | undefined {
  const bytes = Buffer.from(text);
  return findElements(bytes, 0)?.map(({ start, end }) => bytes.toString('utf8', start, end));
}

function membersOf(text: string): [string, string][] | undefined {
  const bytes = Buffer.from(text);
  return findMembers(bytes, 0)?.map(({ key, start, end }) => [key, bytes.toString('utf8', start, end)]);
}

describe('findElements and findMembers', () => {
  it('find in any JSON what JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(0, 1, '\t'), (values, space) => {
        const found = elementsOf(JSON.stringify(values, null, space));
        assert.deepEqual(
          found?.map((text) => JSON.parse(text)),
          JSON.parse(JSON.stringify(values)),
        );
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 1), (object, space) => {
        const found = membersOf(JSON.stringify(object, null, space));
        const entries = found?.map(([key, text]) => [key, JSON.parse(text)]);
        assert.deepEqual(entries, Object.entries(JSON.parse(JSON.stringify(object))));
      }),
      { numRuns: 300 },
    );
  });

  const BROKEN = ['tru', '{"a":}', '{"a":1,}', '[1 2]', '01', '"\\x"', '"\u0001"', '', '{a:1}', '{"a" 1}', '[}'];
  for (const broken of BROKEN) {
    it(`see ${JSON.stringify(broken)} as one part beside the others, and as broken`, () => {
      assert.deepEqual(elementsOf(`[ "before]" , ${broken} ,{"after":"\\"}"} ]`), [
        '"before]"',
        broken,
        '{"after":"\\"}"}',
      ]);
      assert.notEqual(findJsonProblem(Buffer.from(broken), 0), undefined);
    });
  }

  for (const text of ['', '[', '[1', '[1,', '["a]', '[{]', '{}', ' []', 'null']) {
    it(`find no array in ${JSON.stringify(text)}`, () => {
      assert.equal(elementsOf(text), undefined);
    });
  }

  for (const text of ['', '{', '{"a"', '{"a":1', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"\\x":1}', '{a:1}', '[]']) {
    it(`find no object in ${JSON.stringify(text)}`, () => {
      assert.equal(membersOf(text), undefined);
    });
  }

  it('walk any depth without a stack', () => {
    const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`;
    assert.deepEqual(elementsOf(`[1,${deep},2]`)?.length, 3);
  });
});

describe('findJsonProblem', () => {
  it('counts the containers around a part towards the depth of 64', () => {
    const part = Buffer.from(`${'['.repeat(61)}${']'.repeat(61)}`);
    assert.equal(findJsonProblem(part, 3), undefined);
    assert.match(findJsonProblem(part, 4) ?? '', /64 levels/);
  });

  it('refuses bytes that are not UTF-8', () => {
    assert.match(findJsonProblem(Buffer.from([0x22, 0xff, 0x22]), 0) ?? '', /UTF-8/);
  });
});

describe('readString', () => {
  it('reads one well-formed string and nothing else', () => {
    const read = (text: string) => readString(Buffer.from(text), { start: 0, end: Buffer.byteLength(text) });
    assert.deepEqual(['"a"', '"\\u00e9é"', '""'].map(read), ['a', 'éé', '']);
    for (const text of ['', '"', '"a', 'a"', '1', '"a" ', '"a"b"', '"\\q"', '"\n"'])
      assert.equal(read(text), undefined);
    assert.equal(readString(Buffer.from([0x22, 0xff, 0x22]), { start: 0, end: 3 }), undefined);
  });
});

it('a part ends at the same place whether it is skipped as valid JSON or by its brackets', () => {
  const brackets = fc.constantFrom('', '{', '}', '[', ']', '"', '\\', ',', ':', '\n');
  const broken = fc.tuple(fc.json(), fc.nat(), brackets).map(([json, at, byte]) => {
    const cut = at % (json.length + 1);
    return json.slice(0, cut) + byte + json.slice(cut + 1);
  });
  const endOf = (spans: readonly Span[] | undefined, head: string): number | undefined => {
    const [first] = spans ?? [];
    return first && first.end - head.length;
  };
  fc.assert(
    fc.property(fc.oneof(fc.json(), broken), (part) => {
      const [object, array] = [`{"k":`, '['];
      // Members are skipped as valid JSON first, elements by their brackets.
      const asMember = endOf(findMembers(Buffer.from(`${object}${part},"last":1}`), 0), object);
      const asElement = endOf(findElements(Buffer.from(`${array}${part},1]`), 0), array);
      // What closes one of the two too early does not close the other.
      if (asMember !== undefined && asElement !== undefined) assert.equal(asMember, asElement);
      if (isJson(part)) assert.equal(asMember, Buffer.byteLength(part.trimEnd()));
    }),
    { numRuns: 2_000 },
  );
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
