// Which URIs an RFC 6570 template may stand for. Upstreams write templates and clients write URIs, so it is matched by
// walking both once, side by side: no regular expression, and nothing to walk back to.

export interface UriTemplate {
  readonly pieces: readonly Piece[];
}

interface Expression {
  /** What stands in front of its value. */
  readonly prefix: string;
  /** Whether it may be nothing at all. */
  readonly isOptional: boolean;
  /** What its value does not hold. */
  readonly stops: string;
}

type Piece = string | Expression;

const MAX_LENGTH = 1024;
const MAX_EXPRESSIONS = 32;
/** A longer URI is none of any template. */
const MAX_URI_LENGTH = 4096;

const NAMES = /^(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(?:\*|:[1-9]\d{0,3})?$/;

/** By operator (RFC 6570 §3.2). Values of those that are not reserved come percent-encoded, and so without delimiters. */
const OPERATORS: ReadonlyMap<string, Expression> = new Map([
  ['', { prefix: '', isOptional: false, stops: '/?#' }],
  ['+', { prefix: '', isOptional: false, stops: '' }],
  ['#', { prefix: '#', isOptional: true, stops: '' }],
  ['.', { prefix: '.', isOptional: false, stops: '/?#' }],
  ['/', { prefix: '/', isOptional: false, stops: '/?#' }],
  [';', { prefix: ';', isOptional: true, stops: '/?#' }],
  ['?', { prefix: '?', isOptional: true, stops: '#' }],
  ['&', { prefix: '&', isOptional: true, stops: '#' }],
]);

/** Pieces times characters of the URI: some milliseconds. An upstream may list thousands of templates that look alike. */
const MAX_STEPS = 1_000_000;
/** What a search through the URI costs at worst, for each of its characters. */
const SEARCH_STEPS = 0.25;

/** `undefined` for what is no template, or one of more than 1,024 characters or 32 expressions. */
export function compileUriTemplate(text: string): UriTemplate | undefined {
  const pieces = text.length > MAX_LENGTH ? undefined : readPieces(text);
  return pieces && { pieces };
}

/**
 * The first template, of those that are wanted, that some values of its variables, none of them empty, would make this
 * URI. One for which it would take too long to find out is none.
 */
export function findTemplate<T extends UriTemplate>(
  templates: Iterable<T>,
  uri: string,
  isWanted: (template: T) => boolean = () => true,
): T | undefined {
  if (uri.length > MAX_URI_LENGTH) return undefined;
  let steps = 0;
  for (const template of templates) {
    const { pieces } = template;
    const [first = ''] = pieces;
    if (typeof first === 'string' && !uri.startsWith(first)) continue;
    steps += uri.length * SEARCH_STEPS;
    if (steps > MAX_STEPS) return undefined;
    if (!holdsLiterals(pieces, uri)) continue;
    steps += uri.length * pieces.length;
    if (steps > MAX_STEPS) return undefined;
    if (isMatch(pieces, uri) && isWanted(template)) return template;
  }
  return undefined;
}

/** What tells most templates that look alike apart, at the cost of a search. */
function holdsLiterals(pieces: readonly Piece[], uri: string): boolean {
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece !== 'string') continue;
    const found = uri.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return true;
}

function readPieces(text: string): Piece[] | undefined {
  const pieces: Piece[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('{', at);
    const literal = text.slice(at, open < 0 ? text.length : open);
    if (literal.includes('}')) return undefined;
    if (literal !== '') pieces.push(literal);
    if (open < 0) break;
    const close = text.indexOf('}', open);
    const expression = close < 0 ? undefined : readExpression(text.slice(open + 1, close));
    if (expression === undefined) return undefined;
    pieces.push(expression);
    at = close + 1;
  }
  return pieces.filter((piece) => typeof piece !== 'string').length > MAX_EXPRESSIONS ? undefined : pieces;
}

function readExpression(inside: string): Expression | undefined {
  const operator = OPERATORS.has(inside.charAt(0)) ? inside.charAt(0) : '';
  const expression = OPERATORS.get(operator);
  const names = inside.slice(operator.length).split(',');
  if (expression === undefined || !names.every((name) => NAMES.test(name))) return undefined;
  // `{/a,b}` and `{/path*}` stand for several segments.
  const hasSegments = operator === '/' && (names.length > 1 || inside.endsWith('*'));
  return hasSegments ? { ...expression, stops: '?#' } : expression;
}

/** Piece by piece, every place in the URI that may have been reached. */
function isMatch(pieces: readonly Piece[], uri: string): boolean {
  let reached = new Uint8Array(uri.length + 1);
  reached[0] = 1;
  for (const piece of pieces) {
    const next = typeof piece === 'string' ? passLiteral(reached, uri, piece) : passExpression(reached, uri, piece);
    if (next === undefined) return false;
    reached = next;
  }
  return reached[uri.length] === 1;
}

function passLiteral(reached: Uint8Array, uri: string, literal: string): Uint8Array<ArrayBuffer> | undefined {
  const next = new Uint8Array(reached.length);
  let isAlive = false;
  for (let at = reached.indexOf(1); at >= 0; at = reached.indexOf(1, at + 1)) {
    if (!uri.startsWith(literal, at)) continue;
    next[at + literal.length] = 1;
    isAlive = true;
  }
  return isAlive ? next : undefined;
}

function passExpression(
  reached: Uint8Array,
  uri: string,
  { prefix, isOptional, stops }: Expression,
): Uint8Array<ArrayBuffer> | undefined {
  const next = isOptional ? new Uint8Array(reached) : new Uint8Array(reached.length);
  let isAlive = isOptional;
  let isInside = false;
  for (let at = 0; at < uri.length; at++) {
    // A value may begin here, or go on.
    const begins =
      at >= prefix.length && reached[at - prefix.length] === 1 && uri.startsWith(prefix, at - prefix.length);
    isInside = (isInside || begins) && !stops.includes(uri.charAt(at));
    if (!isInside) continue;
    next[at + 1] = 1;
    isAlive = true;
  }
  return isAlive ? next : undefined;
}
