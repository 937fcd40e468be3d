// What became of an McpConfig: its revisions, what changed between two of them, and the way back to one.

import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { type AccountId, type McpConfig, originOf, secretIdsOf } from '../domain/mcp-config.ts';
import { ACTIONS, ACTOR_KINDS, type Revision } from '../domain/revision.ts';
import type { Store, StoredRevision } from '../store/store.ts';
import { type Change, find } from './change.ts';
import { effectView, toEffectView } from './effect-view.ts';
import { mcpConfigView, requireAdmitted, toChangedView, toListedConfig, toMcpConfigView } from './mcp-configs.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { readRevision } from './revision-chain.ts';
import { addedSendings, bindSecrets, sendingsOf } from './secret-binding.ts';
import { requireFreeName, type UseCaseDeps } from './use-case.ts';

const MAX_ENTRIES = 1000;
/** Read in one turn of the event loop: each holds two whole McpConfigs, of up to a quarter of a megabyte. */
const ENTRIES_AT_ONCE = 10;
/** Named to who asks for a revision that is not there. */
const MAX_KNOWN = 20;

export const actorView = z.object({
  kind: z.enum(ACTOR_KINDS),
  id: z.string().nullable().describe('Id of the API key.'),
  name: z.string(),
});

const revisionNumber = z.int().min(1);

const entryView = z.object({
  revision: z.int().describe('Of the McpConfig, after the write.'),
  sequence: z.int().describe('Of the write, in the account.'),
  time_ms: z.int(),
  actor: actorView,
  action: z.enum(ACTIONS),
  changed_fields: z.array(z.string()),
  effect: effectView,
});

const fieldView = z.object({
  field: z.string(),
  before: z.unknown().describe('Null where there was none.'),
  after: z.unknown(),
});

