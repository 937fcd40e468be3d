// A second reading of globs, by definition and without regular expressions.

/** The alternatives of a pattern that is a glob. */
export function expand(pattern: string): string[] {
  const group = /^([^{]*)\{([^}]*)\}(.*)$/.exec(pattern);
  if (group === null) return [pattern];
  return group[2]!.split(',').flatMap((option) => expand(group[1]! + option + group[3]!));
}

/** Whether a text, read by characters, is what one alternative stands for. */
export function fits(glob: string, text: string): boolean {
  return fitsFrom(glob, 0, [...text], 0);
}

function fitsFrom(glob: string, at: number, text: readonly string[], from: number): boolean {
  if (at === glob.length) return from === text.length;
  const char = glob[at];
  if (char === '*') {
    return fitsFrom(glob, at + 1, text, from) || (from < text.length && fitsFrom(glob, at, text, from + 1));
  }
  if (from === text.length) return false;
  if (char !== '[') return (char === '?' || char === text[from]) && fitsFrom(glob, at + 1, text, from + 1);
  const close = glob.indexOf(']', at);
  return inClass(glob.slice(at + 1, close), text[from]!) && fitsFrom(glob, close + 1, text, from + 1);
}

function inClass(members: string, char: string): boolean {
  if (members === '') return false;
  if (members.length >= 3 && members[1] === '-') {
    return (members[0]! <= char && char <= members[2]!) || inClass(members.slice(3), char);
  }
  return members[0] === char || inClass(members.slice(1), char);
}
