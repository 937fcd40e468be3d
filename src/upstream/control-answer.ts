// The answer to one of the gateway's own requests. Only its outline is read here: of a list of thousands of tools, one
// that is broken must not cost the others.

import { findMember, type Member } from '../protocol/json-scan.ts';
import { findMembers, readString, skipSpace } from './loose-json.ts';

export interface RpcAnswer {
  readonly bytes: Buffer;
  /** The members of the `result` object; `undefined` for an error. What they hold is unchecked. */
  readonly result: readonly Member[] | undefined;
}

/**
 * Reads a body, or the data of one event, as the answer to the request `id`. `undefined` is no answer: something else,
 * or an error of somebody who could not tell which request it belongs to.
 */
export function readAnswer(bytes: Buffer, id: string, status: number): RpcAnswer | 'misdirected' | undefined {
  const members = findMembers(bytes, skipSpace(bytes, 0));
  if (members === undefined || textOf(bytes, members, 'jsonrpc') !== '2.0') return undefined;
  const result = findMember(members, 'result');
  const isError = findMember(members, 'error') !== undefined;
  if (findMember(members, 'method') !== undefined || (result !== undefined) === isError) return undefined;
  if (textOf(bytes, members, 'id') !== id) {
    return isError && isUnaddressed(bytes, members, status) ? undefined : 'misdirected';
  }
  return { bytes, result: result && (findMembers(bytes, result.start) ?? []) };
}

/** The string under `key`, or `undefined`. */
export function textOf(bytes: Buffer, members: readonly Member[], key: string): string | undefined {
  const member = findMember(members, key);
  return member && readString(bytes, member);
}

/** JSON-RPC 2.0 §5 has `null` for an id that could not be read; with an HTTP error SDK servers write words of their own. */
function isUnaddressed(bytes: Buffer, members: readonly Member[], status: number): boolean {
  const id = findMember(members, 'id');
  return status !== 200 || id === undefined || bytes.toString('latin1', id.start, id.end) === 'null';
}
