// `notifications/resources/updated`, as it goes on to those who subscribed: under no subscription id but their own.

import { findMember } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { removeMembers, splice } from '../protocol/splice.ts';
import { META_SUBSCRIPTION_ID } from './watch-listen.ts';

/** Of more, only the URI goes on: it would be held for every client that is slow. */
const MAX_PARAMS_BYTES = 16 * 1024;

/** The `params` of an update as bytes of their own; nothing but the upstream's subscription id is missing. */
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

/** The `params` of an update of which nothing more is known. */
export function toUpdate(uri: string): Buffer {
  return Buffer.from(`{"uri":${JSON.stringify(uri)}}`);
}
