// Opens the sockets of an upstream's pools. Every one is judged twice: the answers of its name's look-up before it is
// opened, and its real peer before its first byte, because undici asks no look-up for literals and trusts DNS.

import type { LookupAddress } from 'node:dns';
import net from 'node:net';
import { buildConnector, errors } from 'undici';
import { type AddressPolicy, judgeAddress, judgeEndpoint, policyFor } from './address-guard.ts';
import { type EgressProxy, EgressProxyError, openTunnel } from './egress-proxy.ts';
import { secureContextFor, type UpstreamTls } from './tls-context.ts';

/** More answers than this are judged like the others but never dialled. */
const MAX_DIALLED_ANSWERS = 16;

/** The upstream is somewhere the policy does not admit. The message holds neither host nor address. */
export class AddressRefusedError extends Error {
  readonly code = 'SWITCHBOARD_ADDRESS_REFUSED';

  constructor(message: string) {
    super(message);
    this.name = 'AddressRefusedError';
  }
}

export interface ConnectorOptions {
  readonly endpoint: URL;
  readonly policy: AddressPolicy;
  /** For name look-up, TCP, the egress proxy's answer and TLS together. */
  readonly connectTimeoutMs: number;
  readonly lookup: net.LookupFunction;
  readonly tls?: UpstreamTls | undefined;
  readonly proxy?: EgressProxy | undefined;
}

/** Whom the socket is opened to: the upstream, or the proxy in front of it. */
interface Peer {
  /** The possessive that a refusal begins with. */
  readonly whose: 'its' | "its egress proxy's";
  readonly host: string;
  readonly port: number;
  readonly lookup: net.LookupFunction;
  readonly policy: AddressPolicy;
}

/**
 * Opens TCP itself and hands the socket to undici's connector for TLS, so that the peer is judged before even the
 * ClientHello is written and one exact timer covers everything (undici's own timers count in half seconds).
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { endpoint, proxy, connectTimeoutMs } = options;
  // Behind a proxy this is all that can be judged of the upstream: the proxy looks its name up, and dials what it likes.
  const refusal = judgeEndpoint(endpoint, policyFor(endpoint, options.policy)) ?? judgeProxy(proxy);
  const isSecure = endpoint.protocol === 'https:';
  const peer = toPeer(options);
  const secure = createHandshake(options.tls);

  return (target, callback) => {
    if (refusal !== undefined) {
      // undici counts on an answer that comes after this call has returned, as it does from a socket.
      process.nextTick(callback, new AddressRefusedError(refusal), null);
      return;
    }
    // Probes find the dead peer of a silent stream; without the delay the kernel begins them after two hours.
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 };
    const { host, port, lookup } = peer;
    const tcp = net.connect({ host, port, lookup, noDelay: true, ...keepAlive });
    let isSettled = false;
    let isAtProxy = proxy !== undefined;
    const settle = (error: Error | null, socket: net.Socket): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      if (error === null) {
        callback(null, socket);
      } else {
        tcp.destroy();
        callback(isAtProxy ? toProxyError(error) : error, null);
      }
    };
    const timer = setTimeout(() => settle(new errors.ConnectTimeoutError(), tcp), connectTimeoutMs);
    tcp.on('error', (error) => settle(error, tcp));
    const reach = (): void => {
      isAtProxy = false;
      if (!isSecure) {
        settle(null, tcp);
        return;
      }
      secure({ ...target, httpSocket: tcp }, (error, socket) => {
        // In TLS 1.3 a refused client certificate comes as an alert after the handshake; Node tells it and leaves the
        // socket open, and undici would report the end that follows in its place.
        socket?.on('error', () => socket.destroy());
        settle(error, socket ?? tcp);
      });
    };
    tcp.once('connect', () => {
      const word = judgeAddress(tcp.remoteAddress ?? '', peer.policy);
      if (word !== undefined) return settle(refused(peer, 'connection', word), tcp);
      if (proxy === undefined) return reach();
      const authority = `${endpoint.hostname}:${portOf(endpoint)}`;
      openTunnel(tcp, authority, proxy.authorization, (error) => {
        // A socket that was given up after the timeout may still come to its end.
        if (isSettled) return;
        if (error === undefined) reach();
        else settle(error, tcp);
      });
    });
  };
}

function judgeProxy(proxy: EgressProxy | undefined): string | undefined {
  const refusal = proxy && judgeEndpoint(proxy.url, policyFor(proxy.url, proxy.policy));
  return refusal && `it is reached through an egress proxy, of which is true: ${refusal}`;
}

function toPeer({ endpoint, policy, lookup, proxy }: ConnectorOptions): Peer {
  const url = proxy?.url ?? endpoint;
  const own = {
    whose: proxy === undefined ? ('its' as const) : ("its egress proxy's" as const),
    policy: policyFor(url, proxy?.policy ?? policy),
  };
  return { ...own, host: url.hostname.replace(/^\[|\]$/g, ''), port: portOf(url), lookup: guardLookup(lookup, own) };
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === 'https:' ? 443 : 80));
}

/** TLS on a socket that is open already. */
function createHandshake(tls: UpstreamTls | undefined): buildConnector.connector {
  const settings = { allowH2: false, timeout: 0 };
  if (tls === undefined) return buildConnector(settings);
  const { serverName } = tls.config;
  let secure: buildConnector.connector | undefined;
  return (target, callback) => {
    try {
      secure ??= buildConnector({ ...settings, secureContext: secureContextFor(tls) });
    } catch (error) {
      callback(error as Error, null);
      return;
    }
    secure(serverName === null ? target : { ...target, servername: serverName }, callback);
  };
}

function refused({ whose }: Pick<Peer, 'whose'>, what: 'name' | 'connection', word: string): AddressRefusedError {
  return new AddressRefusedError(`${whose} ${what} leads to a refused place (${word})`);
}

/** What goes wrong before the tunnel is open says nothing about the upstream. */
function toProxyError(error: Error): Error {
  if (error instanceof EgressProxyError || error instanceof AddressRefusedError) return error;
  if (error instanceof errors.ConnectTimeoutError) {
    return new EgressProxyError('the egress proxy did not connect to it in time', 'timeout', error);
  }
  return new EgressProxyError('no connection to the egress proxy could be made', 'unreachable', error);
}

/** One refused answer refuses the name: which of several answers gets dialled must not be a matter of luck. */
function guardLookup(lookup: net.LookupFunction, peer: Pick<Peer, 'whose' | 'policy'>): net.LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const answers = toAnswers(found);
      const word = answers
        .map(({ address }) => judgeAddress(address, peer.policy))
        .find((refusal) => refusal !== undefined);
      if (word !== undefined) return callback(refused(peer, 'name', word), []);
      const [first] = answers;
      if (first === undefined) return callback(new AddressRefusedError(`${peer.whose} name leads to no address`), []);
      if (options.all) return callback(null, answers.slice(0, MAX_DIALLED_ANSWERS));
      callback(null, first.address, first.family);
    });
  };
}

function toAnswers(found: string | LookupAddress[]): readonly LookupAddress[] {
  return typeof found === 'string' ? [{ address: found, family: net.isIP(found) }] : found;
}
