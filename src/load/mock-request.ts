// What a mock upstream reads of a request: its id where it stands, and all of it only where that is rare.

export interface MockRequest {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly protocolVersion?: string };
}

/** `body` is latin1. `undefined` for what is no JSON object. */
export function parseRequest(body: string): MockRequest | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The JSON text of the request's id, copied as it came. `undefined` where none is found. */
export function idText(body: string): string | undefined {
  const key = body.indexOf('"id":');
  // An `"id":` inside the arguments as well, a space or an escape, is too rare to be worth more than a parse.
  if (key < 0 || key !== body.lastIndexOf('"id":')) return parsedIdText(body);
  const start = key + 5;
  if (body[start] === '"') {
    const text = body.slice(start, body.indexOf('"', start + 1) + 1);
    return text === '' || text.includes('\\') ? parsedIdText(body) : text;
  }
  const comma = body.indexOf(',', start);
  const brace = body.indexOf('}', start);
  if (body[start] === ' ' || brace < 0) return parsedIdText(body);
  return body.slice(start, comma < 0 || brace < comma ? brace : comma);
}

function parsedIdText(body: string): string | undefined {
  return JSON.stringify(parseRequest(body)?.id);
}
