// Finds what was done to the record of writes from outside: edited, deleted, inserted, reordered or cut off.

import type { AccountId } from '../domain/mcp-config.ts';
import type { Store, StoredRevision } from '../store/store.ts';
import { type ChainLink, findChainProblem } from './revision-chain.ts';

export interface ChangesVerdict {
  readonly revisions: number;
  /** Newest first. */
  readonly problems: readonly string[];
  /** The newest link, to be kept where the database's owner cannot write. */
  readonly head: ChainLink | undefined;
}

const PAGE = 1000;
/** Behind the first few problems the rest are their echo. */
const MAX_PROBLEMS = 20;

/**
 * Walks an account's chain from its newest link to its first. Without `checkpoint`, a link known from outside, a chain
 * whose newest links are cut off is whole.
 */
export async function verifyChanges(
  store: Pick<Store, 'readRevisions'>,
  key: Buffer,
  account: AccountId,
  checkpoint?: ChainLink,
): Promise<ChangesVerdict> {
  const problems: string[] = [];
  let newer: StoredRevision | undefined;
  let head: ChainLink | undefined;
  let revisions = 0;
  for (;;) {
    const page = await store.readRevisions(account, { limit: PAGE, before: newer?.sequence });
    for (const stored of page) {
      head ??= { sequence: stored.sequence, mac: stored.mac };
      if (stored.sequence === checkpoint?.sequence && stored.mac !== checkpoint.mac) {
        problems.push(`revision ${stored.sequence} is not the one that the checkpoint knows`);
      }
      if (newer !== undefined) judge(newer, stored);
      newer = stored;
      revisions++;
    }
    if (page.length < PAGE || problems.length >= MAX_PROBLEMS) break;
  }
  if (newer !== undefined) judge(newer, undefined);
  if (checkpoint !== undefined && (head?.sequence ?? 0) < checkpoint.sequence) {
    problems.unshift(
      `the newest revision is ${head?.sequence ?? 'none'}, and the checkpoint knows ${checkpoint.sequence}: the end was cut off`,
    );
  }
  return { revisions, problems: problems.slice(0, MAX_PROBLEMS), head };

  function judge(link: StoredRevision, before: ChainLink | undefined): void {
    const problem = findChainProblem(key, account, before, link);
    if (problem !== undefined) problems.push(problem);
  }
}
