// Says step by step why a tool is shown, hidden or routed where it is, on the data plane's own catalog: the verdict is
// the look-up a call would make, and the steps are read from what that catalog was built from.

import type { AccountId } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import type { Catalog, Route } from './catalog.ts';
import type { Catalogs } from './catalogs.ts';
import { admit, type ResolvedGrant } from './grant.ts';
import type { ToolList } from './read-tools.ts';

export interface Explanation {
  readonly tool: string;
  readonly token: string;
  readonly epoch: number;
  /** What `tools/call` of this name does now. */
  readonly is_callable: boolean;
  readonly verdict: string;
  /** In the order in which they decide. */
  readonly steps: readonly string[];
  /** The change that would admit a hidden tool, if one would. */
  readonly suggestion: string | null;
}

interface Findings {
  readonly steps: string[];
  suggestion: string | null;
}

/** Explains `name`, as a client of `token` would spell it. `undefined` when the catalog does not know the token. */
export async function explainTool(
  catalogs: Catalogs,
  account: AccountId,
  token: StoredToken,
  name: string,
  waitMs: number,
): Promise<Explanation | undefined> {
  const catalog = await catalogs.settled(account, token.id, waitMs);
  if (catalog === undefined) return undefined;
  const route = catalog.route(name, token.nameStyle);
  const common = { tool: name, token: token.name, epoch: catalog.epoch };
  const header = `token '${token.name}' (${token.id}) has ${catalog.grants.length} grant(s), at epoch ${catalog.epoch}`;
  if (route !== undefined) {
    const verdict = `'${name}' is listed and callable: it is ${route.canonicalName}, served by McpConfig '${route.grant.config.config.name}'`;
    return {
      ...common,
      is_callable: true,
      verdict,
      steps: [header, ...explainRoute(catalog, route)],
      suggestion: null,
    };
  }
  const findings: Findings = { steps: [header], suggestion: null };
  explainAbsence(catalog, name, findings);
  const verdict = `'${name}' is hidden: a call answers "Unknown tool", as for a tool that does not exist`;
  return { ...common, is_callable: false, verdict, steps: findings.steps, suggestion: findings.suggestion };
}

function explainRoute(catalog: Catalog, route: Route): string[] {
  const { config } = route.grant.config;
  const steps = [
    `the name stands for tool '${route.upstreamName}' of service '${route.service}'`,
    `McpConfig '${config.name}' (revision ${config.revision}) admits it by the pattern '${route.admission.pattern}'`,
  ];
  if (route.admission.narrowingPattern !== undefined) {
    steps.push(`the grant's own allow-list admits it by the pattern '${route.admission.narrowingPattern}'`);
  }
  for (const collision of catalog.collisions) {
    if (collision.canonicalName !== route.canonicalName) continue;
    steps.push(`McpConfig '${collision.alsoIn}' has the name too; '${collision.servedBy}' serves it, being first`);
  }
  const { failure } = route.upstream;
  if (failure !== undefined) {
    const since = new Date(failure.sinceMs).toISOString();
    steps.push(
      `its upstream fails since ${since} (${failure.reason}: ${failure.message}); the last known list is used`,
    );
  }
  return steps;
}

function explainAbsence(catalog: Catalog, name: string, findings: Findings): void {
  const wanted = splitByService(catalog, name);
  if (wanted === undefined) {
    const services = [...new Set(catalog.grants.map((grant) => grant.config.service))].join(', ') || 'none';
    findings.steps.push(`no grant is of a service that '${name}' could name; the services of this token: ${services}`);
    return;
  }
  catalog.grants.forEach((grant, index) => {
    if (grant.config.service !== wanted.service) return;
    findings.steps.push(...explainGrant(grant, catalog.lists[index], wanted.upstreamName, findings));
  });
}

/** The service and upstream name a hidden name would stand for. */
function splitByService(catalog: Catalog, name: string): { service: string; upstreamName: string } | undefined {
  for (const { config } of catalog.grants) {
    for (const separator of ['.', '__']) {
      const prefix = `${config.service}${separator}`;
      if (name.startsWith(prefix)) return { service: config.service, upstreamName: name.slice(prefix.length) };
    }
  }
  return catalog.onlyService === undefined ? undefined : { service: catalog.onlyService, upstreamName: name };
}

function explainGrant(
  grant: ResolvedGrant,
  list: ToolList | undefined,
  upstreamName: string,
  findings: Findings,
): string[] {
  const { config, allowList } = grant.config;
  const where = `McpConfig '${config.name}' (revision ${config.revision})`;
  if (grant.trouble !== undefined) return [`${where} cannot be used by this token: ${grant.trouble}`];
  const steps: string[] = [];
  const patterns = config.allowedTools.map((pattern) => `'${pattern}'`).join(', ');
  const isAdmitted = admit(grant, upstreamName) !== undefined;
  if (allowList.match(upstreamName) === undefined) {
    steps.push(
      patterns === ''
        ? `${where} has an empty allow-list, which admits nothing`
        : `${where} admits '${upstreamName}' by none of its patterns: ${patterns}`,
    );
    for (const { pattern, message } of allowList.warnings)
      steps.push(`the pattern '${pattern}' admits nothing: ${message}`);
  } else if (!isAdmitted) steps.push(`${where} admits '${upstreamName}', but the grant's own allow-list does not`);
  else steps.push(`${where} admits '${upstreamName}'`);
  steps.push(explainList(grant, list, upstreamName));
  if (list?.tools.has(upstreamName) && !isAdmitted) {
    const canonicalName = toCanonicalName(grant.config.service, upstreamName);
    findings.suggestion ??= `add '${canonicalName}' to allowed_tools of McpConfig '${config.name}'${grant.narrowing === undefined ? '' : ' and of the grant'}`;
  }
  return steps;
}

function explainList(grant: ResolvedGrant, list: ToolList | undefined, upstreamName: string): string {
  const failure = grant.upstream?.failure;
  if (list === undefined) {
    return failure === undefined
      ? 'its upstream has not been asked for its tools yet'
      : `its upstream has never been seen: ${failure.message} (${failure.reason})`;
  }
  const asked = `as of ${new Date(list.fetchedAtMs).toISOString()}`;
  const leftOut = list.leftOut.find((tool) => tool.name === upstreamName);
  if (leftOut !== undefined) return `its upstream has the tool ${asked}, but it is left out: ${leftOut.reason}`;
  if (list.tools.has(upstreamName)) return `its upstream has the tool ${asked}`;
  const names = [...list.tools.keys()].slice(0, 8).join(', ');
  return `its upstream has no such tool ${asked}; it has ${list.tools.size}: ${names}${list.tools.size > 8 ? ', …' : ''}`;
}
