// Tokens as operations of the control plane.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import type { McpConfig } from '../domain/mcp-config.ts';
import { isSuspended, NAME_STYLES, type StoredToken } from '../domain/principal.ts';
import { isOperatorSuppliedToken } from '../identity/tokens.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { type Change, find } from './change.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { timeMs } from './schema-parts.ts';
import { tokenInputSchema } from './schemas.ts';
import { createToken, type GrantInput, type Minted, revokeToken, rotateToken, updateToken } from './tokens.ts';
import type { UseCaseDeps } from './use-case.ts';

const { name, names } = tokenInputSchema.shape;
const grants = tokenInputSchema.shape.grants.describe('By names or ids, in order.');

const ownValue = z
  .string()
  .refine(isOperatorSuppliedToken, 'is not a token: 32 to 256 visible ASCII characters')
  .optional()
  .describe('A value of your own; one is made if it is left out.')
  .meta({ writeOnly: true });

export const tokenView = z.object({
  id: z.string(),
  name: z.string(),
  names: z.enum(NAME_STYLES).describe('Spelling of tool names.'),
  grants: z.array(
    z.object({
      mcp_config: z.string().describe('Id of the McpConfig.'),
      secret: z.string().nullable().describe('Id of the secret.'),
      allowed_tools: z.array(z.string()).nullable(),
      is_suspended: z
        .boolean()
        .describe('Whether the endpoint has moved to another origin since the secret was granted.'),
    }),
  ),
  create_time_ms: z.int(),
  expire_time_ms: z.int().nullable(),
  revoke_time_ms: z.int().nullable(),
  previous_value_expire_time_ms: z
    .int()
    .nullable()
    .describe('Until when the value before the last rotation is good; null if there is none.'),
  devbox_id: z.string().nullable().describe('The devbox it was made for, which ends it.'),
  revision: z.int().describe('Counts the writes to this token, from 1.'),
  managed_by: z.enum(['api', 'file']),
});

const MAX_OVERLAP_SECONDS = 30 * 24 * 60 * 60;
const DEFAULT_OVERLAP_SECONDS = 60 * 60;

export const mcpUrl = z.string().describe('Where an agent connects with it.');

/** A token with its value, which is shown when it is made and never again. */
export const mintedTokenView = tokenView.extend({ token: z.string(), url: mcpUrl });

const expireTime = timeMs
  .optional()
  .describe('When it ends to open anything, in milliseconds since 1970; never, if left out.');

/** What a token is made from, but for its value. */
export const newTokenBody = z.strictObject({ name, grants, names, expire_time_ms: expireTime });

