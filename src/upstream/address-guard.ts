// Judges where an upstream may be: the endpoint as it is written, and each address a connection really goes to.
// It asks no DNS: `pool.ts` brings it every answer of a look-up and the peer of every socket.

import type { BlockList } from 'node:net';
import { type Family, type Ip, parseIp, toBlockList, toIpv4 } from './ip-address.ts';

/** What the operator admits beside https to public addresses. Tenants never write it. */
export interface AddressPolicy {
  /** Admits plain http, for every endpoint. */
  readonly allowHttp: boolean;
  /** Ranges such as `10.0.0.0/8`; settings check them with `parseCidr`, one that cannot be read admits nothing. */
  readonly allowCidrs: readonly string[];
  /** An origin declared in the operator's file, such as `http://127.0.0.1:3000`: plain http and private ranges included. */
  readonly admitted?: string;
}

interface AddressClass {
  readonly word: string;
  /** No range in `allowCidrs` admits it; only a literal that the operator wrote out does. */
  readonly isNeverAllowed: boolean;
  readonly ranges: Readonly<Record<Family, BlockList>>;
}

const EMBEDDED = 'embedded IPv4 address';

// IANA's IPv4 and IPv6 special-purpose registries, and the metadata services that live outside them. The first match wins.
const CLASSES: readonly AddressClass[] = [
  never('metadata address', '169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 169.254.0.23/32 100.100.100.200/32'),
  never('metadata address', '168.63.129.16/32 192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128 fd00:42::42/128'),
  never('metadata address', 'fd00:c1::a9fe:a9fe/128 fe80::a9fe:a9fe/128'),
  never('link-local address', '169.254.0.0/16 fe80::/10'),
  never('multicast address', '224.0.0.0/4 ff00::/8'),
  never('unspecified address', '0.0.0.0/8 ::/128'),
  // RFC 8215: where the IPv4 bits lie is the network's private choice, so they cannot be judged.
  never(EMBEDDED, '64:ff9b:1::/48'),
  unlessAllowed('loopback address', '127.0.0.0/8 ::1/128'),
  unlessAllowed('private address', '10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10'),
  unlessAllowed(EMBEDDED, '::/96 ::ffff:0:0:0/96 64:ff9b::/96 2002::/16 2001::/32'),
  unlessAllowed('documentation address', '192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20'),
  unlessAllowed('reserved address', '192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 240.0.0.0/4 2001::/23'),
  // Everything but 2000::/3, the only part of IPv6 that is handed out as global unicast.
  unlessAllowed('reserved address', '::/3 4000::/2 8000::/1'),
];

