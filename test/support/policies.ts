// Random policies and catalogues, with an oracle that says what must come of them and shares no code with the gateway.

import fc from 'fast-check';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { type Inventory, locateLists, readInventory } from '../../src/catalog/inventory.ts';
import { spellNames } from '../../src/catalog/naming.ts';
import { NAME_STYLES } from '../../src/domain/principal.ts';

// Patterns as a tree, so that the oracle reads what the generator meant and never the text.

type Atom =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'class'; readonly text: string; readonly members: string };
type Piece = Atom | { readonly kind: 'brace'; readonly options: readonly (readonly Atom[])[] };
export type Pattern = { readonly pieces: readonly Piece[] } | { readonly invalid: string };

export function textOf(pattern: Pattern): string {
  if ('invalid' in pattern) return pattern.invalid;
  const write = (piece: Piece): string => {
    if (piece.kind === 'text') return piece.text;
    if (piece.kind === 'any') return '*';
    if (piece.kind === 'one') return '?';
    if (piece.kind === 'class') return `[${piece.text}]`;
    return `{${piece.options.map((option) => option.map(write).join('')).join()}}`;
  };
  return pattern.pieces.map(write).join('');
}

function alternativesOf(pieces: readonly Piece[]): Atom[][] {
  const [first, ...rest] = pieces;
  if (first === undefined) return [[]];
  const heads = first.kind === 'brace' ? first.options : [[first]];
  return heads.flatMap((head) => alternativesOf(rest).map((tail) => [...head, ...tail]));
}

/** Atom by atom, every place in the name that may have been reached. */
function matches(atoms: readonly Atom[], name: string): boolean {
  let reached = new Set([0]);
  for (const each of atoms) {
    const next = new Set<number>();
    for (const at of reached) {
      if (each.kind === 'any') for (let end = at; end <= name.length; end++) next.add(end);
      else if (each.kind === 'text') {
        if (name.startsWith(each.text, at)) next.add(at + each.text.length);
      } else if (at < name.length && (each.kind === 'one' || each.members.includes(name.charAt(at)))) next.add(at + 1);
    }
    reached = next;
  }
  return reached.has(name.length);
}

/** Design §3.4: an alternative without a dot is matched against the bare name, one with a dot against `service.tool`. */
export function admits(patterns: readonly Pattern[], service: string, toolName: string): boolean {
  return patterns.some(
    (pattern) =>
      'pieces' in pattern &&
      alternativesOf(pattern.pieces).some((atoms) => {
        const isDotted = atoms.some((atom) => atom.kind === 'text' && atom.text.includes('.'));
        return matches(atoms, isDotted ? `${service}.${toolName}` : toolName);
      }),
  );
}

// A policy and a catalogue.

interface Tool {
  readonly name: string;
  /** A tool that no client could use. */
  readonly isBroken: boolean;
}

export interface Offer {
  readonly configName: string;
  readonly patterns: readonly Pattern[];
  readonly narrowing: readonly Pattern[] | null;
  /** `null` when the upstream has not been seen yet. */
  readonly tools: readonly Tool[] | null;
  readonly isSuspended: boolean;
}

const SERVICES = ['git', 'github', 'a', 'a_', 'a__b', 'x'.repeat(66), 'y'.repeat(121)];
const EXPOSED = /^[A-Za-z0-9_.-]{1,128}$/;

const plainName = fc.constantFrom(
  ...['search', 'search_issues', 'get_a', 'get_b', 'a', 'b', 'ab', 'a.b', 'a_b', 'a__b', 'a-b', '_b', 'b__c', 'c'],
  ...['git.search', 'github.search', 'a.a', 'git__search', 'github__a', '.', '..', '-', '.a', 'a.', 'A', 'Search'],
  ...['constructor', '__proto__', 'toString', 'x'.repeat(60), 'x'.repeat(128), `${'x'.repeat(120)}.y`],
  ...['', 'a b', 'é', 'x'.repeat(129), 'a/b', 'a\n'],
);
const shortName = fc.string({ unit: fc.constantFrom(...'ab._-'), minLength: 1, maxLength: 4 });
const tool = fc.record({ name: fc.oneof(plainName, shortName), isBroken: fc.nat(9).map((number) => number === 0) });

const atom: fc.Arbitrary<Atom> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom('a', 'b', '_', '.', 'a.b', 'search', 'get_', 'git.', 'github.', 'a.', 'x')
      .map((text): Atom => ({ kind: 'text', text })),
  },
  { weight: 3, arbitrary: fc.constant<Atom>({ kind: 'any' }) },
  { weight: 1, arbitrary: fc.constant<Atom>({ kind: 'one' }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<readonly [string, string]>(
        ['a-c', 'abc'],
        ['ab', 'ab'],
        ['_-', '_-'],
        ['A-Z0-1', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ01'],
        ['-a', '-a'],
      )
      .map(([text, members]): Atom => ({ kind: 'class', text, members })),
  },
);
const brace: fc.Arbitrary<Piece> = fc
  .array(fc.array(atom, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 3 })
  .map((options) => ({ kind: 'brace', options }));
const pieces = fc
  .array(fc.oneof({ weight: 5, arbitrary: atom }, { weight: 1, arbitrary: brace }), { minLength: 1, maxLength: 4 })
  .map((list) => ({ pieces: list }))
  // More is refused when it is written.
  .filter(
    (pattern) => (textOf(pattern).match(/\*+/g)?.length ?? 0) <= 3 && alternativesOf(pattern.pieces).length <= 16,
  );
const pattern: fc.Arbitrary<Pattern> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Pattern>({ pieces: [{ kind: 'any' }] }) },
  { weight: 8, arbitrary: pieces },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        '',
        '!a',
        '**a*b*c*',
        '{a}',
        '{a,{b,c}}',
        '[z-a]',
        '[!a]',
        'a|b',
        '(a|b)',
        '*/*',
        '@(a)',
        'a,b',
        '*\n',
        '^a$',
        '{a,b',
        '[a',
        'a b',
        '\\*',
        '+(a)',
        '{a,b}{c,d}{e,f}{g,h}{i,j}',
        'a'.repeat(257),
      )
      .map((invalid): Pattern => ({ invalid })),
  },
);
export const patterns = fc.array(pattern, { maxLength: 3 });
const offer = fc.record({
  service: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('git', 'a') },
    { weight: 2, arbitrary: fc.constantFrom(...SERVICES) },
  ),
  patterns,
  narrowing: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: patterns }),
  tools: fc.option(fc.array(tool, { maxLength: 10 }), { freq: 9 }),
  isSuspended: fc.nat(12).map((number) => number === 0),
  forged: fc.array(fc.nat(20), { maxLength: 2 }),
});

