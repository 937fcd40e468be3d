// Everything that an upstream lists, asked for in one go. Only its tools are indispensable: what else fails, or hangs, is
// told by itself and costs nobody the tools.

import type { ListKind } from '../protocol/list-kind.ts';
import type { UpstreamAbout } from './about.ts';
import { UpstreamError } from './failure.ts';
import { type DrainedList, type DrainOptions, drainList, NOTHING, shorter } from './lists.ts';

/** A list, each of its objects raw and unchecked but for its brackets, or why it could not be had. */
export type OtherList = readonly Buffer[] | UpstreamError;

export interface UpstreamLists {
  readonly tools: readonly Buffer[];
  readonly prompts: OtherList;
  readonly resources: OtherList;
  readonly templates: OtherList;
  /** How long all of it may be used by the upstream's own word; `undefined` without a sensible one. */
  readonly ttlMs: number | undefined;
  readonly about: UpstreamAbout | undefined;
}

type OtherKind = Exclude<ListKind, 'tools'>;

/** So long the tools wait for an answer about something else. */
const PATIENCE_MS = 10_000;

/** Asks for the tools, whatever the upstream declares, and for what else it declares. Throws `UpstreamError`. */
export async function drainAll(options: DrainOptions, about: UpstreamAbout | undefined): Promise<UpstreamLists> {
  const others = { ...options, timeoutMs: Math.min(options.timeoutMs, PATIENCE_MS) };
  const drain = (kind: OtherKind, isDeclared: boolean | undefined) => (isDeclared ? drainAside(kind, others) : NOTHING);
  const [tools, prompts, resources, templates] = await Promise.all([
    // Some list tools without a word, and those that do not may not know the method.
    drainList('tools', { ...options, mayBeUnknown: about?.tools === false }),
    drain('prompts', about?.prompts),
    drain('resources', about?.resources),
    drain('templates', about?.resources),
  ]);
  const ttlMs = [prompts, resources, templates].reduce(
    (least, list) => (list instanceof UpstreamError ? least : shorter(least, list.ttlMs)),
    tools.ttlMs,
  );
  const itemsOf = (list: DrainedList | UpstreamError) => (list instanceof UpstreamError ? list : list.items);
  return {
    tools: tools.items,
    prompts: itemsOf(prompts),
    resources: itemsOf(resources),
    templates: itemsOf(templates),
    ttlMs,
    about,
  };
}

/** Even a lost session is of this list alone: had it been lost, the tools would not have come on it. */
async function drainAside(kind: OtherKind, options: DrainOptions): Promise<DrainedList | UpstreamError> {
  try {
    // Many that have resources have no templates.
    return await drainList(kind, { ...options, mayBeUnknown: kind === 'templates' });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return error;
  }
}
