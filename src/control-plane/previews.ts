// Previews of McpConfigs: what saving one would change, for whom, and what was probably not meant.

import * as z from 'zod';
import { isSameDestination, previewConfig } from '../catalog/preview.ts';
import { GatewayError } from '../domain/errors.ts';
import { type AccountId, type McpConfig, originOf } from '../domain/mcp-config.ts';
import type { Operator } from '../identity/authenticate.ts';
import { find } from './change.ts';
import { configurationOf, type DecisionDeps } from './decisions.ts';
import { createBody, merge, requireAdmitted, toMcpConfig, updateBody } from './mcp-configs.ts';
import { isAllowed, NOTHING, type Operation, read, warningsView } from './operation.ts';
import { secretName } from './schema-parts.ts';
import { addedSendings, requireBound } from './secret-binding.ts';
import { refer, requireFreeName, type UseCaseDeps } from './use-case.ts';

export interface PreviewDeps extends UseCaseDeps, DecisionDeps {
  /** Brings what others have written into force here. */
  readonly refresh: () => Promise<void>;
}

/** At once, of one account: each may have upstreams connected to and waited for. */
const MAX_PREVIEWS = 4;

const secret = secretName
  .optional()
  .describe('Name or id of a secret to take the config with: its upstream is asked with it, and only then.');

const admitted = z.array(z.object({ name: z.string(), pattern: z.string() }));
const changes = {
  appear: admitted.describe('What the config would allow and does not now, with the pattern that would allow it.'),
  disappear: admitted.describe('What the config allows now and would not, with the pattern that allows it.'),
  appear_count: z.int(),
  disappear_count: z.int(),
  unchanged_count: z.int(),
};
const RESOURCES = 'The same of resources and URI templates that are listed.';
const renamed = z.array(z.object({ name: z.string(), from: z.string(), to: z.string() }));
const listEffect = {
  appear: z.array(z.string()),
  disappear: z.array(z.string()),
  appear_count: z.int(),
  disappear_count: z.int(),
  moved: renamed.describe('What stays, and would be served by another McpConfig.'),
};
export const previewView = z.object({
  epoch: z.int().describe('The version of the configuration it was made under.'),
  mcp_config: z.object({ id: z.string().nullable(), name: z.string(), service: z.string() }),
  list: z
    .object({
      secret: z.string().nullable().describe('Name of the secret with which the upstream was asked.'),
      source: z
        .enum(['live', 'last_known', 'none'])
        .describe('`live`: what the upstream says; `last_known`: what it said last; `none`: nobody knows.'),
      fetched_at: z.string().nullable(),
      problem: z.string().nullable().describe('Why the list is not there, or not live.'),
    })
    .describe('Whose lists the preview was made from.'),
  ...changes,
  appear: changes.appear.describe(
    'Tools the config would allow and does not now, and the pattern that would allow them.',
  ),
  disappear: changes.disappear.describe('Tools the config allows now and would not, and the pattern that allows them.'),
  prompts: z.object(changes).describe('The same of prompts.'),
  resources: z.object(changes).describe(RESOURCES),
  tokens: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        ...listEffect,
        moved: renamed.describe('Tools that stay, and would be served by another McpConfig.'),
        respelled: renamed.describe('Tools that stay, and would be listed by another name.'),
        prompts: z.object(listEffect).describe('The same of prompts.'),
        resources: z.object(listEffect).describe(RESOURCES),
      }),
    )
    .describe('Live tokens that are granted the config, and what would change in their lists.'),
  token_count: z.int(),
  suspends: z
    .array(z.object({ token: z.string(), secret: z.string().nullable() }))
    .describe('Grants that would be suspended until an owner confirms the endpoint.'),
  warnings: warningsView.unwrap(),
});

