// What gives when the log of calls cannot be written fast enough, or at all: calls, which are refused, or their records.

export const OVERFLOW_POLICIES = ['block', 'drop'] as const;
export type OverflowPolicy = (typeof OVERFLOW_POLICIES)[number];
