// The cells: which scenarios run where. A cell puts the gateway between two eras, or between two sides of one.

import type { Cell } from './verdicts.ts';

export type Era = 'legacy' | 'modern';
export const REVISIONS = ['2025-11-25', '2026-07-28'] as const;
/** Of the specification; the suite has a set of requirements for each. */
export type Revision = (typeof REVISIONS)[number];

export interface ServerCell extends Cell {
  readonly revision: Revision;
  readonly upstream: Era;
  /** `bare`: `/mcp/{config}`, names as the upstream has them. `rename`: `/mcp`, names put right by the shim. */
  readonly naming: 'bare' | 'rename';
}

export interface ClientCell extends Cell {
  /** Of the mock server. */
  readonly revision: Revision;
  readonly client: Era;
}

const ERAS: readonly Era[] = ['legacy', 'modern'];

export function eraOf(revision: Revision): Era {
  return revision === '2025-11-25' ? 'legacy' : 'modern';
}

export const SERVER_CELLS: readonly ServerCell[] = REVISIONS.flatMap((revision) =>
  ERAS.flatMap((upstream) =>
    (['bare', 'rename'] as const).map((naming) => ({
      name: `${revision} ${upstream} ${naming}`,
      isSameEra: upstream === eraOf(revision),
      revision,
      upstream,
      naming,
    })),
  ),
);

export const CLIENT_CELLS: readonly ClientCell[] = REVISIONS.flatMap((revision) =>
  ERAS.map((client) => ({
    name: `client ${client} ${revision}`,
    isSameEra: client === eraOf(revision),
    revision,
    client,
  })),
);

/** All but `auth/*`: their OAuth is bound to the origin of the mock, which a client behind a gateway does not see. */
export const CLIENT_SCENARIOS: Readonly<Record<Revision, readonly string[]>> = {
  '2025-11-25': [
    'initialize',
    'tools_call',
    'elicitation-sep1034-client-defaults',
    'sse-retry',
    'json-schema-2020-12-preservation',
  ],
  '2026-07-28': [
    'tools_call',
    'request-metadata',
    'http-standard-headers',
    'http-custom-headers',
    'http-invalid-tool-headers',
    'sep-2322-client-request-state',
    'json-schema-ref-no-deref',
    'json-schema-2020-12-preservation',
  ],
};

/**
 * Checks that pass directly, of the pinned suite: all but those of the tasks extension, which no SDK has. Fewer would leave
 * nothing to compare with.
 */
export const DIRECT_PASSES: Readonly<Record<'server' | 'client', Readonly<Record<Revision, number>>>> = {
  server: { '2025-11-25': 84, '2026-07-28': 164 },
  client: { '2025-11-25': 20, '2026-07-28': 64 },
};

/** It measures how long a client waits before it resumes, and allows 200 ms: nothing else may run beside it. */
export function isTimed(scenario: string): boolean {
  return scenario === 'sse-retry';
}
