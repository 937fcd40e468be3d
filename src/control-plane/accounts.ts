// Accounts as operations of the control plane: the one that asks, and, for owners of the default account, all others.

import * as z from 'zod';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { ROLES } from '../domain/principal.ts';
import { type Account, DEFAULT_ACCOUNT } from '../store/store.ts';
import { mintApiKey } from './api-keys.ts';
import { NOTHING, type Operation, read, write } from './operation.ts';
import { tokenInputSchema } from './schemas.ts';
import { requireFreeName, type UseCaseDeps } from './use-case.ts';

export const accountView = z.object({ id: z.string(), name: z.string() });

export function accountOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'accounts', query: NOTHING, body: NOTHING };
  return [
    read({
      ...shared,
      name: 'getMyAccount',
      summary: 'The account that the API key belongs to.',
      method: 'get',
      path: '/accounts/me',
      role: 'viewer',
      view: accountView.extend({ role: z.enum(ROLES).describe('Of the API key.') }),
      run: async ({ operator: { accountId, role } }) => {
        const account = (await deps.store.accounts()).find(({ id }) => id === accountId);
        if (account === undefined) throw new GatewayError('not_found', 'The account of this API key is gone.');
        return { ...account, role };
      },
    }),
    read({
      ...shared,
      name: 'listAccounts',
      summary: 'All accounts, for owners of the default account.',
      method: 'get',
      path: '/accounts',
      role: 'owner',
      view: z.object({ accounts: z.array(accountView) }),
      run: async ({ operator }) => {
        requireDefaultAccount(operator.accountId);
        return { accounts: [...(await deps.store.accounts())] };
      },
    }),
    write({
      ...shared,
      name: 'createAccount',
      summary: 'Make another account, for owners of the default account. Its first API key is in this answer alone.',
      method: 'post',
      path: '/accounts',
      role: 'owner',
      body: z.strictObject({ name: tokenInputSchema.shape.name }),
      view: accountView.extend({ api_key: z.string().describe('Of the role owner.') }),
      run: async ({ operator, body }, change) => {
        requireDefaultAccount(operator.accountId);
        // Accounts are made in transactions of the default account, so one at a time.
        requireFreeName(await deps.store.accounts(), body.name, 'account');
        const account: Account = { id: deps.newId('acct') as AccountId, name: body.name };
        const { stored, value } = mintApiKey(deps.pepper, { name: 'owner', role: 'owner' }, change.nowMs);
        await change.createAccount(account, stored);
        return { ...account, api_key: value };
      },
    }),
  ];
}

/** Throws `forbidden`. */
function requireDefaultAccount(account: AccountId): void {
  if (account === DEFAULT_ACCOUNT) return;
  throw new GatewayError('forbidden', 'Accounts are made by owners of the default account. Use one of its API keys.');
}