export function historyOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'mcp-configs', query: NOTHING, body: NOTHING };
  return [
    read({
      ...shared,
      name: 'getMcpConfigHistory',
      summary: 'The revisions of an McpConfig, newest first: who, when, and what each gave and took.',
      method: 'get',
      path: '/mcp-configs/{id}/history',
      role: 'viewer',
      query: z.strictObject({
        limit: z.int().min(1).max(MAX_ENTRIES).default(20),
        before_revision: revisionNumber.optional().describe('Only older ones than this.'),
      }),
      view: z.object({ revisions: z.array(entryView), has_more: z.boolean() }),
      run: async ({ operator, id, query }) => {
        const history = await findHistory(deps.store, operator.accountId, id);
        const entries = await readEntries(history, query.limit + 1, query.before_revision);
        return { revisions: entries.slice(0, query.limit), has_more: entries.length > query.limit };
      },
    }),
    read({
      ...shared,
      name: 'diffMcpConfig',
      summary: 'What changed in an McpConfig between two revisions.',
      method: 'get',
      path: '/mcp-configs/{id}/diff',
      role: 'viewer',
      query: z.strictObject({
        from: revisionNumber.optional().describe('The one before `to`, if left out.'),
        to: revisionNumber.optional().describe('The newest, if left out.'),
      }),
      view: z.object({ from: z.int().nullable(), to: z.int(), fields: z.array(fieldView) }),
      run: async ({ operator, id, query }) => {
        const history = await findHistory(deps.store, operator.accountId, id);
        const to = query.to === undefined ? await history.newest() : await pick(history, query.to, 'to');
        const from = query.from === undefined ? undefined : await pick(history, query.from, 'from');
        const before = from === undefined ? to.before : from.after;
        return {
          from: from?.revision ?? (before === null ? null : to.revision - 1),
          to: to.revision,
          fields: diff(before, to.after),
        };
      },
    }),
    write({
      ...shared,
      name: 'revertMcpConfig',
      summary: 'Make an McpConfig what it was at an earlier revision, deleted ones included. It is a new revision.',
      method: 'post',
      path: '/mcp-configs/{id}/revert',
      role: 'editor',
      body: z.strictObject({ revision: revisionNumber.describe('The one to go back to.') }),
      view: mcpConfigView,
      run: async ({ operator, id, body }, change) => {
        const history = await findHistory(deps.store, operator.accountId, id);
        const [newest, wanted] = [await history.newest(), await pick(history, body.revision, 'revision')];
        const { objectId } = wanted;
        const current = change.before.mcpConfigs.find((config) => config.id === objectId);
        if (current !== undefined) change.findEditable('mcp_config', objectId);
        else requireApiDeleted(change, newest);
        const config: McpConfig = { ...toConfig(wanted), revision: newest.revision + 1, managedBy: 'api' };
        if (current !== undefined && isDeepStrictEqual({ ...config, revision: current.revision }, current)) {
          return toMcpConfigView(current);
        }
        requireFreeName(change.before.mcpConfigs, config.name, 'McpConfig', objectId);
        requireAdmitted(deps, config.endpoint);
        requireSecrets(config, change.before.secrets);
        await bindSecrets(change, addedSendings(current, config));
        await change.put('mcp_config', config, 'revert');
        return current === undefined ? toMcpConfigView(config) : toChangedView(current, config, change.before);
      },
    }),
    write({
      ...shared,
      name: 'confirmEndpoint',
      summary: 'Say that the secrets granted with an McpConfig may go to where its endpoint points now.',
      method: 'post',
      path: '/mcp-configs/{id}/confirm_endpoint',
      role: 'owner',
      body: z.strictObject({
        origin: z
          .string()
          .max(2048, 'is longer than 2048 characters')
          .describe('Where it points now, such as `https://mcp.example.com`, as it was seen.'),
      }),
      view: z.object({
        mcp_config: z.string(),
        origin: z.string(),
        tokens: z.array(z.string()).describe('Ids of those that work again.'),
      }),
      run: async ({ id, body }, change) => {
        const config = change.find('mcp_config', id);
        const origin = originOf(config.endpoint);
        requireSeen(config, origin, body.origin);
        const confirmed: string[] = [];
        const granted: (string | null)[] = [];
        for (const token of change.before.tokens) {
          if (token.revokedAtMs !== null) continue;
          const grants = token.grants.map((grant) =>
            grant.mcpConfigId === config.id && grant.secretOrigin !== origin
              ? { ...grant, secretOrigin: origin }
              : grant,
          );
          if (isDeepStrictEqual(grants, token.grants)) continue;
          await change.put('token', { ...token, grants, revision: token.revision + 1 }, 'confirm');
          granted.push(
            ...grants.filter(({ mcpConfigId }) => mcpConfigId === config.id).map(({ secretId }) => secretId),
          );
          confirmed.push(token.id);
        }
        await bindSecrets(
          change,
          [null, ...granted].flatMap((secretId) => sendingsOf(config, secretId, 'origin')),
        );
        return { mcp_config: config.id, origin, tokens: confirmed };
      },
    }),
  ];
}

/** The revisions of one McpConfig; the queries of it are newest first. */
interface History {
  readonly read: (query: {
    limit: number;
    before?: number | undefined;
    objectRevision?: number;
    beforeObjectRevision?: number | undefined;
  }) => Promise<readonly StoredRevision[]>;
  /** Throws `not_found` where there is none yet. */
  readonly newest: () => Promise<Revision>;
}

/** By the id, or else by the name of one that is there: a name may be spelled like an id. Throws `not_found`. */
async function findHistory(store: Store, account: AccountId, idOrName: string): Promise<History> {
  const readOf = (objectId: string, query: Parameters<History['read']>[0]) =>
    store.readRevisions(account, { objectKind: 'mcp_config', objectId, ...query });
  const isId = (await readOf(idOrName, { limit: 1 })).length > 0;
  const idOf = async (name: string) => find((await store.readConfiguration(account)).mcpConfigs, name, 'McpConfig').id;
  const objectId = isId ? idOrName : await idOf(idOrName);
  const read: History['read'] = (query) => readOf(objectId, query);
  return {
    read,
    newest: async () => {
      const [newest] = await read({ limit: 1 });
      if (newest !== undefined) return readRevision(newest);
      throw new GatewayError('not_found', 'This McpConfig has no history yet: it begins with the next change.');
    },
  };
}