/** Gives configs their names, and some upstreams tools whose names are other tools' spellings. */
export const offers = fc.array(offer, { minLength: 1, maxLength: 4 }).map((list): Offer[] => {
  const names = list.flatMap(({ service, tools }) =>
    (tools ?? []).filter(({ name }) => EXPOSED.test(name)).map(({ name }) => ({ service, upstreamName: name })),
  );
  const spellings = [...spellNames(names, 'dot'), ...spellNames(names, 'underscore')];
  return list.map(({ service, forged, tools, ...rest }, index) => {
    const copies = forged.flatMap((number) => {
      const spelling = spellings[number % (spellings.length + 1)];
      if (spelling === undefined) return [];
      return [spelling, spelling.slice(service.length + 1), spelling.slice(service.length + 2)];
    });
    const more = copies.map((name): Tool => ({ name, isBroken: false }));
    return { ...rest, configName: `${service}-${index}`, tools: tools === null ? null : [...tools, ...more] };
  });
});

/** The object an upstream lists, with bytes that a parser would not keep, around the name it is given. */
export function toolText(configName: string, { name, isBroken }: Tool, spelling = JSON.stringify(name)): string {
  const schema = isBroken ? '"none"' : '{"type":"object","properties":{"n":{"const":1.0}}}';
  return `{ "description":"of ${configName}: ${JSON.stringify(name).slice(1, -1)} \\u00e9" , "name" : ${spelling},"x":[1e400,9007199254740993],"inputSchema":${schema}}`;
}

/** Of an upstream with this JSON array of tools. */
export function inventoryOf(tools: string): Inventory {
  const joined = locateLists(Buffer.from(tools));
  if (joined === undefined) throw new TypeError(`not a list of tools: ${tools}`);
  return readInventory(joined, 0);
}

export function listOf({ configName, tools }: Offer): Inventory | undefined {
  if (tools === null) return undefined;
  return inventoryOf(`[${tools.map((each) => toolText(configName, each)).join()}]`);
}

// What must come of it.

interface Expected {
  readonly canonicalName: string;
  readonly service: string;
  readonly configName: string;
  readonly tool: Tool;
}

export function serviceOf(configName: string): string {
  return configName.slice(0, configName.indexOf('-'));
}

/** Every tool that is to be listed, in order: grants in turn, the first of a name wins. */
export function expectedOf(list: readonly Offer[]): Expected[] {
  const expected = new Map<string, Expected>();
  for (const { configName, patterns: allowed, narrowing, tools, isSuspended } of list) {
    if (isSuspended || tools === null) continue;
    const service = serviceOf(configName);
    const usable = tools.filter(({ name, isBroken }) => EXPOSED.test(name) && !isBroken);
    for (const each of usable) {
      const canonicalName = `${service}.${each.name}`;
      if (!admits(allowed, service, each.name)) continue;
      if (narrowing !== null && !admits(narrowing, service, each.name)) continue;
      if (!expected.has(canonicalName)) expected.set(canonicalName, { canonicalName, service, configName, tool: each });
    }
  }
  return [...expected.values()];
}

/** Names that somebody might try: every name of every tool there is in every spelling, and what looks like one. */
export function probes(list: readonly Offer[], catalog: Catalog): Set<string> {
  const names = new Set([
    '',
    '.',
    'search',
    'git.',
    '.search',
    'git',
    'constructor',
    '__proto__',
    'toString',
    'git.search\n',
  ]);
  for (const style of NAME_STYLES) for (const spelling of catalog.spellings(style)) names.add(spelling);
  for (const { configName, tools } of list) {
    for (const service of new Set([serviceOf(configName), configName, 'git'])) {
      for (const { name } of tools ?? []) for (const each of likenessesOf(service, name)) names.add(each);
    }
  }
  return names;
}

/** By service and name: the same few come again and again, and writing them took longer than trying them. */
const likenesses = new Map<string, readonly string[]>();

function likenessesOf(service: string, name: string): readonly string[] {
  const key = JSON.stringify([service, name]);
  const known = likenesses.get(key);
  if (known !== undefined) return known;
  const spelled = [
    name,
    `${service}.${name}`,
    `${service}__${name}`,
    `${service}_${name}`,
    `${service}.${service}.${name}`,
  ];
  const made = spelled.flatMap((each) => [each, each.replaceAll('.', '_'), each.toUpperCase(), ` ${each}`]);
  likenesses.set(key, made);
  return made;
}
