// What the schema of one object cannot see: names used twice, and references between the lists of the file.
// It reads the raw value with tolerance, so that these findings appear beside those of the schema.

import { compileAllowList, findPatternProblem, type Nameable } from '../catalog/allow-list.ts';
import { serviceOf } from '../domain/mcp-config.ts';
import { nearest } from '../domain/nearest.ts';
import type { Finding } from './file-problem.ts';
import type { Path } from './yaml-source.ts';

type Entry = { readonly path: Path; readonly fields: Readonly<Record<string, unknown>> };

/** The mappings in a list of mappings; everything else in it is the schema's business. */
export function entriesOf(owner: unknown, key: string, path: Path = []): Entry[] {
  const list = typeof owner === 'object' && owner !== null ? (owner as Record<string, unknown>)[key] : undefined;
  if (!Array.isArray(list)) return [];
  return list.flatMap((fields: unknown, index) =>
    typeof fields === 'object' && fields !== null && !Array.isArray(fields)
      ? [{ path: [...path, key, index], fields: fields as Record<string, unknown> }]
      : [],
  );
}

/** The variables of a command that are not plain text. */
function variablesOf({ path, fields: { stdio } }: Entry): Entry[] {
  const env = typeof stdio === 'object' && stdio !== null ? (stdio as Entry['fields']).env : undefined;
  return Object.entries(Object(env)).flatMap(([name, fields]) =>
    typeof fields === 'object' && fields !== null
      ? [{ path: [...path, 'stdio', 'env', name], fields: fields as Entry['fields'] }]
      : [],
  );
}

function textsOf(list: unknown): { readonly text: string; readonly index: number }[] {
  return Array.isArray(list)
    ? list.flatMap((text: unknown, index) => (typeof text === 'string' ? [{ text, index }] : []))
    : [];
}

function namesOf(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ fields }) => (typeof fields.name === 'string' ? [fields.name] : []));
}

function findRepeatedNames(entries: readonly Entry[]): Finding[] {
  const seen = new Map<string, Path>();
  return entries.flatMap(({ path, fields }): Finding[] => {
    if (typeof fields.name !== 'string') return [];
    const first = seen.get(fields.name);
    if (first === undefined) {
      seen.set(fields.name, path);
      return [];
    }
    const message = `is the name of ${first[0]}[${first[1]}] as well: names are unique`;
    return [{ path: [...path, 'name'], part: 'value', message }];
  });
}

function findDangling(entry: Entry, field: string, known: readonly string[], kind: string): Finding[] {
  const name = entry.fields[field];
  if (typeof name !== 'string' || known.includes(name)) return [];
  const suggestion = nearest(name, known);
  const message = `names no ${kind} of this file${known.length === 0 ? ', which declares none' : ''}`;
  return [{ path: [...entry.path, field], part: 'value', message, ...(suggestion !== undefined && { suggestion }) }];
}

/** Problems between the objects of the file. Names of secrets are not repeated: a value may stand where a name should. */
export function findReferenceProblems(value: unknown): Finding[] {
  const [secrets, configs, tokens] = ['secrets', 'mcp_configs', 'tokens'].map((key) => entriesOf(value, key));
  const secretNames = namesOf(secrets ?? []);
  const configNames = namesOf(configs ?? []);
  const findings = [secrets, configs, tokens].flatMap((entries) => findRepeatedNames(entries ?? []));

  for (const config of configs ?? []) {
    const { path, fields } = config;
    for (const header of entriesOf(fields, 'custom_headers', path))
      findings.push(...findDangling(header, 'secret', secretNames, 'secret'));
    const tls = { path: [...path, 'tls'], fields: (fields.tls ?? {}) as Entry['fields'] };
    findings.push(...findDangling(tls, 'client_key', secretNames, 'secret'));
    findings.push(...findDangling(config, 'proxy_secret', secretNames, 'secret'));
    for (const variable of variablesOf(config))
      findings.push(...findDangling(variable, 'secret', secretNames, 'secret'));
  }

  for (const { path, fields } of tokens ?? []) {
    const grants = entriesOf(fields, 'grants', path);
    for (const grant of grants) {
      findings.push(...findDangling(grant, 'mcp_config', configNames, 'McpConfig'));
      findings.push(...findDangling(grant, 'secret', secretNames, 'secret'));
    }
    const services = new Set(
      grants.flatMap(({ fields: grant }) => (typeof grant.mcp_config === 'string' ? serviceOf(grant.mcp_config) : [])),
    );
    if (fields.names === 'bare' && services.size > 1) {
      const message = `bare needs a token of one service; this one has ${[...services].join(', ')}: write dot or underscore`;
      findings.push({ path: [...path, 'names'], part: 'value', message });
    }
  }
  return findings;
}

/** Patterns that are well-formed and yet match nothing, such as `githb.*` under config `github-readonly`. */
function findStrayPatterns(list: unknown, service: string, path: Path, what?: Nameable): Finding[] {
  return textsOf(list).flatMap(({ text, index }): Finding[] =>
    findPatternProblem(text, what) === undefined
      ? compileAllowList([text], service, what).warnings.map(({ message }) => ({
          path: [...path, index],
          part: 'value',
          message,
        }))
      : [],
  );
}

function findEmptyList(list: unknown, path: Path, consequence: string): Finding[] {
  return Array.isArray(list) && list.length === 0 ? [{ path, part: 'value', message: `is empty: ${consequence}` }] : [];
}

/** What is valid but probably not meant. */
export function findWarnings(value: unknown): Finding[] {
  const findings: Finding[] = [];
  for (const { path, fields } of entriesOf(value, 'mcp_configs')) {
    const place = [...path, 'allowed_tools'];
    const allowsMore = [fields.allowed_prompts, fields.allowed_resources].some((list) => textsOf(list).length > 0);
    if (!allowsMore)
      findings.push(
        ...findEmptyList(fields.allowed_tools, place, 'no tool of this upstream is listed or can be called'),
      );
    if (typeof fields.name !== 'string') continue;
    const service = serviceOf(fields.name);
    findings.push(
      ...findStrayPatterns(fields.allowed_tools, service, place),
      ...findStrayPatterns(fields.allowed_prompts, service, [...path, 'allowed_prompts'], 'prompt'),
    );
  }
  for (const { path, fields } of entriesOf(value, 'tokens')) {
    findings.push(...findEmptyList(fields.grants, [...path, 'grants'], 'the token may use nothing'));
    for (const grant of entriesOf(fields, 'grants', path)) {
      const { allowed_tools: patterns, mcp_config: config } = grant.fields;
      const place = [...grant.path, 'allowed_tools'];
      findings.push(
        ...findEmptyList(
          patterns,
          place,
          'the grant allows no tool; without this key it allows what the config allows',
        ),
      );
      if (typeof config === 'string') findings.push(...findStrayPatterns(patterns, serviceOf(config), place));
    }
  }
  return findings;
}
