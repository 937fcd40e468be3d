// Everything the control plane does, in the order in which the documents show it.

import { contextOperation } from './account-context.ts';
import { accountOperations } from './accounts.ts';
import { apiKeyOperations } from './api-key-operations.ts';
import { type AuditDeps, auditOperations } from './audit.ts';
import { type ClaimDeps, claimOperations } from './claims.ts';
import { decisionOperations } from './decisions.ts';
import { devboxOperations } from './devboxes.ts';
import { exportOperations } from './export.ts';
import { historyOperations } from './history.ts';
import { mcpConfigOperations } from './mcp-configs.ts';
import type { Operation } from './operation.ts';
import { type PreviewDeps, previewOperations } from './previews.ts';
import { secretOperations } from './secrets.ts';
import { tokenOperations } from './token-operations.ts';

export interface OperationsDeps extends PreviewDeps, AuditDeps, ClaimDeps {}

export function createOperations(deps: OperationsDeps): readonly Operation[] {
  return [
    ...previewOperations(deps),
    ...mcpConfigOperations(deps),
    ...historyOperations(deps),
    ...secretOperations(deps),
    ...tokenOperations(deps),
    ...claimOperations(deps),
    ...devboxOperations(deps),
    ...accountOperations(deps),
    contextOperation(deps),
    ...apiKeyOperations(deps),
    ...auditOperations(deps),
    ...decisionOperations(deps),
    ...exportOperations(deps),
  ];
}
