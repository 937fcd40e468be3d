import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AnswerStream, beginsLikeAnswer, rewriteAnswer } from '../../../src/protocol/answer-splice.ts';
import { splice, toText } from '../../../src/protocol/splice.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const OTHER = 'Yj2-oP_8ZuaW9KlM6xSb1v';

/** Small, past the border from text to bytes, and past what is held before it streams. */
const PADDING = [0, 20_000, 200_000].map((length) => 'é'.repeat(length / 2));

interface Options {
  readonly clientId?: string;
  readonly addsResultType?: boolean;
}

function options({ clientId = '7', addsResultType = false }: Options) {
  return { upstreamId: ID, clientId: toText(Buffer.from(clientId)), addsResultType };
}

function rewrite(text: string, chosen: Options = {}): string | undefined {
  return rewriteAnswer(Buffer.from(text), options(chosen))?.toString();
}

/** The same through `AnswerStream`, cut behind each of `borders`; `undefined` when it is refused in the end. */
function stream(text: string, borders: readonly number[], chosen: Options = {}): string | undefined {
  const bytes = Buffer.from(text);
  const answer = new AnswerStream(options(chosen));
  const out: Buffer[] = [];
  let from = 0;
  for (const border of [...borders, bytes.length]) {
    out.push(Buffer.from(answer.push(bytes.subarray(from, border))));
    from = border;
  }
  const rest = answer.end();
  return rest === undefined ? undefined : Buffer.concat([...out, rest]).toString();
}

describe('the id in any layout', () => {
  const layouts: readonly [title: string, text: (id: string, padding: string) => string][] = [
    ['at the head, as of old SDK servers', (id, p) => `{"jsonrpc":"2.0","id":${id},"result":{"a":"${p}"}}`],
    ['first of all', (id, p) => `{"id":${id},"jsonrpc":"2.0","result":{"a":"${p}"}}`],
    ['at the head, with the version last', (id, p) => `{"id":${id},"result":{"a":"${p}"},"jsonrpc":"2.0"}`],
    ['at the tail, as of SDK servers', (id, p) => `{"result":{"a":"${p}"},"jsonrpc":"2.0","id":${id}}`],
    ['at the tail, before the version', (id, p) => `{"result":{"a":"${p}"},"id":${id},"jsonrpc":"2.0"}`],
    ['at the tail, with the version first', (id, p) => `{"jsonrpc":"2.0","result":{"a":"${p}"},"id":${id}}`],
    ['at the head of an error', (id, p) => `{"jsonrpc":"2.0","id":${id},"error":{"code":-1,"message":"${p}"}}`],
    ['at the tail of an error', (id, p) => `{"error":{"code":-1,"message":"${p}"},"jsonrpc":"2.0","id":${id}}`],
    ['before a line break', (id, p) => `{"result":{"a":"${p}"},"jsonrpc":"2.0","id":${id}}\n`],
    [
      'pretty-printed at the head',
      (id, p) => `{\n  "jsonrpc": "2.0",\n  "id": ${id},\n  "result": {\n    "a": "${p}"\n  }\n}\n`,
    ],
    [
      'pretty-printed at the tail',
      (id, p) => `{\r\n\t"result": {\r\n\t\t"a": "${p}"\r\n\t},\r\n\t"jsonrpc": "2.0",\r\n\t"id": ${id}\r\n}`,
    ],
    ['with a result that is no object', (id, p) => `{"jsonrpc":"2.0","id":${id},"result":"${p}"}`],
  ];
  const unusual: typeof layouts = [
    [
      'between result and an extra member',
      (id, p) => `{"jsonrpc":"2.0","result":{"a":"${p}"},"id":${id},"x":{"y":[1]},"z":"${'z'.repeat(99)}"}`,
    ],
    ['behind an extra member', (id, p) => `{"x":1,"jsonrpc":"2.0","id":${id},"result":{"a":"${p}"}}`],
    ['before an extra member', (id, p) => `{"jsonrpc":"2.0","id":${id},"x":"${'x'.repeat(99)}","result":{"a":"${p}"}}`],
    [
      'far behind much white space',
      (id, p) => `${' '.repeat(500)}{"jsonrpc":"2.0","id":${id},"result":{"a":"${p}"}}${' '.repeat(500)}`,
    ],
    ['under a key written with escapes', (id, p) => `{"jsonrpc":"2.0","\\u0069d":${id},"result":{"a":"${p}"}}`],
    ['behind an extra member at the tail', (id, p) => `{"x":1,"result":{"a":"${p}"},"jsonrpc":"2.0","id":${id}}`],
  ];
  for (const [title, text] of [...layouts, ...unusual]) {
    test(`${title} becomes the client's`, () => {
      for (const padding of PADDING) {
        for (const clientId of ['1', '"é😀\\u00e9"', '-0', '9007199254740993', '""', `"${'x'.repeat(500)}"`]) {
          assert.equal(rewrite(text(`"${ID}"`, padding), { clientId }), text(clientId, padding));
        }
      }
    });
  }
  for (const [title, text] of layouts) {
    test(`${title} becomes the client's while a large answer streams`, () => {
      const padding = PADDING[2]!;
      const whole = text(`"${ID}"`, padding);
      for (const size of [1000, 65_536]) {
        const borders = Array.from({ length: Math.floor(whole.length / size) }, (_, index) => (index + 1) * size);
        assert.equal(stream(whole, borders, { clientId: '"é"' }), text('"é"', padding));
      }
    });
  }

  test('written with an escape is known when it stands in an unusual place', () => {
    assert.equal(
      rewrite(`{"jsonrpc":"2.0","id":"\\u005a${ID.slice(1)}","result":{}}`),
      '{"jsonrpc":"2.0","id":7,"result":{}}',
    );
  });
});

