// Strict base64url: Node's decoder skips what it does not know, and one value would have many spellings.

/** The bytes, or `undefined` unless `text` is exactly how we would have written them. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
