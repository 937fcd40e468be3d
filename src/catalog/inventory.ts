// What an upstream lists, read: from its own answers, or from what the store keeps of them.

import { TimeSlice } from '../domain/time-slice.ts';
import type { Span } from '../protocol/json-scan.ts';
import { LIST_KINDS, type ListKind } from '../protocol/list-kind.ts';
import type { UpstreamAbout } from '../upstream/about.ts';
import { textOf } from '../upstream/control-answer.ts';
import { UpstreamError } from '../upstream/failure.ts';
import type { UpstreamLists } from '../upstream/inventory.ts';
import { findElements, findJsonProblem, findMembers } from '../upstream/loose-json.ts';
import {
  type ListedItem,
  type ListedTemplate,
  readListedPrompt,
  readListedResource,
  readListedTemplate,
} from './listed-item.ts';
import { type ListedTool, readListedTool } from './listed-tool.ts';
import type { Unusable } from './readable-members.ts';

export interface LeftOut extends Unusable {
  readonly kind: ListKind;
}

export interface Inventory {
  readonly tools: ReadonlyMap<string, ListedTool>;
  readonly prompts: ReadonlyMap<string, ListedItem>;
  /** By URI. */
  readonly resources: ReadonlyMap<string, ListedItem>;
  /** By their own text. */
  readonly templates: ReadonlyMap<string, ListedTemplate>;
  readonly leftOut: readonly LeftOut[];
  readonly about: UpstreamAbout | undefined;
  readonly fetchedAtMs: number;
}

/** The lists of an upstream as one JSON text, and where in it everything stands. */
export interface JoinedLists {
  readonly bytes: Buffer;
  readonly spans: Readonly<Record<ListKind, readonly Span[]>>;
  readonly about: UpstreamAbout | undefined;
}

const BYTES_AT_ONCE = 32 * 1024;
/** Containers around an object in the answer that lists it. */
const LIST_DEPTH = 3;

/** As an object of arrays, which `locateLists` reads. What could not be had stays as it was `before`. */
export function joinLists(lists: UpstreamLists, before?: JoinedLists): JoinedLists {
  const { about } = lists;
  const itemsOf = (kind: ListKind): readonly Buffer[] => {
    const list = lists[kind];
    if (!(list instanceof UpstreamError)) return list;
    return before?.spans[kind].map(({ start, end }) => before.bytes.subarray(start, end)) ?? [];
  };
  const parts: Buffer[] = [];
  let length = 0;
  const push = (part: Buffer): void => {
    parts.push(part);
    length += part.length;
  };
  push(Buffer.from(`{"about":${JSON.stringify(about ?? null)}`));
  const spansOf = (kind: ListKind): Span[] => {
    push(Buffer.from(`,"${kind}":[`));
    const spans = itemsOf(kind).map((item, index): Span => {
      if (index > 0) push(COMMA);
      push(item);
      return { start: length - item.length, end: length };
    });
    push(CLOSE);
    return spans;
  };
  const spans = Object.fromEntries(LIST_KINDS.map((kind) => [kind, spansOf(kind)])) as Record<ListKind, Span[]>;
  push(Buffer.from('}'));
  return { bytes: Buffer.concat(parts), spans, about };
}

const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');

/** Finds in a stored text what `joinLists` has joined; an array is the tools that an earlier version kept. */
export function locateLists(bytes: Buffer): JoinedLists | undefined {
  const tools = findElements(bytes, 0);
  if (tools !== undefined) {
    return { bytes, spans: { tools, prompts: [], resources: [], templates: [] }, about: undefined };
  }
  const members = findMembers(bytes, 0);
  if (members === undefined) return undefined;
  const at = new Map(members.map((member) => [member.key, member]));
  const spansOf = (kind: ListKind): readonly Span[] => findElements(bytes, at.get(kind)?.start ?? bytes.length) ?? [];
  const spans = Object.fromEntries(LIST_KINDS.map((kind) => [kind, spansOf(kind)])) as Record<ListKind, Span[]>;
  const about = at.get('about');
  const aboutText = about && bytes.subarray(about.start, about.end);
  if (aboutText === undefined || !at.has('tools') || findJsonProblem(aboutText, 1) !== undefined) return undefined;
  return { bytes, spans, about: JSON.parse(aboutText.toString('utf8')) ?? undefined };
}

/** What cannot be read, or what no client could use, is left out, never the list. */
export function readInventory(joined: JoinedLists, fetchedAtMs: number): Inventory {
  const steps = read(joined, fetchedAtMs);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same, in turns with other work: the largest list takes half a second, and a thousand lists may come at once. */
export async function readInventoryInTurns(
  joined: JoinedLists,
  fetchedAtMs: number,
  slice = new TimeSlice(),
): Promise<Inventory> {
  const steps = read(joined, fetchedAtMs);
  for (;;) {
    while (slice.isOver) await slice.rest();
    const step = steps.next();
    if (step.done) return step.value;
  }
}

interface Reading {
  readonly leftOut: LeftOut[];
  /** Bytes read since the last step. */
  bytes: number;
}

function* read(joined: JoinedLists, fetchedAtMs: number): Generator<void, Inventory> {
  const reading: Reading = { leftOut: [], bytes: 0 };
  return {
    tools: yield* readList(joined, 'tools', readListedTool, reading),
    prompts: yield* readList(joined, 'prompts', readListedPrompt, reading),
    resources: yield* readList(joined, 'resources', readListedResource, reading),
    templates: yield* readList(joined, 'templates', readListedTemplate, reading),
    leftOut: reading.leftOut,
    about: joined.about,
    fetchedAtMs,
  };
}

function* readList<T extends { readonly name: string }>(
  { bytes, spans }: JoinedLists,
  kind: ListKind,
  readItem: (bytes: Buffer) => T | Unusable,
  reading: Reading,
): Generator<void, ReadonlyMap<string, T>> {
  const items = new Map<string, T>();
  const leaveOut = ({ name, reason }: Unusable) => reading.leftOut.push({ kind, name: name.slice(0, 128), reason });
  for (const { start, end } of spans[kind]) {
    const item = readStrictly(bytes.subarray(start, end), readItem);
    if ('reason' in item) leaveOut(item);
    else if (items.has(item.name)) leaveOut({ name: item.name, reason: 'the upstream lists it twice' });
    else items.set(item.name, item);
    reading.bytes += end - start;
    if (reading.bytes < BYTES_AT_ONCE) continue;
    reading.bytes = 0;
    yield;
  }
  return items;
}

function readStrictly<T>(bytes: Buffer, readItem: (bytes: Buffer) => T | Unusable): T | Unusable {
  const problem = findJsonProblem(bytes, LIST_DEPTH);
  if (problem === undefined) return readItem(bytes);
  const members = findMembers(bytes, 0) ?? [];
  const name = textOf(bytes, members, 'name') ?? textOf(bytes, members, 'uri') ?? '';
  return { name, reason: `it cannot be read: ${problem}` };
}
