// The form of tokens and API keys: `swb_agt_<id 12>_<secret 43>_<checksum 6>`, everything in base62.
// The prefix is for secret scanners, the checksum for people: it tells a mistyped value from an unknown one.

import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** `agt` is an agent's token on the data plane, `key` an operator's API key on the control plane. */
export type TokenKind = 'agt' | 'key';

export interface MintedToken {
  /** `tok_<id>` or `key_<id>`: what is stored, logged and shown. */
  readonly id: string;
  /** The value itself, shown once. */
  readonly text: string;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 12;
/** 43 digits of base62 hold 256 bits. */
const SECRET_LENGTH = 43;
const CHECKSUM_LENGTH = 6;

const OWN_FORM = /^swb_(agt|key)_([0-9A-Za-z]{12})_[0-9A-Za-z]{43}_([0-9A-Za-z]{6})$/;
const OWN_PREFIX = /^swb_(agt|key)_/;
/** `${TOKEN}`, `$TOKEN`, `<token>`, `{{token}}`, `%TOKEN%`: how clients and documentation write a value that is to be filled in. */
const VARIABLE = /\$\{[^}]*\}|^(?:\$\w+|<.*>|\{\{.*\}\}|%\w+%)$/;

export function mintToken(kind: TokenKind): MintedToken {
  const id = Array.from({ length: ID_LENGTH }, () => BASE62[randomInt(BASE62.length)]).join('');
  const body = `swb_${kind}_${id}_${toBase62(BigInt(`0x${randomBytes(32).toString('hex')}`), SECRET_LENGTH)}`;
  return { id: `${kind === 'agt' ? 'tok' : 'key'}_${id}`, text: `${body}_${checksum(body)}` };
}

export type BearerForm =
  | { readonly form: 'token'; readonly id: string }
  | { readonly form: 'key'; readonly id: string }
  /** Begins like one of ours and is not whole: truncated or mistyped. */
  | { readonly form: 'bad_checksum'; readonly kind: TokenKind }
  /** A variable that nobody filled in. */
  | { readonly form: 'variable' }
  | { readonly form: 'foreign' };

/** What a bearer value looks like; nothing here says whether it is known. */
export function classifyBearer(text: string): BearerForm {
  if (VARIABLE.test(text)) return { form: 'variable' };
  const kind = OWN_PREFIX.exec(text)?.[1] as TokenKind | undefined;
  if (kind === undefined) return { form: 'foreign' };
  const [, , id, sum] = OWN_FORM.exec(text) ?? [];
  if (sum !== checksum(text.slice(0, -CHECKSUM_LENGTH - 1))) return { form: 'bad_checksum', kind };
  return kind === 'agt' ? { form: 'token', id: `tok_${id}` } : { form: 'key', id: `key_${id}` };
}

/** HMAC-SHA-256 in hex. The pepper is not in the database, so who can write there still cannot plant a token. */
export function hashToken(pepper: Buffer, text: string): string {
  return createHmac('sha256', pepper).update(text).digest('hex');
}

/** Values an operator may bring along: 32 to 256 visible ASCII characters. */
export function isOperatorSuppliedToken(text: string): boolean {
  return /^[\x21-\x7e]{32,256}$/.test(text);
}

function checksum(body: string): string {
  return toBase62(BigInt(crc32(body)), CHECKSUM_LENGTH);
}

function toBase62(number: bigint, length: number): string {
  let digits = '';
  for (let rest = number; rest > 0n; rest /= 62n) digits = BASE62[Number(rest % 62n)] + digits;
  return digits.padStart(length, '0');
}
