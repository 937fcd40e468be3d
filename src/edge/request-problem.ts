// What no application code should ever see: a request that two readers could read in two ways.
// Runs for every request, so the common case is one pass over the header names and one character of the target.

/** What the check reads of a request; both `IncomingMessage` and `Http2ServerRequest` have it. */
export interface RequestHead {
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly rawHeaders: readonly string[];
  readonly url?: string | undefined;
}

export interface RequestProblem {
  readonly status: number;
  readonly message: string;
}

/** What an origin-form target begins with. */
export const SLASH = 47;

const MAX_HEADER_LINES = 100;
const HTTP2_PSEUDO_HEADERS = 4;

const SINGLETON_HEADERS = [
  'authorization',
  'host',
  'content-type',
  'content-length',
  'origin',
  'mcp-protocol-version',
  'mcp-session-id',
  'mcp-method',
  'mcp-name',
  'last-event-id',
];

// Length and first letter tell the singletons apart, which is far cheaper than lower-casing and hashing every name.
// A name that only looks like one costs an exact second pass, never a wrong answer.
const LONGEST_SINGLETON = 31;
const bitByShape = new Uint16Array((LONGEST_SINGLETON + 1) * 32);
SINGLETON_HEADERS.forEach((name, index) => {
  bitByShape[shapeOf(name)] = 1 << index;
});

function shapeOf(name: string): number {
  return name.length * 32 + (name.charCodeAt(0) & 31);
}

/**
 * The reason to refuse a request before anything is decided about it, or `undefined`.
 * 431 for more than 100 header lines, 505 for HTTP/1.0 and older, 400 for a repeated singleton header
 * and for a request target that names another host than `Host` does (RFC 9112 §3.2).
 */
export function findRequestProblem(request: RequestHead): RequestProblem | undefined {
  const { rawHeaders, url = '' } = request;
  const isHttp2 = request.httpVersionMajor === 2;
  const lines = rawHeaders.length / 2 - (isHttp2 ? HTTP2_PSEUDO_HEADERS : 0);
  if (lines > MAX_HEADER_LINES) {
    return {
      status: 431,
      message: `The request has ${lines} header lines. Send at most ${MAX_HEADER_LINES}.`,
    };
  }
  // Before 1.1 a request needs no Host header, and proxies disagree on where its body ends.
  if (!isHttp2 && (request.httpVersionMajor !== 1 || request.httpVersionMinor !== 1)) {
    return { status: 505, message: 'Only HTTP/1.1 and HTTP/2 are spoken here. Send the request as HTTP/1.1.' };
  }
  const repeated = mayRepeatSingleton(rawHeaders) ? findRepeatedSingleton(rawHeaders) : undefined;
  if (repeated !== undefined) {
    return { status: 400, message: `The header ${repeated} is sent more than once. Send it once.` };
  }
  if (isHttp2 && !isHostConsistent(rawHeaders)) {
    return { status: 400, message: 'The Host header differs from :authority. Leave it out, or make them equal.' };
  }
  if (url.charCodeAt(0) === SLASH) return undefined;
  return isHttp2 ? badTarget : findTargetProblem(url, rawHeaders);
}

/** The path and query of an absolute-form target that `findRequestProblem` found no fault with; any other target as it is. */
export function toOriginForm(url: string): string {
  const path = ABSOLUTE_FORM.exec(url)?.[2];
  if (path === undefined) return url;
  return path.startsWith('/') ? path : `/${path}`;
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?#\\]*)((?:[/?].*)?)$/i;

const badTarget: RequestProblem = {
  status: 400,
  message: 'The request target is not a path. Send the path and query only, as in "POST /mcp HTTP/1.1".',
};

function findTargetProblem(url: string, rawHeaders: readonly string[]): RequestProblem | undefined {
  const authority = ABSOLUTE_FORM.exec(url)?.[1];
  if (authority === undefined) return badTarget;
  if (authority.toLowerCase() === headerOf(rawHeaders, 'host')?.toLowerCase()) return undefined;
  return {
    status: 400,
    message: 'The request target names another host than the Host header. Send the path only, or make them equal.',
  };
}

function mayRepeatSingleton(rawHeaders: readonly string[]): boolean {
  let seen = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.length > LONGEST_SINGLETON) continue;
    const bit = bitByShape[shapeOf(name)] ?? 0;
    if ((seen & bit) !== 0) return true;
    seen |= bit;
  }
  return false;
}

function findRepeatedSingleton(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (!SINGLETON_HEADERS.includes(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

/** RFC 9113 §8.3.1: one of the two would be checked and the other used. */
function isHostConsistent(rawHeaders: readonly string[]): boolean {
  const host = headerOf(rawHeaders, 'host');
  const authority = headerOf(rawHeaders, ':authority');
  return host === undefined || authority === undefined || host.toLowerCase() === authority.toLowerCase();
}

function headerOf(rawHeaders: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === wanted) return rawHeaders[index + 1];
  }
  return undefined;
}
