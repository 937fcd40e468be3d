// Catalogs of inventories that a test writes itself, over upstreams that nobody connects to.

import { Catalog } from '../../src/catalog/catalog.ts';
import { compileConfig, type ResolvedGrant } from '../../src/catalog/grant.ts';
import { type Inventory, joinLists, readInventory } from '../../src/catalog/inventory.ts';
import { Ownership } from '../../src/catalog/ownership.ts';
import type { McpConfig } from '../../src/domain/mcp-config.ts';
import { LIST_KINDS, type ListKind } from '../../src/protocol/list-kind.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import type { UpstreamAbout } from '../../src/upstream/about.ts';
import type { UpstreamLists } from '../../src/upstream/inventory.ts';
import { aConfig } from './store-objects.ts';
import { anUpstream, NOWHERE } from './upstreams.ts';

export interface OfferedLists extends Partial<Readonly<Record<ListKind, readonly string[]>>> {
  readonly about?: Partial<UpstreamAbout>;
}

export interface OfferedConfig {
  readonly name: string;
  readonly allow?: Partial<Pick<McpConfig, 'allowedTools' | 'allowedPrompts' | 'allowedResources'>>;
  /** Raw JSON of what its upstream lists; `null` when that was never seen. */
  readonly lists: OfferedLists | null;
}

const ABOUT: UpstreamAbout = {
  tools: true,
  prompts: true,
  resources: true,
  subscribes: true,
  completions: true,
  logging: true,
  instructions: undefined,
  extensions: undefined,
};

export function inventoryOf(lists: OfferedLists): Inventory {
  const raw = Object.fromEntries(
    LIST_KINDS.map((kind) => [kind, (lists[kind] ?? []).map((item) => Buffer.from(item))]),
  );
  return readInventory(
    joinLists({ ...raw, ttlMs: undefined, about: { ...ABOUT, ...lists.about } } as UpstreamLists),
    0,
  );
}

/** Everything is allowed unless told. */
export function grantOf({ name, allow }: OfferedConfig): ResolvedGrant {
  const all = { allowedTools: ['*'], allowedPrompts: ['*'], allowedResources: ['*'] };
  const config = compileConfig(aConfig(name, { ...all, customHeaders: [], ...allow }));
  return { config, narrowing: undefined, upstream: anUpstream(NOWHERE, { key: name }), trouble: undefined };
}

/** Grants in this order, seen as one, or with `view` the first of them by itself. */
export function catalogOf(
  configs: readonly OfferedConfig[],
  { isView = false, ownership = new Ownership() } = {},
): Catalog {
  const all = configs.map((config) => ({ grant: grantOf(config), lists: config.lists }));
  const shown = isView ? all.slice(0, 1) : all;
  return new Catalog({
    accountId: DEFAULT_ACCOUNT,
    epoch: 1,
    grants: shown.map(({ grant }) => grant),
    ownership,
    listOf: (upstream) => {
      const lists = all.find(({ grant }) => grant.upstream === upstream)?.lists;
      return lists ? inventoryOf(lists) : undefined;
    },
    view: isView ? configs[0]?.name : undefined,
  });
}
