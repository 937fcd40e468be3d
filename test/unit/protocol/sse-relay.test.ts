import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { COMPLETE } from '../../../src/protocol/answer-splice.ts';
import { toText } from '../../../src/protocol/splice.ts';
import { EVENT_CUT } from '../../../src/protocol/sse.ts';
import { type RelayRewrite, type RelayState, SseRelay } from '../../../src/protocol/sse-relay.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const OTHER = 'Yj2-oP_8ZuaW9KlM6xSb1v';

const RESULT = `{"result":{"content":[]},"jsonrpc":"2.0","id":"${ID}"}`;
const ANSWER = '{"result":{"content":[]},"jsonrpc":"2.0","id":"é"}';
const HEAD_RESULT = `{"jsonrpc":"2.0","id":"${ID}","result":{"n":1e400}}`;
/** An id at the head is written again as the last member, so that no id behind it can be taken for it. */
const HEAD_ANSWER = '{"jsonrpc":"2.0","result":{"n":1e400},"id":"é"}';

function progress(token: string, rest = ''): string {
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1.0${rest}}}`;
}
const LOG = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"id":"x","n":1.0}}}';
const CHANGED = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}';
const EVENT = (data: string) => `event: message\ndata: ${data}\n\n`;

interface Stream {
  readonly title: string;
  readonly input: string;
  /** What the client is sent, byte for byte. */
  readonly output: string;
  readonly state: RelayState;
  /** Methods of notifications for the gateway itself. */
  readonly notified?: readonly string[];
  readonly options?: Partial<RelayRewrite>;
}

interface Relayed {
  readonly output: string;
  readonly state: RelayState;
  readonly notified: readonly string[];
}

function createRelay(options: Partial<RelayRewrite> = {}, notified: string[] = []): SseRelay {
  const rewrite: RelayRewrite = {
    upstreamId: ID,
    clientId: toText(Buffer.from('"é"')),
    clientEra: 'modern',
    upstreamEra: 'legacy',
    addedMembers: '',
    stripsResultType: false,
    wrapsStructuredContent: false,
    progressToken: '9007199254740993',
    logLevel: 'debug',
    framing: 'sse',
    ...options,
  };
  return new SseRelay(rewrite, {
    onNotification: ({ method }) => void notified.push(method),
    onRequest: () => undefined,
    isSpecial: () => false,
  });
}

function relay(chunks: readonly Buffer[], options: Partial<RelayRewrite> = {}): Relayed {
  const notified: string[] = [];
  const relaying = createRelay(options, notified);
  const out: Buffer[] = [];
  for (const chunk of chunks) out.push(...relaying.push(chunk).map((bytes) => Buffer.from(bytes)));
  return { output: Buffer.concat(out).toString(), state: relaying.state, notified };
}

const STREAMS: readonly Stream[] = [
  { title: 'an answer', input: EVENT(RESULT), output: EVENT(ANSWER), state: 'answered' },
  {
    title: 'an answer with its id at the head',
    input: EVENT(HEAD_RESULT),
    output: EVENT(HEAD_ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer with CR LF',
    input: `event: message\r\ndata: ${RESULT}\r\n\r\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer with CR',
    input: `event: message\rdata: ${RESULT}\r\r`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer with line ends of all kinds',
    input: `:a\rid: 1\r\n\ndata: ${RESULT}\n\r`,
    output: `:\n\n${EVENT(ANSWER)}`,
    state: 'answered',
  },
  { title: 'an answer without an event type', input: `data: ${RESULT}\n\n`, output: EVENT(ANSWER), state: 'answered' },
  {
    title: 'an answer without a space behind the colon',
    input: `data:${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer with two spaces behind the colon',
    input: `data:  ${RESULT}\n\n`,
    output: EVENT(` ${ANSWER}`),
    state: 'answered',
  },
  {
    title: 'an answer with an empty event type',
    input: `event:\ndata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer whose event type comes last',
    input: `data: ${RESULT}\nevent: message\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer behind a byte order mark',
    input: `\ufeffdata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer with an id and a retry hint',
    input: `id: 7\nretry: 1000\nevent: message\ndata: ${RESULT}\nid: 8\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'a priming event',
    input: `id: abc_0\nretry: 3000\ndata: \n\ndata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'a priming event without a space',
    input: `id: 1\ndata:\n\ndata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'events that are nothing but an id or a retry hint',
    input: `id: 1\n\nretry: 5\n\nid\n\nid:\n\ndata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'comments that keep the connection alive',
    input: `: ping\n\n:\n\n: id: 5\n\ndata: ${RESULT}\n\n`,
    output: `${':\n\n'.repeat(3)}${EVENT(ANSWER)}`,
    state: 'answered',
  },
  {
    title: 'a comment inside an event',
    input: `event: message\ndata: ${RESULT}\n: ping\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'unknown fields',
    input: `foo: bar\ndatax: 1\nDATA: 2\n data: 3\ndata\ndata: ${RESULT}\nfoo\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an event of another type',
    input: `event: ping\ndata: {}\n\nevent: ping\ndata: 2026-01-01\n\ndata: ${RESULT}\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer in an event of another type',
    input: `event: endpoint\ndata: ${RESULT}\n\nevent: x\n\ndata: ${HEAD_RESULT}\n\n`,
    output: EVENT(HEAD_ANSWER),
    state: 'answered',
  },
  {
    title: 'an answer over many data lines',
    input: `data: {\ndata:   "result": {},\ndata:   "jsonrpc": "2.0",\ndata:   "id": "${ID}"\ndata: }\n\n`,
    output: 'event: message\ndata: {\ndata:   "result": {},\ndata:   "jsonrpc": "2.0",\ndata:   "id": "é"\ndata: }\n\n',
    state: 'answered',
  },
  {
    title: 'an answer with an empty data line',
    input: `data: {"result":{},\r\ndata:\r\ndata:"jsonrpc":"2.0","id":"${ID}"}\r\n\r\n`,
    output: 'event: message\ndata: {"result":{},\ndata: \ndata: "jsonrpc":"2.0","id":"é"}\n\n',
    state: 'answered',
  },
  {
    title: 'an error',
    input: EVENT(`{"jsonrpc":"2.0","id":"${ID}","error":{"code":-1,"message":"é"}}`),
    output: EVENT('{"jsonrpc":"2.0","error":{"code":-1,"message":"é"},"id":"é"}'),
    state: 'answered',
  },
  {
    title: 'progress',
    input: EVENT(progress(`"${ID}"`, ',"message":"é"')) + EVENT(RESULT),
    output: EVENT(progress('9007199254740993', ',"message":"é"')) + EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'progress with an event id',
    input: `id: 5\ndata: ${progress(`"${ID}"`)}\n\n`,
    output: EVENT(progress('9007199254740993')),
    state: 'open',
  },
  {
    title: 'progress over two data lines',
    input: `data: ${progress(`"${ID}"`).replace(',"params"', ',\ndata: "params"')}\n\n`,
    output: EVENT(progress('9007199254740993').replace(',"params"', ',\ndata: "params"')),
    state: 'open',
  },
  {
    title: 'progress of another call',
    input: EVENT(progress(`"${OTHER}"`)) + EVENT(progress('1')) + EVENT(progress('null')),
    output: '',
    state: 'open',
  },
  {
    title: 'progress that was not asked for',
    input: EVENT(progress(`"${ID}"`)),
    output: '',
    state: 'open',
    options: { progressToken: undefined },
  },
  { title: 'a log', input: EVENT(LOG) + EVENT(RESULT), output: EVENT(LOG) + EVENT(ANSWER), state: 'answered' },
  {
    title: 'a log that was not asked for',
    input: EVENT(LOG) + EVENT(RESULT),
    output: EVENT(ANSWER),
    state: 'answered',
    options: { logLevel: undefined },
  },
  {
    title: 'a notification that is the gateway’s to act on',
    input: EVENT(CHANGED) + EVENT(RESULT),
    output: EVENT(ANSWER),
    state: 'answered',
    notified: ['notifications/tools/list_changed'],
  },
  {
    title: 'a request of the upstream',
    input: EVENT('{"jsonrpc":"2.0","id":1,"method":"roots/list"}') + EVENT(RESULT),
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'a request of the upstream under our id',
    input: EVENT(`{"method":"roots/list","jsonrpc":"2.0","id":"${ID}"}`) + EVENT(RESULT),
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'what comes behind the answer',
    input: `${EVENT(RESULT)}${EVENT(LOG)}${EVENT(HEAD_RESULT)}:\n\n`,
    output: EVENT(ANSWER),
    state: 'answered',
  },
  {
    title: 'the answer to another call',
    input: EVENT(RESULT.replace(ID, OTHER)) + EVENT(RESULT),
    output: '',
    state: 'broken',
  },
  {
    title: 'the answer to another call that echoes our id',
    input: EVENT(`{"jsonrpc":"2.0","id":1,"result":{"id":"${ID}"}}`) + EVENT(RESULT),
    output: '',
    state: 'broken',
  },
  {
    title: 'an error without an id',
    input: EVENT('{"jsonrpc":"2.0","error":{"code":-1,"message":"m"}}') + EVENT(RESULT),
    output: '',
    state: 'broken',
  },
  { title: 'data that is no JSON', input: EVENT('hello') + EVENT(RESULT), output: '', state: 'broken' },
  { title: 'an answer without the end of its event', input: `data: ${RESULT}\n`, output: '', state: 'open' },
  { title: 'an answer without the end of its line', input: `data: ${RESULT}`, output: '', state: 'open' },
  { title: 'nothing but white lines', input: '\n\r\n\r\n\n\r\r', output: '', state: 'open' },
  {
    title: 'an answer that needs its result type',
    input: `event: message\r\ndata: ${RESULT}\r\n\r\n`,
    output: EVENT('{"result":{"resultType":"complete","content":[]},"jsonrpc":"2.0","id":"é"}'),
    state: 'answered',
    options: { addedMembers: COMPLETE },
  },
  {
    title: 'an answer for a client that reads JSON alone',
    input: `:\n\n${EVENT(progress(`"${ID}"`))}${EVENT(LOG)}${EVENT(RESULT)}`,
    output: ANSWER,
    state: 'answered',
    options: { framing: 'json' },
  },
  {
    title: 'an answer over many data lines for a client that reads JSON alone',
    input: `data: {"result":{},\ndata: "id":"${ID}"}\n\n`,
    output: '{"result":{},\n"id":"é"}',
    state: 'answered',
    options: { framing: 'json' },
  },
];

/** Some two thousand bytes short of, and past, the length from which a line is passed on in parts. */
const LONG = [63 * 1024, 150 * 1024].map((length) => 'é'.repeat(length / 2));

const LONG_STREAMS: readonly Stream[] = LONG.flatMap((text): Stream[] => {
  const tail = (id: string) => `{"result":{"text":"${text}"},"jsonrpc":"2.0","id":${id}}`;
  const head = (id: string) => `{"jsonrpc":"2.0","id":${id},"result":{"text":"${text}"}}`;
  const size = `${Math.floor(text.length / 512)} KiB`;
  const mine = `"${ID}"`;
  return [
    { title: `an answer of ${size}, id last`, input: EVENT(tail(mine)), output: EVENT(tail('"é"')), state: 'answered' },
    {
      title: `an answer of ${size}, id first`,
      input: `id: 1\r\ndata: ${head(mine)}\r\n\r\n`,
      output: EVENT(`{"jsonrpc":"2.0","result":{"text":"${text}"},"id":"é"}`),
      state: 'answered',
    },
    {
      title: `an answer of ${size} behind a byte order mark`,
      input: `\ufeffdata: ${tail(mine)}\r\r`,
      output: EVENT(tail('"é"')),
      state: 'answered',
    },
    {
      title: `an answer of ${size} with fields and a comment behind it`,
      input: `data: ${tail(mine)}\nid: 5\n: x\nevent: message\nretry: 1\n\n`,
      output: EVENT(tail('"é"')),
      state: 'answered',
    },
    {
      title: `an answer of ${size} in one line of several`,
      input: `data: {"result":{"text":"${text}",\ndata:\ndata: "b":"${text}"},\ndata: "id":${mine}}\n\n`,
      output: `event: message\ndata: {"result":{"text":"${text}",\ndata: \ndata: "b":"${text}"},\ndata: "id":"é"}\n\n`,
      state: 'answered',
    },
    {
      title: `an answer of ${size} in one line of several for a client that reads JSON alone`,
      input: `data: {"result":{"text":"${text}",\ndata: "b":1},\ndata: "id":${mine}}\n\n`,
      output: `{"result":{"text":"${text}",\n"b":1},\n"id":"é"}`,
      state: 'answered',
      options: { framing: 'json' },
    },
    {
      title: `an answer of ${size} that needs its result type`,
      input: EVENT(tail(mine)),
      output: EVENT(tail('"é"').replace('{"text"', '{"resultType":"complete","text"')),
      state: 'answered',
      options: { addedMembers: COMPLETE },
    },
    {
      title: `an error of ${size}`,
      input: EVENT(`{"jsonrpc":"2.0","id":${mine},"error":{"code":1,"message":"${text}"}}`),
      output: EVENT(`{"jsonrpc":"2.0","error":{"code":1,"message":"${text}"},"id":"é"}`),
      state: 'answered',
    },
    {
      title: `a log of ${size}`,
      input: EVENT(LOG.replace('"x"', `"${text}"`)) + EVENT(RESULT),
      output: EVENT(LOG.replace('"x"', `"${text}"`)) + EVENT(ANSWER),
      state: 'answered',
    },
    {
      title: `progress of ${size}`,
      input: EVENT(progress(mine, `,"message":"${text}"`)),
      output: EVENT(progress('9007199254740993', `,"message":"${text}"`)),
      state: 'open',
    },
    {
      title: `a comment of ${size}`,
      input: `: ${text}\n\n${EVENT(RESULT)}`,
      output: `:\n\n${EVENT(ANSWER)}`,
      state: 'answered',
    },
    {
      title: `a request of ${size} under our id`,
      input: EVENT(`{"jsonrpc":"2.0","id":${mine},"method":"a","params":{"a":"${text}"}}`) + EVENT(RESULT),
      output: EVENT(ANSWER),
      state: 'answered',
    },
    {
      title: `an event of ${size} of another type`,
      input: `event: x\ndata: ${tail(mine)}\n\n${EVENT(RESULT)}`,
      output: EVENT(ANSWER),
      state: 'answered',
    },
    {
      title: `the answer to another call of ${size}, id first`,
      input: EVENT(head(`"${OTHER}"`)),
      output: '',
      state: 'broken',
    },
  ];
});

function check(stream: Stream, chunks: readonly Buffer[]): void {
  const { output, state, notified } = relay(chunks, stream.options);
  if (output !== stream.output)
    assert.fail(`after ${chunks.map(({ length }) => length).join('+')} bytes:\n${output.slice(-300)}`);
  assert.equal(state, stream.state);
  assert.deepEqual(notified, stream.notified ?? []);
}

function cut(bytes: Buffer, borders: readonly number[]): Buffer[] {
  const ends = [...new Set(borders)].filter((border) => border > 0 && border < bytes.length).sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe('a stream gives the same output however its bytes are split:', () => {
  for (const stream of STREAMS) {
    test(stream.title, () => {
      const bytes = Buffer.from(stream.input);
      for (let border = 0; border < bytes.length; border++) check(stream, cut(bytes, [border]));
      check(stream, cut(bytes, Array.from(bytes.keys())));
      const anyBorders = fc.array(fc.nat(bytes.length), { maxLength: 10 });
      fc.assert(
        fc.property(anyBorders, (borders) => check(stream, cut(bytes, borders))),
        { numRuns: 100 },
      );
    });
  }
  for (const stream of LONG_STREAMS) {
    test(stream.title, () => {
      const bytes = Buffer.from(stream.input);
      const near = [...Array(130).keys()];
      const places = [0, 65_536, bytes.indexOf('\ndata: "b"'), bytes.length - 130].flatMap((from) =>
        near.map((step) => from + step),
      );
      for (const place of places) check(stream, cut(bytes, [place]));
      for (const size of [1000, 16_384, 65_535, 65_536, 65_537]) {
        check(
          stream,
          cut(
            bytes,
            Array.from({ length: bytes.length / size }, (_, index) => index * size),
          ),
        );
      }
      const anyBorders = fc.array(fc.nat(bytes.length), { maxLength: 10 });
      fc.assert(
        fc.property(anyBorders, (borders) => check(stream, cut(bytes, borders))),
        { numRuns: 20 },
      );
    });
  }

  test('there are more than seventy streams', () => {
    assert.equal(STREAMS.length, 44);
    assert.equal(LONG_STREAMS.length, 28);
    const all = [...STREAMS, ...LONG_STREAMS];
    assert.equal(new Set(all.map(({ title }) => title)).size, all.length);
  });
});

/** What a line of the client's stream may be; a carriage return would end a line, too. */
const OWN_LINE = /^(?:event: message|data: [^\r]*|:)?$/;

test('no event id, retry hint or event type of the upstream reaches the client', () => {
  for (const stream of [...STREAMS, ...LONG_STREAMS]) {
    const { output } = relay([Buffer.from(stream.input)], stream.options);
    if (stream.options?.framing === 'json') continue;
    for (const line of output.split('\n')) assert.match(line, OWN_LINE);
  }
});

test('an upstream cannot begin a field of its own inside the client’s stream', () => {
  const fields = ['id: 1', 'retry: 1', 'event: x', 'data: {"method":"x"}', ': x', ''];
  const end = fc.constantFrom('\n', '\r', '\r\n', '\u2028', '\0', '\u0085');
  const line = fc.oneof(
    fc.constantFrom(...fields),
    fc.string({ maxLength: 10 }),
    fc.constantFrom(`data: ${LOG}`, `data: ${RESULT}`, `data: ${progress(`"${ID}"`)}`),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(line, end), { maxLength: 20 }), (lines) => {
      const { output } = relay([Buffer.from(lines.map((parts) => parts.join('')).join(''))]);
      for (const each of output.split('\n')) assert.match(each, OWN_LINE, JSON.stringify(output));
    }),
    { numRuns: 3000 },
  );
});

describe('limits', () => {
  const megabyte = Buffer.alloc(1024 * 1024, 'x');

  test('an answer may be as long as it likes and is not held', () => {
    const relaying = createRelay({ clientId: '1' });
    let length = 0;
    const push = (chunk: Buffer) => {
      for (const out of relaying.push(chunk)) length += out.length;
    };
    push(Buffer.from(`data: {"result":{"a":"`));
    for (let count = 0; count < 20; count++) {
      push(megabyte);
      assert.ok(length > count * megabyte.length);
    }
    push(Buffer.from(`"},"jsonrpc":"2.0","id":"${ID}"}\n\n`));
    assert.equal(relaying.state, 'answered');
    assert.equal(length, EVENT(`{"result":{"a":""},"jsonrpc":"2.0","id":1}`).length + 20 * megabyte.length);
  });

  const endless: readonly [title: string, head: string, piece: Buffer, count: number][] = [
    ['line that is no answer', `data: {"jsonrpc":"2.0","method":"a","params":{"a":"`, megabyte, 5],
    ['comment', ': ', megabyte, 5],
    ['field', 'id: ', megabyte, 5],
    ['event of many lines', 'data: {\n', Buffer.from(`data: ${'x'.repeat(1000)}\n`.repeat(100)), 50],
    ['event of empty lines', 'data: {\n', Buffer.from('data:\n'.repeat(100_000)), 50],
  ];
  for (const [title, head, piece, count] of endless) {
    test(`an endless ${title} breaks the stream`, () => {
      const { state, output } = relay([Buffer.from(head), ...Array.from({ length: count }, () => piece)]);
      assert.equal(state, 'broken');
      assert.equal(output, '');
    });
  }

  test('it is known whether the client has been sent half an event', () => {
    const relaying = createRelay({ clientId: '1' });
    const steps: readonly [text: string, isInside: boolean][] = [
      ['', false],
      [`data: {"result":{"a":"${'x'.repeat(1000)}`, false],
      ['x'.repeat(100_000), true],
      ['"},', true],
      [`"id":"${ID}"}\n`, true],
      ['\n', false],
    ];
    for (const [text, isInside] of steps) {
      relaying.push(Buffer.from(text));
      assert.equal(relaying.isInsideEvent, isInside, text.slice(0, 9));
    }
    assert.equal(relaying.state, 'answered');
  });

  test('a large answer to another call is broken off by an event’s end that makes it no JSON, so that an error can follow', () => {
    const text = `{"result":{"a":"${'x'.repeat(200_000)}"},"jsonrpc":"2.0","id":"${OTHER}"}`;
    const { state, output } = relay(cut(Buffer.from(EVENT(text)), [100_000]));
    assert.equal(state, 'broken');
    assert.match(output, /^event: message\ndata: .{100000,}\ndata: \(cut off\)\n\n$/);
    assert.deepEqual(readMessages(output), []);
  });
});

