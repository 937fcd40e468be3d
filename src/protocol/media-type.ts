/** What a `Content-Type` says, without parameters and in lower case (RFC 9110 §8.3.1). Of several headers the first counts. */
export function mediaType(header: string | readonly string[] | undefined): string {
  if (header === 'application/json' || header === 'text/event-stream') return header;
  const [first = ''] = [header].flat();
  return (first.split(';', 1)[0] ?? '').trim().toLowerCase();
}
