// Event streams of upstreams, one a line of test/corpus/sse.jsonl: what the client is sent is the same wherever the
// bytes are split, reads back as messages by the standard and by the SDKs' parser, and holds no field of the upstream's.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createParser } from 'eventsource-parser';
import { EVENT_CUT } from '../../../src/protocol/sse.ts';
import { type RelayRewrite, type RelayState, SseRelay } from '../../../src/protocol/sse-relay.ts';
import { type CorpusCase, readCorpus, reportCounts } from '../../support/corpus.ts';
import { heldMemoryBytes } from '../../support/held-memory.ts';

type Piece = string | { readonly hex: string } | { readonly repeat: string; readonly times: number };

interface SseCase extends CorpusCase {
  readonly stream: readonly Piece[];
  /** The data of each event that the client is sent. */
  readonly sends: readonly (readonly Piece[])[];
  readonly state: RelayState;
  /** How `sends` are meant: byte for byte (the default), as equal JSON, or byte for byte although they are no JSON. */
  readonly as?: 'json' | 'opaque';
  /** The client was sent the beginning of an answer that nobody may read. */
  readonly cut?: true;
  readonly comments?: number;
  readonly notified?: readonly string[];
  readonly lastEventId?: string | null;
  readonly retryMs?: number | null;
  /** `progressToken: null`: the client asked for no progress. */
  readonly rewrite?: Partial<Omit<RelayRewrite, 'progressToken'>> & { readonly progressToken?: null };
}

const COUNTS = {
  'line ends': 13,
  fields: 15,
  comments: 4,
  data: 10,
  'ids and pauses': 10,
  answers: 15,
  'notifications and requests': 10,
  encoding: 9,
  injection: 6,
  large: 11,
};
const CASES = readCorpus<SseCase>('sse.jsonl', COUNTS);
const FRAMINGS = ['sse', 'json'] as const;

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const WORDS: readonly [word: string, meaning: string][] = [
  ['$ID', ID],
  ['$OTHER', 'Yj2-oP_8ZuaW9KlM6xSb1v'],
  ['$HALF', ID.slice(0, 10)],
  ['$REST', ID.slice(10)],
];
/** What a socket gives at once. */
const CHUNK = 64 * 1024;

function toBytes(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => {
      if (typeof piece !== 'string') {
        return 'hex' in piece ? Buffer.from(piece.hex, 'hex') : Buffer.from(piece.repeat.repeat(piece.times));
      }
      return Buffer.from(WORDS.reduce((text, [word, meaning]) => text.replaceAll(word, meaning), piece));
    }),
  );
}

interface Relayed {
  readonly output: Buffer;
  readonly state: RelayState;
  readonly isInsideEvent: boolean;
  readonly lastEventId: string | undefined;
  readonly retryMs: number | undefined;
  readonly notified: readonly string[];
}

function createRelay(
  options: NonNullable<SseCase['rewrite']>,
  framing: RelayRewrite['framing'],
  notified: string[],
): SseRelay {
  const { progressToken = '"p"', ...rewrite } = options;
  const rest = {
    upstreamId: ID,
    clientId: '"c"',
    clientEra: 'modern' as const,
    upstreamEra: 'legacy' as const,
    addedMembers: '',
    stripsResultType: false,
    wrapsStructuredContent: false,
    logLevel: 'debug' as const,
    framing,
    progressToken: progressToken === null ? undefined : progressToken,
  };
  return new SseRelay(
    { ...rest, ...rewrite },
    {
      onNotification: ({ method }) => void notified.push(method),
      onRequest: () => undefined,
      isSpecial: () => false,
    },
  );
}

function relay(each: SseCase, framing: RelayRewrite['framing'], chunks: Iterable<Buffer>): Relayed {
  const notified: string[] = [];
  const relaying = createRelay(each.rewrite ?? {}, framing, notified);
  const out: Buffer[] = [];
  for (const chunk of chunks) out.push(...relaying.push(chunk));
  const { state, isInsideEvent, lastEventId, retryMs } = relaying;
  return { output: Buffer.concat(out), state, isInsideEvent, lastEventId, retryMs, notified };
}

