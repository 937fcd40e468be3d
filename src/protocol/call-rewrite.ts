// Rewrites a client's request into the one its upstream is sent: new id, the upstream's own name, progress token, and the
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
import { type Edit, type Pieces, splicePieces, toText } from './splice.ts';

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
  /** Puts the upstream's own name in the place of the client's, where they may differ. */
  readonly rename: Edit | undefined;
  /** Puts a state that the upstream gave in the place of the one its client was given. */
  readonly state: Edit | undefined;
  /** `Implementation` as raw ASCII JSON, for upstreams that must be told who calls where the client did not say. */
  readonly clientInfo: string;
  /** What a modern upstream is told that the client can be asked: `ClientCapabilities` as raw ASCII JSON. */
  readonly capabilities: string;
  /** The log level of a legacy client's session, for a modern upstream. */
  readonly logLevel: string | undefined;
}

/** The upstream's request body. `message` must be a request with an `id` and at least one member in `params`. */
export function rewriteCall(message: Message, rewrite: CallRewrite): Pieces {
  const quotedId = `"${rewrite.upstreamId}"`;
  const edits: Edit[] = [];
  const { id, paramsAt } = message;
  if (id !== undefined) edits.push({ start: id.start, end: id.end, text: quotedId });
  if (rewrite.rename !== undefined) edits.push(rewrite.rename);
  if (rewrite.state !== undefined) edits.push(rewrite.state);
  if (rewrite.clientEra === rewrite.upstreamEra) {
    const token = findMember(message.meta, 'progressToken');
    if (token !== undefined) edits.push({ start: token.start, end: token.end, text: quotedId });
    if (rewrite.clientEra === 'modern') declareCapabilities(message, rewrite.capabilities, edits);
  } else if (message.metaAt !== undefined) {
    edits.push({ start: message.metaAt.start, end: message.metaAt.end, text: rebuildMeta(message, rewrite) });
  } else if (rewrite.upstreamEra === 'modern' && paramsAt !== undefined) {
    const at = paramsAt.start + 1;
    edits.push({ start: at, end: at, text: `"_meta":{${envelope(rewrite)}},` });
  }
  return splicePieces(message.bytes, inOrder(edits));
}

/** What the client can be asked is not what this hop can relay: capabilities are declared per hop. */
function declareCapabilities(message: Message, text: string, edits: Edit[]): void {
  const declared = findMember(message.meta, META_CLIENT_CAPABILITIES);
  if (declared === undefined) return;
  const { start, end } = declared;
  // Nothing declared and nothing to declare: what most calls say.
  if (text.length === 2 && end - start === 2) return;
  edits.push({ start, end, text });
}

function rebuildMeta(message: Message, rewrite: CallRewrite): string {
  const members = rewrite.upstreamEra === 'modern' ? [envelope(rewrite)] : [];
  for (const { key, keyStart, end } of message.meta) {
    if (ENVELOPE_KEYS.has(key)) continue;
    members.push(
      key === 'progressToken' ? `"progressToken":"${rewrite.upstreamId}"` : toText(message.bytes, keyStart, end),
    );
  }
  return `{${members.join(',')}}`;
}

function envelope({ clientInfo, capabilities, logLevel }: CallRewrite): string {
  const logs = logLevel === undefined ? '' : `,"${META_LOG_LEVEL}":"${logLevel}"`;
  return `"${META_PROTOCOL_VERSION}":"${MODERN_REVISION}","${META_CLIENT_CAPABILITIES}":${capabilities},"${META_CLIENT_INFO}":${clientInfo}${logs}`;
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
