// What the values of arguments and options must look like. A wrong one is a usage error: one line and exit code 2.

import { InvalidArgumentError } from 'commander';
import type { GrantInput } from '../control-plane/tokens.ts';
import { TOKEN_NAME } from '../domain/principal.ts';

const ISO_DATE = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;

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
  const timeMs = ISO_DATE.test(text) ? Date.parse(text) : Number.NaN;
  return timeMs > Date.now() ? timeMs : refuse('Write a date in the future as 2027-01-31 or 2027-01-31T18:00:00Z.');
}

/** Where a gateway is: the URL without a trailing slash, and without the `/mcp` that agents are given. */
export function parseGatewayUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== '' || url.password !== '') {
    return refuse('Write an http(s) URL without user name, such as http://127.0.0.1:8080.');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '').replace(/\/mcp$/, '');
}

function refuse(message: string): never {
  // Commander's own error, and not ours, is what it reports together with the argument's name.
  throw new InvalidArgumentError(message);
}
