// Issues of McpConfigs: their upstreams, their patterns, the tools that they list, and grants of them that do not work.

import { setImmediate } from 'node:timers/promises';
import { allowsNothing, type McpConfig } from '../domain/mcp-config.ts';
import type { UpstreamFailure } from '../upstream/failure.ts';
import type { Serving } from './catalogs.ts';
import type { GrantTrouble } from './grant.ts';
import type { Issue, IssueCode, IssueSeverity, Looked } from './issues.ts';
import { NEEDS_TASK } from './listed-tool.ts';
import { named } from './named.ts';
import { findConfigFindings, namesIn, type PatternFindingKind } from './pattern-findings.ts';

type Make = (code: IssueCode, severity: IssueSeverity, message: string, remedy: string) => Issue;

export async function findConfigIssues(looked: Looked): Promise<Issue[]> {
  const servings = Map.groupBy(looked.catalogs.serving(looked.accountId), ({ configId }) => configId);
  const issues: Issue[] = [];
  for (const config of looked.configs) {
    const object = { kind: 'mcp_config', id: config.id, name: config.name } as const;
    const make: Make = (code, severity, message, remedy) => ({ code, severity, object, message, remedy });
    const serving = servings.get(config.id) ?? [];
    issues.push(...ofUpstreams(looked, serving, make), ...ofPatterns(looked, config, serving, make));
    issues.push(...ofTools(looked, config, serving, make));
    // Many patterns are judged against many tools.
    await setImmediate();
  }
  return [...issues, ...ofGrants(looked)];
}

const REMEDIES: Readonly<Partial<Record<UpstreamFailure['reason'], string>>> = {
  credential_refused: 'Store a credential that the upstream takes: POST /v1/secrets/{id} with a new value.',
  address_refused:
    'Point the config to an address that may be connected to, or have the operator admit it in the settings.',
  rate_limited: 'Ask less of it, or have its operator raise the limit.',
};
const CHECK_UPSTREAM =
  'See whether the upstream runs and the endpoint is right; its last known tools stay listed for a day.';

function ofUpstreams({ catalogs, accountId }: Looked, serving: readonly Serving[], make: Make): Issue[] {
  const secrets = catalogs.snapshot(accountId)?.configuration.secrets ?? [];
  return serving.flatMap(({ upstream, secretId }) => {
    const { failure } = upstream;
    if (failure === undefined) return [];
    const secret = secrets.find(({ id }) => id === secretId)?.name;
    const as = secret === undefined ? 'without a secret' : `with the secret ${secret}`;
    const since = new Date(failure.sinceMs).toISOString();
    const message = `its upstream, asked ${as}, fails since ${since}: ${failure.message} (${failure.reason})`;
    const code = failure.reason === 'address_refused' ? 'address_refused' : 'upstream_failing';
    return make(code, 'error', message, REMEDIES[failure.reason] ?? CHECK_UPSTREAM);
  });
}

const PATTERN_ISSUES: Readonly<Record<PatternFindingKind, readonly [IssueCode, IssueSeverity]>> = {
  invalid: ['pattern_invalid', 'error'],
  of_other_service: ['pattern_of_other_service', 'warning'],
  without_match: ['pattern_without_match', 'warning'],
  shadowed: ['pattern_shadowed', 'info'],
};

function ofPatterns({ catalogs }: Looked, config: McpConfig, serving: readonly Serving[], make: Make): Issue[] {
  const preview = `Try another with POST /v1/mcp-configs/${config.id}/preview.`;
  if (allowsNothing(config)) {
    return [
      make('empty_allow_list', 'warning', 'allowed_tools is empty: no tool is listed and none can be called', preview),
    ];
  }
  const lists = serving.flatMap(({ upstream }) => catalogs.lists.get(upstream) ?? []);
  return findConfigFindings(config, namesIn(lists)).map(({ kind, field, index, pattern, message }) =>
    make(...PATTERN_ISSUES[kind], `${field}[${index}]: '${pattern}' ${message}`, preview),
  );
}

const NO_TASKS = 'The gateway relays no tasks: use another tool, or ask that upstream without the gateway.';

