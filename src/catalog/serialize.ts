// What clients are shown of listed objects: the upstream's bytes, mended where they must be.

import type { Era } from '../protocol/era.ts';
import { splice } from '../protocol/splice.ts';
import { ListPart } from './list-array.ts';
import type { Offered } from './route.ts';

/** `spellingOf` gives the name that stands in the place of the upstream's own, by index. Tools differ by era. */
export function serialize(
  offered: readonly Offered[],
  era: Era = 'modern',
  spellingOf?: (index: number) => string | undefined,
): ListPart {
  const items: Buffer[] = [];
  offered.forEach(({ tool, item }, index) => {
    if (item === undefined) return;
    const edits = [...(tool !== undefined && era === 'legacy' ? tool.legacyEdits : item.repairs)];
    if (spellingOf !== undefined) edits.push({ ...item.nameAt, text: `"${spellingOf(index)}"` });
    items.push(splice(item.bytes, edits.length < 2 ? edits : edits.sort((a, b) => a.start - b.start)));
  });
  return new ListPart(items);
}
