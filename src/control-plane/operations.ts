// Everything the control plane does, in the order in which the documents show it.

import * as z from 'zod';
import type { Explanation } from '../catalog/explain.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { accountOperations } from './accounts.ts';
import { apiKeyOperations } from './api-key-operations.ts';
import { mcpConfigOperations } from './mcp-configs.ts';
import { NOTHING, type Operation, operation } from './operation.ts';
import { secretOperations } from './secrets.ts';
import { tokenOperations } from './token-operations.ts';
import type { UseCaseDeps } from './use-case.ts';

export interface OperationsDeps extends UseCaseDeps {
  /** Throws `not_found` for a token that does not exist. */
  readonly explain: (account: AccountId, tool: string, token: string) => Promise<Explanation>;
}

export function createOperations(deps: OperationsDeps): readonly Operation[] {
  return [
    ...mcpConfigOperations(deps),
    ...secretOperations(deps),
    ...tokenOperations(deps),
    ...accountOperations(deps),
    ...apiKeyOperations(deps),
    explainOperation(deps),
  ];
}

function explainOperation({ explain }: Pick<OperationsDeps, 'explain'>): Operation {
  const asked = z.string().max(512, 'is longer than 512 characters');
  return operation({
    name: 'explain',
    tag: 'decisions',
    summary: 'Why a token may or may not call a tool, step by step.',
    method: 'get',
    path: '/explain',
    role: 'viewer',
    query: z.strictObject({
      tool: asked.describe('Name of the tool, as a client of the token spells it.'),
      token: asked.describe('Name or id of the token.'),
    }),
    body: NOTHING,
    view: z.object({
      tool: z.string(),
      token: z.string(),
      epoch: z.int(),
      is_callable: z.boolean(),
      verdict: z.string(),
      steps: z.array(z.string()).describe('In the order in which they decide.'),
      suggestion: z.string().nullable().describe('The change that would admit a hidden tool.'),
    }),
    run: async ({ operator, query }) => {
      const explanation = await explain(operator.accountId, query.tool, query.token);
      return { ...explanation, steps: [...explanation.steps] };
    },
  });
}
