// Text that PostgreSQL cannot hold: U+0000, which JSON and SQLite can. It is kept escaped, so that what was put comes back.

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\u0000', '\u00010'],
  ['\u0001', '\u00011'],
]);
const TEXTS: ReadonlyMap<string, string> = new Map([...ESCAPES].map(([text, escaped]) => [escaped, text]));

/** Leaves what is no string as it is. */
export function toStoredText(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that it is about.
  return value.replaceAll(/[\u0000\u0001]/g, (char) => ESCAPES.get(char) ?? char);
}

export function fromStoredText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
  return text.includes('\u0001') ? text.replaceAll(/\u0001[01]/g, (escaped) => TEXTS.get(escaped) ?? escaped) : text;
}
