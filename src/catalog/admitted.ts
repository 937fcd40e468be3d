// What an allow-list admits of a list, and the pattern that does: decided once for all tokens.

import { LIST_KINDS, type ListKind } from '../protocol/list-kind.ts';
import type { AllowList } from './allow-list.ts';
import { FEATURE_OF, POLICIES } from './feature-policy.ts';
import type { CompiledConfig, ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import type { ListedItem } from './listed-item.ts';
import type { ListedTool } from './listed-tool.ts';

export type Items = ReadonlyMap<string, ListedItem | ListedTool>;

/** Names times alternatives that are decided in one go: some milliseconds at worst. */
const MAX_AT_ONCE = 100_000;
const MAX_IN_A_STEP = 10_000;

const decided = new WeakMap<Items, WeakMap<AllowList, ReadonlyMap<string, string>>>();

/** By name, in the order of the list. */
export function admittedOf(items: Items, allowList: AllowList): ReadonlyMap<string, string> {
  for (const _ of decide(items, allowList));
  return decided.get(items)?.get(allowList) ?? new Map();
}

/** The same, in steps that others may have their turn between. */
export function* decide(items: Items, allowList: AllowList): Iterable<void> {
  if (decided.get(items)?.has(allowList)) return;
  const patterns = new Map<string, string>();
  let matches = 0;
  for (const name of items.keys()) {
    const pattern = allowList.match(name);
    if (pattern !== undefined) patterns.set(name, pattern);
    matches += allowList.size + 1;
    if (matches < MAX_IN_A_STEP) continue;
    matches = 0;
    yield;
  }
  const known = decided.get(items) ?? new WeakMap<AllowList, ReadonlyMap<string, string>>();
  decided.set(items, known.set(allowList, patterns));
}

/** Whether what a grant admits of its upstream's lists is known, or found out in no time. */
export function isDecided({ config, narrowing }: ResolvedGrant, inventory: Inventory): boolean {
  for (const kind of LIST_KINDS) {
    if (!isShort(inventory[kind], allowListOf(config, kind))) return false;
  }
  return narrowing === undefined || isShort(inventory.tools, narrowing);
}

/** Finds out all of it, in such steps. */
export function* decideAll({ config, narrowing }: ResolvedGrant, inventory: Inventory): Iterable<void> {
  for (const kind of LIST_KINDS) yield* decide(inventory[kind], allowListOf(config, kind));
  if (narrowing !== undefined) yield* decide(inventory.tools, narrowing);
}

function isShort(items: Items, allowList: AllowList): boolean {
  return items.size * allowList.size <= MAX_AT_ONCE || decided.get(items)?.has(allowList) === true;
}

function allowListOf(config: CompiledConfig, kind: ListKind): AllowList {
  return POLICIES[FEATURE_OF[kind]].allowListOf(config);
}
