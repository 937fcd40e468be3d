// Host and Origin: keeps web pages and rebound names away from a gateway on somebody's machine (MCP basic/transports
// #security-warning; Docker mcp-gateway CVE-2025-64443).

import { isIP } from 'node:net';
import { createForwarded } from './forwarded.ts';
import type { EdgeRequest } from './request-gate.ts';

export interface OriginRules {
  /** The address the listener is bound to. */
  readonly boundHost: string;
  readonly publicUrl: string | undefined;
  /** Whose word on the host a client asked for is taken: addresses or CIDRs. */
  readonly trustedProxies: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

/** Images, scripts and links carry no Origin: browsers say only that the page they stand in is of another site. */
const FROM_ANOTHER_SITE =
  'Pages of another site may not load or open this. Open the address itself, or let a page of allowed_origins fetch it.';

/** `isLinked` for what pages of other sites may link to, though not load. */
export type FindOriginProblem = (request: EdgeRequest, isLinked?: boolean) => string | undefined;

/** Compiles the rules; the check returns the message of a 403, or `undefined`. */
export function createOriginCheck(rules: OriginRules): FindOriginProblem {
  const isBoundToLoopback = isLoopbackHost(rules.boundHost);
  const hosts = new Set(rules.allowedHosts.map((host) => host.toLowerCase()));
  const origins = new Set(rules.allowedOrigins);
  const publicUrl = rules.publicUrl === undefined ? undefined : new URL(rules.publicUrl);
  if (publicUrl !== undefined) {
    hosts.add(publicUrl.host);
    origins.add(publicUrl.origin);
  }
  const forwarded = createForwarded(rules.trustedProxies);
  const checksHost = isBoundToLoopback || hosts.size > 0;
  /** Clients say one host again and again: it is looked at when it changes. */
  let knownHost: string | undefined;

  return (request, isLinked = false) => {
    const host = forwarded?.hostOf(request) ?? hostOf(request);
    if (checksHost && host !== knownHost && isKnownHost(host, hosts, isBoundToLoopback)) knownHost = host;
    if (checksHost && host !== knownHost) {
      return `The Host '${host.slice(0, 100)}' is not served here. Use the gateway's own address, or add the name to allowed_hosts.`;
    }
    const { origin, 'sec-fetch-site': site, 'sec-fetch-dest': destination } = request.headers;
    if (origin === undefined) {
      return site === 'cross-site' && !(isLinked && destination === 'document') ? FROM_ANOTHER_SITE : undefined;
    }
    if (origins.has(origin)) return undefined;
    // The scheme of the public URL is part of its one spelling, which is in `origins`.
    if (host !== publicUrl?.host && isSameOrigin(origin, host, forwarded?.schemeOf(request))) return undefined;
    if (isBoundToLoopback && isLoopbackOrigin(origin)) return undefined;
    return 'Pages of this Origin may not call the gateway. Add it to allowed_origins if they should.';
  };
}

function hostOf(request: EdgeRequest): string {
  const { host, ':authority': authority } = request.headers;
  return (host ?? (typeof authority === 'string' ? authority : '')).toLowerCase();
}

function isKnownHost(host: string, hosts: ReadonlySet<string>, isBoundToLoopback: boolean): boolean {
  const name = withoutPort(host);
  return hosts.has(host) || hosts.has(name) || (isBoundToLoopback && isLoopbackHost(name));
}

function withoutPort(host: string): string {
  return host.replace(/:\d{1,5}$/, '');
}

/** Without a trusted proxy's word the scheme is not known: TLS may end anywhere in front. */
function isSameOrigin(origin: string, host: string, scheme: string | undefined): boolean {
  if (scheme !== undefined) return origin === `${scheme}://${host}`;
  return origin === `http://${host}` || origin === `https://${host}`;
}

/** In the one spelling that browsers send: whatever else is parsed to a loopback name, no page has it. */
function isLoopbackOrigin(origin: string): boolean {
  const url = URL.parse(origin);
  return url !== null && url.origin === origin && isLoopbackHost(url.hostname);
}

function isLoopbackHost(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

const SPEAKING_FOR = ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded'];

/**
 * Whether the peer itself is on this machine, and does not speak for somebody else. No header makes a request local, not
 * even one of a trusted proxy: a proxy may pass on what a client wrote, and a web page can write these as well. Nor is it
 * local under another name than this machine has for itself: a page whose name was rebound to it is in a local browser.
 */
export function isLocalPeer(request: EdgeRequest): boolean {
  const { headers, socket } = request;
  if (SPEAKING_FOR.some((name) => headers[name] !== undefined)) return false;
  if (!isLoopbackHost(withoutPort(hostOf(request)))) return false;
  const address = socket.remoteAddress ?? '';
  return isLoopbackHost(address.replace(/^::ffff:/, ''));
}