describe('an answer that echoes our id', () => {
  const echoes = [
    `{"jsonrpc":"2.0","id":"${ID}"}`,
    `{"id":"${ID}"}`,
    `{"id":"${ID}","jsonrpc":"2.0"}`,
    `{"a":1,"id":"${ID}"}`,
    `{"result":{"id":"${ID}"}}`,
    `"${ID}"`,
    `["id","${ID}",{"id":"${ID}"}]`,
    `"{\\"jsonrpc\\":\\"2.0\\",\\"id\\":\\"${ID}\\"}"`,
    `"\\"${ID}"`,
    `"id\\":\\"${ID}\\"}"`,
  ];
  const frames: readonly ((id: string, echo: string) => string)[] = [
    (id, echo) => `{"jsonrpc":"2.0","id":${id},"result":{"a":${echo}}}`,
    (id, echo) => `{"result":{"a":${echo}},"jsonrpc":"2.0","id":${id}}`,
    (id, echo) => `{"result":{"a":${echo}},"id":${id}}`,
    (id, echo) => `{"jsonrpc":"2.0","result":${echo},"id":${id}}`,
    (id, echo) => `{"id":${id},"result":{"a":${echo}}}`,
    (id, echo) => `{"x":${echo},"id":${id},"result":{},"y":${echo}}`,
    (id, echo) => `{"error":{"code":1,"message":"m","data":${echo}},"jsonrpc":"2.0","id":${id}}`,
    (id, echo) => `{"jsonrpc":"2.0","id":${id},"error":{"code":1,"message":"m","data":${echo}}}`,
  ];
  test('is rewritten in its own id and nowhere else', () => {
    for (const frame of frames) {
      for (const echo of echoes) assert.equal(rewrite(frame(`"${ID}"`, echo)), frame('7', echo), frame('7', echo));
    }
  });
  test('is refused when its own id is another, a number, null or missing', () => {
    for (const frame of frames) {
      for (const echo of echoes) {
        for (const id of [
          `"${OTHER}"`,
          '7',
          'null',
          `["${ID}"]`,
          `{"id":"${ID}"}`,
          `"${ID}x"`,
          `"x${ID}"`,
          `"\\"${ID}"`,
        ]) {
          assert.equal(rewrite(frame(id, echo)), undefined, frame(id, echo));
        }
        assert.equal(rewrite(frame('1', echo).replace(/"id":1,|,"id":1(?=\})/, '')), undefined);
      }
    }
  });
  test('does not get past a stream either', () => {
    const padding = PADDING[2];
    for (const frame of frames) {
      for (const echo of echoes) {
        const text = frame(`"${OTHER}"`, `[${echo},"${padding}",${echo}]`);
        assert.equal(stream(text, [300, 100_000]), undefined, frame(`"${OTHER}"`, echo));
      }
    }
  });
});

