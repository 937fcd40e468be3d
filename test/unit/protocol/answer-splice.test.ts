import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type AnswerRewrite,
  AnswerStream,
  beginsLikeAnswer,
  beginsWithMethod,
  COMPLETE,
  rewriteAnswer,
} from '../../../src/protocol/answer-splice.ts';
import { lengthOf, type Pieces, splice, toText } from '../../../src/protocol/splice.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const OTHER = 'Yj2-oP_8ZuaW9KlM6xSb1v';

/** Small, past the border from text to bytes, and past what is held before it streams. */
const PADDING = [0, 20_000, 200_000].map((length) => 'é'.repeat(length / 2));

type Options = Partial<AnswerRewrite>;

function options({ clientId = '7', ...rest }: Options): AnswerRewrite {
  return {
    upstreamId: ID,
    clientId: toText(Buffer.from(clientId)),
    clientEra: 'modern',
    upstreamEra: 'legacy',
    addedMembers: '',
    stripsResultType: false,
    wrapsStructuredContent: false,
    ...rest,
  };
}

/** The message with the first of its ids, comma included, cut out and written again as its last member. */
function moveId(text: string, clientId: string): string {
  const at = text.indexOf('"id"');
  const cut = text.slice(0, at) + text.slice(text.indexOf(',', at) + 1);
  const brace = cut.lastIndexOf('}');
  return `${cut.slice(0, brace)},"id":${clientId}${cut.slice(brace)}`;
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
    out.push(join(answer.push(bytes.subarray(from, border))));
    from = border;
  }
  const rest = answer.end();
  if (rest === undefined) return undefined;
  return Buffer.concat([...out, join(rest)]).toString();
}

function join(pieces: Pieces): Buffer {
  return Buffer.concat(Buffer.isBuffer(pieces) ? [pieces] : pieces);
}

