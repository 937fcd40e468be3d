// IP addresses as text and bytes: one canonical form per address, so that no spelling of it escapes a comparison.

import { BlockList, isIP } from 'node:net';

export type Family = 'ipv4' | 'ipv6';

/** One address in canonical text (IPv6 as eight groups, uncompressed) and in its 4 or 16 bytes. */
export interface Ip {
  readonly family: Family;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** Reads an address, with or without brackets and zone. IPv4-mapped IPv6 is IPv4: that is what the kernel connects to. */
export function parseIp(address: string): Ip | undefined {
  const text = address.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  const version = isIP(text);
  if (version === 0) return undefined;
  if (version === 4) return toIpv4(Uint8Array.from(text.split('.'), Number));
  const groups = toIpv6Groups(text);
  const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return toIpv4(bytes.subarray(12));
  return { family: 'ipv6', text: groups.map((group) => group.toString(16)).join(':'), bytes };
}

/** `bytes` are the four of the address. */
export function toIpv4(bytes: Uint8Array): Ip {
  return { family: 'ipv4', text: bytes.join('.'), bytes };
}

/** The eight 16-bit groups of an address that `isIP` has accepted. */
function toIpv6Groups(text: string): readonly number[] {
  const [head = '', tail = ''] = text.split('::');
  const [left, right] = [toGroups(head), toGroups(tail)];
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function toGroups(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return Number.parseInt(part, 16);
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

interface Cidr {
  readonly family: Family;
  readonly base: string;
  readonly prefix: number;
}

/** Reads `10.0.0.0/8` or `fd00::/8`; `undefined` for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const [, base = '', digits = ''] = /^([^/%]+)\/(\d{1,3})$/.exec(text) ?? [];
  const version = isIP(base);
  const prefix = Number(digits);
  if (version === 0 || prefix > (version === 4 ? 32 : 128)) return undefined;
  return { family: version === 4 ? 'ipv4' : 'ipv6', base, prefix };
}

/** The ranges of one family. Never one list for both: Node would match an IPv4 address, in its mapped form, against a wide IPv6 range such as ::/3. */
export function toBlockList(cidrs: readonly string[], family: Family): BlockList {
  const list = new BlockList();
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr?.family === family) list.addSubnet(cidr.base, cidr.prefix, family);
  }
  return list;
}
