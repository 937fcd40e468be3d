// The sockets to one upstream, for one credential: two undici pools behind the guarded connector, and what their errors
// mean. Redirects, retries and decompression are not done here, nor anywhere.

import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type Dispatcher, Pool } from 'undici';
import type { UpstreamFailureReason } from '../domain/errors.ts';
import type { AddressPolicy } from './address-guard.ts';
import { AddressRefusedError, createConnector } from './connector.ts';
import { type EgressProxy, EgressProxyError } from './egress-proxy.ts';
import { StdioFault } from './stdio/fault.ts';
import { describeAlert } from './tls-alert.ts';
import { TlsSettingsError, type UpstreamTls } from './tls-context.ts';

export interface UpstreamPoolOptions {
  readonly endpoint: URL;
  readonly policy: AddressPolicy;
  /** Most sockets of each of the two pools; requests beyond wait in the pool, where no timeout runs. */
  readonly connections: number;
  /** More sockets of each: in the one for calls that wait for something else, in the other for what is sent beside streams. */
  readonly spareConnections?: number;
  /** For name look-up, TCP, the egress proxy's answer and TLS together. */
  readonly connectTimeoutMs: number;
  /** From the request's last byte to the end of the answer's head. */
  readonly headersTimeoutMs: number;
  /** Longest silence inside the body of an ordinary answer. A stream may be silent for ever; its reader watches it. */
  readonly idleTimeoutMs: number;
  readonly tls?: UpstreamTls | undefined;
  readonly proxy?: EgressProxy | undefined;
  /** Answers names in place of `dns.lookup`. */
  readonly lookup?: LookupFunction;
}

export interface UpstreamPoolStats {
  readonly connected: number;
  readonly free: number;
}

export interface UpstreamPools {
  /** Requests that are answered and done with. */
  readonly calls: Dispatcher;
  /** Listens, GET streams and what ends a call or session, apart so that neither kind waits for the sockets of the other. */
  readonly streams: Dispatcher;
  /** Both pools added up. */
  stats(): UpstreamPoolStats;
  /** Takes no more requests; resolves when those under way, streams included, have ended or `destroy` was called. */
  close(): Promise<void>;
  destroy(): void;
}

/** Connects to nothing yet: a refused endpoint shows as `AddressRefusedError` at the first request. */
export function createUpstreamPools(options: UpstreamPoolOptions): UpstreamPools {
  const { endpoint, policy, connectTimeoutMs, tls, proxy, lookup = dns.lookup } = options;
  const settings: Pool.Options = {
    connect: createConnector({ endpoint, policy, connectTimeoutMs, lookup, tls, proxy }),
    connections: options.connections + (options.spareConnections ?? 0),
    // Two requests on one socket would trust the upstream to answer them in order.
    pipelining: 1,
    allowH2: false,
    // Where the upstream does not say how long it keeps a connection, as the SDKs' event streams do not: a server of Node
    // closes it after 5 s, and a call that is sent in that moment is lost.
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 30_000,
    // Taken off what the upstream's Keep-Alive header promises, so that it is not the first to close.
    keepAliveTimeoutThreshold: 2_000,
    headersTimeout: options.headersTimeoutMs,
    maxHeaderSize: 16_384,
    strictContentLength: true,
  };
  const calls = new Pool(endpoint.origin, { ...settings, bodyTimeout: options.idleTimeoutMs });
  const streams = new Pool(endpoint.origin, { ...settings, bodyTimeout: 0 });
  const destroyed = Promise.withResolvers<void>();
  return {
    calls,
    streams,
    stats: () => ({
      connected: calls.stats.connected + streams.stats.connected,
      free: calls.stats.free + streams.stats.free,
    }),
    close: async () => {
      // undici's own close never ends when requests were waiting in the pool at the time it was destroyed.
      if (!calls.destroyed) await Promise.race([Promise.all([calls.close(), streams.close()]), destroyed.promise]);
    },
    destroy: () => {
      // The callback form, because nothing is left to await: undici tells each request's own handler.
      calls.destroy(() => {});
      streams.destroy(() => {});
      destroyed.resolve();
    },
  };
}

export interface ClassifiedError {
  readonly reason: UpstreamFailureReason;
  /** A clause about the upstream ("it refused the connection") without host, address or anything it sent. */
  readonly message: string;
}