describe('the id in any layout', () => {
  type Layout = readonly [title: string, text: (id: string, padding: string) => string];
  const heads: readonly Layout[] = [
    ['at the head, as of old SDK servers', (id, p) => `{"jsonrpc":"2.0","id":${id},"result":{"a":"${p}"}}`],
    ['first of all', (id, p) => `{"id":${id},"jsonrpc":"2.0","result":{"a":"${p}"}}`],
    ['at the head, with the version last', (id, p) => `{"id":${id},"result":{"a":"${p}"},"jsonrpc":"2.0"}`],
    ['at the head of an error', (id, p) => `{"jsonrpc":"2.0","id":${id},"error":{"code":-1,"message":"${p}"}}`],
    [
      'pretty-printed at the head',
      (id, p) => `{\n  "jsonrpc": "2.0",\n  "id": ${id},\n  "result": {\n    "a": "${p}"\n  }\n}\n`,
    ],
    ['with a result that is no object', (id, p) => `{"jsonrpc":"2.0","id":${id},"result":"${p}"}`],
  ];
  const tails: readonly Layout[] = [
    ['at the tail, as of SDK servers', (id, p) => `{"result":{"a":"${p}"},"jsonrpc":"2.0","id":${id}}`],
    ['at the tail, before the version', (id, p) => `{"result":{"a":"${p}"},"id":${id},"jsonrpc":"2.0"}`],
    ['at the tail, with the version first', (id, p) => `{"jsonrpc":"2.0","result":{"a":"${p}"},"id":${id}}`],
    ['at the tail of an error', (id, p) => `{"error":{"code":-1,"message":"${p}"},"jsonrpc":"2.0","id":${id}}`],
    ['before a line break', (id, p) => `{"result":{"a":"${p}"},"jsonrpc":"2.0","id":${id}}\n`],
    [
      'pretty-printed at the tail',
      (id, p) => `{\r\n\t"result": {\r\n\t\t"a": "${p}"\r\n\t},\r\n\t"jsonrpc": "2.0",\r\n\t"id": ${id}\r\n}`,
    ],
  ];
  const unusual: readonly Layout[] = [
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
  const clientIds = ['1', '"é😀\\u00e9"', '-0', '9007199254740993', '""', `"${'x'.repeat(500)}"`];
  for (const [title, text] of heads) {
    test(`${title} is cut out and the client's written last`, () => {
      for (const padding of PADDING) {
        const whole = text(`"${ID}"`, padding);
        for (const clientId of clientIds) assert.equal(rewrite(whole, { clientId }), moveId(whole, clientId));
      }
    });
  }
  for (const [title, text] of [...tails, ...unusual]) {
    test(`${title} becomes the client's where it stands`, () => {
      for (const padding of PADDING) {
        for (const clientId of clientIds) {
          assert.equal(rewrite(text(`"${ID}"`, padding), { clientId }), text(clientId, padding));
        }
      }
    });
  }
  for (const [title, text] of [...heads, ...tails]) {
    test(`${title} becomes the client's while a large answer streams`, () => {
      const padding = PADDING[2]!;
      const whole = text(`"${ID}"`, padding);
      const expected = tails.some(([tail]) => tail === title) ? text('"é"', padding) : moveId(whole, '"é"');
      for (const size of [1000, 65_536]) {
        const borders = Array.from({ length: Math.floor(whole.length / size) }, (_, index) => (index + 1) * size);
        assert.equal(stream(whole, borders, { clientId: '"é"' }), expected);
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
  const heads: readonly ((id: string, echo: string) => string)[] = [
    (id, echo) => `{"jsonrpc":"2.0","id":${id},"result":{"a":${echo}}}`,
    (id, echo) => `{"id":${id},"result":{"a":${echo}}}`,
    (id, echo) => `{"jsonrpc":"2.0","id":${id},"error":{"code":1,"message":"m","data":${echo}}}`,
  ];
  const others: typeof heads = [
    (id, echo) => `{"result":{"a":${echo}},"jsonrpc":"2.0","id":${id}}`,
    (id, echo) => `{"result":{"a":${echo}},"id":${id}}`,
    (id, echo) => `{"jsonrpc":"2.0","result":${echo},"id":${id}}`,
    (id, echo) => `{"x":${echo},"id":${id},"result":{},"y":${echo}}`,
    (id, echo) => `{"error":{"code":1,"message":"m","data":${echo}},"jsonrpc":"2.0","id":${id}}`,
  ];
  const frames = [...heads, ...others];
  test('is rewritten in its own id and nowhere else', () => {
    for (const echo of echoes) {
      for (const frame of heads) {
        const text = frame(`"${ID}"`, echo);
        assert.equal(rewrite(text), moveId(text, '7'), text);
      }
      for (const frame of others) assert.equal(rewrite(frame(`"${ID}"`, echo)), frame('7', echo), frame('7', echo));
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
    ['an answer that is cut off', (p) => `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"`],
    ['an answer with its id at the head and text behind it', (p) => `{"id":"${ID}","result":{"a":"${p}"}} x`],
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
      '{"jsonrpc":"2.0","result":{"resultType":"complete","content":[]},"id":7}',
    ],
    [
      '{"id":ID,"jsonrpc":"2.0","result":{"content":[]}}',
      '{"jsonrpc":"2.0","result":{"resultType":"complete","content":[]},"id":7}',
    ],
    ['{"result":{},"jsonrpc":"2.0","id":ID}', '{"result":{"resultType":"complete"},"jsonrpc":"2.0","id":7}'],
    ['{"jsonrpc":"2.0","id":ID,"result":{ }}', '{"jsonrpc":"2.0","result":{ "resultType":"complete"},"id":7}'],
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
      assert.equal(rewrite(before.replace('ID', `"${ID}"`), { addedMembers: COMPLETE }), after);
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
        const text = message(order, blanks, kind, body, `"${ID}"`);
        const actual = rewrite(text, { clientId: id });
        const expected = [message(order, blanks, kind, body, id)];
        if (/^(?:v,)?id,/.test(order.join())) expected.push(moveId(text, id));
        assert.ok(actual !== undefined && expected.includes(actual), text);
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
        (order, blanks, kind, body, cuts, adds) => {
          for (const id of [ID, OTHER]) {
            const text = message(order, blanks, kind, body, `"${id}"`);
            const chosen = { clientId: '"é"', addedMembers: adds ? COMPLETE : '' };
            const borders = cuts.filter((cut) => cut < Buffer.byteLength(text));
            const [streamed, whole] = [stream(text, borders, chosen), rewrite(text, chosen)];
            // An error is walked through for its result type, and then keeps its id where it stands.
            if (adds && kind === 'error' && streamed !== undefined && whole !== undefined) {
              assert.deepEqual(JSON.parse(streamed), JSON.parse(whole));
            } else assert.equal(streamed, whole);
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
        for (const addedMembers of ['', COMPLETE]) {
          assert.equal(stream(text, borders, { addedMembers }), rewrite(text, { addedMembers }));
        }
      }
    }
  });
});

describe('an id of the upstream’s own behind ours', () => {
  const keys = ['"id"', '"\\u0069d"', '"i\\u0064"', '"\\u0069\\u0064"', ' "id" ', '\n"id"\n'];
  const frames: readonly ((key: string, p: string) => string)[] = [
    (key, p) => `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"},${key}:99}`,
    (key, p) => `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"},${key}:99,"x":{"y":"${p}"}}  \n`,
    (key, p) => `{"id":"${ID}","jsonrpc":"2.0","result":{},${key}:99,"a":"${p}"}`,
    (key, p) => `{"id":"${ID}","error":{"code":1,"message":"${p}"},${key}:99,${key}:98}`,
    (key, p) => `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${p}"},${key}:"${ID}"}`,
    (key, p) => `{"result":{"a":"${p}"},${key}:99,"jsonrpc":"2.0","id":"${ID}"}`,
    (key, p) => `{"result":{"a":"${p}"},"x":{"id":98},${key}:99,"id":"${ID}","jsonrpc":"2.0"}`,
  ];
  for (const key of keys) {
    test(`written ${JSON.stringify(key)} is never the one a client reads`, () => {
      for (const text of frames.flatMap((frame) => PADDING.map((padding) => frame(key, padding)))) {
        for (const addedMembers of ['', COMPLETE]) {
          const chosen = { clientId: '"mine"', addedMembers };
          const streams = [[], [100, 400, 30_000]].map((borders) => stream(text, borders, chosen));
          for (const answer of [rewrite(text, chosen), ...streams]) {
            // Where no result type is added, a look at both ends settles it: the answer is not refused.
            if (answer === undefined) assert.ok(addedMembers.length > 0, text.slice(0, 200));
            else assert.equal(JSON.parse(answer).id, 'mine', answer.slice(0, 200));
          }
        }
      }
    });
    test(`written ${JSON.stringify(key)} makes an answer that is walked through none`, () => {
      for (const frame of frames) {
        const text = frame(key, '');
        assert.equal(rewrite(text, { stripsResultType: true }), undefined, text);
        assert.equal(rewrite(text, { wrapsStructuredContent: true }), undefined, text);
        assert.equal(rewrite(text.replace('{', '{"first":1,')), undefined, text);
      }
    });
  }

  test('is read by no client, whatever is written around it', () => {
    const piece = fc.oneof(
      fc.constantFrom(',', '{', '}', '[', ']', ':', '"', '\\', ' ', '\n', `"id":"${ID}"`, ',"id":99', ',"\\u0069d":99'),
      fc.constantFrom(`"${ID}"`, '"jsonrpc":"2.0"', '"result":{}', ',"x":"}', '}}', '"error":{}', 'é', '\u00a0'),
      fc.jsonValue().map((value) => JSON.stringify(value)),
    );
    const head = fc.constantFrom(
      `{"jsonrpc":"2.0","id":"${ID}","result":{}`,
      `{"id":"${ID}","error":{}`,
      '{"result":{}',
    );
    const end = fc.constantFrom('}', '}', ' }\n', `,"id":"${ID}"}`, '"}', '');
    const gap = fc.constantFrom(0, 200, 500);
    const clientId = fc.constantFrom('"mine"', '"}"', '"\\"id\\":99"', '",\\"id\\":99,\\"x\\":"');
    fc.assert(
      fc.property(
        head,
        fc.array(piece, { maxLength: 8 }),
        end,
        gap,
        clientId,
        fc.boolean(),
        (from, pieces, to, length, id, adds) => {
          const text = `${from}${' '.repeat(length)}${pieces.join('')}${to}`;
          const chosen = { clientId: id, addedMembers: adds ? COMPLETE : '' };
          for (const answer of [rewrite(text, chosen), stream(text, [150, 390], chosen)]) {
            const message = answer === undefined ? undefined : parse(answer);
            if (message !== undefined) assert.equal(message.id, JSON.parse(id), text);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  function parse(text: string): { id?: unknown } | undefined {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  }
});

describe('a modern result for a legacy client', () => {
  const strips = { stripsResultType: true };
  const wraps = { wrapsStructuredContent: true };
  const cases: readonly [result: string, chosen: Options, expected: string][] = [
    ['{"resultType":"complete","content":[]}', strips, '{"content":[]}'],
    ['{"content":[] , "resultType" : "complete" }', strips, '{"content":[] }'],
    ['{"a":1, "resultType":"complete" ,"b":2}', strips, '{"a":1, "b":2}'],
    ['{"resultType":"complete"}', strips, '{}'],
    ['{"result\\u0054ype":"\\u0063omplete","a":1.0}', strips, '{"a":1.0}'],
    ['{"resultType":"input_required","a":1}', strips, '{"resultType":"input_required","a":1}'],
    ['{"resultType":1}', strips, '{"resultType":1}'],
    ['{"x":{"resultType":"complete"}}', strips, '{"x":{"resultType":"complete"}}'],
    ['{"resultType":"complete"}', {}, '{"resultType":"complete"}'],
    ['null', strips, 'null'],
    ['{"content":[]}', { ...strips, ...wraps }, '{"content":[]}'],
    ['{"structuredContent":[1.0]}', wraps, '{"structuredContent":{"result":[1.0]}}'],
    ['{"structuredContent" : null ,"a":1}', wraps, '{"structuredContent" : {"result":null} ,"a":1}'],
    ['{"structuredContent":{"result":1}}', wraps, '{"structuredContent":{"result":{"result":1}}}'],
    ['{"x":{"structuredContent":1}}', wraps, '{"x":{"structuredContent":1}}'],
    [
      '{"structuredContent":"é","resultType":"complete"}',
      wraps,
      '{"structuredContent":{"result":"é"},"resultType":"complete"}',
    ],
    [
      '{"structuredContent":"é","resultType":"complete"}',
      { ...strips, ...wraps },
      '{"structuredContent":{"result":"é"}}',
    ],
    ['{"resultType":"complete","structuredContent":1}', { ...strips, ...wraps }, '{"structuredContent":{"result":1}}'],
    [
      '{"a":1,"structuredContent":1,"resultType":"complete","b":2}',
      { ...strips, ...wraps },
      '{"a":1,"structuredContent":{"result":1},"b":2}',
    ],
    [
      '{"structuredContent":1,"a":1,"resultType":"complete"}',
      { ...strips, ...wraps },
      '{"structuredContent":{"result":1},"a":1}',
    ],
  ];
  for (const [result, chosen, expected] of cases) {
    test(`${result} is ${expected} ${JSON.stringify(chosen)}`, () => {
      for (const padding of PADDING) {
        for (const frame of [
          (id: string, body: string) => `{"result":${body},"x":"${padding}","jsonrpc":"2.0","id":${id}}`,
          (id: string, body: string) => `{"x":"${padding}","jsonrpc":"2.0","id":${id},"result":${body}}`,
        ]) {
          assert.equal(rewrite(frame(`"${ID}"`, result), chosen), frame('7', expected));
        }
      }
    });
  }

  test('keeps its result type when it streams in parts', () => {
    const text = `{"result":{"resultType":"complete","a":"${PADDING[2]}"},"jsonrpc":"2.0","id":"${ID}"}`;
    assert.equal(stream(text, [1000], strips), text.replace(`"${ID}"`, '7'));
  });

  test('an error is neither stripped nor wrapped', () => {
    const text = `{"error":{"code":1,"message":"m","data":{"resultType":"complete","structuredContent":1}},"id":"${ID}"}`;
    assert.equal(rewrite(text, { ...strips, ...wraps }), text.replace(`"${ID}"`, '7'));
  });
});

test('a stream holds back no more than a few hundred bytes', () => {
  const answer = new AnswerStream(options({}));
  const head = answer.push(Buffer.from(`{"result":{"a":"${'x'.repeat(100_000)}`));
  assert.ok(lengthOf(head) > 100_000 - 400);
  for (let round = 0; round < 5; round++) assert.equal(lengthOf(answer.push(Buffer.alloc(10_000, 'x'))), 10_000);
});

test('what begins with a method is no answer, whatever else it has', () => {
  for (const head of ['{"method":"x",', ' { "jsonrpc" : "2.0" , "method" : "x" ,', '{"method":{},']) {
    for (const rest of [
      `"result":{},"id":"${ID}"}`,
      `"jsonrpc":"2.0","id":"${ID}","error":{}}`,
      `"id":"${ID}"}`,
      `"id":"${ID}"`,
    ]) {
      assert.ok(beginsWithMethod(Buffer.from(head + rest)));
      assert.equal(rewriteAnswer(Buffer.from(head + rest), options({})), undefined);
    }
  }
  assert.ok(!beginsWithMethod(Buffer.from(`{"result":{"method":"x"},"id":"${ID}"}`)));
});

test('edits are applied alike to short and to long bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(50), fc.nat(9), fc.string({ unit: CODE_POINT, maxLength: 9 })), { maxLength: 5 }),
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

describe('the code of an error', () => {
  const withCode = (code: number) =>
    `{"jsonrpc":"2.0","id":"${ID}","error":{"message":"no","data":{"code":-32020},"code":${code}}}`;
  const codeOf = (code: number, clientEra: AnswerRewrite['clientEra']) =>
    JSON.parse(rewrite(withCode(code), { clientEra }) ?? '').error.code;

  for (const code of [-32020, -32021, -32022]) {
    test(`${code} is the hop’s between gateway and upstream, and an internal error to clients of both eras`, () => {
      assert.equal(codeOf(code, 'modern'), -32603);
      assert.equal(codeOf(code, 'legacy'), -32603);
    });
  }
  test('-32021 of a modern upstream passes to a modern client, who alone can declare more', () => {
    const options = { clientEra: 'modern', upstreamEra: 'modern' } as const;
    assert.equal(JSON.parse(rewrite(withCode(-32021), options) ?? '').error.code, -32021);
  });
  for (const [code, translated] of [
    [-32002, -32602],
    [-32042, -32603],
  ] as const) {
    test(`${code} of 2025-11-25 is ${translated} to a modern client and itself to a legacy one`, () => {
      assert.equal(codeOf(code, 'modern'), translated);
      assert.equal(codeOf(code, 'legacy'), code);
    });
  }
  for (const code of [-32602, -32000, -32023, -32050, -32099, -1, 7]) {
    test(`${code} is the handler’s, and passes`, () => {
      assert.equal(codeOf(code, 'modern'), code);
      assert.equal(codeOf(code, 'legacy'), code);
    });
  }
  test('changes alone: message, data and their bytes pass', () => {
    assert.equal(
      rewrite(`{"error":{"code":-32002,"message":"\\u00e9","data":1.0},"jsonrpc":"2.0","id":"${ID}"}`),
      '{"error":{"code":-32602,"message":"\\u00e9","data":1.0},"jsonrpc":"2.0","id":7}',
    );
  });
});

test('a large chunk is passed on as the very bytes that came, also between small ones', () => {
  const answer = new AnswerStream(options({}));
  answer.push(Buffer.from(`{"result":{"text":"${'x'.repeat(1_000)}`));
  const isPart = (part: Pieces, of: Buffer): boolean =>
    Buffer.isBuffer(part) && part.length > 60_000 && part.buffer === of.buffer;
  const chunks = [65_536, 65_536, 10, 65_536, 5_000, 65_536, 1].map((length) => Buffer.from(new ArrayBuffer(length)));
  let before: Buffer = Buffer.alloc(0);
  for (const chunk of chunks) {
    const out = answer.push(chunk);
    if (before.length > 60_000) assert.ok(isPart(out, before));
    before = chunk;
  }
});
