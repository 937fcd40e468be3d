import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readRefusal } from '../../../src/data-plane/upstream-refusal.ts';
import type { Link } from '../../../src/upstream/handshake.ts';

const ID = 'Zk3-pQ_9aVbX0LmN7yTc2w';
const COMMON = { headers: [], capabilities: '', calls: 1, usedAtMs: 0 };
const LINK: Link = { era: 'legacy', revision: '2025-11-25', sessionId: 's', ...COMMON };

function refusal(id: string, message: string): ReturnType<typeof readRefusal> {
  const body = `{"jsonrpc":"2.0","error":{"code":-32000,"message":"${message}"},"id":${id}}`;
  return readRefusal(LINK, ID, 400, Buffer.from(body));
}

suite('HTTP 400 with words about a session', () => {
  for (const words of ['Bad Request: No valid session ID provided', 'Bad Request: Server not initialized']) {
    test(`is a lost session when it names no request (${words})`, () => {
      assert.equal(refusal('null', words), 'forgotten');
      assert.equal(refusal('"server-error"', words), 'forgotten');
    });
  }

  test('is the answer of a tool when it names the call, which may have been run', () => {
    assert.equal(refusal(`"${ID}"`, 'The browser session has crashed'), 'answer');
  });
});

suite('an error for a capability that the client has not declared', () => {
  const MODERN: Link = { era: 'modern', revision: '2026-07-28', sessionId: undefined, ...COMMON };
  const required = (data: string): string | undefined => {
    const error = `{"code":-32021,"message":"no"${data}}`;
    const found = readRefusal(MODERN, ID, 400, Buffer.from(`{"jsonrpc":"2.0","id":"${ID}","error":${error}}`));
    assert.ok(typeof found === 'object');
    return found.required;
  };

  test('says what is required as it stands there', () => {
    const capabilities = '{"sampling":{"tools":{}},"n":1.0}';
    assert.equal(required(`,"data":{"requiredCapabilities":${capabilities}}`), capabilities);
  });

  test('says nothing where it cannot be read', () => {
    for (const data of ['', ',"data":7', ',"data":{}', ',"data":{"requiredCapabilities":["sampling"]}']) {
      assert.equal(required(data), '{}', data);
    }
  });
});
