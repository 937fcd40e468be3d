// Use cases of secrets. A value goes in and never comes out: views hold names and times.

import * as z from 'zod';
import { named } from '../catalog/named.ts';
import { GatewayError } from '../domain/errors.ts';
import { type StoredSecret, secretIdsOf } from '../domain/mcp-config.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { find } from './change.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { secretName } from './schema-parts.ts';
import { requireFreeName, type UseCaseDeps } from './use-case.ts';

const MAX_VALUE_LENGTH = 65_536;

const value = z
  .string()
  .min(1, 'is empty: give the value')
  .max(MAX_VALUE_LENGTH, `is longer than ${MAX_VALUE_LENGTH} characters`)
  .refine((text) => text.isWellFormed(), 'holds half of a surrogate pair, which no text has')
  .meta({ writeOnly: true });

export const viewSchema = z.object({
  id: z.string(),
  name: z.string(),
  create_time_ms: z.int(),
  update_time_ms: z.int(),
  revision: z.int().describe('Counts the values written, from 1.'),
  origins: z
    .array(z.string())
    .describe('Where it may be sent; the first grant or header says where, an owner may add others.'),
  managed_by: z.enum(['api', 'file']),
});

const listView = z.object({ secrets: z.array(viewSchema), ...pageView });

export function secretOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'secrets', query: NOTHING, body: NOTHING, view: viewSchema };
  return [
    write({
      ...shared,
      name: 'createSecret',
      summary: 'Store a secret. Its value is sealed, and never shown again.',
      method: 'post',
      path: '/secrets',
      role: 'editor',
      body: z.strictObject({ name: secretName, value }),
      run: async ({ body }, change) => {
        requireFreeName(change.before.secrets, body.name, 'secret');
        const { accountId, nowMs } = change;
        const ref = { accountId, secretId: deps.newId('sec'), name: body.name, version: 1 };
        const secret: StoredSecret = {
          id: ref.secretId,
          name: body.name,
          version: 1,
          sealed: deps.sealSecret(ref, body.value),
          origins: [],
          managedBy: 'api',
          createTimeMs: nowMs,
          updateTimeMs: nowMs,
        };
        await change.put('secret', secret, 'create');
        return toView(secret);
      },
    }),
    read({
      ...shared,
      name: 'listSecrets',
      summary: 'List secrets, newest first.',
      method: 'get',
      path: '/secrets',
      role: 'viewer',
      query: pageQuery.extend({ name: z.string().optional().describe('Begins with this.') }),
      view: listView,
      run: async ({ operator, query }) => {
        const { secrets } = await deps.store.readConfiguration(operator.accountId);
        const { items, ...page } = toPage(secrets, (secret) => secret.name.startsWith(query.name ?? ''), query);
        return { secrets: items.map(toView), ...page };
      },
    }),
    read({
      ...shared,
      name: 'getSecret',
      summary: 'Get a secret by its name or id, without its value.',
      method: 'get',
      path: '/secrets/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => {
        const { secrets } = await deps.store.readConfiguration(operator.accountId);
        return toView(find(secrets, id, 'secret'));
      },
    }),
    write({
      ...shared,
      name: 'updateSecret',
      summary: 'Replace the value of a secret. Requests to upstreams carry the new one from then on.',
      method: 'post',
      path: '/secrets/{id}',
      role: 'editor',
      body: z.strictObject({ value }),
      run: async ({ id, body }, change) => {
        const current = change.findEditable('secret', id);
        const version = current.version + 1;
        const ref = { accountId: change.accountId, secretId: current.id, name: current.name, version };
        const sealed = deps.sealSecret(ref, body.value);
        const secret: StoredSecret = { ...current, version, sealed, updateTimeMs: change.nowMs };
        await change.put('secret', secret, 'update');
        return toView(secret);
      },
    }),
    write({
      ...shared,
      name: 'deleteSecret',
      summary: 'Delete a secret that nothing uses.',
      method: 'post',
      path: '/secrets/{id}/delete',
      role: 'editor',
      run: async ({ id }, change) => {
        const secret = change.findEditable('secret', id);
        requireUnused(change.before, secret);
        await change.delete('secret', secret);
        return toView(secret);
      },
    }),
  ];
}

function toView(secret: StoredSecret): z.input<typeof viewSchema> {
  return {
    id: secret.id,
    name: secret.name,
    create_time_ms: secret.createTimeMs,
    update_time_ms: secret.updateTimeMs,
    revision: secret.version,
    origins: [...secret.origins],
    managed_by: secret.managedBy,
  };
}

/** Throws `conflict`, naming what would be left without its credential. */
function requireUnused({ mcpConfigs, tokens }: AccountConfiguration, { id, name }: StoredSecret): void {
  const users = [
    ...mcpConfigs.filter((config) => secretIdsOf(config).includes(id)).map((config) => `McpConfig ${config.name}`),
    ...tokens
      .filter(({ grants, revokedAtMs }) => revokedAtMs === null && grants.some(({ secretId }) => secretId === id))
      .map((token) => `token ${token.name}`),
  ];
  if (users.length === 0) return;
  throw new GatewayError('conflict', `The secret '${name}' is in use by ${named(users)}: take it out there first.`);
}
