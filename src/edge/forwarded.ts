// What proxies in front say of the client they speak for (X-Forwarded-*). Any client can write these headers, so only
// those of a proxy that the operator has named are read, and of a list only what the nearest proxy added.

import { parseIp, toBlockList } from '../upstream/ip-address.ts';
import type { EdgeRequest } from './request-gate.ts';

export interface Forwarded {
  /** The host that the client asked for; `undefined` when no trusted proxy says so, or not in a form that a Host has. */
  hostOf(request: EdgeRequest): string | undefined;
  /** What the client speaks to the proxy. */
  schemeOf(request: EdgeRequest): 'http' | 'https' | undefined;
}

/** A name or an address, with or without a port. */
const HOST = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/** `undefined` without trusted proxies: their headers are not even looked for then. `trusted` are addresses or CIDRs. */
export function createForwarded(trusted: readonly string[]): Forwarded | undefined {
  if (trusted.length === 0) return undefined;
  const isTrusted = compileTrusted(trusted);
  /** Proxies connect again and again: an address is looked up when it changes. */
  let knownProxy = '';

  const isFromProxy = ({ socket }: EdgeRequest): boolean => {
    const address = socket.remoteAddress ?? '';
    if (address === knownProxy && address !== '') return true;
    if (!isTrusted(address)) return false;
    knownProxy = address;
    return true;
  };
  const lastOf = (request: EdgeRequest, header: string): string | undefined => {
    const values = request.headers[header];
    if (values === undefined || !isFromProxy(request)) return undefined;
    return String(values).split(',').at(-1)?.trim().toLowerCase();
  };

  return {
    hostOf(request) {
      const host = lastOf(request, 'x-forwarded-host');
      return host !== undefined && HOST.test(host) ? host : undefined;
    },
    schemeOf(request) {
      const scheme = lastOf(request, 'x-forwarded-proto');
      return scheme === 'http' || scheme === 'https' ? scheme : undefined;
    },
  };
}

function compileTrusted(trusted: readonly string[]): (address: string) => boolean {
  const ranges = trusted.map((each) => {
    const ip = each.includes('/') ? undefined : parseIp(each);
    return ip === undefined ? each : `${ip.text}/${ip.bytes.length * 8}`;
  });
  const lists = { ipv4: toBlockList(ranges, 'ipv4'), ipv6: toBlockList(ranges, 'ipv6') };
  return (address) => {
    const ip = parseIp(address);
    return ip !== undefined && lists[ip.family].check(ip.text, ip.family);
  };
}
