// Wire spellings: how tool names are written for clients that cannot take dots, or that see one service only.
// Everywhere inside, and in every record, the canonical name is used (design §3.5).

import { hash } from 'node:crypto';
import type { NameStyle } from '../domain/principal.ts';
import { type CanonicalName, toCanonicalName } from '../domain/tool-name.ts';

/** Some clients refuse a whole list for one name outside `^[a-zA-Z0-9_-]{1,64}$`; 128 is MCP's own limit. */
const LIMITS: Readonly<Record<NameStyle, number>> = { dot: 128, underscore: 64, bare: 128 };
const SUFFIX_LENGTH = 8;

/** A spelling in the making: attempt 0 is plain, every further one ends in another hash of the canonical name. */
interface Draft {
  readonly canonicalName: string;
  readonly plain: string;
  attempt: number;
}

/**
 * One wire spelling per entry, in the order given: different canonical names get different spellings, a repeated one
 * the same. A spelling depends on its own name alone, unless it is over the style's limit, collides with another, or
 * could be read as another tool's canonical name (`bare`): then it ends in `_` and 8 characters of a hash.
 */
export function spellNames(names: readonly CanonicalName[], style: NameStyle): string[] {
  const services = new Set(names.map(({ service }) => service));
  const drafts = names.map((name): Draft => {
    const plain = spellPlainly(name, style);
    const needsSuffix = plain.length > LIMITS[style] || (style === 'bare' && looksCanonical(plain, services));
    return { canonicalName: toCanonicalName(name.service, name.upstreamName), plain, attempt: needsSuffix ? 1 : 0 };
  });
  const distinct = new Map(drafts.map((draft) => [draft.canonicalName, draft]));
  separate([...distinct.values()], style);
  return drafts.map((draft) => spell(distinct.get(draft.canonicalName) ?? draft, style));
}

/**
 * What every spelling of a service's names begins with, suffixed ones too: services of which neither's head begins with the
 * other's share no spelling.
 */
export function headOf(service: string, style: NameStyle): string {
  if (style === 'bare') return '';
  return `${service}${style === 'dot' ? '.' : '__'}`.slice(0, LIMITS[style] - SUFFIX_LENGTH - 1);
}

/** The heads that a name begins with could be any of these, the shortest first. */
export function* headsIn(name: string, style: NameStyle): Iterable<string> {
  const longest = LIMITS[style] - SUFFIX_LENGTH - 1;
  const separator = style === 'dot' ? '.' : '__';
  for (let at = name.indexOf(separator); at >= 0; at = name.indexOf(separator, at + 1)) {
    const end = at + separator.length;
    if (end > longest) break;
    yield name.slice(0, end);
    // A service holds no dot.
    if (style === 'dot') return;
  }
  yield name.slice(0, longest);
}

/**
 * Suffixes every member of a collision, again until none is left: an upstream may choose a name that looks suffixed.
 * Such a newcomer moves out of the way, the name that already had the suffix keeps it. Not so in `dot`: there a plain
 * spelling is a canonical name, which nobody else's spelling may be, and the suffixed one moves.
 */
function separate(drafts: readonly Draft[], style: NameStyle): void {
  let collisions: Draft[][];
  do {
    collisions = [...Map.groupBy(drafts, (draft) => spell(draft, style)).values()].filter(({ length }) => length > 1);
    for (const members of collisions) {
      const movable = members.filter(({ attempt }) => (attempt === 0) === (style !== 'dot'));
      for (const draft of movable.length > 0 ? movable : members) draft.attempt++;
    }
  } while (collisions.length > 0);
}

function spellPlainly({ service, upstreamName }: CanonicalName, style: NameStyle): string {
  if (style === 'bare') return upstreamName;
  if (style === 'dot') return toCanonicalName(service, upstreamName);
  return `${service}__${upstreamName}`.replaceAll(/[^A-Za-z0-9_-]/g, '_');
}

/** `github.search` as a bare name of the service `github` reads as the canonical name of its tool `search`. */
function looksCanonical(bareName: string, services: ReadonlySet<string>): boolean {
  const dot = bareName.indexOf('.');
  return dot >= 0 && services.has(bareName.slice(0, dot));
}

function spell({ canonicalName, plain, attempt }: Draft, style: NameStyle): string {
  if (attempt === 0) return plain;
  // Without a dot, a suffixed bare name cannot be any tool's canonical name.
  const head = style === 'bare' ? plain.replaceAll('.', '_') : plain;
  return `${head.slice(0, LIMITS[style] - SUFFIX_LENGTH - 1)}_${suffixOf(canonicalName, attempt)}`;
}

function suffixOf(canonicalName: string, attempt: number): string {
  const input = attempt === 1 ? canonicalName : `${canonicalName}\n${attempt}`;
  const number = hash('sha256', input, 'buffer').readUIntBE(0, 6) % 36 ** SUFFIX_LENGTH;
  return number.toString(36).padStart(SUFFIX_LENGTH, '0');
}
