// Which members of a listed object SDK clients can read: what they cannot costs them the whole list, so that it is cut out
// of objects that can do without it.

import { JsonScanner, type Member, type Span } from '../protocol/json-scan.ts';
import { type Edit, removeMembers } from '../protocol/splice.ts';

/** A listed object that is not exposed, and why; told in `explain` and to operators. */
export interface Unusable {
  /** Or URI; empty when it has none that can be read. */
  readonly name: string;
  readonly reason: string;
}

/** Whether the value of each member can be read; members that are not named always can. */
export type Checks = ReadonlyMap<string, (value: unknown) => boolean>;

/** Cuts members that cannot be read out of the object at `at`, which is `parsed`; `undefined` when it holds a key twice. */
export function cutUnreadable(
  bytes: Buffer,
  at: Pick<Span, 'start'>,
  parsed: Readonly<Record<string, unknown>>,
  checks: Checks,
): Edit[] | undefined {
  const members: Member[] = [];
  if (new JsonScanner(bytes).readMembers(at.start, 1, members) < 0) return undefined;
  return removeMembers(members, ({ key }) => checks.get(key)?.(parsed[key]) === false);
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isString(value: unknown): value is string {
  return typeof value === 'string';
}

export function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

/** Clients of either era take no number that is infinite to them. */
export function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

export function isIcons(value: unknown): boolean {
  return Array.isArray(value) && value.every((icon) => isPlainObject(icon) && isString(icon.src) && isIcon(icon));
}

function isIcon({ mimeType, sizes, theme }: Record<string, unknown>): boolean {
  return (
    (mimeType === undefined || isString(mimeType)) &&
    (sizes === undefined || (Array.isArray(sizes) && sizes.every(isString))) &&
    (theme === undefined || theme === 'light' || theme === 'dark')
  );
}

/** RFC 3339 §5.6, without a leap second: as strict as the strictest client. */
export function isTime(value: unknown): boolean {
  const date = isString(value) ? TIME.exec(value)?.[1] : undefined;
  // A thirtieth of February would be read as a day in March.
  return date !== undefined && toDay(date) === date;
}

const TIME = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

function toDay(date: string): string | undefined {
  const ms = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString().slice(0, 10);
}
