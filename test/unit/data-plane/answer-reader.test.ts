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
  readonly sent: string[];
}

function read(headers: Record<string, string>, options: Partial<AnswerRewrite> = {}): Reading {
  const sent: string[] = [];
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
    onSpecial: () => undefined,
    beginParts: () => undefined,
    sendWhole: (answer) => void sent.push(answer.toString()),
    beginEvents: () => undefined,
    sendOn: (part) => void sent.push(part.toString()),
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
      assert.deepEqual(JSON.parse(sent.join('')).id, 1);
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
