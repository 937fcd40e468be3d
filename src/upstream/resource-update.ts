// The params of `notifications/resources/updated` as they go on to clients: without the id of the upstream's own listen.

import { META_SUBSCRIPTION_ID } from '../protocol/era.ts';
import { findMember } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { removeMembers, splice } from '../protocol/splice.ts';

/** Of larger params only the URI goes on: they may have to be held for many clients that read slowly. */
const MAX_PARAMS_BYTES = 16 * 1024;

/** Copies the params, so that the message they came in is not held; only the subscription id is cut out. */
export function readUpdate({ bytes, paramsAt, params, metaAt, meta }: Message, uri: string): Buffer {
  if (paramsAt === undefined || paramsAt.end - paramsAt.start > MAX_PARAMS_BYTES) return toUpdate(uri);
  const own = Buffer.from(bytes.subarray(paramsAt.start, paramsAt.end));
  if (metaAt === undefined || findMember(meta, META_SUBSCRIPTION_ID) === undefined) return own;
  const edits =
    meta.length === 1
      ? removeMembers(params, (member) => member === metaAt)
      : removeMembers(meta, ({ key }) => key === META_SUBSCRIPTION_ID);
  const { start } = paramsAt;
  return splice(
    own,
    edits.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start })),
  );
}

/** The params of an update of which only the URI is known. */
export function toUpdate(uri: string): Buffer {
  return Buffer.from(`{"uri":${JSON.stringify(uri)}}`);
}
