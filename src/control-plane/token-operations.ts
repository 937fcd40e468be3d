// Tokens as operations of the control plane.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { NAME_STYLES, type StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { NOTHING, type Operation, operation } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { tokenInputSchema } from './schemas.ts';
import { createToken, findLive, revokeToken } from './tokens.ts';
import { find, requireApiManaged, type UseCaseDeps } from './use-case.ts';

const { name, names } = tokenInputSchema.shape;

const tokenView = z.object({
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
  managed_by: z.enum(['api', 'file']),
});

const expireTime = z
  .int()
  .min(1)
  .optional()
  .describe('When it ends to open anything, in milliseconds since 1970; never, if left out.');

export function tokenOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'mcp-tokens', query: NOTHING, body: NOTHING, view: tokenView };
  return [
    operation({
      ...shared,
      name: 'createMcpToken',
      summary: 'Create a token for agents. Its value is in this answer and never shown again.',
      method: 'post',
      path: '/mcp-tokens',
      role: 'editor',
      body: z.strictObject({
        name,
        grants: tokenInputSchema.shape.grants.describe('By names or ids, in order.'),
        names,
        expire_time_ms: expireTime,
      }),
      view: tokenView.extend({ token: z.string() }),
      run: async ({ operator: { accountId }, body }) => {
        requireFuture(body.expire_time_ms, deps.now());
        const { token, value } = await createToken(deps, accountId, {
          name: body.name,
          grants: body.grants.map((grant) => ({
            mcpConfig: grant.mcp_config,
            secret: grant.secret ?? null,
            allowedTools: grant.allowed_tools ?? null,
          })),
          nameStyle: body.names,
          expiresAtMs: body.expire_time_ms ?? null,
        });
        await deps.refresh();
        return { ...toTokenView(token, await deps.store.readConfiguration(accountId)), token: value };
      },
    }),
    operation({
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
        return { mcp_tokens: items.map((token) => toTokenView(token, configuration)), ...page };
      },
    }),
    operation({
      ...shared,
      name: 'getMcpToken',
      summary: 'Get a token by its id or name, without its value.',
      method: 'get',
      path: '/mcp-tokens/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => {
        const configuration = await deps.store.readConfiguration(operator.accountId);
        const { tokens } = configuration;
        // A name may be that of a token in force and of revoked ones.
        const liveFirst = [...tokens.filter(isLive), ...tokens.filter((token) => !isLive(token))];
        return toTokenView(find(liveFirst, id, 'token'), configuration);
      },
    }),
    operation({
      ...shared,
      name: 'revokeMcpToken',
      summary: 'Revoke a token. It opens nothing any more, and what is open under it is closed.',
      method: 'post',
      path: '/mcp-tokens/{id}/revoke',
      role: 'editor',
      run: async ({ operator: { accountId }, id }) => {
        const before = await deps.store.readConfiguration(accountId);
        requireApiManaged(findLive(before.tokens, id, 'token'), 'token');
        const revoked = await revokeToken(deps, accountId, id);
        await deps.refresh();
        return toTokenView(revoked, before);
      },
    }),
  ];
}

function isLive({ revokedAtMs }: StoredToken): boolean {
  return revokedAtMs === null;
}

function toTokenView(token: StoredToken, { mcpConfigs }: AccountConfiguration): z.input<typeof tokenView> {
  return {
    id: token.id,
    name: token.name,
    names: token.nameStyle,
    grants: token.grants.map((grant) => {
      const config = mcpConfigs.find(({ id }) => id === grant.mcpConfigId);
      return {
        mcp_config: grant.mcpConfigId,
        secret: grant.secretId,
        allowed_tools: grant.allowedTools === null ? null : [...grant.allowedTools],
        is_suspended:
          config !== undefined && grant.secretOrigin !== null && grant.secretOrigin !== new URL(config.endpoint).origin,
      };
    }),
    create_time_ms: token.createTimeMs,
    expire_time_ms: token.expiresAtMs,
    revoke_time_ms: token.revokedAtMs,
    managed_by: token.managedBy,
  };
}

function requireFuture(timeMs: number | undefined, nowMs: number): void {
  if (timeMs === undefined || timeMs > nowMs) return;
  const message = 'is in the past: give milliseconds since 1970 of a time to come';
  throw new GatewayError('invalid_argument', `expire_time_ms ${message}.`, {
    problems: [{ path: 'expire_time_ms', message }],
  });
}
