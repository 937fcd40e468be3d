// Rewrites a message by cutting and joining its original bytes; what no edit names is copied as it came.

/** Replaces the half-open byte span by ASCII text, or by bytes. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string | Buffer;
}

/** Applies edits, which must be sorted and must not overlap. Text must be ASCII. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  let length = bytes.length;
  for (let index = 0; index < edits.length; index++) {
    const edit = edits[index] as Edit;
    length += edit.text.length - (edit.end - edit.start);
  }
  const out = Buffer.allocUnsafe(length);
  let from = 0;
  let at = 0;
  for (let index = 0; index < edits.length; index++) {
    const edit = edits[index] as Edit;
    at += bytes.copy(out, at, from, edit.start);
    at += typeof edit.text === 'string' ? out.write(edit.text, at, 'latin1') : edit.text.copy(out, at);
    from = edit.end;
  }
  bytes.copy(out, at, from);
  return out;
}
