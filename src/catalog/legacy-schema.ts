// What is changed in a tool's schemas so that clients of revisions before 2026-07-28 can read them: one schema that they
// cannot read costs them the whole list.

import { findMember, isObjectAt, JsonScanner, type Member, type Span } from '../protocol/json-scan.ts';
import { type Edit, removeMembers, spliceText, toText } from '../protocol/splice.ts';
import { isCompilable } from './output-schema.ts';

/** Clients of SDK v2 refuse a number that is infinite to them; as a limit, this one lets the same values pass. */
const LARGEST_NUMBER = '1.7976931348623157e308';

/** What every number beyond the largest has in it, and hardly any schema. */
const MAY_BE_INFINITE = /[eE]\+?0*\d{3}|\d{200}/;

export interface LegacyOutput {
  /** `undefined` when the schema must be withheld. */
  readonly edits: readonly Edit[] | undefined;
  /** Whether it is shown as an object's `result`, so that results must be, too. */
  readonly wraps: boolean;
}

/**
 * Before 2026-07-28 an output schema is one of an object: others are wrapped, and so is what they describe. A client has
 * one registry of `$id`s for all tools, in which another upstream's schema could stand under the same one: it is cut.
 */
export function readLegacyOutput(bytes: Buffer, at: Member, schema: Readonly<Record<string, unknown>>): LegacyOutput {
  const members: Member[] = [];
  const isReadable = new JsonScanner(bytes).readMembers(at.start, 2, members) >= 0;
  const address = removeMembers(members, ({ key }) => key === '$id');
  if (schema.type === 'object' && isRequired(schema.required)) {
    const edits = editProperties(bytes, at);
    const { $id, ...shown } = schema;
    if (edits !== undefined) return { edits: isCompilable(shown) ? [...address, ...edits] : undefined, wraps: false };
  }
  if (!isReadable) return { edits: undefined, wraps: true };
  const inner = spliceText(toText(bytes, 0, at.end), [...address, ...finiteNumbers(bytes, at)].sort(byPlace));
  const text = `{"type":"object","properties":{"result":${moveReferences(inner.slice(at.start))}},"required":["result"]}`;
  const shown = JSON.parse(Buffer.from(text, 'latin1').toString('utf8'));
  return { edits: isCompilable(shown) ? [{ start: at.start, end: at.end, text }] : undefined, wraps: true };
}

/** Mends the properties of an object's schema: booleans are written as the objects they stand for. `undefined` when there are no properties to mend. */
export function editProperties(bytes: Buffer, schemaAt: Member): Edit[] | undefined {
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  if (scan.readMembers(schemaAt.start, 2, members) < 0) return undefined;
  const properties = findMember(members, 'properties');
  if (properties === undefined) return [];
  const inside: Member[] = [];
  if (!isObjectAt(bytes, properties.start) || scan.readMembers(properties.start, 3, inside) < 0) return undefined;
  const edits = finiteNumbers(bytes, properties);
  for (const { start, end } of inside) {
    const raw = toText(bytes, start, Math.min(end, start + 5));
    if (raw === 'true' || raw === 'false') edits.push({ start, end, text: raw === 'true' ? '{}' : '{"not":{}}' });
    else if (!isObjectAt(bytes, start)) return undefined;
  }
  return edits;
}

export function isRequired(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
}

/** Local references of a schema that has moved below `properties.result`; PHP writes `#\/$defs`. */
function moveReferences(schema: string): string {
  return schema.replace(/("\$(?:ref|dynamicRef)"\s*:\s*"#)(?=\\?\/|")/g, '$1/properties/result');
}

function finiteNumbers(bytes: Buffer, { start, end }: Span): Edit[] {
  const text = toText(bytes, start, end);
  if (!MAY_BE_INFINITE.test(text)) return [];
  // Strings are taken whole, so that no number is found inside one.
  return [...text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g)]
    .filter(([token]) => !token.startsWith('"') && !Number.isFinite(Number(token)))
    .map(({ 0: token, index }) => ({
      start: start + index,
      end: start + index + token.length,
      text: token.startsWith('-') ? `-${LARGEST_NUMBER}` : LARGEST_NUMBER,
    }));
}

function byPlace(one: Edit, other: Edit): number {
  return one.start - other.start;
}
