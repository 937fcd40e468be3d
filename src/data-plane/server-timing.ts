// The `Server-Timing` header of an answered call (W3C Server Timing; design §3).

import { toMilliseconds } from '../domain/milliseconds.ts';

/** `up` is the upstream's time to its first byte, `gw` all the rest up to the head of the answer, in milliseconds. */
export function toServerTiming(upstreamMs: number, gatewayMs: number): string {
  return `up;dur=${toMilliseconds(upstreamMs)}, gw;dur=${toMilliseconds(gatewayMs)}`;
}