const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal',
]);
const LOCALHOST_NAME = /(^|\.)localhost$/;
/** Names that only a private network answers: special-use suffixes, and single labels completed by a search domain. */
const PRIVATE_NAME = /^[^.]+$|\.(local|internal|localdomain|home\.arpa)$/;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
// The URL parser drops tabs and line breaks and turns a backslash into a slash; other readers of the same text do not.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const AMBIGUOUS_CHARACTER = /[\u0000-\u0020\u007f\\]/;
const WITH_AUTHORITY = /^[a-z]+:\/\/[^/?#]/i;
const WITH_USER = /^[a-z]+:\/\/[^/?#]*@/i;

const ONLY_OPERATOR = "only the operator's config file can admit it, by declaring the config itself";
/** The words of what no range admits. */
const NEVER_ALLOWED: ReadonlySet<string> = new Set([
  'metadata name',
  ...CLASSES.filter(({ isNeverAllowed }) => isNeverAllowed).map(({ word }) => word),
]);

/**
 * Says why an endpoint is refused when it is saved, or `undefined`. Judges scheme, shape, literal addresses in every
 * spelling the URL parser reads, and known names; other names are judged when connecting (security-reliability D8).
 */
export function judgeEndpoint(endpoint: string | URL, policy: AddressPolicy): string | undefined {
  const text = typeof endpoint === 'string' ? endpoint : endpoint.href;
  if (AMBIGUOUS_CHARACTER.test(text))
    return 'it holds a space, a control character or a backslash; write the plain URL';
  const url = URL.parse(text);
  if (url === null) return 'it is not an absolute URL; write one such as https://mcp.example.com/mcp';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'its scheme is not https';
  if (!WITH_AUTHORITY.test(text))
    return 'it does not start with https:// and a host; write https://mcp.example.com/mcp';
  if (WITH_USER.test(text))
    return 'it holds a user or password; store them as a secret and set auth_mechanism to basic';
  if (url.href.includes('#')) return 'it holds a fragment (#…), which no server ever sees; remove it';
  if (url.port === '0') return 'its port is 0; write the port the upstream listens on';
  const own = policyFor(url, policy);
  if (own.admitted !== undefined) return undefined;
  if (url.protocol === 'http:' && !policy.allowHttp) {
    return `it uses plain http instead of https; ${ONLY_OPERATOR} or with upstreams.allow_http`;
  }
  return judgeHost(url.hostname, own);
}

/**
 * Says why one concrete address is refused (`private address`, `link-local address`, …), or `undefined`. The words name
 * its class and never the address, so they may be shown to clients. `policy` must come from
 * `policyFor`: an admitted literal is admitted as it stands, an admitted name admits whatever a range could admit.
 */
export function judgeAddress(address: string, policy: AddressPolicy): string | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return 'unreadable address';
  const admittedHost = URL.parse(policy.admitted ?? '')?.hostname;
  const literal = parseIp(admittedHost ?? '');
  if (literal?.text === ip.text) return undefined;
  const isNameAdmitted = admittedHost !== undefined && literal === undefined;
  return refusal(ip, (candidate) => isNameAdmitted || isCovered(candidate, policy.allowCidrs));
}

/** The policy as it holds for `url`: what one origin is admitted to do, another host or port is not. */
export function policyFor(url: URL, policy: AddressPolicy): AddressPolicy {
  if (URL.parse(policy.admitted ?? '')?.origin === url.origin) return policy;
  return { allowHttp: policy.allowHttp, allowCidrs: policy.allowCidrs };
}

function judgeHost(hostname: string, policy: AddressPolicy): string | undefined {
  const name = hostname.replace(/\.$/, '');
  const isLiteral = parseIp(hostname) !== undefined;
  if (!isLiteral && !DNS_NAME.test(name)) return 'its host is not a DNS name; write one such as mcp.example.com';
  const word = isLiteral ? judgeAddress(hostname, policy) : judgeName(name, policy);
  if (word === undefined) return undefined;
  const setting = NEVER_ALLOWED.has(word) ? '' : ' or with upstreams.allow_cidrs';
  return `its host is refused (${word}); ${ONLY_OPERATOR}${setting}`;
}

function judgeName(name: string, policy: AddressPolicy): string | undefined {
  if (METADATA_NAMES.has(name)) return 'metadata name';
  if (LOCALHOST_NAME.test(name)) return judgeAddress('127.0.0.1', policy) && 'localhost name';
  // Where the operator admits private ranges, private names are how their hosts are called; connecting judges the rest.
  return PRIVATE_NAME.test(name) && policy.allowCidrs.length === 0 ? 'private name' : undefined;
}

function refusal(ip: Ip, isAllowed: (ip: Ip) => boolean): string | undefined {
  const found = CLASSES.find(({ ranges }) => ranges[ip.family].check(ip.text, ip.family));
  if (found?.isNeverAllowed) return found.word;
  const isEmbedding = found?.word === EMBEDDED || isIsatap(ip);
  for (const inner of isEmbedding ? embeddedIpv4(ip) : []) {
    // A range that admits NAT64 must not admit the metadata service behind it.
    const word = refusal(inner, isAllowed);
    if (word !== undefined) return word;
  }
  const word = isEmbedding ? EMBEDDED : found?.word;
  return word === undefined || isAllowed(ip) ? undefined : word;
}

/** RFC 5214: an interface identifier of 0000:5efe or 0200:5efe and an IPv4 address, behind any prefix. */
function isIsatap({ family, bytes }: Ip): boolean {
  if (family === 'ipv4') return false;
  const [flags = 0, zero, high, low] = bytes.subarray(8);
  return (flags & 0xfc) === 0 && zero === 0 && high === 0x5e && low === 0xfe;
}

function embeddedIpv4({ text, bytes }: Ip): readonly Ip[] {
  if (text.startsWith('2002:')) return [toIpv4(bytes.subarray(2, 6))];
  if (!text.startsWith('2001:0:')) return [toIpv4(bytes.subarray(12))];
  // RFC 4380: a Teredo address names its server in clear and its client with every bit inverted.
  return [toIpv4(bytes.subarray(4, 8)), toIpv4(bytes.subarray(12).map((byte) => ~byte))];
}

function isCovered({ family, text }: Ip, cidrs: readonly string[]): boolean {
  return toBlockList(cidrs, family).check(text, family);
}

function toClass(word: string, cidrs: string, isNeverAllowed: boolean): AddressClass {
  const list = cidrs.split(' ');
  return { word, isNeverAllowed, ranges: { ipv4: toBlockList(list, 'ipv4'), ipv6: toBlockList(list, 'ipv6') } };
}

function never(word: string, cidrs: string): AddressClass {
  return toClass(word, cidrs, true);
}

function unlessAllowed(word: string, cidrs: string): AddressClass {
  return toClass(word, cidrs, false);
}
