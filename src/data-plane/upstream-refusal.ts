// What an upstream's HTTP status other than 200 says: that it has forgotten us, that its handler made an error of its
// own, or that it failed.

import { findMember, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { rawText } from '../protocol/jsonrpc.ts';
import { saysForgotten } from '../upstream/forgotten.ts';
import type { Link } from '../upstream/handshake.ts';
import type { AnswerFailure } from './answer-reader.ts';
import { readRequired } from './unasked.ts';

const HEADER_MISMATCH = -32020;
const MISSING_CLIENT_CAPABILITY = -32021;
const UNSUPPORTED_PROTOCOL_VERSION = -32022;

const NO_BYTES = Buffer.alloc(0);

/**
 * `forgotten`: it knows nothing of our conversation, and so has certainly not run the call. `answer`: the body is the
 * error its handler made. `isStale`: it finds fault with headers that were made from the list it gave us. `required`: what
 * a client would have to declare, as raw JSON.
 */
export type UpstreamRefusal =
  | 'forgotten'
  | 'answer'
  | { readonly failure: AnswerFailure; readonly isStale?: boolean; readonly required?: string };

/** Reads the answer to the request `upstreamId`. */
export function readRefusal(link: Link, upstreamId: string, status: number, body: Buffer): UpstreamRefusal {
  const error = status >= 400 && status < 500 ? readError(body) : [];
  const codeAt = findMember(error, 'code');
  const code = codeAt === undefined ? undefined : Number(rawText(body, codeAt));
  // Who names our request has read it, and may have run it: an error of a tool that works with sessions is no lost session.
  const isOurs = body.includes(upstreamId);
  if (isForgotten(link, status, code, isOurs ? NO_BYTES : body)) return 'forgotten';
  if (status === 401 || status === 403) {
    return failed('credential_refused', 'it refused the credential this gateway holds for it');
  }
  if (status === 429) return failed('rate_limited', 'it limits the rate of calls');
  if (code === HEADER_MISMATCH) {
    const message = 'it has changed this tool, and is asked for its tools again; list them and repeat the call';
    return { failure: { reason: 'broken_answer', message }, isStale: true };
  }
  if (code === MISSING_CLIENT_CAPABILITY) {
    const message = 'it needs a client that it can ask for something, which this one has not declared';
    return { failure: { reason: 'broken_answer', message }, required: readRequired(body, error) };
  }
  // That one, and again after another handshake, speaks of the hop between gateway and upstream, not of the client's call.
  if (code !== undefined && code !== UNSUPPORTED_PROTOCOL_VERSION) return 'answer';
  if (status >= 300) return failed('bad_status', `it answered HTTP ${status}`);
  return failed('broken_answer', `it answered HTTP ${status} and no result`);
}

function failed(reason: AnswerFailure['reason'], message: string): UpstreamRefusal {
  return { failure: { reason, message } };
}

function isForgotten(link: Link, status: number, code: number | undefined, body: Buffer): boolean {
  if (link.era === 'modern') return status === 400 && code === UNSUPPORTED_PROTOCOL_VERSION;
  return (link.sessionId !== undefined || status === 400) && saysForgotten(status, body);
}

/** The members of `error` of a JSON-RPC error answer; none of anything else. */
export function readError(body: Buffer): Member[] {
  const scan = new JsonScanner(body);
  const error: Member[] = [];
  return scan.readMembers(scan.skipSpace(0), 0, [], { key: 'error', into: error }) < 0 ? [] : error;
}