/** The bytes in chunks of a socket's size, with a border at `at`. */
function* splitAt(bytes: Buffer, at: number): Generator<Buffer> {
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(from + CHUNK, from < at ? at : bytes.length, bytes.length);
    yield bytes.subarray(from, to);
    from = to;
  }
}

/** Every byte alone, but for the middle of what is large. */
function* byByte(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; ) {
    const isMiddle = from >= 70_000 && from < bytes.length - 1_000;
    const to = isMiddle ? Math.min(from + CHUNK, bytes.length - 1_000) : from + 1;
    yield bytes.subarray(from, to);
    from = to;
  }
}

/** Everywhere, or in what is large near its ends and near the lengths from which lines are treated differently. */
function bordersOf({ length }: Buffer): number[] {
  if (length <= 4_096) return Array.from({ length: length + 1 }, (_, at) => at);
  const around = length > 1_000_000 ? [-1, 0, 1] : Array.from({ length: 80 }, (_, step) => step - 40);
  const places = [40, 384, CHUNK, 2 * CHUNK, 4 * 1024 * 1024, length - 200, length - 96, length - 2];
  return places.flatMap((place) => around.map((step) => place + step)).filter((at) => at > 0 && at < length);
}

interface ReadEvent {
  readonly type: string;
  readonly data: string;
}

interface ReadStream {
  readonly events: readonly ReadEvent[];
  readonly comments: number;
  /** Everything but `event` and `data`. */
  readonly otherFields: readonly string[];
}

/** An event stream as the HTML living standard interprets it, §9.2.6. */
function readByStandard(text: string): ReadStream {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  const events: ReadEvent[] = [];
  const otherFields: string[] = [];
  let [type, data, comments] = ['', '', 0];
  for (const line of lines.slice(0, -1)) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (line === '') {
      if (data !== '') events.push({ type: type === '' ? 'message' : type, data: data.replace(/\n$/, '') });
      [type, data] = ['', ''];
    } else if (colon === 0) comments++;
    else if (name === 'event') type = value;
    else if (name === 'data') data += `${value}\n`;
    else otherFields.push(name);
  }
  return { events, comments, otherFields };
}

/** The same by the parser that the SDKs' clients use. */
function readBySdk(text: string): string[] {
  const datas: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => datas.push(data) });
  parser.feed(text);
  return datas;
}

function isMessage(text: string): boolean {
  try {
    const message = JSON.parse(text);
    const isAnswer = message.id === 'c' && 'result' in message !== 'error' in message && !('method' in message);
    const isNotification = !('id' in message) && typeof message.method === 'string';
    return message.jsonrpc === '2.0' && (isAnswer || isNotification);
  } catch {
    return false;
  }
}

/** Equal, said briefly: a failing comparison of megabytes would print them. */
function assertSameText(actual: string, expected: string, what: string): void {
  if (actual === expected) return;
  const at = [...expected].findIndex((character, index) => actual[index] !== character);
  const show = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 80));
  assert.fail(
    `${what} differs at ${at} (${actual.length} for ${expected.length}): ${show(actual)} for ${show(expected)}`,
  );
}

function assertSent(each: SseCase, actual: string, expected: string): void {
  if (each.as === 'json') assert.deepEqual(JSON.parse(actual), JSON.parse(expected));
  else assertSameText(actual, expected, 'what is sent');
  if (each.as !== 'opaque') assert.ok(isMessage(actual), `no message: ${actual.slice(0, 200)}`);
}