/** Ahead of the operations on one McpConfig: `preview` is not an id. A config of that name is changed by its id. */
export function previewOperations(deps: PreviewDeps): Operation[] {
  const slots = new Map<AccountId, number>();
  const shared = { tag: 'mcp-configs', method: 'post', role: 'viewer', query: NOTHING, view: previewView } as const;
  return [
    read({
      ...shared,
      name: 'previewMcpConfig',
      summary:
        'What a new McpConfig would allow, without saving it. Its endpoint is connected to, which takes the role editor where the endpoint is a new one, or a secret or headers are sent.',
      path: '/mcp-configs/preview',
      body: createBody.extend({ secret }),
      run: ({ operator, body }) =>
        inSlot(slots, deps, operator.accountId, async () => {
          await deps.refresh();
          const configuration = configurationOf(deps, operator.accountId);
          const isKnown = configuration.mcpConfigs.some((config) => config.endpoint === body.endpoint);
          if (!isKnown || body.secret !== undefined || body.custom_headers.length > 0) requireEditor(operator);
          requireFreeName(configuration.mcpConfigs, body.name, 'McpConfig');
          requireAdmitted(deps, body.endpoint);
          const after = toMcpConfig(body, deps.newId('mcp'), configuration, deps.now());
          return run(deps, operator, { before: undefined, after, secret: body.secret });
        }),
    }),
    read({
      ...shared,
      name: 'previewMcpConfigUpdate',
      summary:
        'What a change of an McpConfig would do, without saving it. It takes the role editor where endpoint, auth_mechanism or custom_headers change, or a secret is named.',
      path: '/mcp-configs/{id}/preview',
      body: updateBody.extend({ secret }),
      run: ({ operator, id, body }) =>
        inSlot(slots, deps, operator.accountId, async () => {
          await deps.refresh();
          const configuration = configurationOf(deps, operator.accountId);
          const before = find(configuration.mcpConfigs, id, 'McpConfig');
          const after = merge(before, body, configuration);
          if (body.secret !== undefined || !isSameDestination(before, after)) requireEditor(operator);
          requireFreeName(configuration.mcpConfigs, after.name, 'McpConfig', before.id);
          if (after.endpoint === before.endpoint) return run(deps, operator, { before, after, secret: body.secret });
          requireAdmitted(deps, after.endpoint);
          // What the operator's file admits is the endpoint that is written there.
          return run(deps, operator, { before, after: { ...after, managedBy: 'api' }, secret: body.secret });
        }),
    }),
  ];
}

interface Edit {
  readonly before: McpConfig | undefined;
  readonly after: McpConfig;
  /** Name or id. */
  readonly secret: string | undefined;
}

function run(deps: PreviewDeps, { accountId, role }: Operator, { before, after, secret: wanted }: Edit) {
  const configuration = configurationOf(deps, accountId);
  const secretId = wanted === undefined ? undefined : refer(configuration.secrets, wanted, 'secret', 'secret').id;
  if (role !== 'owner') {
    const origin = originOf(after.endpoint);
    const named = secretId === undefined ? [] : [{ secretId, origin, path: 'secret' }];
    for (const each of [...named, ...addedSendings(before, after)]) requireBound(configuration.secrets, each);
  }
  return previewConfig(deps.catalogs, {
    accountId,
    before,
    after,
    secretId,
    isTrusted: isAllowed(role, 'editor'),
    waitMs: deps.listWaitMs,
    now: deps.now,
  });
}

/** Throws `forbidden`: who may not save it must not have the gateway connect and send for it either. */
function requireEditor({ name, role }: Operator): void {
  if (isAllowed(role, 'editor')) return;
  throw new GatewayError(
    'forbidden',
    `The API key "${name}" has the role ${role}, and a preview that connects to a new endpoint, or in another way, needs editor. ` +
      'Use another key, or preview name and allowed_tools of a saved McpConfig.',
  );
}

async function inSlot<T>(
  slots: Map<AccountId, number>,
  { listWaitMs }: DecisionDeps,
  account: AccountId,
  work: () => Promise<T>,
): Promise<T> {
  const taken = slots.get(account) ?? 0;
  if (taken >= MAX_PREVIEWS) {
    const message = `${MAX_PREVIEWS} previews of this account are being made already: try again when one has ended.`;
    throw new GatewayError('rate_limited', message, { retryAfterMs: listWaitMs });
  }
  slots.set(account, taken + 1);
  try {
    return await work();
  } finally {
    const left = (slots.get(account) ?? 1) - 1;
    if (left > 0) slots.set(account, left);
    else slots.delete(account);
  }
}