/** What the parser of the SDK clients makes of a stream: the data of its events, as far as it is JSON. */
function readMessages(output: string): { readonly id?: unknown }[] {
  const datas: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => datas.push(data) });
  for (let at = 0; at < output.length; at += 16_384) parser.feed(output.slice(at, at + 16_384));
  return datas.flatMap((data) => {
    try {
      return [JSON.parse(data)];
    } catch {
      return [];
    }
  });
}

describe('a forged answer', () => {
  const LARGE = 'x'.repeat(100_000);
  const SPACES = ' '.repeat(100_000);

  const seconds: readonly [title: string, data: string][] = [
    ['a second id', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"TEXT"},"id":99}`],
    ['a second id with escapes', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"TEXT"},"\\u0069d":99}`],
    ['a second id in a line of its own', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"TEXT"}\ndata: ,"id":99}`],
    ['a second id, and spaces', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"TEXT"},"id":99}${' '.repeat(50)}`],
    ['a first id', `{"result":{"a":"TEXT"},"id":99,"jsonrpc":"2.0","id":"${ID}"}`],
  ];
  for (const [title, data] of seconds) {
    test(`by ${title} is read under the client's id`, () => {
      for (const text of ['', LARGE]) {
        const bytes = Buffer.from(`data: ${data.replace('TEXT', text)}\n\n`);
        for (const borders of [[], [30], [70_000], [90_000, 100_050, bytes.length - 3]]) {
          const { output, state } = relay(cut(bytes, borders));
          assert.equal(state, 'answered');
          assert.deepEqual(
            readMessages(output).map(({ id }) => id),
            ['é'],
          );
          const json = relay(cut(bytes, borders), { framing: 'json' });
          assert.equal(JSON.parse(json.output).id, 'é');
        }
      }
    });
  }

  const forged: readonly [title: string, data: string][] = [
    ['behind our id', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${LARGE}"},"id":99}`],
    ['behind our id, escaped', `{"jsonrpc":"2.0","id":"${ID}","result":{"a":"${LARGE}"},"\\u0069d":99}`],
    ['without our id', `{"jsonrpc":"2.0","result":{"a":"${LARGE}"},"id":99}`],
    ['without any id', `{"jsonrpc":"2.0","result":{"a":"${LARGE}"}}`],
  ];
  const ends: readonly [title: string, end: string, closes: boolean][] = [
    ['and the end of the event', '\n\n', true],
    ['and a line of nothing', '\ndata:\n\n', true],
    ['and lines of nothing', `${'\ndata:'.repeat(500)}\n\n`, true],
    ['and the end of the line', '\n', false],
    ['and nothing', '', false],
  ];
  for (const [title, data] of forged) {
    for (const [how, end, closes] of ends) {
      test(`${title}, with spaces behind it ${how}, is read by no client`, () => {
        const bytes = Buffer.from(`data: ${data}${SPACES}${end}`);
        for (const size of [16_384, 65_536, bytes.length]) {
          const relaying = createRelay();
          const out: Buffer[] = [];
          for (let at = 0; at < bytes.length; at += size) out.push(...relaying.push(bytes.subarray(at, at + size)));
          // A stream that ends inside an event is cut off by whoever relays it.
          if (relaying.isInsideEvent) out.push(EVENT_CUT);
          assert.deepEqual(readMessages(Buffer.concat(out).toString()), []);
          assert.equal(relaying.state, closes ? 'broken' : 'open');
        }
      });
    }
  }

  test('is read by no client, whatever it ends in', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ' ',
        '}',
        '"',
        '\\',
        ',"id":99}',
        ',"\\u0069d":99}',
        `,"id":"${ID}"}`,
        '\ndata: ',
        '\r\ndata:',
        '\n: x',
      ),
      fc.constantFrom(50, 96, 97, 300, 70_000).map((length) => ' '.repeat(length)),
    );
    const head = fc.constantFrom(`{"jsonrpc":"2.0","id":"${ID}","result":{"a":"`, '{"result":{"a":"');
    const end = fc.constantFrom('\n\n', '\r\r', '\nid: 1\n\n', '\nevent: x\n\n', '');
    fc.assert(
      fc.property(
        head,
        fc.array(piece, { maxLength: 8 }),
        end,
        fc.array(fc.nat(150_000), { maxLength: 4 }),
        (begun, pieces, to, borders) => {
          const bytes = Buffer.from(`data: ${begun}${LARGE}"}${pieces.join('')}${to}`);
          const relaying = createRelay();
          const out = cut(bytes, borders).flatMap((chunk) => [...relaying.push(chunk)]);
          if (relaying.isInsideEvent) out.push(EVENT_CUT);
          for (const { id } of readMessages(Buffer.concat(out).toString())) assert.equal(id, 'é');
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('for an upstream that ends its stream to be asked again', () => {
  const cases: readonly [title: string, input: string, lastEventId: string | undefined, retryMs?: number][] = [
    ['a priming event', 'id: abc_0\nretry: 3000\ndata: \n\n', 'abc_0', 3000],
    ['the last of several ids', `id: 1\ndata:\n\nid: 2\nid: 3\n${EVENT(LOG)}`, '3'],
    ['an id that a later event does not repeat', `id: 1\ndata:\n\n${EVENT(LOG)}`, '1'],
    ['an id in an event of another type', 'event: ping\nid: 9\ndata: x\n\n', '9'],
    ['an id without data', 'id: 4\n\n', '4'],
    ['the id of an event that has not ended', `id: 1\ndata:\n\nid: 2\ndata: ${RESULT}\n`, '1'],
    ['the id of an event whose data has not ended', `id: 2\ndata: {"result":{"a":"${'x'.repeat(100_000)}`, undefined],
    ['no id', EVENT(LOG), undefined],
    ['an empty id', 'id: 1\n\nid:\n\nid\n\n', '1'],
    ['an id no header can carry', 'id: é\n\nid: a\tb\n\nid: a\0\n\nid:   \n\n', undefined],
    ['an id with spaces in it', 'id: a b=?\n\n', 'a b=?'],
    ['an id that is too long', `id: ${'x'.repeat(1025)}\n\n`, undefined],
    [
      'pauses that are no numbers',
      'retry: 5\n\nretry: -1\n\nretry: 1.5\n\nretry:\n\nretry: 9999999999\n\n',
      undefined,
      5,
    ],
  ];
  for (const [title, input, lastEventId, retryMs] of cases) {
    test(`${title} ${lastEventId === undefined ? 'gives nothing to ask with' : `gives the id ${lastEventId}`}`, () => {
      const bytes = Buffer.from(input);
      for (const borders of [[], [...Array(Math.min(bytes.length, 200)).keys()]]) {
        const relaying = createRelay();
        for (const chunk of cut(bytes, borders)) relaying.push(chunk);
        assert.deepEqual([relaying.lastEventId, relaying.retryMs], [lastEventId, retryMs]);
      }
    });
  }
});

test('a long answer that is to be wrapped is held until it is whole', () => {
  const text = 'x'.repeat(200_000);
  const relaying = createRelay({ wrapsStructuredContent: true });
  assert.deepEqual(relaying.push(Buffer.from(`data: {"result":{"structuredContent":["${text}`)), []);
  const out = relaying.push(Buffer.from(`"]},"id":"${ID}"}\n\n`));
  assert.equal(
    Buffer.concat(out).toString(),
    EVENT(`{"result":{"structuredContent":{"result":["${text}"]}},"id":"é"}`),
  );
});
