// What a client can be asked by a server, in any revision: read from `initialize` or a modern envelope, declared to an
// upstream, and kept short in a session id. Members that are not of the protocol are no capabilities here.

import { META_CLIENT_CAPABILITIES, MODERN_REVISION } from './era.ts';
import { findMember, isObjectAt, JsonScanner, type Member, type Span } from './json-scan.ts';
import { toText } from './splice.ts';

export interface ClientCapabilities {
  readonly roots: boolean;
  /** Whether it tells when its roots change; in the legacy era only. */
  readonly rootsListChanged: boolean;
  readonly sampling: boolean;
  readonly samplingTools: boolean;
  readonly samplingContext: boolean;
  readonly elicitationForm: boolean;
  readonly elicitationUrl: boolean;
  /** Whether it shows MCP Apps, as pages of HTML: an extension, and no question. */
  readonly apps: boolean;
}

export const NO_CAPABILITIES: ClientCapabilities = {
  roots: false,
  rootsListChanged: false,
  sampling: false,
  samplingTools: false,
  samplingContext: false,
  elicitationForm: false,
  elicitationUrl: false,
  apps: false,
};

/**
 * What some client or other can be asked through the gateway. Declared where it speaks for nobody: servers are known that
 * list a tool only to clients that can be asked what the tool needs.
 */
export const RELAYED_CAPABILITIES: ClientCapabilities = {
  ...NO_CAPABILITIES,
  roots: true,
  sampling: true,
  elicitationForm: true,
  elicitationUrl: true,
};

/** The letters of a class, in the order they are written. */
const LETTERS: readonly (readonly [letter: string, name: keyof ClientCapabilities])[] = [
  ['r', 'roots'],
  ['l', 'rootsListChanged'],
  ['s', 'sampling'],
  ['t', 'samplingTools'],
  ['c', 'samplingContext'],
  ['f', 'elicitationForm'],
  ['u', 'elicitationUrl'],
  ['a', 'apps'],
];

export const APPS_EXTENSION = 'io.modelcontextprotocol/ui';
/** What the extension calls a page (MCP Apps 2026-01-26, client capability). */
const APP_PAGE = '"text/html;profile=mcp-app"';

const ELICITATION_SINCE = '2025-06-18';
/** URL elicitation, and `tools` and `context` in sampling. */
const PARTS_SINCE = '2025-11-25';

/** Texts that were read lately: a client sends the same one with every modern request. */
const READ = new Map<string, ClientCapabilities>();
const MAX_REMEMBERED = 256;
/** Longer ones come from nobody who means well, and would be what the memory is full of. */
const MAX_REMEMBERED_BYTES = 512;

/**
 * The capabilities in the object at a span of a scanned message, as far as the revision knows them. Whatever is missing,
 * malformed or said twice is not declared; `NO_CAPABILITIES` itself is returned for none. Apps work only where tools have
 * their upstream's names, which is in a view. Never throws.
 */
export function readClientCapabilities(
  bytes: Buffer,
  at: Span | undefined,
  revision: string,
  isInView: boolean,
): ClientCapabilities {
  if (at === undefined || at.end - at.start <= 2) return NO_CAPABILITIES;
  if (at.end - at.start > MAX_REMEMBERED_BYTES) return parse(bytes, at, revision, isInView);
  const text = (isInView ? 'view' : '') + revision + toText(bytes, at.start, at.end);
  let capabilities = READ.get(text);
  if (capabilities === undefined) {
    if (READ.size === MAX_REMEMBERED) READ.clear();
    capabilities = parse(bytes, at, revision, isInView);
    READ.set(text, capabilities);
  }
  return capabilities;
}

/** The capabilities of the modern envelope that a message carries. */
export function readEnvelopeCapabilities(
  { bytes, meta }: { readonly bytes: Buffer; readonly meta: readonly Member[] },
  isInView: boolean,
): ClientCapabilities {
  return readClientCapabilities(bytes, findMember(meta, META_CLIENT_CAPABILITIES), MODERN_REVISION, isInView);
}

/** What of these capabilities a revision knows; what it does not know, its speaker cannot be asked. */
export function knownCapabilities(capabilities: ClientCapabilities, revision: string): ClientCapabilities {
  const hasElicitation = revision >= ELICITATION_SINCE;
  const hasParts = revision >= PARTS_SINCE;
  return {
    ...capabilities,
    rootsListChanged: capabilities.rootsListChanged && revision < MODERN_REVISION,
    samplingTools: capabilities.samplingTools && hasParts,
    samplingContext: capabilities.samplingContext && hasParts,
    elicitationForm: capabilities.elicitationForm && hasElicitation,
    elicitationUrl: capabilities.elicitationUrl && hasParts,
  };
}

