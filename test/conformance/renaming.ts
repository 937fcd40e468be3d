// Names as the suite says them and as the merged endpoint spells them: the suite's `test_x` is `conf.test_x` there.

import { Buffer } from 'node:buffer';

type Members = Record<string, unknown>;

const SENTINEL = /^=\?base64\?(.*)\?=$/;
/** Methods whose `params.name`, and whose `Mcp-Name`, is the name of a tool or of a prompt. */
const NAMED = new Set(['tools/call', 'prompts/get']);

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Puts `prefix` before the name of the tool or the prompt a message is about; tells whether there was one. */
export function addPrefix(message: unknown, prefix: string): boolean {
  if (Array.isArray(message)) return message.map((each) => addPrefix(each, prefix)).includes(true);
  if (!isObject(message) || !isObject(message.params)) return false;
  const { params } = message;
  const named = NAMED.has(String(message.method)) ? params : params.ref;
  if (!isObject(named) || typeof named.name !== 'string') return false;
  named.name = prefix + named.name;
  return true;
}

/** Takes `prefix` from the names in a list result; tells whether there was one. */
export function removePrefix(message: unknown, prefix: string): boolean {
  if (Array.isArray(message)) return message.map((each) => removePrefix(each, prefix)).includes(true);
  if (!isObject(message) || !isObject(message.result)) return false;
  const { tools, prompts } = message.result;
  let isChanged = false;
  for (const entry of [tools, prompts].flat()) {
    if (!isObject(entry) || typeof entry.name !== 'string' || !entry.name.startsWith(prefix)) continue;
    entry.name = entry.name.slice(prefix.length);
    isChanged = true;
  }
  return isChanged;
}

/** `Mcp-Name` of a request whose `Mcp-Method` is `method`. A value that is no valid sentinel is a literal, as in the specification. */
export function prefixHeader(value: string, method: string | undefined, prefix: string): string {
  if (method === undefined || !NAMED.has(method)) return value;
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return prefix + value;
  const decoded = Buffer.from(encoded, 'base64');
  // What does not decode is to be refused by the gateway, as it came.
  if (decoded.toString('base64') !== encoded) return value;
  return `=?base64?${Buffer.concat([Buffer.from(prefix), decoded]).toString('base64')}?=`;
}

/** `text` with its names changed by `rename`; the very same text when there was nothing to change. */
export function renameText(text: string, rename: (message: unknown) => boolean): string {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return text;
  }
  return rename(message) ? JSON.stringify(message) : text;
}

/** Renames in an event stream as it comes: whole lines leave at once, a line that has begun waits for its end. */
export function createEventRenamer(rename: (message: unknown) => boolean): (chunk: string) => string {
  let begun = '';
  return (chunk) => {
    const lines = (begun + chunk).split('\n');
    begun = lines.pop() ?? '';
    return lines.map((line) => `${renameLine(line, rename)}\n`).join('');
  };
}

function renameLine(line: string, rename: (message: unknown) => boolean): string {
  const [, field, data = '', end = ''] = /^(data: ?)(.*?)(\r?)$/.exec(line) ?? [];
  return field === undefined ? line : `${field}${renameText(data, rename)}${end}`;
}
