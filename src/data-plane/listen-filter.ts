// What a `subscriptions/listen` asks for (2026-07-28 basic/patterns/subscriptions#notification-filter), read strictly:
// duplicate keys and case variants are refused.

import { findMember, isArrayAt, JsonScanner, type Member, type Span, stringAt } from '../protocol/json-scan.ts';
import { byFolded, findCaseVariant, type Message } from '../protocol/jsonrpc.ts';
import { MAX_SUBSCRIPTIONS } from './listener.ts';

export interface ListenFilter {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  readonly uris: readonly string[];
}

const KEYS = { tools: 'toolsListChanged', prompts: 'promptsListChanged', resources: 'resourcesListChanged' } as const;
const URIS = 'resourceSubscriptions';
const PLACE = 'params.notifications';
const FOLDED = byFolded([...Object.values(KEYS), URIS]);
const MAX_KEYS = 64;

/** Returns a text where something is wrong, which says what and where. */
export function readListenFilter({ bytes, params }: Message): ListenFilter | string {
  const at = findMember(params, 'notifications');
  const members: Member[] = [];
  const scan = new JsonScanner(bytes, undefined, MAX_KEYS);
  if (at === undefined || scan.readMembers(at.start, 0, members) < 0) {
    return `${PLACE} is required and must be an object, with each key once: {"${KEYS.tools}": true, "${URIS}": ["file:///…"]}.`;
  }
  const variant = findCaseVariant(members, FOLDED, `${PLACE}: `);
  if (variant !== undefined) return variant;
  const wanted = { tools: false, prompts: false, resources: false };
  for (const list of ['tools', 'prompts', 'resources'] as const) {
    const member = findMember(members, KEYS[list]);
    const text = member === undefined ? 'false' : bytes.toString('latin1', member.start, member.end);
    if (text !== 'true' && text !== 'false') return `${PLACE}.${KEYS[list]} must be true or false.`;
    wanted[list] = text === 'true';
  }
  const uris = readUris(bytes, findMember(members, URIS));
  return typeof uris === 'string' ? uris : { ...wanted, uris };
}

function readUris(bytes: Buffer, at: Member | undefined): readonly string[] | string {
  if (at === undefined) return [];
  const place = `${PLACE}.${URIS}`;
  const spans: Span[] = [];
  if (!isArrayAt(bytes, at.start)) return `${place} must be an array of URIs.`;
  if (new JsonScanner(bytes).readElements(at.start, 0, spans, MAX_SUBSCRIPTIONS) < 0) {
    return `${place} has more than ${MAX_SUBSCRIPTIONS} URIs. Open another listen for the rest.`;
  }
  const uris = new Set<string>();
  for (const [index, span] of spans.entries()) {
    const uri = stringAt(bytes, span);
    if (uri === undefined) return `${place}[${index}] must be a string.`;
    uris.add(uri);
  }
  return [...uris];
}

/** The filter as raw JSON, without what is `false` or empty. */
export function toFilterText({ tools, prompts, resources, uris }: ListenFilter): string {
  const members: string[] = [];
  if (tools) members.push(`"${KEYS.tools}":true`);
  if (prompts) members.push(`"${KEYS.prompts}":true`);
  if (resources) members.push(`"${KEYS.resources}":true`);
  if (uris.length > 0) members.push(`"${URIS}":${JSON.stringify(uris)}`);
  return `{${members.join()}}`;
}