describe('what is no answer', () => {
  const refused: readonly [title: string, text: (padding: string) => string][] = [
    [
      'a request under our id',
      (p) => `{"jsonrpc":"2.0","id":"${ID}","method":"sampling/createMessage","params":{"a":"${p}"}}`,
    ],
    [
      'a request under our id, id last',
      (p) => `{"method":"roots/list","params":{"a":"${p}"},"jsonrpc":"2.0","id":"${ID}"}`,
    ],
    [
      'a request whose params look like a result',
      (p) => `{"jsonrpc":"2.0","method":"a","params":{"result":{"a":"${p}"}},"id":"${ID}"}`,
    ],
    [
      'a notification',
      (p) => `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"${ID}","message":"${p}"}}`,
    ],
    ['an id alone', (p) => `{"jsonrpc":"2.0","id":"${ID}","x":"${p}"}`],
    ['a result and an error behind an extra member', (p) => `{"x":1,"id":"${ID}","result":{"a":"${p}"},"error":{}}`],
    [
      'a result beside a method behind an extra member',
      (p) => `{"x":1,"id":"${ID}","method":"a","result":{"a":"${p}"}}`,
    ],
    ['a batch', (p) => `[{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"}}]`],
    ['a string', (p) => `"{\\"id\\":\\"${ID}\\",\\"result\\":{}}${p}"`],
    ['HTML', (p) => `<html>${ID}${p}</html>`],
    ['nothing', () => ''],
    ['our id', () => `"${ID}"`],
    ['two ids, ours second', (p) => `{"jsonrpc":"2.0","id":"${OTHER}","result":{"a":"${p}"},"id":"${ID}"}`],
    ['an id deeper down', (p) => `{"jsonrpc":"2.0","result":{"a":"${p}","id":"${ID}"}}`],
    ['an id deeper down, with text behind it', (p) => `{"jsonrpc":"2.0","result":{"a":"${p}"},"x":{"id":"${ID}"}}`],
    ['JSON that is cut off', (p) => `{"x":1,"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"}`],
    ['two messages', (p) => `{"x":1,"id":"${ID}","result":{}}{"x":1,"id":"${ID}","result":{"a":"${p}"}}`],
  ];
  for (const [title, text] of refused) {
    test(`${title} is refused whole`, () => {
      for (const padding of PADDING) assert.equal(rewrite(text(padding)), undefined);
    });
    test(`${title} is refused as a stream`, () => {
      for (const padding of PADDING) {
        assert.equal(stream(text(padding), []), undefined);
        assert.equal(stream(text(padding), [40, 400, 100_000]), undefined);
      }
    });
  }

  test('a message that begins like an answer is told from one that does not', () => {
    for (const text of [
      `{"jsonrpc":"2.0","id":"${ID}","result":{"a":`,
      `{"result":{"a":`,
      `{ "jsonrpc" : "2.0" , "error" : {`,
      `{"id":"${ID}","jsonrpc":"2.0","error":`,
    ]) {
      assert.ok(beginsLikeAnswer(Buffer.from(text), ID), text);
    }
    for (const text of [
      `{"jsonrpc":"2.0","id":"${OTHER}","result":{"a":`,
      `{"jsonrpc":"2.0","id":1,"result":{"a":`,
      `{"jsonrpc":"2.0","id":"${ID}","method":"a","params":{`,
      `{"jsonrpc":"2.0","method":"notifications/message","params":{"id":"${ID}"`,
      `{"method":"a","result":{`,
      '[{"result":{',
      '',
    ]) {
      assert.ok(!beginsLikeAnswer(Buffer.from(text), ID), text);
    }
  });
});

describe('the result type for a modern client', () => {
  const cases: readonly [before: string, after: string][] = [
    [
      '{"result":{"content":[]},"jsonrpc":"2.0","id":ID}',
      '{"result":{"resultType":"complete","content":[]},"jsonrpc":"2.0","id":7}',
    ],
    [
      '{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}',
      '{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[]}}',
    ],
    [
      '{"id":ID,"jsonrpc":"2.0","result":{"content":[]}}',
      '{"id":7,"jsonrpc":"2.0","result":{"resultType":"complete","content":[]}}',
    ],
    ['{"result":{},"jsonrpc":"2.0","id":ID}', '{"result":{"resultType":"complete"},"jsonrpc":"2.0","id":7}'],
    ['{"jsonrpc":"2.0","id":ID,"result":{ }}', '{"jsonrpc":"2.0","id":7,"result":{ "resultType":"complete"}}'],
    ['{"x":{},"id":ID,"result":{}}', '{"x":{},"id":7,"result":{"resultType":"complete"}}'],
    ['{"result":\n{\n"a":1},"x":1,"id":ID,"y":2}', '{"result":\n{\n"resultType":"complete","a":1},"x":1,"id":7,"y":2}'],
    [
      '{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":"m"}}',
      '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}',
    ],
    [
      '{"error":{"code":1,"message":"m"},"jsonrpc":"2.0","id":ID}',
      '{"error":{"code":1,"message":"m"},"jsonrpc":"2.0","id":7}',
    ],
    ['{"jsonrpc":"2.0","id":ID,"result":null}', '{"jsonrpc":"2.0","id":7,"result":null}'],
  ];
  for (const [before, after] of cases) {
    test(`stands first in the result of ${JSON.stringify(before)}`, () => {
      assert.equal(rewrite(before.replace('ID', `"${ID}"`), { addsResultType: true }), after);
    });
  }
});

