// Devboxes, as far as Runloop's clients need them here: a record of what is mounted, and the calls that make tokens for
// it. Nothing is started or stopped.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { type AccountId, isSecretName } from '../domain/mcp-config.ts';
import type { Devbox, Mount } from '../domain/revision.ts';
import type { AccountConfiguration, Store } from '../store/store.ts';
import type { Change } from './change.ts';
import { createDevboxToken } from './devbox-tokens.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { pageQuery, pageView, toCursorError } from './page.ts';
import { revokeToken } from './tokens.ts';
import { refer, type UseCaseDeps } from './use-case.ts';

const MAX_MOUNTS = 100;
/** Each may hold a hundred times four kilobytes of metadata. */
const MAX_LIMIT = 100;
const MAX_METADATA = 100;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;

export const mountInput = z.strictObject({
  mcp_config: z.string().describe('Id or name of the McpConfig.'),
  secret: z.string().optional().describe('Id or name of the secret sent to it.'),
});

export const createBody = z.strictObject({
  name: z.string().max(256, 'is longer than 256 characters').optional(),
  metadata: z
    .record(z.string().max(256), z.string().max(4096, 'is longer than 4096 characters'))
    .refine((metadata) => Object.keys(metadata).length <= MAX_METADATA, `holds more than ${MAX_METADATA} keys`)
    .optional(),
  mcp: z
    .union(
      [
        z.record(z.string().regex(VARIABLE), mountInput).refine((mounts) => Object.keys(mounts).length <= MAX_MOUNTS),
        z.array(mountInput).max(MAX_MOUNTS),
      ],
      `must be an object of at most ${MAX_MOUNTS} environment variables, each with mcp_config and secret, or a list of such`,
    )
    .optional()
    .describe('What the devbox is to reach, by the environment variable that gets the token.'),
});

const STATUSES = ['running', 'shutdown'] as const;

const listQuery = pageQuery.extend({
  limit: pageQuery.shape.limit.describe(`Most devboxes on the page; more than ${MAX_LIMIT} counts as ${MAX_LIMIT}.`),
  status: z.enum(STATUSES).optional(),
});

export const viewSchema = z.object({
  id: z.string(),
  name: z.string().nullable(),
  status: z.enum(STATUSES),
  capabilities: z.array(z.string()),
  create_time_ms: z.int(),
  end_time_ms: z.int().nullable(),
  launch_parameters: z.object({}),
  metadata: z.record(z.string(), z.string()),
  revision: z.int().describe('Counts the writes to this devbox: 1, and 2 when it is shut down.'),
  state_transitions: z.array(z.object({ status: z.enum(STATUSES), transition_time_ms: z.int() })),
  mcp_specs: z
    .record(z.string(), z.object({ mcp_config_id: z.string(), secret_id: z.string().nullable() }))
    .nullable()
    .describe('What is mounted, by environment variable.'),
});

export function devboxOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'devboxes', query: NOTHING, body: NOTHING, view: viewSchema };
  const create = {
    ...shared,
    method: 'post' as const,
    role: 'editor' as const,
    body: createBody,
    run: async ({ body }: { body: z.output<typeof createBody> }, change: Change) => {
      const devbox: Devbox = {
        id: deps.newId('dbx'),
        name: body.name ?? null,
        mounts: toMounts(body.mcp, change.before),
        metadata: body.metadata ?? {},
        createTimeMs: change.nowMs,
        endTimeMs: null,
      };
      await change.put('devbox', devbox, 'create');
      return toView(devbox);
    },
  };
  return [
    write({ ...create, name: 'createDevbox', summary: 'Record a devbox and what it mounts.', path: '/devboxes' }),
    write({
      ...create,
      name: 'createDevboxAndAwaitRunning',
      summary: 'Record a devbox, which is taken to be running at once.',
      path: '/devboxes/create_and_await_running',
    }),
    read({
      ...shared,
      name: 'listDevboxes',
      summary: 'List devboxes, newest first.',
      method: 'get',
      path: '/devboxes',
      role: 'viewer',
      query: listQuery,
      view: z.object({ devboxes: z.array(viewSchema), ...pageView }),
      run: ({ operator, query }) => listDevboxes(deps.store, operator.accountId, query),
    }),
    read({
      ...shared,
      name: 'getDevbox',
      summary: 'Get a devbox by its id.',
      method: 'get',
      path: '/devboxes/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => toView(requireDevbox(await deps.store.findDevbox(operator.accountId, id), id)),
    }),
    read({
      ...shared,
      name: 'awaitDevboxStatus',
      summary: 'The devbox as it is: it never changes its status by itself.',
      method: 'post',
      path: '/devboxes/{id}/wait_for_status',
      role: 'viewer',
      body: z.strictObject({ statuses: z.array(z.string()).optional(), timeout_seconds: z.number().optional() }),
      run: async ({ operator, id }) => toView(requireDevbox(await deps.store.findDevbox(operator.accountId, id), id)),
    }),
    write({
      ...shared,
      name: 'createDevboxMcpToken',
      summary: 'Make a token for a devbox: one McpConfig, with one secret, for a day or until the devbox is shut down.',
      method: 'post',
      path: '/devboxes/{id}/create_mcp_token',
      role: 'editor',
      body: mountInput,
      view: z.object({
        token: z.string().describe('Its value, which is never shown again.'),
        url: z.string().describe('Where the devbox connects with it.'),
        mcp_config_id: z.string(),
        endpoint: z.string().describe('Of the upstream. The devbox does not connect there.'),
        allowed_tools: z.array(z.string()),
        devbox_id: z.string(),
      }),
      run: async ({ id, body }, change) => {
        const devbox = requireRunning(requireDevbox(await change.writer.findDevbox(id), id));
        const config = refer(change.before.mcpConfigs, body.mcp_config, 'McpConfig', 'mcp_config');
        const secret = body.secret === undefined ? null : refer(change.before.secrets, body.secret, 'secret', 'secret');
        const value = await createDevboxToken(deps.pepper, change, devbox, config, secret);
        return {
          token: value,
          url: deps.mcpUrl(),
          mcp_config_id: config.id,
          endpoint: config.endpoint,
          allowed_tools: [...config.allowedTools],
          devbox_id: devbox.id,
        };
      },
    }),
    write({
      ...shared,
      name: 'shutdownDevbox',
      summary: 'End a devbox: its tokens are revoked.',
      method: 'post',
      path: '/devboxes/{id}/shutdown',
      role: 'editor',
      run: async ({ id }, change) => {
        const devbox = requireDevbox(await change.writer.findDevbox(id), id);
        change.requireRevision(`The devbox ${devbox.id}`, revisionOf(devbox));
        if (devbox.endTimeMs !== null) return toView(devbox);
        for (const token of change.before.tokens) {
          if (token.devboxId === id && token.revokedAtMs === null) await revokeToken(change, token);
        }
        const ended: Devbox = { ...devbox, endTimeMs: change.nowMs };
        await change.put('devbox', ended, 'shutdown');
        return toView(ended);
      },
    }),
  ];
}

