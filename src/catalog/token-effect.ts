// What a token would list after an edit, against what it lists now.

import type { StoredToken } from '../domain/principal.ts';
import type { Catalog } from './catalog.ts';

export interface TokenEffect {
  readonly id: string;
  readonly name: string;
  /** Canonical names, the first hundred. */
  readonly appear: string[];
  readonly disappear: string[];
  readonly appear_count: number;
  readonly disappear_count: number;
  /** Tools that stay, and would be called with another McpConfig's credential; the first hundred. */
  readonly moved: { readonly name: string; readonly from: string; readonly to: string }[];
  /** Tools that stay, and would be listed by another spelling; the first hundred. */
  readonly respelled: { readonly name: string; readonly from: string; readonly to: string }[];
}

const MAX_NAMES = 100;

export function compareCatalogs({ id, name, nameStyle }: StoredToken, before: Catalog, after: Catalog): TokenEffect {
  const was = new Map(before.routes.map((route, index) => [route.canonicalName, { route, index }]));
  const is = new Set(after.routes.map(({ canonicalName }) => canonicalName));
  const appear = [...is].filter((each) => !was.has(each));
  const disappear = [...was.keys()].filter((each) => !is.has(each));
  const spelledBefore = before.spellings(nameStyle);
  const spelledAfter = after.spellings(nameStyle);
  const moved: TokenEffect['moved'] = [];
  const respelled: TokenEffect['respelled'] = [];
  after.routes.forEach((route, index) => {
    const known = was.get(route.canonicalName);
    if (known === undefined) return;
    const [from, to] = [known.route.grant.config.config, route.grant.config.config];
    if (from.id !== to.id) moved.push({ name: route.canonicalName, from: from.name, to: to.name });
    const [spelled = '', next = ''] = [spelledBefore[known.index], spelledAfter[index]];
    if (spelled !== next) respelled.push({ name: route.canonicalName, from: spelled, to: next });
  });
  return {
    id,
    name,
    appear: appear.slice(0, MAX_NAMES),
    disappear: disappear.slice(0, MAX_NAMES),
    appear_count: appear.length,
    disappear_count: disappear.length,
    moved: moved.slice(0, MAX_NAMES),
    respelled: respelled.slice(0, MAX_NAMES),
  };
}
