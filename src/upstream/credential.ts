// Turns an opened credential and a config's custom headers into the headers of an upstream request. Done once per
// credential, ahead of the calls; nothing of the client's own request comes in here.

import { GatewayError } from '../domain/errors.ts';
import { isHeaderName, isReservedHeader } from '../domain/header-name.ts';
import type { AuthMechanism } from '../domain/mcp-config.ts';
import { holdsPrivateKey } from '../domain/private-key.ts';
import type { Secret } from '../domain/secret.ts';

/** A custom header whose secret, if it names one, has been opened. */
export interface OpenedHeader {
  readonly name: string;
  readonly value: Secret | string;
}

const PRINTABLE_ASCII = /^[\x20-\x7e\t]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/**
 * The credential as a flat `[name, value, …]` array with lower-case names. Custom headers come after and replace one of
 * the same name; without a secret there are only those. Throws `invalid_argument` that names the field, never the value.
 */
export function toCredentialHeaders(
  mechanism: AuthMechanism,
  secret: Secret | undefined,
  customHeaders: readonly OpenedHeader[],
): readonly string[] {
  const headers = new Map<string, string>();
  if (secret !== undefined) {
    const name = mechanism.type === 'header' ? toName(mechanism.key, 'auth_mechanism.key') : 'authorization';
    headers.set(name, toCredential(mechanism, secret.reveal()));
  }
  for (const [index, header] of customHeaders.entries()) {
    const value = typeof header.value === 'string' ? header.value : header.value.reveal();
    const place = `custom_headers[${index}]`;
    headers.set(toName(header.name, `${place}.name`), toValue(value, `${place}.value`));
  }
  return [...headers].flat();
}

function toCredential(mechanism: AuthMechanism, secret: string): string {
  if (mechanism.type === 'basic') return toBasicCredential(secret, 'secret');
  const value = toValue(secret, 'secret');
  return mechanism.type === 'bearer' ? `Bearer ${value}` : value;
}

/** `Basic …` of `user:password`. Throws `invalid_argument` that names `place`, never the secret. */
export function toBasicCredential(secret: string, place: string): string {
  refusePrivateKey(secret, place);
  if (!secret.includes(':')) {
    throw refused(place, 'has no colon; basic authentication needs a secret written as user:password');
  }
  // RFC 7617 §2: no control characters, UTF-8 otherwise.
  if (CONTROL_CHARACTER.test(secret)) throw holdsControlCharacter(place);
  return `Basic ${Buffer.from(secret).toString('base64')}`;
}

function toName(name: string, place: string): string {
  if (!isHeaderName(name)) {
    throw refused(place, "is not an HTTP header name; use letters, digits and '-' as in X-Api-Key");
  }
  if (isReservedHeader(name)) throw refused(place, 'names a header that only the gateway sets; use another one');
  return name.toLowerCase();
}

/** Said ahead of its line breaks: an operator who takes those out would have it sent after all. */
function refusePrivateKey(value: string, place: string): void {
  if (holdsPrivateKey(value)) throw refused(place, 'is a private key; it proves who the gateway is and is never sent');
}

function toValue(value: string, place: string): string {
  refusePrivateKey(value, place);
  if (CONTROL_CHARACTER.test(value.replaceAll('\t', ' '))) throw holdsControlCharacter(place);
  // Beyond ASCII no two servers agree on the encoding of a header.
  if (!PRINTABLE_ASCII.test(value)) throw refused(place, 'holds a character outside ASCII; headers cannot carry it');
  return value;
}

function holdsControlCharacter(place: string): GatewayError {
  return refused(
    place,
    'holds a line break or another control character; a line break at the end of a file is one too',
  );
}

function refused(path: string, message: string): GatewayError {
  return new GatewayError('invalid_argument', `${path} ${message}`, { problems: [{ path, message }] });
}
