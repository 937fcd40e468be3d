// The small parts of stdio upstreams, without a process.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { UpstreamIds } from '../../../../src/protocol/upstream-id.ts';
import { BackOff } from '../../../../src/upstream/stdio/back-off.ts';
import { findAnsweredId, toOneLine } from '../../../../src/upstream/stdio/line.ts';
import { StderrTail } from '../../../../src/upstream/stdio/stderr-tail.ts';

const ID = new UpstreamIds().mint();

describe('a message as a line', () => {
  test('any JSON text becomes one line of the same value and length', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('\n', '\r\n', '\r', '\n\t'), (json, end) => {
        const spaced = Buffer.from(
          `${end}${JSON.stringify(JSON.parse(json), null, end === '\n' ? 2 : undefined)}${end}`,
        );
        const line = toOneLine(spaced);
        assert.ok(line !== undefined && !/[\r\n]/.test(line.toString()));
        assert.equal(line.length, spaced.length);
        assert.deepEqual(JSON.parse(line.toString()), JSON.parse(json));
      }),
    );
  });

  test('one without line ends is the same bytes', () => {
    const message = Buffer.from('{"a":"b\\nc","n":1.0}');
    assert.equal(toOneLine(message), message);
  });

  test('a line end inside a string, or in what is no JSON, cannot be taken out', () => {
    for (const text of ['{"a":"b\nc"}', '{"a":\r', 'Listening on\r stdio']) {
      assert.equal(toOneLine(Buffer.from(text)), undefined, text);
    }
  });
});

describe('the id that a line answers', () => {
  const answers = [
    `{"jsonrpc":"2.0","id":"${ID}","result":{}}`,
    `{"id":"${ID}","jsonrpc":"2.0","error":{"code":1,"message":""}}`,
    ` { "jsonrpc" : "2.0", "id" : "${ID}" , "result" : {} } `,
    `{"result":{"text":"${'x'.repeat(500)}"},"jsonrpc":"2.0","id":"${ID}"}`,
    `{"jsonrpc":"2.0","result":{"text":"${'x'.repeat(500)}"},"id":"${ID}"}`,
    `{"result":{},"id":"${ID}","jsonrpc":"2.0"}`,
  ];
  for (const line of answers)
    test(`stands in ${line.slice(0, 60)}`, () => assert.equal(findAnsweredId(Buffer.from(line)), ID));

  const others = [
    `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"id":"${ID}"}}}`,
    `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"${ID}"}}`,
    `{"jsonrpc":"2.0","id":"${ID}","method":"sampling/createMessage","params":{}}`,
    `{"jsonrpc":"2.0","result":{"id":"${ID}"}}`,
    `{"jsonrpc":"2.0","result":{"a":{"b":1,"id":"${ID}"}}}`,
    'Server running on stdio',
    '',
  ];
  for (const line of others)
    test(`does not stand in ${line.slice(0, 60)}`, () => assert.equal(findAnsweredId(Buffer.from(line)), undefined));
});

describe('the pause before a process is started again', () => {
  test('doubles from half a second to half a minute, and begins anew after one that lived for a minute', () => {
    let nowMs = 1_000_000;
    const backOff = new BackOff({ now: () => nowMs, random: () => 0 });
    const waits = Array.from({ length: 8 }, () => {
      backOff.note(10);
      const waitMs = backOff.waitMs();
      nowMs += waitMs;
      return waitMs;
    });
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    backOff.note(60_000);
    assert.equal(backOff.waitMs(), 500);
  });

  test('is the same for many that end together as for one', () => {
    const backOff = new BackOff({ now: () => 1_000_000, random: () => 0 });
    for (let ended = 0; ended < 100; ended++) backOff.note(ended);
    assert.equal(backOff.waitMs(), 500);
  });

  test('is up to a quarter shorter by chance, and over when the clock is set back', () => {
    let nowMs = 1_000_000;
    const backOff = new BackOff({ now: () => nowMs, random: () => 0.999 });
    backOff.note(0);
    assert.ok(backOff.waitMs() < 376 && backOff.waitMs() > 374);
    nowMs -= 100_000;
    assert.equal(backOff.waitMs(), 0);
  });
});

describe('the end of what a process wrote to stderr', () => {
  const textOf = (secrets: string[], ...chunks: string[]): string => {
    const tail = new StderrTail(secrets);
    for (const chunk of chunks) tail.push(Buffer.from(chunk));
    return tail.text();
  };

  test('is at most 8 KiB, of whole lines', () => {
    const text = textOf([], 'x'.repeat(9_000), '\nthe last line\n');
    assert.equal(text, 'the last line');
    const many = textOf([], ...Array.from({ length: 5_000 }, (_, index) => `line ${index}\n`));
    assert.ok(many.length <= 8 * 1024 && many.endsWith('line 4999'));
    assert.match(many, /^line \d+\n/);
  });

  test('holds no secret, not even the rest of one at its beginning', () => {
    const secret = 'correct-horse-battery';
    assert.equal(textOf([secret, 'ab'], `KEY=${secret} ab\n`), 'KEY=[redacted] ab');
    assert.equal(textOf([secret], 'x'.repeat(8_190), `${secret}\n`, 'end'), 'end');
    assert.equal(
      textOf(['a/b+"c"=='], 'GET /?key=a%2Fb%2B%22c%22%3D%3D {"key":"a/b+\\"c\\"=="}'),
      'GET /?key=[redacted] {"key":"[redacted]"}',
    );
    assert.equal(textOf(['-----BEGIN\nline-of-key\n-----END'], 'at line-of-key'), 'at [redacted]');
  });

  test('holds no control characters but line ends', () => {
    assert.equal(textOf([], '\u001b[1mbold\u001b[0m\u0007\r\nnext\u0000'), 'bold\nnext');
  });
});
