import assert from 'node:assert/strict';
import { test } from 'node:test';
import { customHeaderSchema } from '../../../src/control-plane/schemas.ts';
import { isHeaderName, isReservedHeader } from '../../../src/domain/header-name.ts';
import { toCredentialHeaders } from '../../../src/upstream/credential.ts';

const RESERVED =
  'Host connection Content-Length CONTENT-TYPE transfer-encoding Accept-Encoding Mcp-Session-Id mcp-method upgrade Expect te Trailer Keep-Alive Proxy-Connection proxy-authorization';
const FREE = ['x-mcp', 'mcp', 'x-content', 'authorization', 'cookie', 'x-host', 'teapot', 'x-te'];

/** What is refused when it is written, and what is refused when it is sent. */
function refusals(name: string): boolean[] {
  const isWritten = customHeaderSchema.safeParse({ name, value: 'v' }).success;
  let isSent = true;
  try {
    toCredentialHeaders({ type: 'bearer' }, undefined, [{ name, value: 'v' }]);
  } catch {
    isSent = false;
  }
  return [!isWritten, !isSent];
}

test('headers of framing, hop and protocol are reserved in any spelling, where they are written and where they are sent', () => {
  for (const name of RESERVED.split(' ')) {
    assert.equal(isReservedHeader(name), true, name);
    assert.deepEqual(refusals(name), [true, true], name);
  }
  for (const name of FREE) {
    assert.equal(isReservedHeader(name), false, name);
    assert.deepEqual(refusals(name), [false, false], name);
  }
});

test('a header name is a token of at most 128 characters, where it is written and where it is sent', () => {
  for (const name of ['', 'a b', 'a:b', 'a\r\nb', 'ä', 'a\u0000', 'x'.repeat(129)]) {
    assert.equal(isHeaderName(name), false, name);
    assert.deepEqual(refusals(name), [true, true], name);
  }
  for (const name of ['X-Api-Key', "!#$%&'*+-.^_`|~09azAZ", 'x'.repeat(128)]) {
    assert.equal(isHeaderName(name), true, name);
    assert.deepEqual(refusals(name), [false, false], name);
  }
});
