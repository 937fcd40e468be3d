import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { JsonScanner, MAX_DEPTH, type Member } from '../../../src/protocol/json-scan.ts';
import { JSON_SKIP_CODE } from '../../../src/protocol/json-skip-code.ts';
import { compileJsonSkip } from '../../support/write-json-skip.ts';

/** About the size of the window that is skipped in: what matters happens at its border. */
const WINDOW_BYTES = 8 * 1024;

interface Outcome {
  readonly end: number;
  readonly problem: string;
  readonly problemAt: number;
}

function skip(bytes: Buffer, longBytes: number, at = 0, depth = 0): Outcome {
  const scan = new JsonScanner(bytes, undefined, undefined, longBytes);
  const end = scan.skipValue(at, depth);
  return { end, problem: scan.problem, problemAt: scan.problemAt };
}

/** Skipped natively from the first byte on, natively where it pays, and by the scanner alone. */
function assertSame(text: string | Buffer, depth = 0): Outcome {
  const bytes = Buffer.from(text);
  const plain = skip(bytes, Number.POSITIVE_INFINITY, 0, depth);
  assert.deepEqual(skip(bytes, 1, 0, depth), plain);
  assert.deepEqual(skip(bytes, 512, 0, depth), plain);
  return plain;
}

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
/** A JSON text with white space between its tokens, where numbers and strings look as they may. */
const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('true', 'false', 'null', '""', '{}', '[]', '[ ]', '{\n}'),
    fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,9})?([eE][+-]?\d{1,3})?$/),
    fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text.toWellFormed())),
    fc.stringMatching(/^"([a-z ]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,40}"$/),
    fc
      .array(fc.tuple(space, tie('value'), space), { maxLength: 5 })
      .map((items) => `[${items.map((item) => item.join('')).join()}]`),
    fc
      .array(
        fc.tuple(
          space,
          fc.string().map((key) => JSON.stringify(key)),
          space,
          tie('value'),
          space,
        ),
        { maxLength: 5 },
      )
      .map((items) => `{${items.map(([a, key, b, value, c]) => `${a}${key}${b}:${b}${value}${c}`).join()}}`),
  ),
})).value;
/** Short texts of the bytes that mean something. */
const noise = fc.string({ unit: fc.constantFrom(...'{}[],:"\\/ \n\t0123-+.eEtrufalsn\u0001é'), maxLength: 60 });
/** A text with a byte changed, taken out or put in, or cut off. */
const damaged = fc
  .tuple(
    json,
    fc.nat(),
    fc.constantFrom('replace', 'insert', 'remove', 'cut'),
    fc.constantFrom(...'{}[],:"\\ 0-.eu\u0000x'),
  )
  .map(([text, where, how, byte]) => {
    const at = where % (text.length + 1);
    if (how === 'cut') return text.slice(0, at);
    return text.slice(0, at) + (how === 'remove' ? '' : byte) + text.slice(how === 'insert' ? at : at + 1);
  });
const any = fc.oneof(json, damaged, noise);
/** Moves a text across the border of the window. */
const nearBorder = fc.integer({ min: WINDOW_BYTES - 80, max: WINDOW_BYTES + 2 });

describe('what is skipped natively', () => {
  test('ends, or fails, at the same byte with the same words as by the scanner alone', () => {
    fc.assert(
      fc.property(any, fc.nat({ max: 3 }), (text, depth) => void assertSame(text, depth)),
      { numRuns: 20_000 },
    );
  });

  test('does so wherever a window ends', () => {
    fc.assert(
      fc.property(any, nearBorder, (text, before) => {
        assertSame(`[${' '.repeat(before)}${text},1]`);
        assertSame(`["${'x'.repeat(before)}",${text}]`);
        assertSame(`{"a":${'1'.repeat(before)},"b":${text}}`);
        assertSame(`{"${'\\n'.repeat(before / 2)}":${text}`);
      }),
      { numRuns: 3_000 },
    );
  });

  test('is all of a valid text, and what follows it is left alone', () => {
    fc.assert(
      fc.property(json, any, (text, behind) => {
        const bytes = Buffer.from(`{"a":${text}} ${behind}`);
        assert.equal(assertSame(bytes).end, Buffer.byteLength(text) + 6);
      }),
    );
  });

  test('is nested as deeply as it may be and no deeper', () => {
    for (const depth of [0, 1, 63, 64]) {
      for (const nested of [MAX_DEPTH - depth - 1, MAX_DEPTH - depth, MAX_DEPTH - depth + 1]) {
        if (nested < 0) continue;
        const text = `${'[{"a":'.repeat(nested >> 1)}${nested & 1 ? '[' : ''}1${nested & 1 ? ']' : ''}${'}]'.repeat(nested >> 1)}`;
        const { end, problem } = assertSame(text + ' '.repeat(600), depth);
        assert.equal(end, nested <= MAX_DEPTH - depth ? text.length : -1, problem);
      }
    }
  });

  test('may be a text of many windows, in which any byte may be wrong', () => {
    const record = '{"id":12,"name":"a \\"re\\u00e9cord\\"","tags":["a",true,null,false],"r":-0.5e+3},\n';
    const text = `[${record.repeat(500)}1]`;
    assert.equal(assertSame(text).end, text.length);
    for (let at = 0; at < text.length; at += 97) {
      const bytes = Buffer.from(text);
      bytes[at] = 0x01;
      assert.equal(assertSame(bytes).end, -1);
      assertSame(bytes.subarray(0, at));
    }
  });

  test('may be one long string, in which any byte may be wrong', () => {
    for (const length of [600, WINDOW_BYTES - 1, WINDOW_BYTES, 3 * WINDOW_BYTES + 5]) {
      const text = `"${'é\\n'.repeat(length / 4)}${'x'.repeat(length / 2)}"`;
      assert.equal(assertSame(text).end, Buffer.byteLength(text));
      for (const wrong of ['"', '\\', '\n', '\u0000', '\\u12x4']) {
        for (const at of [1, 64, 65, 66, 511, length - 1]) assertSame(text.slice(0, at) + wrong + text.slice(at));
      }
    }
  });
});

test('members are the same whether what is between them is skipped natively or not', () => {
  const read = (bytes: Buffer, longBytes: number) => {
    const [members, params, meta]: Member[][] = [[], [], []];
    const scan = new JsonScanner(bytes, undefined, 4, longBytes);
    const below = { key: '_meta', into: meta as Member[] };
    const end = scan.readMembers(0, 0, members as Member[], { key: 'params', into: params as Member[], below });
    return { end, members, params, meta, problem: scan.problem, problemAt: scan.problemAt, kind: scan.problemKind };
  };
  const message = fc
    .array(fc.tuple(fc.constantFrom('"id"', '"params"', '"i\\u0064"', '"_meta"'), any), { maxLength: 4 })
    .map((members) => members.map((member) => member.join(':')).join());
  fc.assert(
    fc.property(message, message, fc.nat({ max: 1200 }), (outer, inner, before) => {
      const bytes = Buffer.from(`{"x":"${'x'.repeat(before)}","params":{${inner}},${outer}}`);
      assert.deepEqual(read(bytes, 1), read(bytes, Number.POSITIVE_INFINITY));
    }),
    { numRuns: 500 },
  );
});

test('the WebAssembly is what json-skip.wat says', async () => {
  assert.equal(JSON_SKIP_CODE, await compileJsonSkip());
});
