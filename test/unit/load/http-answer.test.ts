import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HttpAnswer } from '../../../src/load/http-answer.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const END_BYTES = 1_024;
const TEXT = '{"result":{},"jsonrpc":"2.0","id":1000000000}';

function chunked(parts: readonly string[]): string {
  const chunks = parts.map((part) => `${part.length.toString(16)};x=1\r\n${part}\r\n`);
  return `${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\nx-trailer: 1\r\n\r\n`;
}

/** Pushes it in pieces of these lengths; returns after how many bytes it was whole. */
function read(answer: HttpAnswer, text: string, lengths: readonly number[]): number {
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const end = Math.min(bytes.length, at + (lengths[piece % lengths.length] ?? 1));
    if (answer.push(bytes.subarray(at, end))) return end;
    at = end;
  }
  return -1;
}

test('an answer is whole with its last byte, however it is cut, and tells status, size and both ends', () => {
  const body = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', ';'), maxLength: 3_000 });
  const framed = fc.oneof(
    body.map((text) => ({ text, wire: `${HEAD}Content-Length: ${text.length}\r\n\r\n${text}` })),
    fc
      .array(
        body.filter((part) => part !== ''),
        { maxLength: 4 },
      )
      .map((parts) => ({ text: parts.join(''), wire: chunked(parts) })),
  );
  fc.assert(
    fc.property(framed, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), ({ text, wire }, lengths) => {
      const answer = new HttpAnswer(END_BYTES);
      for (let times = 0; times < 2; times++) {
        assert.equal(read(answer, wire, lengths), wire.length);
        assert.deepEqual([answer.status, answer.bodyBytes, answer.canReuse], [200, text.length, true]);
        assert.equal(answer.first, text.slice(0, END_BYTES));
        assert.equal(answer.last, text.slice(-END_BYTES));
        answer.reset();
      }
    }),
  );
});

test('what cannot be framed is said', () => {
  const cases: [string, RegExp][] = [
    ['SSH-2.0-OpenSSH\r\n\r\n', /not HTTP/],
    [`${HEAD}\r\n${TEXT}`, /no length/],
    [`${HEAD}Content-Length: 2\r\n\r\n{}{}`, /behind the answer/],
    [`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, /no size/],
    [`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(70_000)}`, /head does not end/],
  ];
  for (const [wire, problem] of cases) assert.throws(() => new HttpAnswer().push(Buffer.from(wire)), problem);
});

test('a connection that is to be closed is not used again', () => {
  const answer = new HttpAnswer();
  assert.ok(answer.push(Buffer.from(`${HEAD}Connection: close\r\nContent-Length: 0\r\n\r\n`)));
  assert.equal(answer.canReuse, false);
});
