// API keys as operations of the control plane.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { ROLES, type StoredApiKey } from '../domain/principal.ts';
import { createApiKey, revokeApiKey } from './api-keys.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { tokenInputSchema } from './schemas.ts';
import type { UseCaseDeps } from './use-case.ts';

const { name } = tokenInputSchema.shape;

export const keyView = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  create_time_ms: z.int(),
  revoke_time_ms: z.int().nullable(),
});

export function apiKeyOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'api-keys', query: NOTHING, body: NOTHING, view: keyView, role: 'owner' as const };
  return [
    write({
      ...shared,
      name: 'createApiKey',
      summary: 'Create an API key. Its value is in this answer and never shown again.',
      method: 'post',
      path: '/api-keys',
      body: z.strictObject({ name, role: z.enum(ROLES).describe('What it may do.') }),
      view: keyView.extend({ api_key: z.string() }),
      run: async ({ body }, change) => {
        const { stored, value } = await createApiKey(deps.pepper, change, body);
        return { ...toKeyView(stored), api_key: value };
      },
    }),
    read({
      ...shared,
      name: 'listApiKeys',
      summary: 'List API keys, newest first, without their values.',
      method: 'get',
      path: '/api-keys',
      query: pageQuery,
      view: z.object({ api_keys: z.array(keyView), ...pageView }),
      run: async ({ operator, query }) => {
        const { apiKeys } = await deps.store.readConfiguration(operator.accountId);
        const { items, ...page } = toPage(apiKeys, () => true, query);
        return { api_keys: items.map(toKeyView), ...page };
      },
    }),
    write({
      ...shared,
      name: 'revokeApiKey',
      summary: 'Revoke an API key other than the one this request is made with.',
      method: 'post',
      path: '/api-keys/{id}/revoke',
      run: async ({ operator, id }, change) => {
        const key = change.find('api_key', id);
        if (key.id === operator.keyId) {
          throw new GatewayError(
            'conflict',
            'This is the API key that the request is made with: revoke it with another one, so that you are not locked out.',
          );
        }
        return toKeyView(await revokeApiKey(change, key));
      },
    }),
  ];
}

function toKeyView(key: StoredApiKey): z.input<typeof keyView> {
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    create_time_ms: key.createTimeMs,
    revoke_time_ms: key.revokedAtMs,
  };
}
