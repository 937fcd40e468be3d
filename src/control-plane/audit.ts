// The audit as the control plane shows it: who changed what, and who called what by whose decision.

import * as z from 'zod';
import type { CallPage, CallQuery } from '../audit-log/read-calls.ts';
import { GatewayError } from '../domain/errors.ts';
import { ACTIONS, OBJECT_KINDS, type Revision } from '../domain/revision.ts';
import type { Store } from '../store/store.ts';
import { effectView, toEffectView } from './effect-view.ts';
import { actorView } from './history.ts';
import { NOTHING, type Operation, read } from './operation.ts';
import { readRevision } from './revision-chain.ts';
import { timeMs } from './schema-parts.ts';

export interface AuditDeps {
  readonly store: Store;
  /** What has been called, up to this moment; `undefined` where calls are not audited. Throws `invalid_argument`. */
  readonly readCalls: ((query: CallQuery, cursor: string | null, limit: number) => Promise<CallPage>) | undefined;
}

const changeView = z.object({
  sequence: z.int().describe('Counts the writes of the account.'),
  time_ms: z.int(),
  actor: actorView,
  request_id: z.string().nullable(),
  action: z.enum(ACTIONS),
  object: z.object({ kind: z.enum(OBJECT_KINDS), id: z.string(), name: z.string(), revision: z.int() }),
  effect: effectView,
});

const callView = z
  .looseObject({ time: z.string(), account: z.string() })
  .describe('A call as the log has it, or how many are missing there.');

const auditQuery = z.strictObject({
  kind: z.enum(['changes', 'calls']).default('changes'),
  limit: z.int().min(1).max(1000).default(100),
  starting_after: z.string().optional().describe('`next` of the page before.'),
  since_ms: timeMs.optional(),
  until_ms: timeMs.optional(),
  object_kind: z.enum(OBJECT_KINDS).optional().describe('Of changes.'),
  object_id: z.string().optional().describe('Of changes.'),
  actor_id: z.string().optional().describe('Of changes: id of the API key.'),
  action: z.enum(ACTIONS).optional().describe('Of changes.'),
  token: z.string().optional().describe('Of calls: id of the token.'),
  tool: z.string().optional().describe('Of calls: canonical name of the tool.'),
  service: z.string().optional().describe('Of calls.'),
  outcome: z.string().optional().describe('Of calls, such as `answered`.'),
  config: z.string().optional().describe('Of calls: id or name of the McpConfig, or `name@revision`.'),
});
type AuditQuery = z.output<typeof auditQuery>;

export function auditOperations(deps: AuditDeps): Operation[] {
  return [
    read({
      name: 'listAudit',
      tag: 'audit',
      summary: 'Who changed what, or who called what, newest first.',
      method: 'get',
      path: '/audit',
      role: 'viewer',
      query: auditQuery,
      body: NOTHING,
      view: z.object({
        changes: z.array(changeView).optional(),
        calls: z.array(callView).optional(),
        next: z
          .string()
          .nullable()
          .describe('Where the next page begins; a page may be short, or empty, and have one.'),
      }),
      run: ({ operator: { accountId }, query }) =>
        query.kind === 'changes' ? listChanges(deps.store, accountId, query) : listCalls(deps, accountId, query),
    }),
  ];
}

async function listChanges(store: Store, account: Parameters<Store['readRevisions']>[0], query: AuditQuery) {
  const found = await store.readRevisions(account, {
    limit: query.limit + 1,
    before: readSequence(query.starting_after),
    objectKind: query.object_kind,
    objectId: query.object_id,
    actorId: query.actor_id,
    action: query.action,
    sinceMs: query.since_ms,
    untilMs: query.until_ms,
  });
  const page = found.slice(0, query.limit);
  return {
    changes: page.map((stored) => toChangeView(readRevision(stored))),
    next: found.length > page.length ? String(page.at(-1)?.sequence) : null,
  };
}

async function listCalls({ readCalls }: AuditDeps, account: CallQuery['account'], query: AuditQuery) {
  if (readCalls === undefined) {
    throw new GatewayError('not_found', 'Calls are not audited here: the operator has set audit.calls to false.');
  }
  const { token: tokenId, tool, service, outcome, config, since_ms: sinceMs, until_ms: untilMs } = query;
  const filters = { account, sinceMs, untilMs, tokenId, tool, service, outcome, config };
  const { calls, cursor } = await readCalls(filters, query.starting_after ?? null, query.limit);
  return { calls: calls.map((call) => ({ ...call })), next: cursor };
}

function readSequence(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (/^[1-9]\d{0,14}$/.test(cursor)) return Number(cursor);
  const message = 'is not `next` of a page of changes: give that, or leave it out';
  throw new GatewayError('invalid_argument', `starting_after ${message}.`, {
    problems: [{ path: 'starting_after', message }],
  });
}

function toChangeView(revision: Revision): z.input<typeof changeView> {
  return {
    sequence: revision.sequence,
    time_ms: revision.timeMs,
    actor: revision.actor,
    request_id: revision.requestId,
    action: revision.action,
    object: {
      kind: revision.objectKind,
      id: revision.objectId,
      name: revision.objectName,
      revision: revision.revision,
    },
    effect: toEffectView(revision.effect),
  };
}
