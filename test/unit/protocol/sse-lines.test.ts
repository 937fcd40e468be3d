import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SseLines } from '../../../src/protocol/sse-lines.ts';

const LONG = 16;

/** Lines as WHATWG HTML §9.2.6 reads them; what follows the last line end is no line. */
function naiveLines(text: string): string[] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .slice(0, -1);
}

interface Taken {
  readonly lines: string[];
  /** Lines of which a part was handed over before their end. */
  readonly inParts: number;
  readonly asked: number;
}

/** Feeds `chunks`; takes long lines in parts where `takesParts` says so of their beginning. */
function read(chunks: readonly Buffer[], takesParts: (begun: string) => boolean = () => false): Taken {
  const lines: string[] = [];
  let parts: Buffer[] | undefined;
  let inParts = 0;
  let asked = 0;
  const reader = new SseLines(
    {
      onLine: (line) => {
        lines.push(Buffer.concat([...(parts ?? []), line]).toString());
        parts = undefined;
      },
      onLongLine: (begun) => {
        asked++;
        assert.equal(parts, undefined);
        if (!takesParts(begun.toString('latin1'))) return false;
        inParts++;
        parts = [Buffer.from(begun)];
        return true;
      },
      onPart: (part) => parts?.push(Buffer.from(part)),
    },
    LONG,
  );
  for (const chunk of chunks) reader.push(chunk);
  return { lines, inParts, asked };
}

function cut(bytes: Buffer, borders: readonly number[]): Buffer[] {
  const sorted = [0, ...borders.map((border) => border % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n', '\ufeff', 'data: é', ':'),
      fc.string({ maxLength: 40 }),
    ),
    {
      maxLength: 12,
    },
  )
  .map((pieces) => pieces.join(''));
const borders = fc.array(fc.nat(500), { maxLength: 8 });

test('lines end as the standard says, wherever the stream is cut', () => {
  fc.assert(
    fc.property(text, borders, (whole, at) => {
      assert.deepEqual(read(cut(Buffer.from(whole), at)).lines, naiveLines(whole));
    }),
    { numRuns: 5000 },
  );
});

test('a line taken in parts is the line, wherever the stream is cut', () => {
  fc.assert(
    fc.property(text, borders, fc.boolean(), (whole, at, takes) => {
      const takesParts = (begun: string) => takes || begun.charCodeAt(0) % 2 === 0;
      assert.deepEqual(read(cut(Buffer.from(whole), at), takesParts).lines, naiveLines(whole));
    }),
    { numRuns: 5000 },
  );
});

describe('every split', () => {
  const streams = [
    'a\nb\n\n',
    'a\r\nb\r\n\r\n',
    'a\rb\r\r',
    '\n\r\n\r\r\n',
    'a\r\n\nb\n\r\n',
    '\ufeffdata: a\n\ufeffdata: b\n',
    `data: ${'é'.repeat(40)}\r\nid: 1\r\n\r\n`,
    `${'x'.repeat(50)}\r${'y'.repeat(50)}\r`,
    `\ufeff${'x'.repeat(50)}\n\ufeffy\n`,
    'no end',
  ];
  for (const whole of streams) {
    test(`of ${JSON.stringify(whole.slice(0, 30))} gives the same lines`, () => {
      const bytes = Buffer.from(whole);
      const expected = naiveLines(whole);
      for (const takes of [true, false]) {
        for (let first = 0; first <= bytes.length; first++) {
          for (let second = first; second <= bytes.length; second++) {
            assert.deepEqual(read(cut(bytes, [first, second]), () => takes).lines, expected);
          }
        }
        const single = [...bytes].map((byte) => Buffer.from([byte]));
        assert.deepEqual(read(single, () => takes).lines, expected);
      }
    });
  }
});

describe('long lines', () => {
  const single = (whole: string) => [...Buffer.from(whole)].map((byte) => Buffer.from([byte]));

  test('are asked about once each, and taken as answered', () => {
    const whole = `${'a'.repeat(90)}\n${'b'.repeat(90)}\nshort\n`;
    const taken = read(single(whole), (begun) => begun.startsWith('b'));
    assert.deepEqual(taken, { lines: naiveLines(whole), inParts: 1, asked: 2 });
  });

  test('that come whole are asked about like those that come in pieces', () => {
    const whole = `${'a'.repeat(90)}\n${'b'.repeat(LONG)}\n${'c'.repeat(LONG - 1)}\n`;
    const takesParts = (begun: string) => begun.startsWith('b');
    for (const chunks of [[Buffer.from(whole)], single(whole)]) {
      assert.deepEqual(read(chunks, takesParts), { lines: naiveLines(whole), inParts: 1, asked: 2 });
    }
  });

  test('show how much of them is held', () => {
    const reader = new SseLines({ onLine: () => {}, onLongLine: (begun) => begun[0] === 0x78, onPart: () => {} }, LONG);
    reader.push(Buffer.from('a'.repeat(100)));
    assert.equal(reader.heldBytes, 100);
    reader.push(Buffer.from('a\nx'));
    assert.equal(reader.heldBytes, 1);
    reader.push(Buffer.from('x'.repeat(100)));
    assert.equal(reader.heldBytes, 0);
  });

  test('that are held while they come byte by byte cost time in proportion to their length', () => {
    const reader = new SseLines({ onLine: () => {}, onLongLine: () => false, onPart: () => {} }, LONG);
    const byte = Buffer.from('a');
    const started = process.cpuUsage();
    for (let count = 0; count < 1_000_000; count++) reader.push(byte);
    const { user } = process.cpuUsage(started);
    assert.equal(reader.heldBytes, 1_000_000);
    // A copy of all that is held for every byte would take minutes.
    assert.ok(user < 5_000_000, `${user} µs`);
  });
});

test('a chunk full of line ends of one kind is not searched for the other kind at each of them', () => {
  const chunk = Buffer.alloc(2 * 1024 * 1024, '\r');
  let lines = 0;
  const reader = new SseLines({ onLine: () => lines++, onLongLine: () => false, onPart: () => {} }, LONG);
  const started = process.cpuUsage();
  reader.push(chunk);
  const { user } = process.cpuUsage(started);
  assert.equal(lines, chunk.length);
  // Two million searches through a megabyte take fifteen seconds.
  assert.ok(user < 3_000_000, `${user} µs`);
});