/** Compares what the client of an event stream reads with the corpus. */
function checkEvents(each: SseCase, { output, isInsideEvent }: Relayed): void {
  // A stream that ends inside an event is cut off by whoever relays it.
  const text = output.toString() + (isInsideEvent ? EVENT_CUT.toString() : '');
  assert.ok(!text.includes('\r'), 'a carriage return reaches the client');
  const { events, comments, otherFields } = readByStandard(text);
  const datas = events.map(({ data }) => data);
  assert.deepEqual(readBySdk(text), datas);
  assert.deepEqual([...new Set(events.map(({ type }) => type))], events.length === 0 ? [] : ['message']);
  assert.deepEqual(otherFields, []);
  assert.equal(comments, each.comments ?? 0);
  if (each.cut === true) assert.throws(() => JSON.parse(datas.pop() ?? '{}'), 'a cut answer can be read');
  const expected = each.sends.map((pieces) => toBytes(pieces).toString());
  assert.equal(datas.length, expected.length, `sent: ${datas.join('|').slice(0, 300)}`);
  for (const [index, data] of datas.entries()) assertSent(each, data, expected[index]!);
}

/** A client that reads JSON alone gets the answer and nothing else. */
function checkJson(each: SseCase, { output, state }: Relayed): void {
  const text = output.toString();
  if (state === 'answered') assertSent(each, text, toBytes(each.sends.at(-1) ?? []).toString());
  else if (each.cut === true) assert.throws(() => JSON.parse(text), 'a cut answer can be read');
  else assert.equal(text, '');
}

function check(each: SseCase, framing: RelayRewrite['framing'], relayed: Relayed): void {
  if (framing === 'sse') checkEvents(each, relayed);
  else checkJson(each, relayed);
}

function assertSame(actual: Relayed, expected: Relayed, isCut: boolean, how: string): void {
  const { output, ...rest } = actual;
  const { output: expectedOutput, ...expectedRest } = expected;
  assert.deepEqual(rest, expectedRest, how);
  // How much of an answer has been passed on when it turns out to be none is a matter of how it came.
  if (isCut) return;
  if (!output.equals(expectedOutput)) assertSameText(output.toString(), expectedOutput.toString(), `the output ${how}`);
}

let runs = 0;
for (const name of Object.keys(COUNTS)) {
  suite(`an upstream's event stream, ${name}:`, () => {
    for (const each of CASES.filter((one) => one.class === name)) {
      test(each.name, () => {
        const bytes = toBytes(each.stream);
        for (const framing of FRAMINGS) {
          const whole = relay(each, framing, splitAt(bytes, bytes.length));
          assert.equal(whole.state, each.state);
          if (each.lastEventId !== undefined) assert.equal(whole.lastEventId, each.lastEventId ?? undefined);
          if (each.retryMs !== undefined) assert.equal(whole.retryMs, each.retryMs ?? undefined);
          assert.deepEqual(whole.notified, each.notified ?? []);
          check(each, framing, whole);
          for (const at of bordersOf(bytes)) {
            const split = relay(each, framing, splitAt(bytes, at));
            assertSame(split, whole, each.cut === true, `split at ${at}`);
            if (each.cut === true) check(each, framing, split);
            runs++;
          }
          assertSame(relay(each, framing, byByte(bytes)), whole, each.cut === true, 'byte by byte');
          runs += 2;
        }
      });
    }
  });
}

suite('an endless line is held in bounded memory:', () => {
  const piece = Buffer.alloc(CHUNK, 'x');
  for (const [what, begun, state] of [
    ['a comment', ': ', 'broken'],
    ['an unknown field', 'x', 'broken'],
    ['a log', 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"', 'broken'],
    ['an answer, which is passed on', `data: {"jsonrpc":"2.0","id":"${ID}","result":{"a":"`, 'open'],
  ] as const) {
    test(what, () => {
      const relaying = createRelay({}, 'sse', []);
      relaying.push(Buffer.from(begun));
      const before = heldMemoryBytes();
      let most = 0;
      for (let count = 1; count <= 2_000; count++) {
        relaying.push(piece);
        if (count === 60 || count % 400 === 0) most = Math.max(most, heldMemoryBytes() - before);
      }
      assert.equal(relaying.state, state);
      // What is held grows by doubling, and is copied from the old buffer to the new.
      assert.ok(most < 16 * 1024 * 1024, `${Math.round(most / 1024 / 1024)} MiB held of a line of 125 MiB`);
    });
  }
});

test('every case ran', (t) => reportCounts(t, 'sse.jsonl', CASES, runs));
