// What a token of the file has that does nothing: a gateway serves it all the same, and refuses it over REST.

import { parseIsoDate } from '../domain/iso-date.ts';
import type { Finding } from './file-problem.ts';
import { entriesOf } from './reference-findings.ts';
import type { Path } from './yaml-source.ts';

/** Grants that are there twice, and expiries that have passed. */
export function findTokenWarnings(document: unknown, nowMs: number): Finding[] {
  return entriesOf(document, 'tokens').flatMap(({ path, fields }) => [
    ...findRepeatedGrants(fields, path),
    ...findPastExpiry(fields, path, nowMs),
  ]);
}

function findRepeatedGrants(token: unknown, path: Path): Finding[] {
  const places = new Map<string, Path>();
  return entriesOf(token, 'grants', path).flatMap((grant): Finding[] => {
    const { mcp_config: config, secret = null } = grant.fields;
    const key = JSON.stringify([config, secret]);
    const first = places.get(key);
    if (first === undefined) {
      places.set(key, grant.path);
      return [];
    }
    const message = `is the same as grants[${first.at(-1)}], of one McpConfig and secret: make them one`;
    return [{ path: grant.path, part: 'value', message }];
  });
}

function findPastExpiry({ expires_at: date }: Readonly<Record<string, unknown>>, path: Path, nowMs: number): Finding[] {
  const endsAtMs = typeof date === 'string' ? parseIsoDate(date) : undefined;
  if (endsAtMs === undefined || endsAtMs > nowMs) return [];
  return [{ path: [...path, 'expires_at'], part: 'value', message: 'is past: the token is refused' }];
}
