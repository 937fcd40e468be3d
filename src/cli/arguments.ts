// What the values of arguments and options must look like. A wrong one is a usage error: one line and exit code 2.

import { InvalidArgumentError } from 'commander';
import type { GrantInput } from '../control-plane/tokens.ts';
import { parseIsoDate } from '../domain/iso-date.ts';
import { TOKEN_NAME } from '../domain/principal.ts';
import { EXPECTED_WORKERS, parseWorkers, type Workers } from '../settings/workers.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The name of a token or an API key. */
export function parseName(text: string): string {
  if (TOKEN_NAME.test(text)) return text;
  return refuse('Use 1 to 128 of A-Z a-z 0-9 _ . -, starting with a letter or digit.');
}

/** Collects `github-readonly=GITHUB_TOKEN`, or a config alone, in the order of the options. */
export function parseGrant(text: string, earlier: readonly GrantInput[] = []): readonly GrantInput[] {
  const [mcpConfig = '', secret, ...rest] = text.split('=');
  if (mcpConfig === '' || secret === '' || rest.length > 0) return refuse('Write CONFIG or CONFIG=SECRET.');
  return [...earlier, { mcpConfig, secret: secret ?? null, allowedTools: null }];
}

/** Milliseconds since 1970; a date alone is 00:00 UTC of that day. */
export function parseFutureDate(text: string): number {
  const timeMs = parseIsoDate(text);
  return timeMs !== undefined && timeMs > Date.now()
    ? timeMs
    : refuse('Write a date in the future as 2027-01-31 or 2027-01-31T18:00:00Z.');
}

/** Where a gateway is: the URL without a trailing slash, and without the `/mcp` that agents are given. */
export function parseGatewayUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== '' || url.password !== '') {
    return refuse('Write an http(s) URL without user name, such as http://127.0.0.1:8080.');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '').replace(/\/mcp$/, '');
}

/** `get_*,{list,search}_*`: what braces hold together is one pattern. An empty text is the list that allows nothing. */
export function parsePatterns(text: string): readonly string[] {
  const patterns = text.split(/,(?![^{]*\})/).map((each) => each.trim());
  if (text.trim() === '') return [];
  return patterns.includes('') ? refuse('Write patterns with commas between them, as get_*,search_*.') : patterns;
}

/** How many processes are to serve. */
export function parseWorkerCount(text: string): Workers {
  return parseWorkers(text) ?? refuse(`It ${EXPECTED_WORKERS}.`);
}

export function parseCount(text: string): number {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : refuse('Write a whole number from 1 on.');
}

export function parseSeconds(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : refuse('Write a whole number of seconds; 0 is none.');
}

/** Milliseconds since 1970 of a date, or of how long ago it is: `2026-01-31`, `30m`, `12h`, `7d`. */
export function parsePastDate(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (digits !== undefined) return Date.now() - Number(digits) * (UNIT_MS[unit] ?? 0);
  return parseIsoDate(text) ?? refuse('Write a date as 2026-01-31T18:00:00Z, or how long ago: 30m, 12h, 7d.');
}

export interface HeaderInput {
  readonly name: string;
  readonly value?: string;
  readonly secret?: string;
}

/** Collects `X-Team=search`, in the order of the options. */
export function parseHeader(text: string, earlier: readonly HeaderInput[] = []): readonly HeaderInput[] {
  const [name, value] = splitAtEquals(text, 'Write NAME=VALUE.');
  return [...earlier, { name, value }];
}

/** Collects `X-Key=SECRET`, where what stands behind the `=` names a secret. */
export function parseSecretHeader(text: string, earlier: readonly HeaderInput[] = []): readonly HeaderInput[] {
  const [name, secret] = splitAtEquals(text, 'Write NAME=SECRET.');
  return [...earlier, { name, secret }];
}

/** `bearer`, `basic`, or the name of the header that is to carry the secret: `header:X-Api-Key`. */
export function parseAuthMechanism(text: string): { readonly type: string; readonly key?: string } {
  if (text === 'bearer' || text === 'basic') return { type: text };
  const [, key] = /^header:(.+)$/.exec(text) ?? [];
  return key === undefined ? refuse('Write bearer, basic or header:NAME.') : { type: 'header', key };
}

function splitAtEquals(text: string, message: string): [string, string] {
  const at = text.indexOf('=');
  return at < 1 || at === text.length - 1 ? refuse(message) : [text.slice(0, at), text.slice(at + 1)];
}

function refuse(message: string): never {
  // Commander's own error, and not ours, is what it reports together with the argument's name.
  throw new InvalidArgumentError(message);
}
