import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  findMember,
  isArrayAt,
  isObjectAt,
  JsonScanner,
  MAX_DEPTH,
  type Member,
  type Span,
  stringAt,
} from '../../../src/protocol/json-scan.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const RUNS = { numRuns: 5000 };

/** The text as one value, by `skipValue`. */
function accepts(text: string): boolean {
  const scan = new JsonScanner(Buffer.from(text));
  const end = scan.skipValue(scan.skipSpace(0), 0);
  return end >= 0 && scan.skipSpace(end) === scan.bytes.length;
}

/** The text as an object whose members are read, or the problem. */
function readObject(text: string): readonly Member[] | string {
  const scan = new JsonScanner(Buffer.from(text));
  const members: Member[] = [];
  const end = scan.readMembers(scan.skipSpace(0), 0, members);
  if (end < 0) return scan.problem;
  return scan.skipSpace(end) === scan.bytes.length ? members : 'something follows';
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Keys of the outermost object of a text that JSON.parse accepts, equal ones included: read naively, string by string. */
function keysOf(text: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  for (const token of text.match(/"(?:\\.|[^"\\])*"(?:\s*:)?|[{}[\]]/gs) ?? []) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && token.endsWith(':')) keys.push(JSON.parse(token.slice(0, -1)));
  }
  return keys;
}

const space = fc.constantFrom('', '', '', ' ', '\n', '\t', '\r', ' \r\n ');
const unit = fc.oneof(
  fc.string({ unit: CODE_POINT, minLength: 1, maxLength: 1 }).map((char) => JSON.stringify(char).slice(1, -1)),
  fc.constantFrom(
    '\\/',
    '\\b',
    '\\u0041',
    '\\u004A',
    '\\u004a',
    '\\ud800',
    '\\ud83d\\ude00',
    '\x7f',
    '\u2028',
    'é',
    '😀',
  ),
);
const stringText = fc.array(unit, { maxLength: 6 }).map((units) => `"${units.join('').toWellFormed()}"`);
const numberText = fc.oneof(
  fc.stringMatching(/^-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,5})?(?:[eE][+-]?[0-9]{1,4})?$/),
  fc.constantFrom('9007199254740993', '1e400', '-0', '1.0', '0e0'),
);
const keyText = fc.oneof(stringText, fc.constantFrom('"a"', '"\\u0061"', '"b"', '"__proto__"', '"constructor"', '""'));

