// Reads the array of tools that an upstream lists, and that the store keeps of it.

import { setImmediate } from 'node:timers/promises';
import { textOf } from '../upstream/control-answer.ts';
import { findElements, findJsonProblem, findMembers } from '../upstream/loose-json.ts';
import { type LeftOutTool, type ListedTool, readListedTool } from './listed-tool.ts';

export interface ToolList {
  readonly tools: ReadonlyMap<string, ListedTool>;
  readonly leftOut: readonly LeftOutTool[];
  readonly fetchedAtMs: number;
}

const BYTES_AT_ONCE = 512 * 1024;
/** Containers around a tool in the answer to `tools/list`. */
const TOOL_DEPTH = 3;

/** Tools as one JSON array. */
export function joinArray(items: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from('[')];
  items.forEach((item, index) => {
    if (index > 0) parts.push(Buffer.from(','));
    parts.push(item);
  });
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}

/** Reads a JSON array of tools; one that cannot be read, or that no client could use, is left out, never the list. */
export function readToolArray(raw: Buffer, fetchedAtMs: number): ToolList | undefined {
  const spans = findElements(raw, 0);
  if (spans === undefined) return undefined;
  const list = emptyList(fetchedAtMs);
  for (const span of spans) addTool(list, raw.subarray(span.start, span.end));
  return list;
}

/** Reads what `joinArray` made of `items`, in turns with other work: the largest list takes half a second. */
export async function readJoined(raw: Buffer, items: readonly Buffer[], fetchedAtMs: number): Promise<ToolList> {
  const list = emptyList(fetchedAtMs);
  let at = 1;
  let pauseAt = BYTES_AT_ONCE;
  for (const { length } of items) {
    addTool(list, raw.subarray(at, at + length));
    at += length + 1;
    if (at < pauseAt) continue;
    pauseAt = at + BYTES_AT_ONCE;
    await setImmediate();
  }
  return list;
}

function emptyList(fetchedAtMs: number) {
  return { tools: new Map<string, ListedTool>(), leftOut: [] as LeftOutTool[], fetchedAtMs };
}

function addTool({ tools, leftOut }: ReturnType<typeof emptyList>, bytes: Buffer): void {
  const tool = readTool(bytes);
  if ('reason' in tool) leftOut.push(tool);
  else if (tools.has(tool.name)) leftOut.push({ name: tool.name, reason: 'the upstream lists it twice' });
  else tools.set(tool.name, tool);
}

function readTool(bytes: Buffer): ListedTool | LeftOutTool {
  const problem = findJsonProblem(bytes, TOOL_DEPTH);
  if (problem === undefined) return readListedTool(bytes);
  const name = textOf(bytes, findMembers(bytes, 0) ?? [], 'name') ?? '';
  return { name: name.slice(0, 128), reason: `it cannot be read: ${problem}` };
}
