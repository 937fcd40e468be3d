// A prompt, a resource or a resource template of an upstream, as bytes and the edits that make it fit for clients. One
// that is malformed is repaired where that takes nothing from it, or left out and reported, as tools are.

import { isUpstreamToolName } from '../domain/tool-name.ts';
import { findMember, isObjectAt, JsonScanner, type Member, type Span, stringAt } from '../protocol/json-scan.ts';
import type { Edit } from '../protocol/splice.ts';
import { findElements } from '../upstream/loose-json.ts';
import {
  type Checks,
  cutUnreadable,
  isBoolean,
  isIcons,
  isNumber,
  isPlainObject,
  isString,
  isTime,
  type Unusable,
} from './readable-members.ts';
import { compileUriTemplate, type UriTemplate } from './uri-template.ts';

export interface ListedItem {
  /** What clients ask for it by: a prompt's name, a resource's URI, a template's own text. */
  readonly name: string;
  /** Its object as the upstream sent it. */
  readonly bytes: Buffer;
  /** Where the value that names it stands, quotes included. */
  readonly nameAt: Span;
  /** What is mended for every client; sorted. */
  readonly repairs: readonly Edit[];
}

export interface ListedTemplate extends ListedItem, UriTemplate {}

/** A larger one would cost every client its context, whatever it describes. */
const MAX_ITEM_BYTES = 1024 * 1024;
const MAX_URI_LENGTH = 4096;

const COMMON = new Map<string, (value: unknown) => boolean>([
  ['title', isString],
  ['description', isString],
  ['icons', isIcons],
  ['_meta', isPlainObject],
]);
const RESOURCE: Checks = new Map<string, (value: unknown) => boolean>([
  ...COMMON,
  ['mimeType', isString],
  ['size', isNumber],
  ['annotations', isPlainObject],
]);
const ANNOTATIONS: Checks = new Map([
  ['audience', isAudience],
  ['priority', (value) => isNumber(value) && value >= 0 && value <= 1],
  ['lastModified', isTime],
]);
const ARGUMENT: Checks = new Map<string, (value: unknown) => boolean>([
  ['title', isString],
  ['description', isString],
  ['required', isBoolean],
]);

export function readListedPrompt(bytes: Buffer): ListedItem | Unusable {
  const item = readItem(bytes, 'name', COMMON);
  if ('reason' in item) return item;
  const { parsed, members, edits, ...rest } = item;
  if (!isUpstreamToolName(item.name)) return leftOut(item, 'its name is not 1 to 128 of A-Z a-z 0-9 _ . -');
  const argumentEdits = readArguments(bytes, findMember(members, 'arguments'), parsed.arguments);
  if (isString(argumentEdits)) return leftOut(item, argumentEdits);
  return { ...rest, repairs: [...edits, ...argumentEdits].sort((a, b) => a.start - b.start) };
}

export function readListedResource(bytes: Buffer): ListedItem | Unusable {
  return readNamedByUri(bytes, 'uri');
}

export function readListedTemplate(bytes: Buffer): ListedTemplate | Unusable {
  const item = readNamedByUri(bytes, 'uriTemplate');
  if ('reason' in item) return item;
  const template = compileUriTemplate(item.name);
  return template === undefined
    ? leftOut(item, "its 'uriTemplate' is none of RFC 6570, or is larger than one can be")
    : { ...item, ...template };
}

interface ReadItem extends Omit<ListedItem, 'repairs'> {
  readonly members: readonly Member[];
  /** A copy for looking only: what clients get is cut from the bytes. */
  readonly parsed: Readonly<Record<string, unknown>>;
  readonly edits: readonly Edit[];
}

/** What all three have in common; `key` is the member that names the object. */
function readItem(bytes: Buffer, key: string, checks: Checks): ReadItem | Unusable {
  const members: Member[] = [];
  if (!isObjectAt(bytes, 0) || new JsonScanner(bytes).readMembers(0, 1, members) < 0) {
    return { name: '', reason: 'it is no JSON object, or has a key twice' };
  }
  const nameAt = findMember(members, key);
  const name = nameAt === undefined ? undefined : stringAt(bytes, nameAt);
  if (nameAt === undefined || name === undefined) return { name: '', reason: `it has no '${key}'` };
  if (bytes.length > MAX_ITEM_BYTES) return { name, reason: `it is larger than ${MAX_ITEM_BYTES} bytes` };
  // A client that ignores case would show it under another name, or read another resource.
  if (members.some((member) => member.key !== key && member.key.toLowerCase() === key.toLowerCase())) {
    return { name, reason: `it has a second key that differs from '${key}' in case only` };
  }
  const parsed: Record<string, unknown> = JSON.parse(bytes.toString('utf8'));
  const edits = cutUnreadable(bytes, { start: 0 }, parsed, checks) ?? [];
  return { name, bytes, nameAt: { start: nameAt.start, end: nameAt.end }, members, parsed, edits };
}

function readNamedByUri(bytes: Buffer, key: 'uri' | 'uriTemplate'): ListedItem | Unusable {
  const item = readItem(bytes, key, RESOURCE);
  if ('reason' in item) return item;
  const { parsed, members, edits, ...rest } = item;
  if (item.name === '' || item.name.length > MAX_URI_LENGTH || UNSENDABLE.test(item.name)) {
    return leftOut(item, `its '${key}' is not 1 to ${MAX_URI_LENGTH} characters without control characters`);
  }
  if (!isString(parsed.name)) return leftOut(item, "it has no 'name'");
  const at = findMember(members, 'annotations');
  const isCut = at === undefined || !isPlainObject(parsed.annotations);
  const inner = isCut ? [] : cutUnreadable(bytes, at, parsed.annotations as Record<string, unknown>, ANNOTATIONS);
  if (inner === undefined) return leftOut(item, "its 'annotations' have a key twice");
  return { ...rest, repairs: [...edits, ...inner].sort((a, b) => a.start - b.start) };
}

/** Nobody can ask for a name that holds half a character. */
const UNSENDABLE = /[\p{Cc}\p{Surrogate}]/u;

/** The edits that let clients read a prompt's arguments, or why no client could. */
function readArguments(bytes: Buffer, at: Member | undefined, parsed: unknown): Edit[] | string {
  if (at === undefined) return [];
  const spans = findElements(bytes, at.start);
  if (spans === undefined || !Array.isArray(parsed)) return "its 'arguments' are no list";
  const edits: Edit[] = [];
  for (const [index, span] of spans.entries()) {
    const argument: unknown = parsed[index];
    if (!isPlainObject(argument) || !isString(argument.name)) return "one of its 'arguments' has no name";
    const inner = cutUnreadable(bytes, span, argument, ARGUMENT);
    if (inner === undefined) return "one of its 'arguments' has a key twice";
    edits.push(...inner);
  }
  return edits;
}

function isAudience(value: unknown): boolean {
  return Array.isArray(value) && value.every((role) => role === 'user' || role === 'assistant');
}

function leftOut({ name }: Pick<ListedItem, 'name'>, reason: string): Unusable {
  return { name, reason };
}
