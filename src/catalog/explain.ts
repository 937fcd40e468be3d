// Says step by step why something is shown, hidden or routed where it is, on the data plane's own catalog: the verdict is
// the look-up a call would make, and the steps are read from what that catalog was built from.

import type { AccountId } from '../domain/mcp-config.ts';
import { NAME_STYLES, type StoredToken } from '../domain/principal.ts';
import type { Catalogs } from './catalogs.ts';
import { type Absence, explainHiddenName, explainHiddenResource } from './explain-absence.ts';
import type { Route } from './route.ts';
import { findTokenProblem } from './token-problem.ts';
import { findTemplate } from './uri-template.ts';
import { findRoute, type Question, type Wanted } from './would-admit.ts';

export interface Explanation extends Absence {
  readonly token: string;
  readonly epoch: number;
  /** What `tools/call`, `prompts/get` or `resources/read` of this name does now. */
  readonly is_callable: boolean;
  readonly verdict: string;
}

/** As an agent is told of it: what it can do, and what is answered if it cannot. */
const WORDS = {
  tool: { thing: 'tool', can: 'is listed and callable', hidden: 'a call answers "Unknown tool"', done: 'called' },
  prompt: { thing: 'prompt', can: 'is listed and can be got', hidden: '`prompts/get` is answered', done: 'got' },
  resource: { thing: 'resource', can: 'can be read', hidden: '`resources/read` is answered', done: 'read' },
} as const;

/** Explains what is wanted, as a client of `token` would spell it. `undefined` when the catalog does not know the token. */
export async function explainWanted(
  catalogs: Catalogs,
  account: AccountId,
  token: StoredToken,
  wanted: Wanted,
  { waitMs, nowMs }: { readonly waitMs: number; readonly nowMs: number },
): Promise<Explanation | undefined> {
  const problem = findTokenProblem(token, nowMs);
  // Such a token has nobody ask its upstreams.
  const catalog =
    problem === undefined ? await catalogs.settled(account, token.id, waitMs) : catalogs.peek(account, token.id);
  if (catalog === undefined) return undefined;
  const common = { token: token.name, epoch: catalog.epoch };
  if (problem !== undefined) {
    const verdict = `'${wanted.name}' cannot be ${WORDS[wanted.feature].done}: the token '${token.name}' ${problem}, and whatever it sends is answered 401`;
    return { ...common, is_callable: false, verdict, steps: [verdict], suggestion: null, would_admit: null };
  }
  return { ...common, ...explain({ ...wanted, catalog, accountId: account, token }) };
}

/** Explains a name on one catalog, for a token that is in force. */
export function explain(question: Question): Omit<Explanation, 'token' | 'epoch'> {
  const { catalog, token, feature, name } = question;
  const { thing, can, hidden } = WORDS[feature];
  const header = `token '${token.name}' (${token.id}) has ${catalog.grants.length} grant(s), at epoch ${catalog.epoch}`;
  const route = findRoute(question);
  if (route === undefined) {
    const respelled = explainSpelling(question);
    if (respelled !== undefined) return { ...respelled, steps: [header, ...respelled.steps] };
    const verdict = `'${name}' is hidden: ${hidden}, as for a ${thing} that does not exist`;
    const absence = feature === 'resource' ? explainHiddenResource(question) : explainHiddenName(question, feature);
    return { is_callable: false, verdict, ...absence, steps: [header, ...absence.steps] };
  }
  const { config } = route.grant.config;
  const steps = [header, ...explainRoute(question, route)];
  const explanation = { steps, suggestion: null, would_admit: null };
  // Templates are routes too, of completions: hardly any has itself for a value.
  if (feature === 'resource' && catalog.resource(name) === undefined) {
    const verdict = `'${name}' is listed as a template: what it stands for is served by McpConfig '${config.name}', and its own text cannot be read`;
    return { is_callable: false, verdict, ...explanation };
  }
  const what = feature === 'resource' ? '' : `it is ${route.canonicalName}, `;
  const verdict = `'${name}' ${can}: ${what}served by McpConfig '${config.name}'`;
  return { is_callable: true, verdict, ...explanation };
}

/** Of a name that is hidden under the token's own spelling of names, and shown under one that a URL may ask for. */
function explainSpelling(question: Question): Omit<Explanation, 'token' | 'epoch'> | undefined {
  const { token, feature, name } = question;
  for (const nameStyle of NAME_STYLES) {
    const route = feature === 'resource' ? undefined : findRoute({ ...question, token: { ...token, nameStyle } });
    if (route === undefined) continue;
    const verdict = `'${name}' can be ${WORDS[feature].done} as '${route.canonicalName}'; by this name only at a URL with \`?names=${nameStyle}\``;
    const steps = [`the token spells names in the style '${token.nameStyle}'`, ...explainRoute(question, route)];
    return { is_callable: false, verdict, steps, suggestion: null, would_admit: null };
  }
  return undefined;
}

function explainRoute(question: Question, route: Route): string[] {
  const { catalog, feature } = question;
  const { config } = route.grant.config;
  const steps = [
    feature === 'resource'
      ? explainOffer(question, route)
      : `the name stands for ${feature} '${route.upstreamName}' of service '${route.service}'`,
    `McpConfig '${config.name}' (revision ${config.revision}) admits it by the pattern '${route.admission.pattern}'`,
  ];
  if (route.admission.narrowingPattern !== undefined) {
    steps.push(`the grant's own allow-list admits it by the pattern '${route.admission.narrowingPattern}'`);
  }
  const isOfKind = (kind: string): boolean =>
    feature === 'resource' ? kind === 'resources' || kind === 'templates' : kind === `${feature}s`;
  for (const collision of catalog.collisions) {
    if (collision.canonicalName !== route.canonicalName || !isOfKind(collision.kind)) continue;
    const what = feature === 'resource' ? 'lists it' : 'has the name';
    steps.push(`McpConfig '${collision.alsoIn}' ${what} too; '${collision.servedBy}' serves it, being first`);
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

/** By which of its lists an upstream has the URI, and who else could serve it. */
function explainOffer({ catalog, name }: Question, route: Route): string {
  const index = catalog.grants.indexOf(route.grant);
  const list = catalog.lists[index];
  const owner = `the upstream of McpConfig '${route.grant.config.config.name}'`;
  if (list?.resources.has(name)) return `${owner} lists it`;
  if (list?.templates.has(name)) return `${owner} lists it, as a template`;
  const template = findTemplate(list?.templates.values() ?? [], name);
  const others = catalog.grants.filter(
    ({ config, upstream }, at) =>
      at > index &&
      upstream !== undefined &&
      config.resourceList.match(name) !== undefined &&
      findTemplate(catalog.lists[at]?.templates.values() ?? [], name) !== undefined,
  );
  const tie = others.map(({ config }) => `'${config.config.name}'`).join(', ');
  const first = tie === '' ? '' : `; so do templates of ${tie}, and of them the first grant serves it`;
  return `no upstream lists it, and the template '${template?.name}' of ${owner} matches it${first}`;
}
