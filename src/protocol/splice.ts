// Rewrites a message by cutting and joining its original bytes; what no edit names is copied as it came. Text stands
// for bytes here: latin1 maps every byte to one character and back, whatever encoding the bytes are in.

import type { Member } from './json-scan.ts';

/** Replaces the half-open byte span by other bytes, given as latin1 text. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Up to here one copy into a string and one out of it is cheaper than a native copy per piece. */
export const SHORT_BYTES = 16 * 1024;

/** Applies edits, which must be sorted and must not overlap. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (bytes.length <= SHORT_BYTES) return Buffer.from(spliceText(toText(bytes), edits), 'latin1');
  return Buffer.concat(cut(bytes, edits));
}

/** From here on a second copy costs more than to send the pieces one by one. */
const LONG_BYTES = 64 * 1024;
/** Shorter pieces are joined with what stands before them. */
const SMALL_BYTES = 4 * 1024;

/** One piece, or of long bytes several, which are not copied; to be sent one behind the other. */
export type Pieces = Buffer | readonly Buffer[];

/** Like `splice`. */
export function splicePieces(bytes: Buffer, edits: readonly Edit[]): Pieces {
  if (bytes.length < LONG_BYTES) return splice(bytes, edits);
  const pieces: Buffer[] = [];
  let small: Buffer[] = [];
  for (const piece of cut(bytes, edits)) {
    if (piece.length < SMALL_BYTES) small.push(piece);
    else {
      pieces.push(Buffer.concat(small), piece);
      small = [];
    }
  }
  pieces.push(Buffer.concat(small));
  return pieces.filter((piece) => piece.length > 0);
}

export function lengthOf(pieces: Pieces): number {
  return Buffer.isBuffer(pieces) ? pieces.length : pieces.reduce((sum, { length }) => sum + length, 0);
}

function cut(bytes: Buffer, edits: readonly Edit[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const edit of edits) {
    pieces.push(bytes.subarray(from, edit.start), Buffer.from(edit.text, 'latin1'));
    from = edit.end;
  }
  pieces.push(bytes.subarray(from));
  return pieces;
}

/** Applies edits to bytes that are latin1 text already. */
export function spliceText(text: string, edits: readonly Edit[]): string {
  let out = '';
  let from = 0;
  for (let index = 0; index < edits.length; index++) {
    const edit = edits[index] as Edit;
    out += text.slice(from, edit.start) + edit.text;
    from = edit.end;
  }
  return out + text.slice(from);
}

/** Cuts members out of their object, each with a comma that parts it from a neighbour that stays. */
export function removeMembers(members: readonly Member[], isRemoved: (member: Member) => boolean): Edit[] {
  const edits: Edit[] = [];
  let kept: Member | undefined;
  let run: Member | undefined;
  for (const member of members) {
    if (isRemoved(member)) {
      run ??= member;
      continue;
    }
    // A run in front of a member that stays goes up to that member; its comma goes with it.
    if (run !== undefined) edits.push({ start: run.keyStart, end: member.keyStart, text: '' });
    run = undefined;
    kept = member;
  }
  const last = members.at(-1);
  if (run !== undefined && last !== undefined)
    edits.push({ start: kept?.end ?? run.keyStart, end: last.end, text: '' });
  return edits;
}

/** Bytes as latin1 text. */
export function toText(bytes: Buffer, start = 0, end = bytes.length): string {
  return bytes.toString('latin1', start, end);
}
