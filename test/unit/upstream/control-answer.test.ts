import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAnswer, textOf } from '../../../src/upstream/control-answer.ts';

function read(text: string, status = 200) {
  return readAnswer(Buffer.from(text), 'mine', status);
}

describe('readAnswer', () => {
  it('reads a result and an error that carry the id of the request', () => {
    const answer = read(' {"jsonrpc":"2.0","id":"\\u006dine","result":{"a":"b"}} ');
    assert.ok(typeof answer === 'object');
    assert.equal(textOf(answer.bytes, answer.result ?? [], 'a'), 'b');
    const error = read('{"jsonrpc":"2.0","id":"mine","error":{}}');
    assert.ok(typeof error === 'object');
    assert.equal(error.result, undefined);
  });

  for (const id of ['"other"', '1', 'null', '"mine "', '["mine"]']) {
    it(`takes a result with the id ${id} for the answer to another request`, () => {
      assert.equal(read(`{"jsonrpc":"2.0","id":${id},"result":{}}`), 'misdirected');
      assert.equal(read(`{"jsonrpc":"2.0","id":${id},"result":{}}`, 400), 'misdirected');
    });
  }

  it('takes an error for nobody in particular for no answer', () => {
    for (const text of ['{"jsonrpc":"2.0","id":null,"error":{}}', '{"jsonrpc":"2.0","error":{}}']) {
      assert.equal(read(text), undefined);
    }
    // As the SDK for Python answers what it cannot relate to a session.
    assert.equal(read('{"jsonrpc":"2.0","id":"server-error","error":{}}', 400), undefined);
    assert.equal(read('{"jsonrpc":"2.0","id":"other","error":{}}'), 'misdirected');
  });

  it('takes requests, notifications and anything else for no answer', () => {
    const texts = [
      '',
      'OK',
      '<html>',
      '[]',
      '{}',
      '{"jsonrpc":"2.0","id":"other","method":"ping"}',
      '{"jsonrpc":"2.0","method":"notifications/message"}',
      '{"jsonrpc":"1.0","id":"mine","result":{}}',
      '{"jsonrpc":"2.0","id":"mine"}',
      '{"jsonrpc":"2.0","id":"mine","result":{},"error":{}}',
      '{"jsonrpc":"2.0","id":"mine","id":"other","result":{}}',
    ];
    for (const text of texts) assert.equal(read(text), undefined, text);
  });
});
