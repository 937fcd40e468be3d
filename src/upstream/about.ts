// What an upstream says of itself at `initialize` or `server/discover`: what it has beside tools, and how it wants to be
// used. Bounded, and what cannot be read is taken for not said.

import { APPS_EXTENSION } from '../protocol/client-capabilities.ts';
import { CLOSE_BRACE } from '../protocol/json-bytes.ts';
import { findMember, type Member } from '../protocol/json-scan.ts';
import { textOf } from './control-answer.ts';
import { findJsonProblem, findMembers } from './loose-json.ts';

export interface UpstreamAbout {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  /** Whether single resources can be subscribed to. */
  readonly subscribes: boolean;
  readonly completions: boolean;
  readonly logging: boolean;
  readonly instructions: string | undefined;
  /** `capabilities.extensions` as raw JSON, without those that do not cross the gateway. */
  readonly extensions: string | undefined;
}

/** Clients put instructions in front of every conversation with a model. */
export const MAX_INSTRUCTIONS_BYTES = 16 * 1024;
const MAX_EXTENSION_BYTES = 16 * 1024;
/** Extensions whose every message crosses: MCP Apps adds metadata and resources, and no method of its own. */
const PASSED_EXTENSIONS: readonly string[] = [APPS_EXTENSION];
/** Containers around an extension in the answer. */
const EXTENSION_DEPTH = 4;

/** Reads the result of `initialize` or `server/discover`, which is `members` in `bytes`. */
export function readAbout(bytes: Buffer, members: readonly Member[]): UpstreamAbout {
  const capabilities = membersAt(bytes, findMember(members, 'capabilities'));
  const has = (key: string): boolean => membersAt(bytes, findMember(capabilities ?? [], key)) !== undefined;
  const resources = membersAt(bytes, findMember(capabilities ?? [], 'resources')) ?? [];
  const subscribe = findMember(resources, 'subscribe');
  return {
    tools: has('tools'),
    prompts: has('prompts'),
    resources: has('resources'),
    subscribes: subscribe !== undefined && bytes.toString('latin1', subscribe.start, subscribe.end) === 'true',
    completions: has('completions'),
    logging: has('logging'),
    instructions: readInstructions(bytes, members),
    extensions: readExtensions(bytes, findMember(capabilities ?? [], 'extensions')),
  };
}

function membersAt(bytes: Buffer, at: Member | undefined): readonly Member[] | undefined {
  return at === undefined ? undefined : findMembers(bytes, at.start);
}

function readInstructions(bytes: Buffer, members: readonly Member[]): string | undefined {
  const text = textOf(bytes, members, 'instructions')?.toWellFormed();
  return text === undefined || text.trim() === '' ? undefined : cutText(text, MAX_INSTRUCTIONS_BYTES);
}

function readExtensions(bytes: Buffer, at: Member | undefined): string | undefined {
  const passed = (membersAt(bytes, at) ?? []).filter(({ key, start, end }) => {
    const isPassed = PASSED_EXTENSIONS.includes(key) && bytes[end - 1] === CLOSE_BRACE;
    const value = bytes.subarray(start, end);
    return isPassed && value.length <= MAX_EXTENSION_BYTES && findJsonProblem(value, EXTENSION_DEPTH) === undefined;
  });
  if (passed.length === 0) return undefined;
  return `{${passed.map(({ key, start, end }) => `"${key}":${bytes.toString('utf8', start, end)}`).join(',')}}`;
}

/** The text, or as much of it as fits into so many bytes of UTF-8 with a mark behind it that something is missing. */
export function cutText(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = Math.max(maxBytes - Buffer.byteLength(CUT_MARK), 0);
  // Never inside a character: its further bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end) + CUT_MARK;
}

const CUT_MARK = ' … [cut]';
