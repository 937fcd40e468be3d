import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  type AnswerReader,
  type AnswerSink,
  createAnswerReader,
  type Verdict,
} from '../../../src/data-plane/answer-reader.ts';
import type { AnswerRewrite } from '../../../src/protocol/answer-splice.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';

interface Reading {
  readonly reader: AnswerReader;
  /** What went to the client. */
  readonly sent: Buffer[];
}

function read(headers: Record<string, string>, options: Partial<AnswerRewrite> = {}): Reading {
  const sent: Buffer[] = [];
  const rewrite: AnswerRewrite = {
    upstreamId: ID,
    clientId: '1',
    clientEra: 'legacy',
    upstreamEra: 'legacy',
    addedMembers: '',
    stripsResultType: false,
    wrapsStructuredContent: false,
    ...options,
  };
  const sink: AnswerSink = {
    upstreamId: ID,
    rewrite: () => rewrite,
    relayRewrite: () => ({ ...rewrite, progressToken: undefined, logLevel: 'debug', framing: 'sse' }),
    onNotification: () => undefined,
    onRequest: () => undefined,
    isSpecial: () => false,
    mayAsk: false,
    onSpecial: () => undefined,
    beginParts: () => undefined,
    sendWhole: (answer) => void sent.push(Buffer.from(answer as string, 'latin1')),
    beginEvents: () => undefined,
    sendOn: (part) => void sent.push(part),
  };
  const reader = createAnswerReader(sink, { 'content-type': 'application/json', ...headers });
  assert.ok('push' in reader);
  return { reader, sent };
}

const BRACE = Buffer.from('}');
const HELD_AT_MOST = 64 * 1024;

suite('an answer of closing braces, each in a chunk of its own,', () => {
  for (const [what, options, count] of [
    ['that streams when it is large', {}, HELD_AT_MOST],
    ['that must be whole to be reshaped', { wrapsStructuredContent: true }, 1024 * 1024],
  ] as const) {
    test(`holds nobody up (${what})`, () => {
      const { reader } = read({ 'transfer-encoding': 'chunked' }, options);
      const startedMs = performance.now();
      let verdict: Verdict = reader.push(Buffer.from('{"a":"'));
      for (let sent = 10; sent < count; sent++) verdict = reader.push(BRACE);
      // Read again with each of them it would be ten seconds, or an hour.
      assert.ok(performance.now() - startedMs < 2_000);
      assert.equal(verdict, 'open');
    });
  }
});

suite('an answer that only the end of the connection ends', () => {
  const whole = `{"jsonrpc":"2.0","id":"${ID}","result":{"content":[{"text":"${'x'.repeat(100_000)}"},{"text":"b"}]}}`;
  for (const coding of [undefined, 'identity', 'gzip']) {
    const headers: Record<string, string> = coding === undefined ? {} : { 'transfer-encoding': coding };
    test(`reaches the client (${coding ?? 'no'} transfer coding)`, () => {
      const { reader, sent } = read(headers);
      assert.equal(reader.push(Buffer.from(whole)), 'open');
      assert.equal(reader.end(), 'answered');
      assert.deepEqual(JSON.parse(Buffer.concat(sent).toString()).id, 1);
    });

    for (const [what, cut] of [
      ['large', whole.indexOf('},{') + 1],
      ['small', undefined],
    ] as const) {
      test(`is no answer when it is cut behind a brace (${what}, ${coding ?? 'no'} transfer coding)`, () => {
        const { reader, sent } = read(headers);
        const small = `{"jsonrpc":"2.0","id":"${ID}","result":{"content":[{"text":"${'x'.repeat(3_000)}"}`;
        reader.push(Buffer.from(cut === undefined ? small : whole.slice(0, cut)));
        assert.ok(typeof reader.end() === 'object');
        assert.deepEqual(sent, []);
      });
    }
  }
});

suite('a long answer that begins like none', () => {
  const result = `"result":{"content":"${'é'.repeat(50_000)}"}`;

  test('is read whole, and is one if it has the id', () => {
    const text = `{"x":[1],"jsonrpc":"2.0","id":"${ID}",${result}}`;
    const { reader, sent } = read({ 'content-length': String(Buffer.byteLength(text)) });
    assert.equal(reader.push(Buffer.from(text)), 'answered');
    assert.equal(Buffer.concat(sent).toString(), text.replace(`"${ID}"`, '1'));
  });

  test('and has the id of another call is refused before anything is sent', () => {
    const text = `{"x":[1],"jsonrpc":"2.0","id":"another",${result}}`;
    const { reader, sent } = read({ 'content-length': String(Buffer.byteLength(text)) });
    assert.equal(typeof reader.push(Buffer.from(text)), 'object');
    assert.deepEqual(sent, []);
  });

  test('is refused when it is too long to be read whole, before anything is sent', () => {
    const { reader, sent } = read({ 'transfer-encoding': 'chunked' });
    assert.equal(reader.push(Buffer.from(`{"x":[1],"jsonrpc":"2.0","id":"${ID}",${result}`)), 'open');
    assert.equal(typeof reader.push(Buffer.alloc(4 * 1024 * 1024, 0x20)), 'object');
    assert.deepEqual(sent, []);
  });
});
