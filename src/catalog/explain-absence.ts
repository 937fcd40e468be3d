// Why something is hidden, grant by grant: what the patterns of each say, and what its upstream has.

import { nearest } from '../domain/nearest.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import { POLICIES } from './feature-policy.ts';
import { findMissing, type ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import { named } from './named.ts';
import type { Collision, Feature } from './route.ts';
import { findUriProblem } from './uri-allow-list.ts';
import { compileUriTemplate, findTemplate } from './uri-template.ts';
import { describeAdmission, findAdmission, type Question, type WouldAdmit } from './would-admit.ts';

export interface Absence {
  /** In the order in which they decide. */
  readonly steps: string[];
  /** The change that would admit what is hidden, if one would. */
  readonly suggestion: string | null;
  /** The same, to be applied: add the pattern to the field of the config, of the token's grants of it, or of both. */
  readonly would_admit: WouldAdmit | null;
}

/** Names a slip of the keyboard is looked for among. */
const MAX_CANDIDATES = 500;

/** Of a tool or a prompt. */
export function explainHiddenName(question: Question, feature: Exclude<Feature, 'resource'>): Absence {
  const { catalog, name } = question;
  const steps = explainMissing(question);
  const wanted = splitByService(question);
  if (wanted === undefined) {
    const services = [...new Set(catalog.grants.map((grant) => grant.config.service))].join(', ') || 'none';
    const step = `no grant is of a service that '${name}' could name; the services of this token: ${services}`;
    return { steps: [...steps, step], suggestion: null, would_admit: null };
  }
  const { kind } = POLICIES[feature];
  let found: WouldAdmit | undefined;
  catalog.grants.forEach((grant, index) => {
    if (grant.config.service !== wanted.service) return;
    const list = catalog.lists[index];
    steps.push(...explainGrant(grant, feature, list, wanted.upstreamName));
    if (list?.[kind].has(wanted.upstreamName)) found ??= findAdmission(question, index, wanted.upstreamName);
  });
  steps.push(...explainOwner(question, [kind], toCanonicalName(wanted.service, wanted.upstreamName)));
  return suggest(question, steps, found);
}

/** Of a resource, or a template: any grant may be the one that is meant. */
export function explainHiddenResource(question: Question): Absence {
  const { catalog, name } = question;
  const problem = findUriProblem(name);
  if (problem !== undefined) {
    return { steps: [`no pattern admits this URI: ${problem}`], suggestion: null, would_admit: null };
  }
  const steps = explainMissing(question);
  const others: string[] = [];
  let found: WouldAdmit | undefined;
  catalog.grants.forEach((grant, index) => {
    const list = catalog.lists[index];
    const isOffered = list !== undefined && offers(list, name);
    const isAdmitted = grant.config.resourceList.match(name) !== undefined;
    if (grant.trouble === undefined && list !== undefined && !isOffered && !isAdmitted && !isLeftOut(list, name)) {
      others.push(`'${grant.config.config.name}'`);
      return;
    }
    steps.push(...explainGrant(grant, 'resource', list, name));
    if (isOffered) found ??= findAdmission(question, index, name);
  });
  if (others.length > 0) steps.push(`of these McpConfigs, none allows it and no upstream has it: ${named(others)}`);
  steps.push(...explainOwner(question, ['resources', 'templates'], name));
  if (catalog.grants.length === 0) steps.push('there is no grant that could serve it');
  return suggest(question, steps, found);
}

/** Said whatever the name is: nobody knows any more what these had. */
function explainMissing({ catalog, token }: Question): string[] {
  const missing = findMissing(token, catalog.grants);
  if (missing.length === 0) return [];
  return [`what its grants of McpConfigs that are gone gave is gone with these: ${named(missing)}`];
}

function explainOwner({ catalog }: Question, kinds: readonly string[], canonicalName: string): string[] {
  return catalog.collisions
    .filter((collision) => kinds.includes(collision.kind) && isNamedBy(collision, canonicalName))
    .map(
      ({ servedBy, alsoIn }) =>
        `the name has been that of McpConfig '${servedBy}' since the configuration last changed, and a call is never moved to the credential of '${alsoIn}'`,
    );
}

/** By its name, or by a template that stands for it. */
function isNamedBy({ kind, canonicalName }: Collision, name: string): boolean {
  if (canonicalName === name || kind !== 'templates') return canonicalName === name;
  const template = compileUriTemplate(canonicalName);
  return template !== undefined && findTemplate([template], name) !== undefined;
}

function suggest({ catalog }: Question, steps: string[], found: WouldAdmit | undefined): Absence {
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

function explainGrant(grant: ResolvedGrant, feature: Feature, list: Inventory | undefined, name: string): string[] {
  const { config } = grant.config;
  const where = `McpConfig '${config.name}' (revision ${config.revision})`;
  if (grant.trouble !== undefined) return [`${where} cannot be used by this token: ${grant.trouble}`];
  const { admit, allowListOf, field, patternsOf } = POLICIES[feature];
  const allowList = allowListOf(grant.config);
  const steps: string[] = [];
  const patterns = patternsOf(config)
    .map((pattern) => `'${pattern}'`)
    .join(', ');
  if (allowList.match(name) === undefined) {
    const empty = feature === 'tool' ? 'an empty allow-list' : `no ${field}`;
    steps.push(
      patterns === ''
        ? `${where} has ${empty}, which admits nothing`
        : `${where} admits '${name}' by none of its patterns: ${patterns}`,
    );
    for (const { pattern, message } of allowList.warnings) steps.push(`the pattern '${pattern}': ${message}`);
  } else if (admit(grant, name) === undefined) {
    steps.push(`${where} admits '${name}', but the grant's own allow-list does not`);
  } else steps.push(`${where} admits '${name}'`);
  return [...steps, explainList(grant, feature, list, name)];
}

function explainList(grant: ResolvedGrant, feature: Feature, list: Inventory | undefined, name: string): string {
  const failure = grant.upstream?.failure;
  if (list === undefined) {
    return failure === undefined
      ? `its upstream has not been asked for its ${feature}s yet`
      : `its upstream has never been seen: ${failure.message} (${failure.reason})`;
  }
  const asked = `as of ${new Date(list.fetchedAtMs).toISOString()}`;
  const leftOut = findLeftOut(list, feature, name);
  if (leftOut !== undefined) return `its upstream has the ${feature} ${asked}, but it is left out: ${leftOut.reason}`;
  const items = list[POLICIES[feature].kind];
  if (items.has(name)) return `its upstream has the ${feature} ${asked}`;
  const template = list.templates.get(name) ?? findTemplate(list.templates.values(), name);
  if (feature === 'resource' && template !== undefined) {
    return `its upstream has the template '${template.name}' for it ${asked}`;
  }
  const names = [...items.keys()].slice(0, 8).join(', ');
  const similar = nearest(name, [...items.keys()].slice(0, MAX_CANDIDATES));
  return `its upstream has no such ${feature} ${asked}; it has ${items.size}: ${names}${items.size > 8 ? ', …' : ''}${similar === undefined ? '' : `; did you mean '${similar}'?`}`;
}

function offers({ resources, templates }: Inventory, uri: string): boolean {
  if (resources.has(uri) || templates.has(uri)) return true;
  return findTemplate(templates.values(), uri) !== undefined;
}

function isLeftOut(list: Inventory, uri: string): boolean {
  return findLeftOut(list, 'resource', uri) !== undefined;
}

function findLeftOut({ leftOut }: Inventory, feature: Feature, name: string): Inventory['leftOut'][number] | undefined {
  const kinds = feature === 'resource' ? ['resources', 'templates'] : [`${feature}s`];
  return leftOut.find((each) => each.name === name && kinds.includes(each.kind));
}
