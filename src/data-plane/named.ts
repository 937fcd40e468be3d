// What a routed request is about: the tool, prompt or resource that its params name, and where in the catalog its route
// is. What is hidden, forbidden or missing has none, and all are answered alike (design §3.3).

import type { Catalog } from '../catalog/catalog.ts';
import type { Route } from '../catalog/route.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { NameStyle } from '../domain/principal.ts';
import { findMember, JsonScanner, type Member, type Span, stringAt } from '../protocol/json-scan.ts';
import { byFolded, findCaseVariant, type Message } from '../protocol/jsonrpc.ts';
import type { Edit } from '../protocol/splice.ts';
import type { Refusal } from './exchange.ts';

export interface Named {
  /** `reference`: a resource or a template that a completion is for. */
  readonly kind: 'tool' | 'prompt' | 'resource' | 'reference';
  /** A name in the client's spelling, or a URI. */
  readonly name: string;
  /** Where it stands, quotes included. */
  readonly at: Span;
}

const UNKNOWN = {
  tool: { code: 'unknown_tool', word: 'tool' },
  prompt: { code: 'unknown_prompt', word: 'prompt' },
  resource: { code: 'unknown_resource', word: 'resource' },
  reference: { code: 'unknown_resource', word: 'resource' },
} as const satisfies Record<Named['kind'], { code: ErrorCode; word: string }>;

/** What a client makes up as a name is repeated this far. */
const MAX_NAME_LENGTH = 256;

/** Reads what a request of a routed method names; a text says what is wrong with its params. */
export function readNamed(message: Message): Named | string {
  switch (message.method) {
    case 'tools/call':
      return readMember(message, 'tool', 'name');
    case 'prompts/get':
      return readMember(message, 'prompt', 'name');
    case 'resources/read':
      return readMember(message, 'resource', 'uri');
    default:
      return readReference(message);
  }
}

/** Where what is named is to be found, by the policy of its catalog. */
export function findRoute(catalog: Catalog, { kind, name }: Named, style: NameStyle): Route | undefined {
  switch (kind) {
    case 'tool':
      return catalog.route(name, style);
    case 'prompt':
      return catalog.prompt(name, style);
    case 'resource':
      return catalog.resource(name);
    default:
      return catalog.template(name) ?? catalog.resource(name);
  }
}

export function unknownResource(uri: string): Refusal {
  return refuseUnknown('resource', uri);
}

/** Of a resource `data` says which (2026-07-28 server/resources#error-handling). */
export function refuseUnknown(kind: Named['kind'], name: string): Refusal & { readonly code: UnknownCode } {
  const { code, word } = UNKNOWN[kind];
  const short = name.slice(0, MAX_NAME_LENGTH);
  const message = `Unknown ${word}: ${short}`;
  return code === 'unknown_resource' ? { code, message, data: { uri: short } } : { code, message };
}

export type UnknownCode = (typeof UNKNOWN)[Named['kind']]['code'];

/** Puts the upstream's own name, which is plain ASCII, where the client's stands. URIs are the same on both sides. */
export function toRename({ kind, at }: Named, upstreamName: string): Edit | undefined {
  const isNamed = kind === 'tool' || kind === 'prompt';
  return isNamed ? { start: at.start, end: at.end, text: `"${upstreamName}"` } : undefined;
}

/** What `Mcp-Name` says to the upstream. */
export function toHeaderName({ kind, name }: Named, method: string, upstreamName: string): string | undefined {
  if (method === 'completion/complete') return undefined;
  return kind === 'resource' ? name : upstreamName;
}

function readMember(message: Message, kind: Named['kind'], key: string): Named | string {
  const at = findMember(message.params, key);
  const name = at === undefined ? undefined : stringAt(message.bytes, at);
  if (at === undefined || name === undefined) return `params.${key} is required and must be a string.`;
  return { kind, name, at };
}

const REFERENCE_KEYS = byFolded(['type', 'name', 'uri']);
/** A reference has three keys, and room for what revisions may add. */
const MAX_REFERENCE_KEYS = 64;

/** `ref` is read as strictly as params are: what is routed by must be what the upstream reads. */
function readReference({ bytes, params }: Message): Named | string {
  const ref = findMember(params, 'ref');
  const members: Member[] = [];
  const scan = new JsonScanner(bytes, undefined, MAX_REFERENCE_KEYS);
  if (ref === undefined || scan.readMembers(ref.start, 0, members) < 0) {
    return 'params.ref is required and must be an object, with each key once: {"type": "ref/prompt", "name": …} or {"type": "ref/resource", "uri": …}.';
  }
  const variant = findCaseVariant(members, REFERENCE_KEYS, 'params.ref: ');
  if (variant !== undefined) return variant;
  const text = (key: string): string | undefined => {
    const at = findMember(members, key);
    return at && stringAt(bytes, at);
  };
  const type = text('type');
  if (type !== 'ref/prompt' && type !== 'ref/resource') {
    return 'params.ref.type must be "ref/prompt" or "ref/resource".';
  }
  const key = type === 'ref/prompt' ? 'name' : 'uri';
  const at = findMember(members, key);
  const name = text(key);
  if (at === undefined || name === undefined) return `params.ref.${key} is required and must be a string.`;
  return { kind: type === 'ref/prompt' ? 'prompt' : 'reference', name, at };
}
