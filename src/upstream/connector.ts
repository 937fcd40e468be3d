// Opens the sockets of an upstream's pools. Every one is judged twice: the answers of its name's look-up before it is
// opened, and its real peer before its first byte, because undici asks no look-up for literals and trusts DNS.

import type { LookupAddress } from 'node:dns';
import net from 'node:net';
import { buildConnector, errors } from 'undici';
import { type AddressPolicy, judgeAddress, judgeEndpoint, policyFor } from './address-guard.ts';

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
  /** For name look-up, TCP and TLS together. */
  readonly connectTimeoutMs: number;
  readonly lookup: net.LookupFunction;
}

/**
 * Opens TCP itself and hands the socket to undici's connector for TLS, so that the peer is judged before even the
 * ClientHello is written and one exact timer covers everything (undici's own timers count in half seconds).
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { endpoint, connectTimeoutMs } = options;
  const policy = policyFor(endpoint, options.policy);
  const endpointRefusal = judgeEndpoint(endpoint, policy);
  const lookup = guardLookup(options.lookup, policy);
  const secure = buildConnector({ allowH2: false, timeout: 0 });

  return (target, callback) => {
    if (endpointRefusal !== undefined) {
      // undici counts on an answer that comes after this call has returned, as it does from a socket.
      process.nextTick(callback, new AddressRefusedError(endpointRefusal), null);
      return;
    }
    const isSecure = target.protocol === 'https:';
    const port = Number(target.port || (isSecure ? 443 : 80));
    // Probes find the dead peer of a silent stream; without the delay the kernel begins them after two hours.
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 };
    const tcp = net.connect({ host: target.hostname, port, lookup, noDelay: true, ...keepAlive });
    let isSettled = false;
    const settle = (error: Error | null, socket: net.Socket): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      if (error === null) {
        callback(null, socket);
      } else {
        tcp.destroy();
        callback(error, null);
      }
    };
    const timer = setTimeout(() => settle(new errors.ConnectTimeoutError(), tcp), connectTimeoutMs);
    tcp.on('error', (error) => settle(error, tcp));
    tcp.once('connect', () => {
      const word = judgeAddress(tcp.remoteAddress ?? '', policy);
      if (word !== undefined)
        return settle(new AddressRefusedError(`its connection leads to a refused place (${word})`), tcp);
      if (!isSecure) return settle(null, tcp);
      secure({ ...target, httpSocket: tcp }, (error, socket) => settle(error, socket ?? tcp));
    });
  };
}

/** One refused answer refuses the name: which of several answers gets dialled must not be a matter of luck. */
function guardLookup(lookup: net.LookupFunction, policy: AddressPolicy): net.LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const answers = toAnswers(found);
      const word = answers.map(({ address }) => judgeAddress(address, policy)).find((refusal) => refusal !== undefined);
      if (word !== undefined)
        return callback(new AddressRefusedError(`its name leads to a refused place (${word})`), []);
      const [first] = answers;
      if (first === undefined) return callback(new AddressRefusedError('its name leads to no address'), []);
      if (options.all) return callback(null, answers.slice(0, MAX_DIALLED_ANSWERS));
      callback(null, first.address, first.family);
    });
  };
}

function toAnswers(found: string | LookupAddress[]): readonly LookupAddress[] {
  return typeof found === 'string' ? [{ address: found, family: net.isIP(found) }] : found;
}