function ofTools({ catalogs, accountId }: Looked, config: McpConfig, serving: readonly Serving[], make: Make): Issue[] {
  const lists = serving.flatMap(({ upstream }) => catalogs.lists.get(upstream) ?? []);
  const leftOut = Map.groupBy(
    new Set(lists.flatMap((list) => list.leftOut)),
    ({ kind, reason }) => `${kind} ${reason}`,
  );
  const issues = [...leftOut.values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined) return [];
    const names = [...new Set(alike.map(({ name }) => (name === '' ? '(no name)' : name)))].sort();
    const message = `${first.kind} of its upstream are left out, ${named(names)}: ${first.reason}`;
    // Nothing is broken there, and nobody can do anything about it.
    if (first.reason === NEEDS_TASK) return make('tool_left_out', 'info', message, NO_TASKS);
    return make('tool_left_out', 'warning', message, 'Have the upstream mended: clients would refuse the whole list.');
  });
  const allowList = catalogs.snapshot(accountId)?.configs.get(config.id)?.allowList;
  const changes = new Map(
    serving.flatMap(({ upstream }) => catalogs.lists.changesOf(upstream)).map((change) => [change.tool, change]),
  );
  const remedy = 'Read it as if it were new, and take it out of allowed_tools if it is not what was allowed.';
  for (const { tool, parts, atMs } of changes.values()) {
    const isAdmitted = allowList?.match(tool) !== undefined;
    const message = `the tool '${tool}' is not what it was when it was first seen: ${parts.join(', ')} changed, last on ${new Date(atMs).toISOString()}`;
    issues.push(make('tool_changed', isAdmitted ? 'warning' : 'info', message, remedy));
  }
  return issues;
}

const TROUBLES: Readonly<Record<GrantTrouble, { code: IssueCode; what: string; remedy: string }>> = {
  suspended: {
    code: 'grant_suspended',
    what: 'its endpoint has moved to another origin, and secrets are not sent there',
    remedy: 'An owner who trusts the endpoint confirms it: POST /v1/mcp-configs/{id}/confirm_endpoint.',
  },
  secret_unreadable: {
    code: 'secret_unreadable',
    what: 'a secret of it cannot be opened',
    remedy: "Write the secret's value again (POST /v1/secrets/{id}), or start with the master key it was sealed under.",
  },
  secret_missing: {
    code: 'secret_missing',
    what: 'a secret of it is gone',
    remedy: 'Make a token with a grant that names a secret there is, or change the config so that it needs none.',
  },
  secret_unusable: {
    code: 'secret_unusable',
    what: 'a secret of it cannot be what it is used for',
    remedy:
      'A header takes one line of ASCII, basic authentication and a proxy user:password, client_key a private key.',
  },
  address_refused: {
    code: 'address_refused',
    what: 'its endpoint, or its proxy, is where the gateway does not connect to',
    remedy: 'Point it to a public https address, or have the operator admit it in the settings or the config file.',
  },
};

/** Grants that cannot be used at all: one issue for all tokens that have the same trouble with the same config and secret. */
function ofGrants({ catalogs, accountId, granted }: Looked): Issue[] {
  const snapshot = catalogs.snapshot(accountId);
  const troubles = new Map<string, { config: McpConfig; trouble: GrantTrouble; tokens: Set<string> }>();
  for (const tokens of granted) {
    const [first] = tokens;
    for (const { config, trouble } of first === undefined ? [] : (snapshot?.resolve(first) ?? [])) {
      if (trouble === undefined) continue;
      const key = `${config.config.id} ${trouble}`;
      const known = troubles.get(key) ?? { config: config.config, trouble, tokens: new Set() };
      for (const { name } of tokens) known.tokens.add(name);
      troubles.set(key, known);
    }
  }
  return [...troubles.values()].map(({ config, trouble, tokens }) => {
    const { code, what, remedy } = TROUBLES[trouble];
    const object = { kind: 'mcp_config', id: config.id, name: config.name } as const;
    const message = `${what}: it is of no use to token ${named([...tokens].sort())}`;
    return {
      code,
      severity: 'error',
      object,
      message,
      remedy: remedy.replace('mcp-configs/{id}', `mcp-configs/${config.id}`),
    };
  });
}
