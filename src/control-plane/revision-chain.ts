// Revisions as a chain: each has a MAC over the one before it and its own text, under a key that the database does not
// hold, so that who can write to the database can neither edit a record nor leave one out unseen.

import { createHmac } from 'node:crypto';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Revision } from '../domain/revision.ts';
import type { StoredRevision } from '../store/store.ts';

/** Where a chain is continued. */
export type ChainLink = Pick<StoredRevision, 'sequence' | 'mac'>;

/** The next link of an account's chain; `last` is `undefined` for the first. */
export function toStoredRevision(
  key: Buffer,
  account: AccountId,
  last: ChainLink | undefined,
  rest: Omit<Revision, 'sequence'>,
): StoredRevision {
  const revision: Revision = { sequence: (last?.sequence ?? 0) + 1, ...rest };
  const content = JSON.stringify(revision);
  return {
    sequence: revision.sequence,
    timeMs: revision.timeMs,
    actorId: revision.actor.id,
    action: revision.action,
    objectKind: revision.objectKind,
    objectId: revision.objectId,
    objectRevision: revision.revision,
    content,
    mac: toMac(key, account, last?.mac ?? '', content),
  };
}

/** What is wrong with the link after `last`, if anything is. */
export function findChainProblem(
  key: Buffer,
  account: AccountId,
  last: ChainLink | undefined,
  stored: StoredRevision,
): string | undefined {
  const expected = (last?.sequence ?? 0) + 1;
  if (stored.sequence !== expected) return `revision ${expected} is missing: ${stored.sequence} follows`;
  if (stored.mac !== toMac(key, account, last?.mac ?? '', stored.content)) {
    return `revision ${stored.sequence} is not what was written, or not in its place`;
  }
  // The columns are what it is found by, and outside the MAC.
  const { timeMs, actor, action, objectKind, objectId, revision, sequence } = readRevision(stored);
  const isFound =
    sequence === stored.sequence &&
    timeMs === stored.timeMs &&
    actor.id === stored.actorId &&
    action === stored.action &&
    objectKind === stored.objectKind &&
    objectId === stored.objectId &&
    revision === stored.objectRevision;
  return isFound ? undefined : `revision ${stored.sequence} was moved: its columns are not those of its text`;
}

export function readRevision({ content }: Pick<StoredRevision, 'content'>): Revision {
  return JSON.parse(content) as Revision;
}

/** Lengths are implied: a MAC is 64 characters or none, and an account's id holds no line break. */
function toMac(key: Buffer, account: AccountId, before: string, content: string): string {
  return createHmac('sha256', key).update(`changes\n${account}\n${before}\n${content}`).digest('hex');
}