async function listDevboxes(store: Store, account: AccountId, query: z.output<typeof listQuery>) {
  const { starting_after: cursor, status, include_total_count: counts } = query;
  const limit = Math.min(query.limit, MAX_LIMIT);
  const after = cursor === undefined ? undefined : await store.findDevbox(account, cursor);
  if (cursor !== undefined && after === undefined) throw toCursorError(cursor);
  const hasEnded = status === undefined ? undefined : status === 'shutdown';
  const found = await store.readDevboxes(account, { after, hasEnded, limit: limit + 1 });
  return {
    devboxes: found.slice(0, limit).map(toView),
    has_more: found.length > limit,
    total_count: counts ? await store.countDevboxes(account, { hasEnded }) : null,
  };
}

function toMounts(mcp: z.output<typeof createBody>['mcp'], before: AccountConfiguration): Mount[] {
  const entries = Array.isArray(mcp)
    ? mcp.map((mount, index) => ({ mount, path: `mcp[${index}]`, variable: undefined }))
    : Object.entries(mcp ?? {}).map(([variable, mount]) => ({ mount, path: `mcp.${variable}`, variable }));
  const taken = new Set<string>();
  return entries.map(({ mount, path, variable }) => {
    const config = refer(before.mcpConfigs, mount.mcp_config, 'McpConfig', `${path}.mcp_config`);
    const secret = mount.secret === undefined ? null : refer(before.secrets, mount.secret, 'secret', `${path}.secret`);
    return {
      variable: variable ?? takeVariable(`RL_MCP_${config.name.replaceAll('-', '_').toUpperCase()}`, taken),
      mcpConfigId: config.id,
      secretId: secret?.id ?? null,
    };
  });
}

/** Two mounts of one config, or of configs named alike, are told apart by a number. */
function takeVariable(base: string, taken: Set<string>): string {
  let variable = base;
  for (let count = 2; taken.has(variable); count++) variable = `${base}_${count}`;
  taken.add(variable);
  return variable;
}

function requireDevbox(devbox: Devbox | undefined, id: string): Devbox {
  if (devbox !== undefined) return devbox;
  throw new GatewayError(
    'not_found',
    `There is no devbox '${isSecretName(id) ? id.slice(0, 64) : '?'}' in this account.`,
  );
}

function requireRunning(devbox: Devbox): Devbox {
  if (devbox.endTimeMs === null) return devbox;
  throw new GatewayError('conflict', `The devbox ${devbox.id} is shut down: make another one.`);
}

function statusOf({ endTimeMs }: Devbox): (typeof STATUSES)[number] {
  return endTimeMs === null ? 'running' : 'shutdown';
}

function revisionOf({ endTimeMs }: Devbox): number {
  return endTimeMs === null ? 1 : 2;
}

function toView(devbox: Devbox): z.input<typeof viewSchema> {
  const specs = devbox.mounts.map(({ variable, mcpConfigId, secretId }) => [
    variable,
    { mcp_config_id: mcpConfigId, secret_id: secretId },
  ]);
  const { createTimeMs, endTimeMs } = devbox;
  return {
    id: devbox.id,
    name: devbox.name,
    status: statusOf(devbox),
    capabilities: [],
    create_time_ms: createTimeMs,
    end_time_ms: endTimeMs,
    launch_parameters: {},
    metadata: { ...devbox.metadata },
    revision: revisionOf(devbox),
    state_transitions: [
      { status: 'running', transition_time_ms: createTimeMs },
      ...(endTimeMs === null ? [] : [{ status: 'shutdown' as const, transition_time_ms: endTimeMs }]),
    ],
    mcp_specs: specs.length === 0 ? null : Object.fromEntries(specs),
  };
}
