// Lists of names in sentences.

const MAX_NAMED = 10;

/** `a, b and 3 more`. */
export function named(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
