import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errors } from 'undici';
import { UPSTREAM_FAILURE_REASONS, type UpstreamFailureReason } from '../../../src/domain/errors.ts';
import { AddressRefusedError } from '../../../src/upstream/connector.ts';
import { classifyUpstreamError } from '../../../src/upstream/pool.ts';

function nodeError(code: string): Error {
  return Object.assign(new Error(`${code} 10.11.12.13:443 secret-host.internal`), { code });
}

describe('classifyUpstreamError', () => {
  const codes: Readonly<Record<string, UpstreamFailureReason>> = {
    ECONNREFUSED: 'unreachable',
    ENOTFOUND: 'unreachable',
    EAI_AGAIN: 'unreachable',
    EHOSTUNREACH: 'unreachable',
    ENETUNREACH: 'unreachable',
    EMFILE: 'overloaded',
    EADDRNOTAVAIL: 'overloaded',
    ECONNRESET: 'broken_answer',
    EPIPE: 'broken_answer',
    ETIMEDOUT: 'timeout',
    CERT_HAS_EXPIRED: 'unreachable',
    CERT_UNTRUSTED: 'unreachable',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'unreachable',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unreachable',
    ERR_TLS_CERT_ALTNAME_INVALID: 'unreachable',
    ERR_TLS_HANDSHAKE_TIMEOUT: 'unreachable',
    ERR_SSL_WRONG_VERSION_NUMBER: 'unreachable',
    EPROTO: 'unreachable',
    ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'unreachable',
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': 'unreachable',
    ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'unreachable',
    ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'unreachable',
    SOMETHING_NEW: 'unreachable',
  };
  for (const [code, reason] of Object.entries(codes)) {
    it(`calls ${code} ${reason}`, () => {
      assert.equal(classifyUpstreamError(nodeError(code)).reason, reason);
    });
  }

  const undiciErrors: readonly (readonly [Error, UpstreamFailureReason])[] = [
    [new errors.ConnectTimeoutError('10.11.12.13'), 'timeout'],
    [new errors.HeadersTimeoutError('10.11.12.13'), 'timeout'],
    [new errors.BodyTimeoutError('10.11.12.13'), 'timeout'],
    [new errors.SocketError('10.11.12.13'), 'broken_answer'],
    // As undici throws it: without a code.
    [new errors.HTTPParserError('Expected HTTP/'), 'broken_answer'],
    [new errors.HeadersOverflowError('10.11.12.13'), 'broken_answer'],
    [new errors.ResponseContentLengthMismatchError('10.11.12.13'), 'broken_answer'],
    [new errors.ResponseExceededMaxSizeError('10.11.12.13'), 'broken_answer'],
    [new errors.ClientDestroyedError('10.11.12.13'), 'unreachable'],
    [new errors.ClientClosedError('10.11.12.13'), 'unreachable'],
  ];
  for (const [error, reason] of undiciErrors) {
    it(`calls ${error.name} ${reason}`, () => {
      const classified = classifyUpstreamError(error);
      assert.equal(classified.reason, reason);
      assert.notEqual(classified.message, classifyUpstreamError(undefined).message, 'has words of its own');
    });
  }

  it('tells a refused address from an unreachable one', () => {
    const error = new AddressRefusedError('its name leads to a refused place (private address)');
    assert.deepEqual(classifyUpstreamError(error), { reason: 'address_refused', message: error.message });
  });

  it('tells what the upstream holds against the client certificate, however OpenSSL spells the alert', () => {
    const messageOf = (code: string) => classifyUpstreamError(nodeError(code)).message;
    assert.match(messageOf('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), /requires a client certificate/);
    assert.match(messageOf('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), /does not trust the client certificate/);
    for (const code of ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE']) {
      assert.match(messageOf(code), /requires a client certificate/);
    }
    for (const code of ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED']) {
      assert.equal(messageOf(code), 'the client certificate of this gateway has expired');
    }
    assert.equal(messageOf('ERR_SSL_WRONG_VERSION_NUMBER'), 'the TLS handshake with it failed');
  });

  it('reads the code that Node gives to several failed addresses', () => {
    const error = Object.assign(new AggregateError([nodeError('ECONNREFUSED')]), { code: 'ECONNREFUSED' });
    assert.equal(classifyUpstreamError(error).message, 'it refused the connection');
  });

  it('answers for anything that can be thrown, with a reason of the closed set and no word of the error', () => {
    const thrown = [
      undefined,
      null,
      'x',
      7,
      {},
      { code: 'ECONNREFUSED' },
      new Error('x'),
      Object.assign(new Error('x'), { code: 7 }),
    ];
    const known = [...Object.keys(codes).map(nodeError), ...undiciErrors.map(([error]) => error)];
    for (const error of [...thrown, ...known]) {
      const { reason, message } = classifyUpstreamError(error);
      assert.ok(UPSTREAM_FAILURE_REASONS.includes(reason));
      assert.doesNotMatch(message, /10\.11|secret-host|internal|443|[A-Z]{5}/);
    }
  });
});
