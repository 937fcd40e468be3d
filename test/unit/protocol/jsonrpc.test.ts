import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ERRORS } from '../../../src/domain/errors.ts';
import { errorAnswer, type Message, rawText, resultAnswer, scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { readCorpus, reportCounts } from '../../support/corpus.ts';
import { bytesOf, ENVELOPE_COUNTS, type EnvelopeCase, members } from '../../support/envelope-corpus.ts';

const corpus = readCorpus<EnvelopeCase>('envelope.jsonl', ENVELOPE_COUNTS);

function scanAsMessage(text: string): Message {
  const message = scanMessage(Buffer.from(text));
  assert.ok(message.kind !== 'fault', message.kind === 'fault' ? message.message : '');
  return message;
}

describe('the corpus of envelopes', () => {
  test('holds no case twice', (t) => {
    reportCounts(t, 'envelope.jsonl', corpus);
    assert.equal(new Set(corpus.map((each) => bytesOf(each).toString('base64'))).size, corpus.length);
  });

  for (const each of corpus) {
    const { name, kind, code, id } = each;
    test(`${name}: ${kind ?? `${code}, ${id === null ? 'without an id' : 'with its id'}`}`, () => {
      const bytes = bytesOf(each);
      const message = scanMessage(bytes);
      if (message.kind === 'fault') {
        assert.equal(ERRORS[message.code].jsonRpcCode, code, message.message);
        assert.equal(ERRORS[message.code].status, 400);
        assert.equal(message.id ?? null, id, message.message);
        assert.match(message.message, /^[\x20-\x7e]{10,400}$/);
        const answer = JSON.parse(errorAnswer(message.id, { code: Number(code), message: message.message }));
        assert.equal('id' in answer, id !== null);
      } else {
        assert.equal(message.kind, kind);
        assert.equal(message.id === undefined ? null : rawText(bytes, message.id), id);
        assert.equal(message.method, kind === 'response' ? '' : JSON.parse(bytes.toString()).method);
      }
    });
  }
});

describe('large envelopes', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

  test('a hundred thousand levels are refused, closed or not', () => {
    for (const depth of [100_000, 1_000_000]) {
      for (const tail of [`${nested(depth)}}}`, '['.repeat(depth)]) {
        const text = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":${tail}`;
        const message = scanMessage(Buffer.from(text));
        assert.equal(message.kind === 'fault' && message.code, 'parse_error');
      }
    }
  });

  test('a hundred thousand keys are no matter in arguments, and are refused where the gateway reads', () => {
    const keys = members(100_000);
    const inArguments = `{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":{${keys}},"x":[{${keys}}]}}`;
    assert.equal(scanAsMessage(inArguments).params.length, 2);
    for (const text of [
      `{"jsonrpc":"2.0","id":1,"method":"ping",${keys}}`,
      `{"jsonrpc":"2.0","id":1,"method":"a","params":{${keys}}}`,
      `{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{${keys}}}}`,
    ]) {
      const message = scanMessage(Buffer.from(text));
      assert.ok(message.kind === 'fault');
      assert.deepEqual([message.code, message.id], ['invalid_request', '1']);
      assert.match(message.message, /more than 1024 keys, at byte \d+\..*params\.arguments/);
    }
  });

  test('a thousand keys are read in each of the envelope, params and _meta, and one that repeats another is found', () => {
    const keys = members(1000);
    const inner = scanAsMessage(`{${keys},"jsonrpc":"2.0","id":1,"method":"a","params":{${keys},"_meta":{${keys}}}}`);
    assert.deepEqual([inner.params.length, inner.meta.length], [1001, 1000]);
    for (const text of [
      `{"jsonrpc":"2.0","id":1,"method":"a",${keys},"k\\u0037":1}`,
      `{"jsonrpc":"2.0","id":1,"method":"a","params":{${keys},"k\\u0037":1}}`,
      `{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{${keys},"k\\u0037":1}}}`,
    ]) {
      const message = scanMessage(Buffer.from(text));
      assert.ok(message.kind === 'fault' && message.code === 'invalid_request');
      assert.match(message.message, /"k7" occurs twice/);
    }
  });

  const HEAD = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"';
  const alike = Array.from({ length: 240 }, (_, index) => `"${'x'.repeat(16_400)}${index + 100}":0`).join();
  for (const [what, text] of [
    ['keys in the envelope', `{${members(330_000)},"jsonrpc":"2.0","id":1,"method":"ping"}`],
    ['keys in params', `${HEAD},${members(330_000)}}}`],
    ['keys in _meta', `${HEAD},"_meta":{${members(330_000)}}}}`],
    ['keys in arguments', `${HEAD},"arguments":{${members(330_000)}}}}`],
    ['one key', `${HEAD},"${'K'.repeat(4_000_000)}":0}}`],
    ['one key of letters that fold to more', `${HEAD},"${'ŉ'.repeat(2_000_000)}":0}}`],
    ['one key of escapes', `${HEAD},"${'\\u006b'.repeat(660_000)}":0}}`],
    ['keys so long that their hashes are equal', `${HEAD},${alike}}}`],
    ['escapes in an argument', `${HEAD},"arguments":{"x":"${'\\u00e9'.repeat(660_000)}"}}}`],
    ['literals', `${HEAD},"arguments":[${'true,'.repeat(790_000)}1]}}`],
    ['empty objects', `${HEAD},"arguments":[${'{},'.repeat(1_300_000)}1]}}`],
    ['opening brackets, two for each closing one', `${HEAD},"arguments":${'[[]'.repeat(1_300_000)}}}`],
    ['white space', `${HEAD}${' '.repeat(3_900_000)}}}`],
  ] as const) {
    test(`four megabytes of ${what} are done with in less than a tenth of a second`, () => {
      const bytes = Buffer.from(text);
      const times = Array.from({ length: 3 }, () => {
        const startedMs = performance.now();
        scanMessage(bytes);
        return performance.now() - startedMs;
      });
      assert.ok(Math.min(...times) < 100, `${times.map(Math.round).join(', ')} ms`);
    });
  }

  test('a string of eight megabytes is no matter, as an argument or as a name', () => {
    const long = 'x'.repeat(8 * 1024 * 1024);
    const message = scanAsMessage(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"a":"${long}"}}}`,
    );
    assert.deepEqual(
      message.params.map(({ key }) => key),
      ['name', 'arguments'],
    );
  });

  test('a fault never repeats a long key or id at length', () => {
    const long = 'k'.repeat(100_000);
    for (const text of [
      `{"${long}":1,"${long}":2}`,
      `{"jsonrpc":"2.0","id":"${long}","method":"ping"}`,
      `{"jsonrpc":"2.0","id":1,"method":"a","params":{"${long}":1,"${long}":2}}`,
    ]) {
      const message = scanMessage(Buffer.from(text));
      assert.ok(message.kind === 'fault' && message.message.length < 400);
    }
  });
});

describe('spans', () => {
  test('of params and _meta are read whatever their order, spelling and white space', () => {
    const text =
      '{ "\\u0070arams" : { "_met\\u0061" : {"progressToken": "é" , "x":[1]} , "name":\t"a" } ,"method":"tools/call", "id" : "é😀", "jsonrpc":"2.0"}';
    const message = scanAsMessage(text);
    const raw = (members: readonly Parameters<typeof rawText>[1][]) =>
      members.map((member) => [member.key, rawText(message.bytes, member)]);
    assert.equal(message.paramsAt && rawText(message.bytes, message.paramsAt)[0], '{');
    assert.deepEqual(raw(message.params), [
      ['_meta', '{"progressToken": "é" , "x":[1]}'],
      ['name', '"a"'],
    ]);
    assert.deepEqual(raw(message.meta), [
      ['progressToken', '"é"'],
      ['x', '[1]'],
    ]);
    assert.equal(message.metaAt && rawText(message.bytes, message.metaAt), '{"progressToken": "é" , "x":[1]}');
    assert.equal(message.id && rawText(message.bytes, message.id), '"é😀"');
  });

  test('of a _meta that is not in params are not taken for it', () => {
    const message = scanAsMessage(
      '{"jsonrpc":"2.0","_meta":{"a":1},"id":1,"method":"a","params":{"arguments":{"_meta":{"progressToken":1}}}}',
    );
    assert.deepEqual([message.meta, message.metaAt], [[], undefined]);
  });

  test('of a params member deeper down are not taken for it', () => {
    const message = scanAsMessage('{"jsonrpc":"2.0","id":1,"x":{"params":{"name":"b"}},"method":"a"}');
    assert.deepEqual([message.params, message.paramsAt], [[], undefined]);
  });

  test('are where JSON.parse finds the values, in any message', () => {
    const key = fc.constantFrom('name', 'arguments', 'x', 'é', '__proto__', 'cursor');
    const object = fc.dictionary(key, fc.jsonValue());
    const order = fc.shuffledSubarray(['jsonrpc', 'id', 'method', 'params'], { minLength: 4 });
    const id = fc.oneof(fc.string(), fc.maxSafeInteger());
    fc.assert(
      fc.property(order, id, fc.string(), object, object, (keys, idValue, method, params, meta) => {
        const fields: Record<string, unknown> = {
          jsonrpc: '2.0',
          id: idValue,
          method,
          params: { ...params, _meta: meta },
        };
        const text = JSON.stringify(Object.fromEntries(keys.map((name) => [name, fields[name]])), null, 1);
        const parsed = JSON.parse(text);
        const message = scanAsMessage(text);
        assert.deepEqual([message.kind, message.method], ['request', parsed.method]);
        for (const member of message.params) {
          assert.deepEqual(JSON.parse(rawText(message.bytes, member)), parsed.params[member.key]);
        }
        for (const member of message.meta) {
          assert.deepEqual(JSON.parse(rawText(message.bytes, member)), parsed.params._meta[member.key]);
        }
        assert.equal(message.params.length, Object.keys(parsed.params).length);
        assert.equal(message.meta.length, Object.keys(parsed.params._meta).length);
      }),
      { numRuns: 2000 },
    );
  });
});

test('no sequence of bytes makes the scan throw', () => {
  const text = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":1}}}';
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 4 }),
    fc.constantFrom(...'{}[]",:\\').map((char) => Buffer.from(char)),
  );
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(6), piece, (at, cut, bytes) => {
      const whole = Buffer.from(text);
      scanMessage(Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + cut)]));
    }),
    { numRuns: 10_000 },
  );
});

test('folding a key never makes it shorter, which is why long keys need none', () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const char = String.fromCodePoint(code);
    assert.ok(char.toUpperCase().toLowerCase().length >= char.length, `U+${code.toString(16)}`);
  }
});

describe('answers of our own', () => {
  test('carry the id as it was written', () => {
    assert.equal(resultAnswer('9007199254740993', '{}'), '{"jsonrpc":"2.0","id":9007199254740993,"result":{}}');
    assert.equal(
      errorAnswer('"\\u00e9"', { code: -32602, message: 'a "b"', data: { c: 1 } }),
      '{"jsonrpc":"2.0","id":"\\u00e9","error":{"code":-32602,"message":"a \\"b\\"","data":{"c":1}}}',
    );
  });
  test('have no id where none could be read', () => {
    assert.equal(
      errorAnswer(undefined, { code: -32700, message: 'a' }),
      '{"jsonrpc":"2.0","error":{"code":-32700,"message":"a"}}',
    );
  });
});
