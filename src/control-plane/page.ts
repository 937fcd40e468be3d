// Paging as Runloop's clients do it: newest first, the id of the last object seen names where the next page begins.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';

const MAX_LIMIT = 5000;

export const pageQuery = z.strictObject({
  limit: z
    .int()
    .min(1)
    .default(20)
    .describe(`Most objects on the page; more than ${MAX_LIMIT} counts as ${MAX_LIMIT}.`),
  starting_after: z.string().optional().describe('Id of the last object of the page before.'),
  include_total_count: z.boolean().default(true).describe('Whether to count all objects that match.'),
});
export type PageQuery = z.output<typeof pageQuery>;

export interface Page<T> {
  readonly items: readonly T[];
  readonly has_more: boolean;
  readonly total_count: number | null;
}

/** Of every list view, beside the objects. */
export const pageView = {
  has_more: z.boolean().describe('Whether there is another page.'),
  total_count: z.int().nullable().describe('How many objects match; null when it was not asked for.'),
};

/** For a `starting_after` that names nothing. */
export function toCursorError(after: string): GatewayError {
  const message = `starting_after: there is no object '${after.slice(0, 64)}'; give the id of the last object of the page before, or leave it out.`;
  return new GatewayError('invalid_argument', message, { problems: [{ path: 'starting_after', message }] });
}

/** One page of what matches. Throws `invalid_argument` for a `starting_after` that is not among `all`. */
export function toPage<T extends { readonly id: string; readonly createTimeMs: number }>(
  all: readonly T[],
  matches: (each: T) => boolean,
  { limit, starting_after: after, include_total_count: counts }: PageQuery,
): Page<T> {
  const ordered = [...all].sort((a, b) => b.createTimeMs - a.createTimeMs || (a.id < b.id ? 1 : -1));
  // Among all, not among those that match: an object that was renamed between two pages still marks its place.
  const last = after === undefined ? -1 : ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && last < 0) throw toCursorError(after);
  const rest = ordered.slice(last + 1).filter(matches);
  const items = rest.slice(0, Math.min(limit, MAX_LIMIT));
  return { items, has_more: rest.length > items.length, total_count: counts ? all.filter(matches).length : null };
}
