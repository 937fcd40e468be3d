// The account of whoever asks, as an operation of the control plane.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import { ROLES } from '../domain/principal.ts';
import { NOTHING, type Operation, operation } from './operation.ts';
import type { UseCaseDeps } from './use-case.ts';

export function accountOperations(deps: Pick<UseCaseDeps, 'store'>): Operation[] {
  return [
    operation({
      name: 'getMyAccount',
      tag: 'accounts',
      summary: 'The account that the API key belongs to.',
      method: 'get',
      path: '/accounts/me',
      role: 'viewer',
      query: NOTHING,
      body: NOTHING,
      view: z.object({ id: z.string(), name: z.string(), role: z.enum(ROLES).describe('Of the API key.') }),
      run: async ({ operator: { accountId, role } }) => {
        const account = (await deps.store.accounts()).find(({ id }) => id === accountId);
        if (account === undefined) throw new GatewayError('not_found', 'The account of this API key is gone.');
        return { ...account, role };
      },
    }),
  ];
}
