import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../../src/domain/errors.ts';
import type { AuthMechanism } from '../../../src/domain/mcp-config.ts';
import { Secret } from '../../../src/domain/secret.ts';
import { type OpenedHeader, toCredentialHeaders } from '../../../src/upstream/credential.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const BEARER: AuthMechanism = { type: 'bearer' };

function refusalOf(
  mechanism: AuthMechanism,
  secret: string | undefined,
  headers: readonly OpenedHeader[] = [],
): GatewayError {
  try {
    toCredentialHeaders(mechanism, secret === undefined ? undefined : new Secret(secret), headers);
  } catch (error) {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    return error;
  }
  assert.fail('was not refused');
}

describe('toCredentialHeaders', () => {
  it('attaches a secret as its mechanism says', () => {
    assert.deepEqual(toCredentialHeaders(BEARER, new Secret('t0ken'), []), ['authorization', 'Bearer t0ken']);
    assert.deepEqual(toCredentialHeaders({ type: 'header', key: 'X-Api-Key' }, new Secret('k'), []), [
      'x-api-key',
      'k',
    ]);
    const basic = toCredentialHeaders({ type: 'basic' }, new Secret('user:pä:ss'), []);
    assert.deepEqual(basic, ['authorization', `Basic ${Buffer.from('user:pä:ss', 'utf8').toString('base64')}`]);
  });

  it('sends no credential without a secret, custom headers still', () => {
    assert.deepEqual(toCredentialHeaders(BEARER, undefined, []), []);
    assert.deepEqual(toCredentialHeaders(BEARER, undefined, [{ name: 'X-Team', value: 'a' }]), ['x-team', 'a']);
  });

  it('a custom header replaces one of the same name in any spelling, the last one winning', () => {
    const headers = toCredentialHeaders(BEARER, new Secret('t'), [
      { name: 'X-Team', value: 'a' },
      { name: 'AUTHORIZATION', value: new Secret('Custom xyz') },
      { name: 'x-team', value: 'b' },
    ]);
    assert.deepEqual(headers, ['authorization', 'Custom xyz', 'x-team', 'b']);
  });

  it('a basic secret without a colon is refused with the form it needs', () => {
    assert.match(refusalOf({ type: 'basic' }, 'hunter2').message, /^secret has no colon; .* user:password$/);
  });

  it('control characters are refused at their place and never echoed', () => {
    for (const bad of ['hunter2\n', 'hunter2\r\nx-evil: 1', 'hunter2\u0000', 'hunter2\u007f']) {
      for (const mechanism of [BEARER, { type: 'header', key: 'x-key' }, { type: 'basic' }] satisfies AuthMechanism[]) {
        const error = refusalOf(mechanism, `user:${bad}`);
        assert.match(error.message, /^secret holds a line break or another control character/);
        assert.doesNotMatch(JSON.stringify([error.message, error.problems]), /hunter2|evil/);
      }
      for (const value of [bad, new Secret(bad)]) {
        const error = refusalOf(BEARER, undefined, [
          { name: 'a', value: 'fine' },
          { name: 'b', value },
        ]);
        assert.equal(error.problems[0]?.path, 'custom_headers[1].value');
        assert.doesNotMatch(error.message, /hunter2|evil/);
      }
    }
  });

  it('a private key is refused wherever it would be sent, whether or not it is on one line', () => {
    const pem = ['-----BEGIN EC PRIVATE KEY-----', 'a2V5:', '-----END EC PRIVATE KEY-----'];
    for (const key of [pem.join('\n'), pem.join(' ')]) {
      for (const mechanism of [BEARER, { type: 'header', key: 'x-key' }, { type: 'basic' }] satisfies AuthMechanism[]) {
        assert.match(refusalOf(mechanism, key).message, /^secret is a private key; .* never sent$/);
      }
      const error = refusalOf(BEARER, undefined, [{ name: 'a', value: new Secret(key) }]);
      assert.match(error.message, /^custom_headers\[0\]\.value is a private key/);
    }
  });

  it('a header value outside ASCII is refused, a tab inside it is not', () => {
    assert.match(refusalOf(BEARER, 'clé').message, /outside ASCII/);
    assert.deepEqual(toCredentialHeaders(BEARER, undefined, [{ name: 'a', value: 'b\tc' }]), ['a', 'b\tc']);
  });

  it('names that are no header names are refused at their place', () => {
    for (const name of ['', 'a b', 'a:b', 'a\r\nb', 'ä', 'a\u0000']) {
      assert.equal(refusalOf({ type: 'header', key: name }, 's').problems[0]?.path, 'auth_mechanism.key');
      assert.equal(refusalOf(BEARER, undefined, [{ name, value: 'v' }]).problems[0]?.path, 'custom_headers[0].name');
    }
  });

  it('headers of framing, hop and protocol cannot be set, whatever their spelling', () => {
    const reserved =
      'Host connection Content-Length CONTENT-TYPE transfer-encoding Accept-Encoding Mcp-Session-Id mcp-method upgrade Expect te';
    for (const name of reserved.split(' ')) {
      assert.match(refusalOf(BEARER, undefined, [{ name, value: 'v' }]).message, /only the gateway sets/);
      assert.match(refusalOf({ type: 'header', key: name }, 's').message, /only the gateway sets/);
    }
  });

  it('whatever it is given, headers are pairs undici can send or the refusal is silent about the value', () => {
    const value = fc.string({ unit: CODE_POINT, minLength: 8 });
    fc.assert(
      fc.property(value, fc.string(), value, (secret, name, custom) => {
        try {
          const headers = toCredentialHeaders({ type: 'header', key: 'x-key' }, new Secret(secret), [
            { name, value: custom },
          ]);
          assert.equal(headers.length % 2, 0);
          for (const text of headers) assert.match(text, /^[\t\x20-\x7e]*$/);
        } catch (error) {
          assert.ok(error instanceof GatewayError);
          assert.ok(!error.message.includes(secret) && !error.message.includes(custom));
        }
      }),
      { numRuns: 300 },
    );
  });
});