/** JSON texts of every shape and spelling; objects of theirs may hold a key twice. */
const { value: valueText } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc
    .tuple(
      space,
      fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom('true', 'false', 'null', '{}', '[]', '{ }', '[\n]'),
        stringText,
        numberText,
        tie('array'),
        tie('object'),
      ),
      space,
    )
    .map((parts) => parts.join('')),
  array: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join()}]`),
  object: objectOf(tie('value'), 4),
}));

function objectOf(value: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> {
  return fc
    .array(fc.tuple(space, keyText, space, value), { maxLength })
    .map((members) => `{${members.map(([before, key, behind, text]) => `${before}${key}${behind}:${text}`).join()}}`);
}

const objectText = fc.tuple(space, objectOf(valueText, 20), space).map((parts) => parts.join(''));
const arrayText = fc.tuple(
  space,
  fc.array(valueText, { maxLength: 8 }).map((items) => `[${items.join()}]`),
  space,
);

/** A text, then up to three cuts, repetitions or insertions, mostly of bytes that mean something in JSON. */
function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      ...'{}[]",:\\/-+.eE0123456789tfnu \n\0\x1f\x7f\ufeff\u00a0',
      'true',
      'null',
      '\\u',
      '\\x',
      'NaN',
      '//',
    ),
    fc.string({ unit: CODE_POINT, maxLength: 2 }),
  );
  const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), cut: fc.nat({ max: 3 }), piece });
  return fc.tuple(text, fc.array(change, { minLength: 1, maxLength: 3 })).map(([whole, changes]) => {
    let result = whole;
    for (const { at, cut, piece } of changes) {
      const from = Math.floor(at * (result.length + 1));
      result = result.slice(0, from) + piece + result.slice(from + cut);
    }
    return result.toWellFormed();
  });
}

function truncated(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(text, fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([whole, at]) => whole.slice(0, Math.floor(at * whole.length)).toWellFormed());
}

describe('one value is accepted exactly when JSON.parse accepts it', () => {
  const check = (text: string) => assert.equal(accepts(text), isParsed(text), JSON.stringify(text));

  test('for valid texts', () => {
    fc.assert(
      fc.property(valueText, (text) => {
        assert.ok(isParsed(text), text);
        check(text);
      }),
      RUNS,
    );
  });
  test('for damaged texts', () => {
    fc.assert(fc.property(damaged(valueText), check), { numRuns: 20_000 });
  });
  test('for truncated texts', () => {
    fc.assert(fc.property(truncated(valueText), check), RUNS);
  });
  test('for short texts of JSON characters', () => {
    const char = fc.constantFrom(...'{}[]",:\\-.e0 1tn');
    fc.assert(fc.property(fc.string({ unit: char, maxLength: 8 }), check), { numRuns: 20_000 });
  });

  const texts = [
    ...['0', '-0', '01', '+1', '-', '.5', '1.', '1.e1', '1e', '1e+', '1E-0', '0x1', '1_0', '--1', '1e400', 'Infinity'],
    ...[
      'NaN',
      'true',
      'tru',
      'truex',
      'True',
      'nullnull',
      'undefined',
      "'a'",
      '"',
      '"\\"',
      '"\\',
      '"\\u00',
      '"\\u00g0"',
    ],
    ...[
      '"\\U0041"',
      '"\\x41"',
      '"\n"',
      '"\t"',
      '"\0"',
      '"\x1f"',
      '"\x7f"',
      '"\u2028"',
      '"\\ud800"',
      '"\\udc00\\ud800"',
    ],
    ...['', ' ', '\ufeff1', '1\ufeff', '\u00a01', '\x0b1', '\f1', '\u20281', '/**/1', '1//', '[1,]', '[,1]', '[1 2]'],
    ...[
      '[',
      ']',
      '[}',
      '{]',
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{,}',
      '{a:1}',
      "{'a':1}",
      '{1:1}',
      '{"a":1 "b":2}',
      '{"a"1}',
    ],
    ...[
      '{"a"::1}',
      '{"a":1}}',
      '[1]]',
      '[[1]',
      '{"a":[1}',
      '1 1',
      '{}{}',
      '{},',
      '"a" "b"',
      '{"a":1,,"b":2}',
      '{"a":"b":1}',
    ],
  ];
  for (const text of texts) test(`such as ${JSON.stringify(text)}`, () => check(text));

  test('the end of the text is nowhere mistaken for a byte', () => {
    for (const text of ['{"a":[true,"\\u0041\\n",-1.5e+10,null,{"b":{}}]}', '[false,"é😀",0.1E5]']) {
      for (let end = 0; end < text.length; end++) check(text.slice(0, end).toWellFormed());
    }
  });
});

describe('members', () => {
  const check = (text: string) => {
    const read = readObject(text);
    const isObject = isParsed(text) && isObjectAt(Buffer.from(text.trim()), 0);
    const isUnique = isObject && new Set(keysOf(text)).size === keysOf(text).length;
    assert.equal(typeof read !== 'string', isUnique, JSON.stringify(text));
    if (isObject && !isUnique) assert.match(read as string, /occurs twice$/);
  };

  test('are read exactly when JSON.parse accepts the object and no key of it occurs twice', () => {
    fc.assert(fc.property(objectText, check), RUNS);
  });
  test('of a damaged or truncated object are read on the same terms', () => {
    fc.assert(fc.property(fc.oneof(damaged(objectText), truncated(objectText)), check), { numRuns: 20_000 });
  });

  test('have spans that hold the value, the whole value and nothing but the value', () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const members = readObject(text);
        fc.pre(typeof members !== 'string');
        const bytes = Buffer.from(text);
        const parsed = JSON.parse(text);
        assert.deepEqual(
          members.map(({ key }) => key),
          keysOf(text),
        );
        for (const { key, keyStart, start, end } of members) {
          const slice = bytes.toString('utf8', start, end);
          assert.equal(slice, slice.trim());
          assert.deepEqual(JSON.parse(slice), parsed[key]);
          const label = bytes.toString('utf8', keyStart, start).trimEnd();
          assert.equal(label.at(-1), ':');
          assert.equal(JSON.parse(label.slice(0, -1)), key);
        }
      }),
      RUNS,
    );
  });

  test('are told apart however many there are', () => {
    const keys = fc.uniqueArray(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(keys, fc.nat(), fc.nat(), fc.boolean(), (names, first, second, isEscaped) => {
        const twin = names[first % names.length] as string;
        const labels = names.map((name) => JSON.stringify(name));
        const respelt = [...twin].map((char) => (isEscaped && char < '\x80' ? escapeOf(char) : char)).join('');
        const label = isEscaped && !/["\\]/.test(twin) ? `"${respelt}"` : JSON.stringify(twin);
        assert.notEqual(typeof readObject(`{${labels.map((each) => `${each}:1`).join()}}`), 'string');
        labels.splice(second % (labels.length + 1), 0, label);
        assert.equal(
          readObject(`{${labels.map((each) => `${each}:1`).join()}}`),
          `the key ${quoted(twin)} occurs twice`,
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('of a hundred thousand keys are read, and one key more that repeats another is found', () => {
    const labels = Array.from({ length: 100_000 }, (_, index) => `"key${index}":${index}`);
    assert.equal((readObject(`{${labels.join()}}`) as Member[]).length, 100_000);
    assert.equal(readObject(`{${labels.join()},"key\\u0035":0}`), 'the key "key5" occurs twice');
  });

  test('named like the members of Object.prototype are members like any other', () => {
    const members = readObject('{"__proto__":1,"constructor":2,"hasOwnProperty":3,"toString":4}') as Member[];
    assert.equal(findMember(members, 'constructor')?.key, 'constructor');
    assert.equal(findMember(members, 'valueOf'), undefined);
    assert.equal(readObject('{"__proto__":1,"__proto__":2}'), 'the key "__proto__" occurs twice');
  });

  test('may repeat their keys on a deeper level', () => {
    assert.equal((readObject('{"a":{"b":1,"b":2},"c":[{"d":1,"d":2}]}') as Member[]).length, 2);
  });

  test('of anything but an object are a problem', () => {
    for (const text of ['[]', '1', '"{}"', 'null', '']) assert.equal(readObject(text), 'expected an object', text);
  });
});

function escapeOf(char: string): string {
  return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

function quoted(key: string): string {
  return JSON.stringify(key);
}

describe('elements', () => {
  test('of an array have the spans of its values', () => {
    fc.assert(
      fc.property(arrayText, ([before, array, behind]) => {
        const scan = new JsonScanner(Buffer.from(before + array + behind));
        const spans: Span[] = [];
        const at = scan.skipSpace(0);
        assert.ok(isArrayAt(scan.bytes, at));
        assert.equal(scan.readElements(at, 0, spans), Buffer.byteLength(before + array));
        const values = spans.map(({ start, end }) => JSON.parse(scan.bytes.toString('utf8', start, end)));
        assert.deepEqual(values, JSON.parse(array));
      }),
      { numRuns: 2000 },
    );
  });
  test('of a damaged array are read exactly when JSON.parse accepts it', () => {
    fc.assert(
      fc.property(damaged(arrayText.map((parts) => parts.join(''))), (text) => {
        const scan = new JsonScanner(Buffer.from(text));
        const end = scan.readElements(scan.skipSpace(0), 0, []);
        const isArray = isParsed(text) && Array.isArray(JSON.parse(text));
        assert.equal(end >= 0 && scan.skipSpace(end) === scan.bytes.length, isArray, JSON.stringify(text));
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('depth', () => {
  const nested = (depth: number, open: string, close: string, core: string) =>
    open.repeat(depth) + core + close.repeat(depth);

  test(`${MAX_DEPTH} levels are accepted and one more is not, be it empty or not`, () => {
    for (const [open, close, core] of [
      ['[', ']', '1'],
      ['[', ']', ''],
      ['{"a":', '}', '1'],
      ['{"a":[', ']}', '"]"'],
    ] as const) {
      const levels = open.length > 5 ? 2 : 1;
      assert.ok(accepts(nested(MAX_DEPTH / levels, open, close, core)), open);
      assert.ok(!accepts(`[${nested(MAX_DEPTH / levels, open, close, core)}]`), open);
      assert.ok(!accepts(`{"b":${nested(MAX_DEPTH / levels, open, close, core)}}`), open);
    }
    assert.ok(!accepts(nested(MAX_DEPTH, '[', ']', '{}')));
  });

  test('is counted from the outermost value, through members that are read', () => {
    assert.equal((readObject(nested(MAX_DEPTH, '{"a":', '}', '1')) as Member[]).length, 1);
    assert.equal(readObject(nested(MAX_DEPTH + 1, '{"a":', '}', '1')), 'nested deeper than 64 levels');
    const inner = new JsonScanner(Buffer.from('{}'));
    assert.equal(inner.readMembers(0, MAX_DEPTH - 1, []), 2);
    assert.equal(inner.readMembers(0, MAX_DEPTH, []), -1);
    assert.equal(inner.skipValue(0, MAX_DEPTH), -1);
  });

  test('of a million levels is refused without a stack overflow', () => {
    for (const depth of [65, 100_000, 1_000_000]) {
      for (const text of ['['.repeat(depth), nested(depth, '{"a":', '}', '1'), nested(depth, '[', ']', '')]) {
        const scan = new JsonScanner(Buffer.from(text));
        assert.equal(scan.skipValue(0, 0), -1);
        assert.equal(scan.problem, 'nested deeper than 64 levels');
        assert.ok(scan.problemAt <= 64 * 5);
      }
    }
  });

  test('goes down again when a container closes', () => {
    assert.ok(accepts(`[${Array.from({ length: 500 }, () => nested(60, '[', ']', '')).join()}]`));
  });
});

describe('strings', () => {
  test('are decoded as JSON.parse decodes them', () => {
    fc.assert(
      fc.property(space, stringText, (before, text) => {
        const bytes = Buffer.from(before + text);
        const start = Buffer.byteLength(before);
        assert.equal(stringAt(bytes, { start, end: bytes.length }), JSON.parse(text));
      }),
      { numRuns: 2000 },
    );
  });
  test('are told from values of other kinds', () => {
    for (const text of ['1', 'null', '{}', '["a"]', 'true']) {
      assert.equal(stringAt(Buffer.from(text), { start: 0, end: text.length }), undefined);
    }
  });
});

test('a problem names the byte where it is', () => {
  const cases: readonly [text: string, problem: string, at: number][] = [
    ['[1,x]', 'expected a value', 3],
    ['["é\n"]', 'a control character stands unescaped in a string', 4],
    ['["ab', 'a string is not closed', 1],
    ['{"a" 1}', "expected ':'", 5],
    ['[1;2]', "expected ',' or ']'", 2],
    ['{"a":1]', "expected ',' or '}'", 6],
    ['{a:1}', 'expected a key in quotes', 1],
    ['["\\q"]', 'an unknown escape', 2],
    ['[nul]', 'an unknown literal', 1],
    ['[1,', 'the text ends where a value was expected', 3],
  ];
  for (const [text, problem, at] of cases) {
    const scan = new JsonScanner(Buffer.from(text));
    assert.equal(scan.skipValue(0, 0), -1);
    assert.deepEqual([scan.problem, scan.problemAt], [problem, at], text);
  }
});