describe('properties', () => {
  const space = fc.constantFrom('', '', '', ' ', '\n', '\r\n\t');
  const payload = fc.oneof(
    fc.jsonValue().map((value) => JSON.stringify({ a: value })),
    fc.constantFrom('{}', '{ }', `{"id":"${ID}"}`, '{"n":1.0,"m":1e400}', `{"a":"\\"id\\":\\"${ID}\\""}`),
    fc.string({ minLength: 300, maxLength: 3000 }).map((text) => JSON.stringify({ text, id: ID })),
  );
  const outcome = fc.constantFrom('result', 'error');
  const usualOrder = fc.constantFrom(
    ['v', 'id', 'out'],
    ['id', 'v', 'out'],
    ['id', 'out', 'v'],
    ['out', 'v', 'id'],
    ['v', 'out', 'id'],
    ['out', 'id', 'v'],
    ['out', 'id'],
    ['id', 'out'],
  );

  function message(
    order: readonly string[],
    spaces: readonly string[],
    kind: string,
    body: string,
    id: string,
  ): string {
    let at = 0;
    const next = () => spaces[at++ % spaces.length] ?? '';
    const member = (key: string, value: string) =>
      `${next()}${JSON.stringify(key)}${next()}:${next()}${value}${next()}`;
    const texts: Record<string, () => string> = {
      v: () => member('jsonrpc', '"2.0"'),
      id: () => member('id', id),
      out: () => member(kind, body),
      x: () => member('x', '{"id":"a","result":[1]}'),
    };
    return `${next()}{${order.map((part) => texts[part]?.()).join()}}${next()}`;
  }

  test('any layout keeps every byte but the id', () => {
    const anyOrder = fc
      .shuffledSubarray(['v', 'id', 'out', 'x'], { minLength: 2 })
      .filter((order) => order.includes('id') && order.includes('out'));
    const spaces = fc.array(space, { minLength: 1, maxLength: 9 });
    const clientId = fc.string().map((text) => JSON.stringify(text));
    fc.assert(
      fc.property(anyOrder, spaces, outcome, payload, clientId, (order, blanks, kind, body, id) => {
        const expected = message(order, blanks, kind, body, id);
        assert.equal(rewrite(message(order, blanks, kind, body, `"${ID}"`), { clientId: id }), expected);
        assert.equal(rewrite(message(order, blanks, kind, body, `"${OTHER}"`), { clientId: id }), undefined);
      }),
      { numRuns: 5000 },
    );
  });

  test('a usual layout streams to the same bytes however it is cut', () => {
    const spaces = fc.array(fc.constantFrom('', '', ' '), { minLength: 1, maxLength: 9 });
    const borders = fc.array(fc.nat(4000), { maxLength: 12 }).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(
        usualOrder,
        spaces,
        outcome,
        payload,
        borders,
        fc.boolean(),
        (order, blanks, kind, body, cuts, addsResultType) => {
          for (const id of [ID, OTHER]) {
            const text = message(order, blanks, kind, body, `"${id}"`);
            const chosen = { clientId: '"é"', addsResultType };
            assert.equal(
              stream(
                text,
                cuts.filter((cut) => cut < Buffer.byteLength(text)),
                chosen,
              ),
              rewrite(text, chosen),
            );
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('a short answer streams to the same bytes when it comes byte by byte', () => {
    for (const length of [0, 50, 150, 250, 280, 300, 320, 340, 380, 400, 500]) {
      for (const text of [
        `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${'x'.repeat(length)}"}}`,
        `{"result":{"a":"${'x'.repeat(length)}"},"jsonrpc":"2.0","id":"${ID}"}`,
      ]) {
        const borders = Array.from({ length: text.length }, (_, index) => index);
        for (const addsResultType of [false, true]) {
          assert.equal(stream(text, borders, { addsResultType }), rewrite(text, { addsResultType }));
        }
      }
    }
  });
});

test('a stream holds back no more than a few hundred bytes', () => {
  const answer = new AnswerStream(options({}));
  const head = answer.push(Buffer.from(`{"result":{"a":"${'x'.repeat(100_000)}`));
  assert.ok(head.length > 100_000 - 400);
  for (let round = 0; round < 5; round++) assert.equal(answer.push(Buffer.alloc(10_000, 'x')).length, 10_000);
});

test('edits are applied alike to short and to long bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(50), fc.nat(9), fc.string({ unit: 'binary', maxLength: 9 })), { maxLength: 5 }),
      (steps) => {
        for (const length of [400, 40_000]) {
          const bytes = Buffer.from(Array.from({ length }, (_, index) => index % 256));
          const edits = [];
          const parts: Buffer[] = [];
          let from = 0;
          for (const [gap, cut, replacement] of steps) {
            const start = from + gap;
            const text = toText(Buffer.from(replacement.toWellFormed()));
            edits.push({ start, end: start + cut, text });
            parts.push(bytes.subarray(from, start), Buffer.from(replacement.toWellFormed()));
            from = start + cut;
          }
          assert.ok(splice(bytes, edits).equals(Buffer.concat([...parts, bytes.subarray(from)])));
        }
      },
    ),
    { numRuns: 300 },
  );
});
