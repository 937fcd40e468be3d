// Dates as people write them into files and commands.

const ISO_DATE = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** Milliseconds since 1970; a date alone is 00:00 UTC of that day. `undefined` for what is no date, or in no calendar. */
export function parseIsoDate(text: string): number | undefined {
  const [, day = ''] = ISO_DATE.exec(text) ?? [];
  const [timeMs, dayMs] = [Date.parse(text), Date.parse(day)];
  if (Number.isNaN(timeMs) || Number.isNaN(dayMs)) return undefined;
  // `Date.parse` reads the 31st of February as the 3rd of March, on which nobody expects a token to live.
  return new Date(dayMs).toISOString().startsWith(day) ? timeMs : undefined;
}
