// What an upstream told us in a TLS alert (RFC 8446 §6.2), as Node gives it in the code of an error.

const REFUSED = 'it refused the client certificate of this gateway';

/** By the end of the code: OpenSSL writes what stands before it (`SSLV3_`, `SSL/TLS_`, `TLSV1_`, …) in several ways. */
const MESSAGES: readonly (readonly [end: string, message: string])[] = [
  ['_CERTIFICATE_REQUIRED', 'it requires a client certificate, and was sent none'],
  ['_HANDSHAKE_FAILURE', 'it refused the TLS handshake, as one does that requires a client certificate'],
  ['_UNKNOWN_CA', 'it does not trust the client certificate of this gateway'],
  ['_CERTIFICATE_EXPIRED', 'the client certificate of this gateway has expired'],
  ['_BAD_CERTIFICATE', REFUSED],
  ['_CERTIFICATE_UNKNOWN', REFUSED],
  ['_CERTIFICATE_REVOKED', REFUSED],
  ['_UNSUPPORTED_CERTIFICATE', REFUSED],
  ['_ACCESS_DENIED', REFUSED],
  ['_UNRECOGNIZED_NAME', 'it does not know the server name it was called by'],
];

/** A clause about the upstream, or `undefined` for a code that is no alert about us. */
export function describeAlert(code: string): string | undefined {
  if (!code.startsWith('ERR_SSL_')) return undefined;
  return MESSAGES.find(([end]) => code.endsWith(end))?.[1];
}
