// What the gateway says of itself: the answer to `initialize` and to `server/discover`. Only what it serves is declared.

import { IMPLEMENTATION } from '../domain/version.ts';
import { LEGACY_REVISIONS, META_SERVER_INFO, MODERN_REVISION } from '../protocol/era.ts';

/** How long a client may keep the answer to `server/discover`: it changes with the gateway's version only. */
const DISCOVER_TTL_MS = 3_600_000;

/** Agrees on the client's revision if it is served, else offers the newest (2025-11-25 basic/lifecycle#version-negotiation). */
export function legacyInitializeResult(asked: string): { revision: string; result: string } {
  const revision = LEGACY_REVISIONS.find((served) => served === asked) ?? LEGACY_REVISIONS[0];
  const result = `{"protocolVersion":"${revision}","capabilities":{"tools":{"listChanged":true}},"serverInfo":${IMPLEMENTATION}}`;
  return { revision, result };
}

/** `DiscoverResult` (2026-07-28 server/discover): modern revisions only, so that nobody tries a legacy one in an envelope. */
export function modernDiscoverResult(): string {
  return (
    `{"resultType":"complete","supportedVersions":["${MODERN_REVISION}"],"capabilities":{"tools":{}},` +
    `"ttlMs":${DISCOVER_TTL_MS},"cacheScope":"private","_meta":{"${META_SERVER_INFO}":${IMPLEMENTATION}}}`
  );
}
