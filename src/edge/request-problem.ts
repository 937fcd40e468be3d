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
/** What HTTP/2 begins its pseudo-headers with, which come first, and HTTP/1.1 cannot begin a header with. */
const COLON = 58;

const MAX_HEADER_LINES = 100;
const HTTP2_PSEUDO_HEADERS = 4;

const SINGLETON_HEADERS = [
  'authorization',
  'host',
  'content-type',
  'content-length',
  'transfer-encoding',
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
const HOST = bitByShape[shapeOf('host')];
const TRANSFER_ENCODING = bitByShape[shapeOf('transfer-encoding')] ?? 0;

function shapeOf(name: string): number {
  return name.length * 32 + (name.charCodeAt(0) & 31);
}

/**
 * The reason to refuse a request before anything is decided about it, or `undefined`.
 * 431 for more than 100 header lines, 505 for HTTP/1.0 and older, 400 for a repeated singleton header, for a name with
 * an underscore, for a coding that is not `chunked` alone, for a `Host` that is none, and for a request target that is no
 * path or names another host than `Host` does (RFC 9112 §3.2).
 */
export function findRequestProblem(request: RequestHead): RequestProblem | undefined {
  const { rawHeaders, url = '' } = request;
  // Not by its version, which HTTP/1.1 clients can write as they like: `POST /mcp HTTP/2.0`.
  const isHttp2 = rawHeaders[0]?.charCodeAt(0) === COLON;
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
  return findHeaderProblem(rawHeaders, isHttp2) ?? findTargetProblem(url, rawHeaders, isHttp2);
}

function findHeaderProblem(rawHeaders: readonly string[], isHttp2: boolean): RequestProblem | undefined {
  let seen = 0;
  let mayRepeat = false;
  let host: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.includes('_') && !PARAM_HEADER.test(name)) return underscoreIn(name);
    if (name.length > LONGEST_SINGLETON) continue;
    const bit = bitByShape[shapeOf(name)] ?? 0;
    if (bit === HOST && name.toLowerCase() === 'host') host = rawHeaders[index + 1];
    if ((seen & bit) !== 0) mayRepeat = true;
    seen |= bit;
  }
  const repeated = mayRepeat ? findRepeatedSingleton(rawHeaders) : undefined;
  if (repeated !== undefined) {
    return { status: 400, message: `The header ${repeated} is sent more than once. Send it once.` };
  }
  if ((seen & TRANSFER_ENCODING) !== 0 && !isPlainlyChunked(rawHeaders)) return badTransferEncoding;
  if (isHttp2) return findHttp2HostProblem(rawHeaders);
  return findHostProblem(host);
}

/** What a proxy that turns hyphens into underscores, as CGI does, would take for the name with hyphens. */
function underscoreIn(name: string): RequestProblem {
  const message = `The header ${name} has an underscore in its name, which some proxies take for a hyphen. Leave it out.`;
  return { status: 400, message };
}

/** Its name is an argument's, and its value is compared with the argument before it counts. */
const PARAM_HEADER = /^mcp-param-/i;

/** A coding below `chunked` would be passed on as if it were the body; Node's parser looks at the last one only. */
function isPlainlyChunked(rawHeaders: readonly string[]): boolean {
  const coding = headerOf(rawHeaders, 'transfer-encoding');
  return coding === undefined || coding.toLowerCase() === 'chunked';
}

const badTransferEncoding: RequestProblem = {
  status: 400,
  message:
    'The only Transfer-Encoding understood here is "chunked". Send the body with that, or with a Content-Length.',
};

/** Of RFC 3986 what real hosts use: no userinfo, no percent-encoding, no zone. */
const HOST_AND_PORT = /^(?:[\w.-]+|\[[\dA-Fa-f:.]+\])(?::\d{1,5})?$/;

/** RFC 9112 §3.2. Node refuses a missing one, too, but without a word. */
function findHostProblem(host: string | undefined): RequestProblem | undefined {
  if (host !== undefined && HOST_AND_PORT.test(host)) return undefined;
  const what = host === undefined ? 'is missing' : 'is not a host name with or without a port';
  return { status: 400, message: `The Host header ${what}. Send it as the URL has it, as in "Host: 127.0.0.1:8080".` };
}

/** RFC 9113 §8.3.1: of two names one would be checked and the other used. */
function findHttp2HostProblem(rawHeaders: readonly string[]): RequestProblem | undefined {
  const host = headerOf(rawHeaders, 'host');
  const authority = headerOf(rawHeaders, ':authority');
  if (host !== undefined && authority !== undefined && host.toLowerCase() !== authority.toLowerCase()) {
    return { status: 400, message: 'The Host header differs from :authority. Leave it out, or make them equal.' };
  }
  return findHostProblem(authority ?? host);
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

function findTargetProblem(url: string, rawHeaders: readonly string[], isHttp2: boolean): RequestProblem | undefined {
  // A fragment is never sent; a proxy in front may have cut it off before it looked.
  if (url.includes('#')) return badTarget;
  if (url.charCodeAt(0) === SLASH) return undefined;
  const authority = isHttp2 ? undefined : ABSOLUTE_FORM.exec(url)?.[1];
  if (authority === undefined) return badTarget;
  if (authority.toLowerCase() === headerOf(rawHeaders, 'host')?.toLowerCase()) return undefined;
  return {
    status: 400,
    message: 'The request target names another host than the Host header. Send the path only, or make them equal.',
  };
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

function headerOf(rawHeaders: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === wanted) return rawHeaders[index + 1];
  }
  return undefined;
}
