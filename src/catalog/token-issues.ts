// Issues of tokens, and of secrets that none of them uses.

import { setImmediate } from 'node:timers/promises';
import { type McpConfig, type StoredSecret, secretIdsOf, serviceOf } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import { findMissing } from './grant.ts';
import type { Issue, IssueCode, IssueSeverity, Looked } from './issues.ts';
import { named } from './named.ts';
import { findPatternFindings } from './pattern-findings.ts';
import { findTokenProblem } from './token-problem.ts';

const EXPIRES_SOON_MS = 7 * 24 * 60 * 60 * 1000;

/** What decides whether a config has something of a list. */
const ALLOWED: Readonly<Record<ListKind, string>> = {
  tools: 'allowed_tools',
  prompts: 'allowed_prompts',
  resources: 'allowed_resources',
  templates: 'allowed_resources',
};

export async function findTokenIssues(looked: Looked, all: readonly StoredToken[]): Promise<Issue[]> {
  // A devbox's token is made to end with it.
  const issues = all.filter(({ devboxId }) => devboxId === null).flatMap((token) => ofExpiry(token, looked.nowMs));
  for (const tokens of looked.granted) {
    issues.push(...ofGrants(looked, tokens));
    // A catalog may have to be built for it.
    await setImmediate();
  }
  return issues;
}

export function findUnusedSecrets(
  secrets: readonly StoredSecret[],
  configs: readonly McpConfig[],
  live: readonly StoredToken[],
): Issue[] {
  const used = new Set([
    ...configs.flatMap((config) => secretIdsOf(config)),
    ...live.flatMap(({ grants }) => grants.map(({ secretId }) => secretId)),
  ]);
  const message = 'no McpConfig and no live token uses it';
  const remedy = 'Delete it, unless it is kept for later: what is not there cannot be stolen.';
  return secrets
    .filter(({ id }) => !used.has(id))
    .map(({ id, name }) => ({
      code: 'secret_unused',
      severity: 'info',
      object: { kind: 'secret', id, name },
      message,
      remedy,
    }));
}

function ofExpiry(token: StoredToken, nowMs: number): Issue[] {
  const { expiresAtMs, revokedAtMs } = token;
  if (expiresAtMs === null || revokedAtMs !== null || expiresAtMs > nowMs + EXPIRES_SOON_MS) return [];
  const hasExpired = findTokenProblem(token, nowMs) !== undefined;
  const at = new Date(expiresAtMs).toISOString();
  const message = hasExpired ? `it expired on ${at}, and opens nothing any more` : `it expires on ${at}`;
  const remedy = 'Make another token for who uses it (POST /v1/mcp-tokens), and revoke this one.';
  return [make(token, hasExpired ? 'token_expired' : 'token_expiring', 'warning', message, remedy)];
}

function ofGrants({ catalogs, accountId }: Looked, tokens: readonly StoredToken[]): Issue[] {
  const [token] = tokens;
  const catalog = token && catalogs.peek(accountId, token.id);
  if (token === undefined || catalog === undefined) return [];
  const others = tokens.length > 1 ? `; so for ${tokens.length - 1} more tokens with these grants` : '';
  const issues: Issue[] = [];
  if (catalog.grants.every(({ upstream }) => upstream === undefined)) {
    const message = token.grants.length === 0 ? 'it is granted nothing' : 'none of its grants can be used';
    const remedy = 'Mend what keeps its grants from working, or make a token with others (POST /v1/mcp-tokens).';
    issues.push(make(token, 'token_without_tools', 'error', message + others, remedy));
  }
  const missing = findMissing(token, catalog.grants);
  if (missing.length > 0) {
    const message = `it is granted McpConfigs that are gone: ${named(missing)}`;
    const remedy =
      'GET /v1/mcp-configs/{id}/history says what it was: declare it in the config file again, by the name it had, or change the grants (POST /v1/mcp-tokens/{id}).';
    issues.push(make(token, 'grant_config_missing', 'error', message + others, remedy));
  }
  const collisions = Map.groupBy(catalog.collisions, ({ kind, servedBy, alsoIn }) =>
    JSON.stringify([kind, servedBy, alsoIn]),
  );
  for (const all of collisions.values()) {
    const [first] = all;
    if (first === undefined) continue;
    const names = named(all.map(({ canonicalName }) => canonicalName).sort());
    const message = `McpConfig '${first.servedBy}' and '${first.alsoIn}' both have ${names}; '${first.servedBy}' serves`;
    const list = `${ALLOWED[first.kind]} of '${first.alsoIn}'${first.kind === 'tools' ? ', or of the grant' : ''}`;
    const remedy = `Leave the names to one of them: narrow ${list}.`;
    issues.push(make(token, 'tool_collision', 'warning', message + others, remedy));
  }
  return [
    ...issues,
    ...ofNarrowing(
      token,
      catalog.grants.map(({ config }) => config.config),
      others,
    ),
  ];
}

function ofNarrowing(token: StoredToken, configs: readonly McpConfig[], others: string): Issue[] {
  return token.grants.flatMap(({ mcpConfigId, allowedTools }) => {
    const config = configs.find(({ id }) => id === mcpConfigId);
    if (config === undefined || allowedTools === null) return [];
    const remedy = 'Make a token whose grant says what is meant (POST /v1/mcp-tokens), and revoke this one.';
    const where = `allowed_tools of its grant of McpConfig '${config.name}'`;
    if (allowedTools.length === 0) {
      return [make(token, 'empty_allow_list', 'warning', `${where} is empty, and allows nothing${others}`, remedy)];
    }
    return findPatternFindings(allowedTools, serviceOf(config.name), undefined).map(({ kind, pattern, message }) => {
      const code = kind === 'invalid' ? 'pattern_invalid' : 'pattern_of_other_service';
      return make(token, code, 'warning', `${where}: '${pattern}' ${message}${others}`, remedy);
    });
  });
}

function make(
  { id, name }: StoredToken,
  code: IssueCode,
  severity: IssueSeverity,
  message: string,
  remedy: string,
): Issue {
  return { code, severity, object: { kind: 'token', id, name }, message, remedy };
}
