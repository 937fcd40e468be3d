// The `Server-Timing` header of an answered call (W3C Server Timing; design §3).

/** `up` is the upstream's time to its first byte, `gw` all the rest up to the head of the answer, in milliseconds. */
export function toServerTiming(upstreamMs: number, gatewayMs: number): string {
  return `up;dur=${toMilliseconds(upstreamMs)}, gw;dur=${toMilliseconds(gatewayMs)}`;
}

/** Three decimals, from two integers: `toFixed` costs more than the rest of the header. */
function toMilliseconds(durationMs: number): string {
  const us = Math.max(0, Math.round(durationMs * 1000));
  const rest = us % 1000;
  return `${(us - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}