/** A `ClientCapabilities` object of a revision as raw ASCII JSON: `{}` for none. */
export function capabilitiesText(capabilities: ClientCapabilities, revision: string): string {
  const known = knownCapabilities(capabilities, revision);
  const members: string[] = [];
  if (known.roots) members.push(`"roots":{${known.rootsListChanged ? '"listChanged":true' : ''}}`);
  if (known.sampling)
    members.push(`"sampling":${parts({ tools: known.samplingTools, context: known.samplingContext })}`);
  if (known.elicitationForm || known.elicitationUrl) {
    // Before 2025-11-25 there is one mode, and nothing to say about it.
    const modes = { form: known.elicitationForm && revision >= PARTS_SINCE, url: known.elicitationUrl };
    members.push(`"elicitation":${parts(modes)}`);
  }
  if (known.apps) members.push(`"extensions":{"${APPS_EXTENSION}":{"mimeTypes":[${APP_PAGE}]}}`);
  return `{${members.join(',')}}`;
}

/** A short key, equal for equal capabilities; empty for none. */
export function capabilityClass(capabilities: ClientCapabilities): string {
  let letters = '';
  for (const [letter, name] of LETTERS) if (capabilities[name]) letters += letter;
  return letters;
}

/** The capabilities of a class; `undefined` for a text that `capabilityClass` does not write. */
export function readCapabilityClass(text: string): ClientCapabilities | undefined {
  const entries = LETTERS.map(([letter, name]) => [name, text.includes(letter)] as const);
  const capabilities = { ...NO_CAPABILITIES, ...Object.fromEntries(entries) };
  return capabilityClass(capabilities) === text ? capabilities : undefined;
}

function parse(bytes: Buffer, at: Span, revision: string, isInView: boolean): ClientCapabilities {
  const declared = membersOf(bytes, at);
  const roots = objectAt(bytes, declared, 'roots');
  const sampling = objectAt(bytes, declared, 'sampling');
  const elicitation = objectAt(bytes, declared, 'elicitation');
  const listChanged = roots && findMember(roots, 'listChanged');
  const hasUrl = elicitation !== undefined && isDeclared(bytes, elicitation, 'url');
  const capabilities: ClientCapabilities = {
    roots: roots !== undefined,
    rootsListChanged: listChanged !== undefined && toText(bytes, listChanged.start, listChanged.end) === 'true',
    sampling: sampling !== undefined,
    samplingTools: sampling !== undefined && isDeclared(bytes, sampling, 'tools'),
    samplingContext: sampling !== undefined && isDeclared(bytes, sampling, 'context'),
    // Without a mode, and before there were modes, form is meant (2025-11-25 client/elicitation#capabilities).
    elicitationForm:
      elicitation !== undefined && (!hasUrl || revision < PARTS_SINCE || isDeclared(bytes, elicitation, 'form')),
    elicitationUrl: hasUrl,
    apps: isInView && showsApps(bytes, declared),
  };
  const known = knownCapabilities(capabilities, revision);
  return capabilityClass(known) === '' ? NO_CAPABILITIES : known;
}

function showsApps(bytes: Buffer, declared: readonly Member[]): boolean {
  const apps = objectAt(bytes, objectAt(bytes, declared, 'extensions') ?? [], APPS_EXTENSION);
  const types = apps && findMember(apps, 'mimeTypes');
  return types !== undefined && toText(bytes, types.start, types.end).includes(APP_PAGE);
}

function isDeclared(bytes: Buffer, members: readonly Member[], key: string): boolean {
  const at = findMember(members, key);
  return at !== undefined && isObjectAt(bytes, at.start);
}

function objectAt(bytes: Buffer, members: readonly Member[], key: string): Member[] | undefined {
  const at = findMember(members, key);
  return at !== undefined && isObjectAt(bytes, at.start) ? membersOf(bytes, at) : undefined;
}

function membersOf(bytes: Buffer, at: Span): Member[] {
  const members: Member[] = [];
  return new JsonScanner(bytes).readMembers(at.start, 0, members) < 0 ? [] : members;
}

function parts(declared: Readonly<Record<string, boolean>>): string {
  const keys = Object.keys(declared).filter((key) => declared[key]);
  return `{${keys.map((key) => `"${key}":{}`).join(',')}}`;
}
