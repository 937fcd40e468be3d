// Durations as text, for what is written at every call.

/** Three decimals, from two integers: `toFixed` costs more than all that stands around it. */
export function toMilliseconds(durationMs: number): string {
  const us = Math.max(0, Math.round(durationMs * 1000));
  const rest = us % 1000;
  return `${(us - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}
