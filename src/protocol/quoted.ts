// Peer text inside a message of ours.

const MAX_CHARACTERS = 80;

/** Quoted, short, and in visible ASCII: what looks like another key or name must not look like it in the error too. */
export function quoted(text: string): string {
  const short = text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}...` : text;
  return JSON.stringify(short).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