export function tokenOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'mcp-tokens', query: NOTHING, body: NOTHING, view: tokenView };
  return [
    write({
      ...shared,
      name: 'createMcpToken',
      summary: 'Create a token for agents. Its value is in this answer and never shown again.',
      method: 'post',
      path: '/mcp-tokens',
      role: 'editor',
      body: newTokenBody.extend({ value: ownValue }),
      view: mintedTokenView,
      run: async ({ body }, change) => {
        const { stored, value } = await createFromBody(deps.pepper, change, body);
        return { ...toTokenView(stored, change.before), token: value, url: deps.mcpUrl() };
      },
    }),
    read({
      ...shared,
      name: 'listMcpTokens',
      summary: 'List tokens, newest first, without their values.',
      method: 'get',
      path: '/mcp-tokens',
      role: 'viewer',
      query: pageQuery.extend({ name: z.string().optional().describe('Begins with this.') }),
      view: z.object({ mcp_tokens: z.array(tokenView), ...pageView }),
      run: async ({ operator, query }) => {
        const configuration = await deps.store.readConfiguration(operator.accountId);
        const isWanted = (token: StoredToken) => token.name.startsWith(query.name ?? '');
        const { items, ...page } = toPage(configuration.tokens, isWanted, query);
        const configs = new Map(configuration.mcpConfigs.map((config) => [config.id, config]));
        return { mcp_tokens: items.map((token) => toView(token, configs)), ...page };
      },
    }),
    read({
      ...shared,
      name: 'getMcpToken',
      summary: 'Get a token by its id or name, without its value.',
      method: 'get',
      path: '/mcp-tokens/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => {
        const configuration = await deps.store.readConfiguration(operator.accountId);
        return toTokenView(find(configuration.tokens, id, 'token'), configuration);
      },
    }),
    write({
      ...shared,
      name: 'updateMcpToken',
      summary: 'Change a token. What is left out, or null, stays as it is; `grants` is replaced whole.',
      method: 'post',
      path: '/mcp-tokens/{id}',
      role: 'editor',
      body: z.strictObject({
        name: name.optional(),
        grants: grants.optional(),
        names: names.unwrap().optional(),
        expire_time_ms: expireTime,
      }),
      run: async ({ id, body }, change) => {
        requireFuture(body.expire_time_ms, change.nowMs);
        const updated = await updateToken(change, id, {
          name: body.name,
          grants: body.grants?.map(toGrantInput),
          nameStyle: body.names,
          expiresAtMs: body.expire_time_ms,
        });
        return toTokenView(updated, change.before);
      },
    }),
    write({
      ...shared,
      name: 'rotateMcpToken',
      summary: 'Give a token another value. The one before is good for the overlap, so that agents can be moved over.',
      method: 'post',
      path: '/mcp-tokens/{id}/rotate',
      role: 'editor',
      body: z.strictObject({
        overlap_seconds: z
          .int()
          .min(0)
          .max(MAX_OVERLAP_SECONDS)
          .default(DEFAULT_OVERLAP_SECONDS)
          .describe('How long the value before is good; 0 ends it at once.'),
        value: ownValue,
      }),
      view: mintedTokenView,
      run: async ({ id, body }, change) => {
        const { stored, value } = await rotateToken(deps.pepper, change, id, {
          overlapMs: body.overlap_seconds * 1000,
          value: body.value,
        });
        return { ...toTokenView(stored, change.before), token: value, url: deps.mcpUrl() };
      },
    }),
    write({
      ...shared,
      name: 'revokeMcpToken',
      summary: 'Revoke a token. It opens nothing any more, and what is open under it is closed.',
      method: 'post',
      path: '/mcp-tokens/{id}/revoke',
      role: 'editor',
      run: async ({ id }, change) => {
        const token = change.findEditable('token', id);
        return toTokenView(await revokeToken(change, token), change.before);
      },
    }),
  ];
}

/** Throws `invalid_argument`, `conflict`. */
export function createFromBody(
  pepper: Buffer,
  change: Change,
  body: z.output<typeof newTokenBody> & { readonly value?: string | undefined },
): Promise<Minted<StoredToken>> {
  requireFuture(body.expire_time_ms, change.nowMs);
  return createToken(pepper, change, {
    name: body.name,
    grants: body.grants.map(toGrantInput),
    nameStyle: body.names,
    expiresAtMs: body.expire_time_ms ?? null,
    value: body.value,
  });
}

export function toTokenView(token: StoredToken, { mcpConfigs }: AccountConfiguration): z.input<typeof tokenView> {
  const granted = new Set(token.grants.map(({ mcpConfigId }) => mcpConfigId));
  return toView(token, new Map(mcpConfigs.filter(({ id }) => granted.has(id)).map((config) => [config.id, config])));
}

function toView(token: StoredToken, configs: ReadonlyMap<string, McpConfig>): z.input<typeof tokenView> {
  return {
    id: token.id,
    name: token.name,
    names: token.nameStyle,
    grants: token.grants.map((grant) => {
      const config = configs.get(grant.mcpConfigId);
      return {
        mcp_config: grant.mcpConfigId,
        secret: grant.secretId,
        allowed_tools: grant.allowedTools === null ? null : [...grant.allowedTools],
        is_suspended: config !== undefined && isSuspended(grant, config),
      };
    }),
    create_time_ms: token.createTimeMs,
    expire_time_ms: token.expiresAtMs,
    previous_value_expire_time_ms: token.previousExpiresAtMs,
    revoke_time_ms: token.revokedAtMs,
    devbox_id: token.devboxId,
    revision: token.revision,
    managed_by: token.managedBy,
  };
}

function toGrantInput({ mcp_config, secret, allowed_tools }: z.output<typeof grants>[number]): GrantInput {
  return { mcpConfig: mcp_config, secret: secret ?? null, allowedTools: allowed_tools ?? null };
}

function requireFuture(timeMs: number | undefined, nowMs: number): void {
  if (timeMs === undefined || timeMs > nowMs) return;
  const message = 'is in the past: give milliseconds since 1970 of a time to come';
  throw new GatewayError('invalid_argument', `expire_time_ms ${message}.`, {
    problems: [{ path: 'expire_time_ms', message }],
  });
}
