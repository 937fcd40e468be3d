// What the gateway says of itself: the answer to `initialize` and to `server/discover`. Only what it serves to who asks,
// at the path that is asked, is declared.

import type { Catalog } from '../catalog/catalog.ts';
import { mergeInstructions } from '../catalog/instructions.ts';
import { IMPLEMENTATION } from '../domain/version.ts';
import { LEGACY_REVISIONS, META_SERVER_INFO, MODERN_REVISION } from '../protocol/era.ts';

/** Agrees on the client's revision if it is served, else offers the newest (2025-11-25 basic/lifecycle#version-negotiation). */
export function agreeRevision(asked: string): string {
  return LEGACY_REVISIONS.find((served) => served === asked) ?? LEGACY_REVISIONS[0];
}

/** `InitializeResult` (2025-11-25 basic/lifecycle) in an agreed revision. */
export function legacyInitializeResult(revision: string, catalog: Catalog): string {
  return `{"protocolVersion":"${revision}",${declare(catalog)},"serverInfo":${IMPLEMENTATION}}`;
}

/** `DiscoverResult` (2026-07-28 server/discover): modern revisions only, so that nobody tries a legacy one in an envelope. */
export function modernDiscoverResult(catalog: Catalog, ttlMs: number): string {
  return (
    `{"resultType":"complete","supportedVersions":["${MODERN_REVISION}"],${declare(catalog)},` +
    `"ttlMs":${ttlMs},"cacheScope":"private","_meta":{"${META_SERVER_INFO}":${IMPLEMENTATION}}}`
  );
}

/** Capabilities and instructions, as members. */
function declare(catalog: Catalog): string {
  const { serves, view, lists } = catalog;
  const extensions = view === undefined ? undefined : lists[0]?.about?.extensions;
  const instructions = mergeInstructions(catalog);
  const capabilities = [
    serves.tools && '"tools":{"listChanged":true}',
    serves.prompts && '"prompts":{"listChanged":true}',
    serves.resources && `"resources":{${serves.subscriptions ? '"subscribe":true,' : ''}"listChanged":true}`,
    serves.completions && '"completions":{}',
    serves.logging && '"logging":{}',
    extensions !== undefined && `"extensions":${extensions}`,
  ].filter((member) => member !== false);
  const declared = `"capabilities":{${capabilities.join(',')}}`;
  return instructions === undefined ? declared : `${declared},"instructions":${JSON.stringify(instructions)}`;
}
