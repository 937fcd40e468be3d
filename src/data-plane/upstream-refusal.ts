// What an upstream's HTTP error says: that it has forgotten us, or that its handler made an error of its own.

import { findMember, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { rawText } from '../protocol/jsonrpc.ts';
import type { Link } from '../upstream/handshake.ts';

/** Texts of the SDKs' servers for a session they do not have (400, where the specification asks for 404). */
const FORGETFUL = /session|not initialized/i;
const UNSUPPORTED_PROTOCOL_VERSION = -32022;

/** Whether the upstream says that it knows nothing of our conversation, and so has certainly not run the call. */
export function isForgotten(link: Link, status: number, body: Buffer): boolean {
  if (link.era === 'modern') return status === 400 && readErrorCode(body) === UNSUPPORTED_PROTOCOL_VERSION;
  if (link.sessionId !== undefined && (status === 404 || status === 410)) return true;
  return status === 400 && FORGETFUL.test(body.toString('latin1', 0, 1024));
}

/** Whether a body is a JSON-RPC error made by the upstream's handler; codes of the protocol's hop are not the client's. */
export function isHandlersError(body: Buffer): boolean {
  const code = readErrorCode(body);
  return code !== undefined && (code > -32020 || code < -32099);
}

/** `error.code` of a JSON-RPC error answer. */
function readErrorCode(body: Buffer): number | undefined {
  const scan = new JsonScanner(body);
  const members: Member[] = [];
  if (scan.readMembers(scan.skipSpace(0), 0, members) < 0) return undefined;
  const error = findMember(members, 'error');
  const inside: Member[] = [];
  if (error === undefined || scan.readMembers(error.start, 1, inside) < 0) return undefined;
  const code = findMember(inside, 'code');
  return code === undefined ? undefined : Number(rawText(body, code));
}
