// Rewrites a client's `tools/call` into the one its upstream is sent: new id, upstream name, progress token, and the
// `_meta` envelope of the upstream's era. `arguments` and everything unknown stay the bytes they were.

import {
  type Era,
  META_CLIENT_CAPABILITIES,
  META_CLIENT_INFO,
  META_LOG_LEVEL,
  META_PROTOCOL_VERSION,
  MODERN_REVISION,
} from './era.ts';
import { findMember } from './json-scan.ts';
import type { Message } from './jsonrpc.ts';
import { type Edit, splice, toText } from './splice.ts';

/** Keys that belong to one hop: each hop authors its own (2026-07-28 basic/index#meta). */
const ENVELOPE_KEYS: ReadonlySet<string> = new Set([
  META_PROTOCOL_VERSION,
  META_CLIENT_CAPABILITIES,
  META_CLIENT_INFO,
  META_LOG_LEVEL,
]);

export interface CallRewrite {
  readonly clientEra: Era;
  readonly upstreamEra: Era;
  /** Without quotes; also stands in for the client's progress token. */
  readonly upstreamId: string;
  readonly upstreamName: string;
  /** `Implementation` as raw ASCII JSON, for upstreams that must be told who calls where the client did not say. */
  readonly clientInfo: string;
}

/** The upstream's request body. `message` must be a request with an `id` and a string `params.name`. */
export function rewriteCall(message: Message, rewrite: CallRewrite): Buffer {
  const quotedId = `"${rewrite.upstreamId}"`;
  const edits: Edit[] = [];
  const { id, paramsAt } = message;
  const name = findMember(message.params, 'name');
  if (id !== undefined) edits.push({ start: id.start, end: id.end, text: quotedId });
  if (name !== undefined) edits.push({ start: name.start, end: name.end, text: `"${rewrite.upstreamName}"` });
  if (rewrite.clientEra === rewrite.upstreamEra) {
    const token = findMember(message.meta, 'progressToken');
    if (token !== undefined) edits.push({ start: token.start, end: token.end, text: quotedId });
    if (rewrite.clientEra === 'modern') declareNoCapabilities(message, edits);
  } else if (message.metaAt !== undefined) {
    edits.push({ start: message.metaAt.start, end: message.metaAt.end, text: rebuildMeta(message, rewrite) });
  } else if (rewrite.upstreamEra === 'modern' && paramsAt !== undefined) {
    // `params` holds at least `name`, so a comma is due.
    const at = paramsAt.start + 1;
    edits.push({ start: at, end: at, text: `"_meta":{${envelope(rewrite.clientInfo)}},` });
  }
  return splice(message.bytes, inOrder(edits));
}

/** What the client can do is not what this hop can relay: server-initiated requests are declared per hop. */
function declareNoCapabilities(message: Message, edits: Edit[]): void {
  const declared = findMember(message.meta, META_CLIENT_CAPABILITIES);
  if (declared !== undefined) edits.push({ start: declared.start, end: declared.end, text: '{}' });
}

function rebuildMeta(message: Message, rewrite: CallRewrite): string {
  const members = rewrite.upstreamEra === 'modern' ? [envelope(rewrite.clientInfo)] : [];
  for (const { key, keyStart, end } of message.meta) {
    if (ENVELOPE_KEYS.has(key)) continue;
    members.push(
      key === 'progressToken' ? `"progressToken":"${rewrite.upstreamId}"` : toText(message.bytes, keyStart, end),
    );
  }
  return `{${members.join(',')}}`;
}

function envelope(clientInfo: string): string {
  return `"${META_PROTOCOL_VERSION}":"${MODERN_REVISION}","${META_CLIENT_CAPABILITIES}":{},"${META_CLIENT_INFO}":${clientInfo}`;
}

/** Sorts in place; two or three edits, mostly in order already, are too few for the library's sort. */
function inOrder(edits: Edit[]): Edit[] {
  for (let from = 1; from < edits.length; from++) {
    const edit = edits[from] as Edit;
    let at = from;
    for (; at > 0 && (edits[at - 1] as Edit).start > edit.start; at--) edits[at] = edits[at - 1] as Edit;
    edits[at] = edit;
  }
  return edits;
}
