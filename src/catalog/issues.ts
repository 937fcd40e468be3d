// What is wrong with an account's configuration or probably not meant, found on what serves, each with what to do.

import type { AccountId, McpConfig } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import type { Catalogs } from './catalogs.ts';
import { findConfigIssues } from './config-issues.ts';
import { findTokenIssues, findUnusedSecrets } from './token-issues.ts';

export const ISSUE_SEVERITIES = ['error', 'warning', 'info'] as const;
export type IssueSeverity = (typeof ISSUE_SEVERITIES)[number];

export const ISSUE_CODES = [
  'address_refused',
  'empty_allow_list',
  'grant_config_missing',
  'grant_suspended',
  'pattern_invalid',
  'pattern_of_other_service',
  'pattern_shadowed',
  'pattern_without_match',
  'secret_missing',
  'secret_unreadable',
  'secret_unusable',
  'secret_unused',
  'token_expired',
  'token_expiring',
  'token_without_tools',
  'tool_changed',
  'tool_collision',
  'tool_left_out',
  'upstream_failing',
] as const;
export type IssueCode = (typeof ISSUE_CODES)[number];

export interface Issue {
  readonly code: IssueCode;
  readonly severity: IssueSeverity;
  readonly object: { readonly kind: 'mcp_config' | 'secret' | 'token'; readonly id: string; readonly name: string };
  readonly message: string;
  readonly remedy: string;
}

/** What an account's issues are found in. */
export interface Looked {
  readonly catalogs: Catalogs;
  readonly accountId: AccountId;
  readonly nowMs: number;
  readonly configs: readonly McpConfig[];
  /** Not revoked and not expired, by what they are granted: those who are granted the same have the same issues. */
  readonly granted: readonly (readonly StoredToken[])[];
}

export interface Issues {
  readonly epoch: number;
  readonly issues: readonly Issue[];
}

/** All issues, the worst first, in an order that depends on nothing but them; `undefined` for an account that was never read. */
export async function findIssues(catalogs: Catalogs, accountId: AccountId, nowMs: number): Promise<Issues | undefined> {
  const snapshot = catalogs.snapshot(accountId);
  if (snapshot === undefined) return undefined;
  const { mcpConfigs, tokens, secrets } = snapshot.configuration;
  const live = tokens.filter(
    ({ revokedAtMs, expiresAtMs }) => revokedAtMs === null && (expiresAtMs === null || expiresAtMs > nowMs),
  );
  const granted = [...Map.groupBy(live, ({ grants }) => JSON.stringify(grants)).values()];
  const looked: Looked = { catalogs, accountId, nowMs, configs: mcpConfigs, granted };
  const issues = [
    ...(await findConfigIssues(looked)),
    ...(await findTokenIssues(looked, tokens)),
    ...findUnusedSecrets(secrets, mcpConfigs, live),
  ];
  return { epoch: snapshot.epoch, issues: issues.sort(compare) };
}

function compare(a: Issue, b: Issue): number {
  const bySeverity = ISSUE_SEVERITIES.indexOf(a.severity) - ISSUE_SEVERITIES.indexOf(b.severity);
  if (bySeverity !== 0) return bySeverity;
  const [left, right] = [a, b].map(({ code, object, message }) => [code, object.kind, object.name, object.id, message]);
  return JSON.stringify(left) < JSON.stringify(right) ? -1 : 1;
}
