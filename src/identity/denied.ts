// Why a caller is refused, in words that say what to do. A value that is not known is described by its looks alone.

import { classifyBearer, type TokenKind } from './tokens.ts';

/** `message` goes into the response body; it never holds any part of the value that was sent. */
export interface Denied {
  readonly kind: 'denied';
  readonly code: 'unauthenticated' | 'forbidden';
  readonly message: string;
}

/** Longer than the longest value an operator may bring along, with room for the scheme. */
const MAX_HEADER_LENGTH = 512;

/** The scheme is case-insensitive and one value follows it (RFC 9110 §11.4, RFC 6750 §2.1). */
const BEARER = /^bearer +([\x21-\x7e]+)$/i;

interface Wording {
  readonly what: string;
  readonly example: string;
}

/** How each door names what it takes. */
const WANTED: Readonly<Record<TokenKind, Wording>> = {
  agt: { what: 'a token', example: 'Authorization: Bearer swb_agt_…' },
  key: { what: 'an API key', example: 'Authorization: Bearer swb_key_…' },
};

export function deny(message: string): Denied {
  return { kind: 'denied', code: 'unauthenticated', message };
}

/** The value of a well-formed header, or `undefined`; `explainHeader` says why. */
export function parseBearer(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > MAX_HEADER_LENGTH) return undefined;
  return BEARER.exec(authorization)?.[1];
}

/** Why there is no value to look up in this header. */
export function explainHeader(authorization: string | undefined, wanted: TokenKind): Denied {
  const { what, example } = WANTED[wanted];
  if (authorization === undefined || authorization === '') {
    return deny(`The Authorization header is missing. Send ${what}: ${example}`);
  }
  if (authorization.length > MAX_HEADER_LENGTH) {
    return deny(
      `The Authorization header has ${authorization.length} characters; ${what} has 256 at most. Send: ${example}`,
    );
  }
  if (/^bearer\b/i.test(authorization)) return explainValue(authorization.slice('bearer'.length).trim(), wanted);
  if (classifyBearer(authorization).form !== 'foreign') {
    return deny(`The Authorization header has no scheme. Write "Bearer" and a space before the value: ${example}`);
  }
  return deny(`The Authorization header does not use the Bearer scheme. Send: ${example}`);
}

function explainValue(value: string, wanted: TokenKind): Denied {
  const { what, example } = WANTED[wanted];
  if (value === '') return deny(`The Authorization header says "Bearer" and nothing after it. Send: ${example}`);
  if (/^bearer\b/i.test(value)) {
    return deny(
      `The Authorization header says "Bearer" twice: the client adds the word itself, so give it only the value. Send: ${example}`,
    );
  }
  if (classifyBearer(value).form === 'variable') return unfilled(example);
  return deny(
    `The Authorization header holds more than one value. Send it once, with ${what} and nothing else: ${example}`,
  );
}

/** Why a value that no index knows was refused; `isOtherKind` says that the other door would have known it. */
export function explainUnknown(value: string, wanted: TokenKind, isOtherKind: boolean): Denied {
  const { what, example } = WANTED[wanted];
  const bearer = classifyBearer(value);
  if (/^bearer$/i.test(value)) return explainValue(value, wanted);
  if (bearer.form === 'variable') return unfilled(example);
  if (isOtherKind || bearer.form === (wanted === 'agt' ? 'key' : 'token')) return otherKind(wanted);
  if (value.includes(',')) {
    return deny(`The Authorization header holds more than one value, joined by a comma. Send it once: ${example}`);
  }
  if (bearer.form === 'bad_checksum') {
    return deny(
      `The value is truncated or mistyped: its checksum does not fit. Copy ${what} whole and send: ${example}`,
    );
  }
  return deny(
    `This is not ${what} known here. It may have been deleted, or belong to another gateway. Send: ${example}`,
  );
}

function unfilled(example: string): Denied {
  return deny(
    `The Authorization header holds the name of a variable: the variable was not substituted by your client. Set it where the client runs, or write the value itself: ${example}`,
  );
}

function otherKind(wanted: TokenKind): Denied {
  return wanted === 'agt'
    ? deny(
        'This is an API key, and agents use tokens. Create a token with POST /v1/mcp-tokens, using the API key there, and send: Authorization: Bearer swb_agt_…',
      )
    : deny(
        'This is a token, and tokens open only /mcp. The control plane takes an API key: Authorization: Bearer swb_key_…',
      );
}