async function readEntries({ read }: History, limit: number, beforeObjectRevision?: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const wanted = Math.min(ENTRIES_AT_ONCE, limit - entries.length);
    // In older records a config that had come back to the file began again at 1: only `sequence` is never given twice.
    const before = entries.at(-1)?.sequence;
    const found = wanted === 0 ? [] : await read({ limit: wanted, before, beforeObjectRevision });
    entries.push(...found.map((stored) => toEntry(readRevision(stored))));
    if (found.length < ENTRIES_AT_ONCE) return entries;
    await setImmediate();
  }
}

/** The config as it was at a revision; a deleted one was nothing. Throws `invalid_argument` at `path`. */
async function pick({ read }: History, wanted: number, path: string): Promise<Revision> {
  const [found] = await read({ limit: 1, objectRevision: wanted });
  if (found !== undefined && found.action !== 'delete') return readRevision(found);
  const newest = await read({ limit: MAX_KNOWN });
  const known = newest.filter(({ action }) => action !== 'delete').map(({ objectRevision }) => objectRevision);
  const message = `there is no revision ${wanted}; there are: ${known.join(', ') || 'none'}`;
  throw new GatewayError('invalid_argument', `${path}: ${message}.`, { problems: [{ path, message }] });
}

/** Throws `conflict`: it may have moved once more between the look and the confirmation. */
function requireSeen({ name }: McpConfig, origin: string, seen: string): void {
  if (seen === origin) return;
  const message = `the endpoint of '${name}' points to ${origin} now: make sure that its secrets may go there, and confirm that`;
  throw new GatewayError('conflict', `origin: ${message}.`, { problems: [{ path: 'origin', message }] });
}

/** What has left the config file comes back by the file: made through the API it would stand in the file's way. */
function requireApiDeleted(change: Change, newest: Revision): void {
  change.requireRevision('The deleted McpConfig', newest.revision);
  if (newest.before?.managedBy !== 'file') return;
  throw new GatewayError(
    'conflict',
    `The McpConfig '${newest.objectName}' was declared in the config file of the gateway: put it back there.`,
  );
}

/** Of an object recorded before its fields were there, and of what is never recorded. */
const UNRECORDED = { allowedPrompts: [], allowedResources: [], stdio: null } as const;

function toConfig({ after }: Pick<Revision, 'after'>): McpConfig {
  // What is recorded is the whole object, for an McpConfig holds no secret; but a process is the operator's file's alone.
  return { ...UNRECORDED, ...(after as unknown as McpConfig) };
}

function requireSecrets(config: McpConfig, secrets: readonly { readonly id: string }[]): void {
  const missing = secretIdsOf(config).filter((id) => !secrets.some((secret) => secret.id === id));
  if (missing.length === 0) return;
  throw new GatewayError(
    'conflict',
    `That revision uses secrets that are gone (${missing.join(', ')}): make the change by hand instead, with others.`,
  );
}

type Entry = z.input<typeof entryView>;

function toEntry(revision: Revision): Entry {
  return {
    revision: revision.revision,
    sequence: revision.sequence,
    time_ms: revision.timeMs,
    actor: revision.actor,
    action: revision.action,
    changed_fields: diff(revision.before, revision.after).map(({ field }) => field),
    effect: toEffectView(revision.effect),
  };
}

/** The fields as the API shows them; those that every write changes are left out. */
function diff(before: Revision['before'], after: Revision['after']): z.input<typeof fieldView>[] {
  const [was, is] = [toFields(before), toFields(after)];
  const names = Object.keys({ ...was, ...is });
  return names
    .map((field) => ({ field, before: was[field] ?? null, after: is[field] ?? null }))
    .filter((each) => !isDeepStrictEqual(each.before, each.after));
}

function toFields(object: Revision['before']): Record<string, unknown> {
  if (object === null) return {};
  const { id: _, revision: __, create_time_ms: ___, ...fields } = toListedConfig(toConfig({ after: object }));
  return fields;
}
