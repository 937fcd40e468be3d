// What an operator should know before an edit is saved: what was probably not meant, and whom it breaks.

import { allowsNothing, type McpConfig, originOf, serviceOf } from '../domain/mcp-config.ts';
import { named } from './named.ts';
import { findConfigFindings, type KnownNames } from './pattern-findings.ts';
import type { TokenEffect } from './token-effect.ts';
import type { UsedList } from './used-list.ts';

export interface PreviewWarning {
  /** Of the config's field. */
  readonly path: string;
  readonly message: string;
}

interface Edit {
  readonly before: McpConfig | undefined;
  readonly after: McpConfig;
  readonly known: KnownNames;
  readonly list: UsedList;
  readonly tokens: readonly TokenEffect[];
  readonly suspends: readonly { readonly token: string; readonly secret: string | null }[];
}

export function findWarnings(edit: Edit): PreviewWarning[] {
  return [...ofFile(edit), ...ofName(edit), ...ofEndpoint(edit), ...ofPatterns(edit), ...ofList(edit)];
}

function ofFile({ before }: Edit): PreviewWarning[] {
  if (before?.managedBy !== 'file') return [];
  return [
    { path: '', message: 'this McpConfig is declared in the config file of the gateway, and changed only there' },
  ];
}

function ofName({ before, after, tokens }: Edit): PreviewWarning[] {
  if (before === undefined) return [];
  const [from, to] = [serviceOf(before.name), serviceOf(after.name)];
  if (from === to) return [];
  const broken = tokens.filter((token) => token.disappear_count + token.prompts.disappear_count > 0);
  const names = new Set(broken.flatMap((token) => [...token.disappear, ...token.prompts.disappear]));
  const breaks =
    broken.length === 0
      ? 'no live token lists a tool of it'
      : `it breaks ${named([...names])}, which agents know by these names, for ${named(broken.map(({ name }) => `token ${name}`))}`;
  const message = `changes the service from '${from}' to '${to}': its tools become '${to}.…', and patterns that begin with '${from}.' allow nothing any more; ${breaks}`;
  return [{ path: 'name', message }];
}

function ofEndpoint({ before, after, suspends }: Edit): PreviewWarning[] {
  if (before === undefined || originOf(before.endpoint) === originOf(after.endpoint)) return [];
  const grants = suspends.map(({ token, secret }) => `token ${token}${secret === null ? '' : ` (secret ${secret})`}`);
  const effect =
    grants.length === 0
      ? 'no grant of a live token is suspended by that'
      : `it suspends the grants of ${named(grants)}, until an owner confirms the endpoint: POST /v1/mcp-configs/${after.id}/confirm_endpoint`;
  return [{ path: 'endpoint', message: `moves to another origin; ${effect}` }];
}

function ofPatterns({ after, known }: Edit): PreviewWarning[] {
  if (allowsNothing(after)) {
    return [{ path: 'allowed_tools', message: 'is empty, so that no tool is listed and none can be called' }];
  }
  return findConfigFindings(after, known).map(({ field, index, pattern, message }) => ({
    path: `${field}[${index}]`,
    message: `'${pattern}' ${message}`,
  }));
}

function ofList({ list }: Edit): PreviewWarning[] {
  const why = list.problem === null ? '' : `: ${list.problem}`;
  if (list.source === 'none') {
    return [{ path: 'endpoint', message: `which tools its upstream has is not known${why}` }];
  }
  if (list.source === 'live') return [];
  return [{ path: 'endpoint', message: `the tools are those last known, as of ${list.fetched_at}${why}` }];
}
