// Says step by step why a tool is shown, hidden or routed where it is, on the data plane's own catalog: the verdict is
// the look-up a call would make, and the steps are read from what that catalog was built from.

import type { AccountId } from '../domain/mcp-config.ts';
import { nearest } from '../domain/nearest.ts';
import type { StoredToken } from '../domain/principal.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import type { Catalog, Route } from './catalog.ts';
import type { Catalogs } from './catalogs.ts';
import { admit, type ResolvedGrant } from './grant.ts';
import type { ToolList } from './read-tools.ts';
import { findTokenProblem } from './token-problem.ts';
import { describeAdmission, findAdmission, type Question, type WouldAdmit } from './would-admit.ts';

export interface Explanation {
  readonly tool: string;
  readonly token: string;
  readonly epoch: number;
  /** What `tools/call` of this name does now. */
  readonly is_callable: boolean;
  readonly verdict: string;
  /** In the order in which they decide. */
  readonly steps: string[];
  /** The change that would admit a hidden tool, if one would. */
  readonly suggestion: string | null;
  /** The same, to be applied: add the pattern to the allow-list of the config, of the token's grants of it, or of both. */
  readonly would_admit: WouldAdmit | null;
}

/** Names a slip of the keyboard is looked for among. */
const MAX_CANDIDATES = 500;

type Absence = Pick<Explanation, 'steps' | 'suggestion' | 'would_admit'>;

/** Explains `name`, as a client of `token` would spell it. `undefined` when the catalog does not know the token. */
export async function explainTool(
  catalogs: Catalogs,
  account: AccountId,
  token: StoredToken,
  name: string,
  { waitMs, nowMs }: { readonly waitMs: number; readonly nowMs: number },
): Promise<Explanation | undefined> {
  const problem = findTokenProblem(token, nowMs);
  // Such a token has nobody ask its upstreams.
  const catalog =
    problem === undefined ? await catalogs.settled(account, token.id, waitMs) : catalogs.peek(account, token.id);
  if (catalog === undefined) return undefined;
  const common = { tool: name, token: token.name, epoch: catalog.epoch };
  if (problem !== undefined) {
    const verdict = `'${name}' cannot be called: the token '${token.name}' ${problem}, and whatever it sends is answered 401`;
    return { ...common, is_callable: false, verdict, steps: [verdict], suggestion: null, would_admit: null };
  }
  return { ...common, ...explain({ catalog, accountId: account, token, name }) };
}

/** Explains a name on one catalog, for a token that is in force. */
export function explain(question: Question): Absence & Pick<Explanation, 'is_callable' | 'verdict'> {
  const { catalog, token, name } = question;
  const header = `token '${token.name}' (${token.id}) has ${catalog.grants.length} grant(s), at epoch ${catalog.epoch}`;
  const route = catalog.route(name, token.nameStyle);
  if (route === undefined) {
    const verdict = `'${name}' is hidden: a call answers "Unknown tool", as for a tool that does not exist`;
    const { steps, ...rest } = explainAbsence(question);
    return { is_callable: false, verdict, steps: [header, ...steps], ...rest };
  }
  const { config } = route.grant.config;
  const verdict = `'${name}' is listed and callable: it is ${route.canonicalName}, served by McpConfig '${config.name}'`;
  const steps = [header, ...explainRoute(catalog, route)];
  return { is_callable: true, verdict, steps, suggestion: null, would_admit: null };
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

function explainAbsence(question: Question): Absence {
  const { catalog, name } = question;
  const wanted = splitByService(question);
  if (wanted === undefined) {
    const services = [...new Set(catalog.grants.map((grant) => grant.config.service))].join(', ') || 'none';
    const step = `no grant is of a service that '${name}' could name; the services of this token: ${services}`;
    return { steps: [step], suggestion: null, would_admit: null };
  }
  const steps: string[] = [];
  let found: WouldAdmit | undefined;
  catalog.grants.forEach((grant, index) => {
    if (grant.config.service !== wanted.service) return;
    steps.push(...explainGrant(grant, catalog.lists[index], wanted.upstreamName));
    found ??= findAdmission(question, index, wanted.upstreamName);
  });
  const canonicalName = toCanonicalName(wanted.service, wanted.upstreamName);
  for (const collision of catalog.collisions) {
    if (collision.canonicalName !== canonicalName) continue;
    steps.push(
      `the name has been that of McpConfig '${collision.servedBy}' since the configuration last changed, and a call is never moved to the credential of '${collision.alsoIn}'`,
    );
  }
  if (found === undefined) return { steps, suggestion: null, would_admit: null };
  return { steps, suggestion: describeAdmission(catalog, found), would_admit: found };
}

/** The service and upstream name a hidden name would stand for. */
function splitByService({ catalog, name }: Question): { service: string; upstreamName: string } | undefined {
  for (const { config } of catalog.grants) {
    for (const separator of ['.', '__']) {
      const prefix = `${config.service}${separator}`;
      if (name.startsWith(prefix)) return { service: config.service, upstreamName: name.slice(prefix.length) };
    }
  }
  return catalog.onlyService === undefined ? undefined : { service: catalog.onlyService, upstreamName: name };
}

function explainGrant(grant: ResolvedGrant, list: ToolList | undefined, upstreamName: string): string[] {
  const { config, allowList } = grant.config;
  const where = `McpConfig '${config.name}' (revision ${config.revision})`;
  if (grant.trouble !== undefined) return [`${where} cannot be used by this token: ${grant.trouble}`];
  const steps: string[] = [];
  const patterns = config.allowedTools.map((pattern) => `'${pattern}'`).join(', ');
  if (allowList.match(upstreamName) === undefined) {
    steps.push(
      patterns === ''
        ? `${where} has an empty allow-list, which admits nothing`
        : `${where} admits '${upstreamName}' by none of its patterns: ${patterns}`,
    );
    for (const { pattern, message } of allowList.warnings) steps.push(`the pattern '${pattern}': ${message}`);
  } else if (admit(grant, upstreamName) === undefined) {
    steps.push(`${where} admits '${upstreamName}', but the grant's own allow-list does not`);
  } else steps.push(`${where} admits '${upstreamName}'`);
  return [...steps, explainList(grant, list, upstreamName)];
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
  const similar = nearest(upstreamName, [...list.tools.keys()].slice(0, MAX_CANDIDATES));
  return `its upstream has no such tool ${asked}; it has ${list.tools.size}: ${names}${list.tools.size > 8 ? ', …' : ''}${similar === undefined ? '' : `; did you mean '${similar}'?`}`;
}
