// What an account has and where it stands, in one answer: where whoever is to change something begins.

import * as z from 'zod';
import { findIssues } from '../catalog/issues.ts';
import { findTokenProblem } from '../catalog/token-problem.ts';
import { GatewayError } from '../domain/errors.ts';
import { ROLES } from '../domain/principal.ts';
import type { DecisionDeps } from './decisions.ts';
import { NOTHING, type Operation, read } from './operation.ts';
import type { UseCaseDeps } from './use-case.ts';

export function contextOperation(deps: Pick<UseCaseDeps, 'store' | 'mcpUrl'> & DecisionDeps): Operation {
  return read({
    name: 'getAccountContext',
    tag: 'accounts',
    summary: 'The account of the API key at a glance: counts, open issues, epoch, and where agents connect.',
    method: 'get',
    path: '/accounts/me/context',
    role: 'viewer',
    query: NOTHING,
    body: NOTHING,
    view: z.object({
      account: z.object({ id: z.string(), name: z.string() }),
      api_key: z.object({ name: z.string(), role: z.enum(ROLES) }).describe('Whose request this is.'),
      epoch: z.int().describe('Version of the configuration of the account; every change raises it.'),
      counts: z.object({
        mcp_configs: z.int(),
        secrets: z.int(),
        tokens: z.int().describe('That open something: neither revoked nor expired.'),
      }),
      open_issues: z.int().describe('How many there are under `/issues`.'),
      url: z.string().describe('Where agents connect with a token.'),
    }),
    run: async ({ operator }) => {
      const { accountId, name, role } = operator;
      const account = (await deps.store.accounts()).find(({ id }) => id === accountId);
      if (account === undefined) throw new GatewayError('not_found', 'The account of this API key is gone.');
      const { epoch, mcpConfigs, secrets, tokens } = await deps.store.readConfiguration(accountId);
      const nowMs = deps.now();
      const live = tokens.filter((token) => findTokenProblem(token, nowMs) === undefined);
      const found = await findIssues(deps.catalogs, accountId, nowMs);
      return {
        account: { ...account },
        api_key: { name, role },
        epoch,
        counts: { mcp_configs: mcpConfigs.length, secrets: secrets.length, tokens: live.length },
        open_issues: found?.issues.length ?? 0,
        url: deps.mcpUrl(),
      };
    },
  });
}