const NO_CONNECTION: ClassifiedError = { reason: 'unreachable', message: 'no connection to it could be made' };
const CUT_OFF: ClassifiedError = {
  reason: 'broken_answer',
  message: 'it closed the connection before its answer was complete',
};
const NO_ROUTE: ClassifiedError = { reason: 'unreachable', message: 'there is no network route to it' };
const BAD_TLS: ClassifiedError = { reason: 'unreachable', message: 'the TLS handshake with it failed' };
const UNTRUSTED: ClassifiedError = {
  reason: 'unreachable',
  message: 'its TLS certificate is not signed by a trusted authority',
};
const NOT_HTTP: ClassifiedError = { reason: 'broken_answer', message: 'its answer is not valid HTTP' };
const OUT_OF_SOCKETS: ClassifiedError = { reason: 'overloaded', message: 'the gateway has no socket left to reach it' };
const SHUT: ClassifiedError = { reason: 'unreachable', message: 'the gateway has closed its connections to it' };

const BY_CODE: ReadonlyMap<string, ClassifiedError> = new Map([
  ['ECONNREFUSED', { reason: 'unreachable', message: 'it refused the connection' }],
  ['ENOTFOUND', { reason: 'unreachable', message: 'its name is not known to DNS' }],
  ['EAI_AGAIN', { reason: 'unreachable', message: 'DNS did not answer for its name' }],
  ['EHOSTUNREACH', NO_ROUTE],
  ['ENETUNREACH', NO_ROUTE],
  ['EADDRNOTAVAIL', OUT_OF_SOCKETS],
  ['EMFILE', OUT_OF_SOCKETS],
  ['ENFILE', OUT_OF_SOCKETS],
  ['ENOBUFS', OUT_OF_SOCKETS],
  ['ECONNRESET', CUT_OFF],
  ['ECONNABORTED', CUT_OFF],
  ['EPIPE', CUT_OFF],
  ['UND_ERR_SOCKET', CUT_OFF],
  ['ETIMEDOUT', { reason: 'timeout', message: 'no connection to it came about in time' }],
  ['UND_ERR_CONNECT_TIMEOUT', { reason: 'timeout', message: 'no connection to it came about in time' }],
  ['UND_ERR_HEADERS_TIMEOUT', { reason: 'timeout', message: 'it did not begin to answer in time' }],
  ['UND_ERR_BODY_TIMEOUT', { reason: 'timeout', message: 'it fell silent in the middle of its answer' }],
  ['UND_ERR_HEADERS_OVERFLOW', { reason: 'broken_answer', message: 'the headers of its answer are too large' }],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', { reason: 'broken_answer', message: 'its answer is too large' }],
  [
    'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
    { reason: 'broken_answer', message: 'its answer is not as long as it announced' },
  ],
  ['UND_ERR_DESTROYED', SHUT],
  ['UND_ERR_CLOSED', SHUT],
  ['CERT_HAS_EXPIRED', { reason: 'unreachable', message: 'its TLS certificate has expired' }],
  ['CERT_NOT_YET_VALID', { reason: 'unreachable', message: 'its TLS certificate is not valid yet' }],
  [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    { reason: 'unreachable', message: 'its TLS certificate was issued for another name' },
  ],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', UNTRUSTED],
  ['SELF_SIGNED_CERT_IN_CHAIN', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT', UNTRUSTED],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNTRUSTED],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNTRUSTED],
  ['EPROTO', BAD_TLS],
]);

const BY_PREFIX: readonly (readonly [prefix: string, classified: ClassifiedError])[] = [
  ['ERR_SSL_', BAD_TLS],
  ['ERR_TLS_', BAD_TLS],
  ['CERT_', UNTRUSTED],
];

/** Names the reason of any error that undici or Node reported for an upstream request; never throws. */
export function classifyUpstreamError(error: unknown): ClassifiedError {
  if (error instanceof AddressRefusedError) return { reason: 'address_refused', message: error.message };
  if (error instanceof EgressProxyError) return { reason: error.reason, message: error.message };
  if (error instanceof StdioFault) return { reason: error.reason, message: error.message };
  if (error instanceof TlsSettingsError) return { reason: 'unreachable', message: error.message };
  // Its code is `undefined` wherever it is thrown for an answer that cannot be parsed.
  if (error instanceof Error && error.name === 'HTTPParserError') return NOT_HTTP;
  const code = codeOf(error);
  const alert = describeAlert(code);
  if (alert !== undefined) return { reason: 'unreachable', message: alert };
  const [, byPrefix = NO_CONNECTION] = BY_PREFIX.find(([prefix]) => code.startsWith(prefix)) ?? [];
  return BY_CODE.get(code) ?? byPrefix;
}

/** Of several failed addresses Node reports an `AggregateError` that carries the first one's code. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
