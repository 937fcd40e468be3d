// What a token would list after an edit, against what it lists now.

import type { StoredToken } from '../domain/principal.ts';
import type { Catalog } from './catalog.ts';
import type { Route } from './route.ts';

/** What comes and goes of one list; canonical names or URIs, the first hundred of each. */
export interface ListEffect {
  readonly appear: string[];
  readonly disappear: string[];
  readonly appear_count: number;
  readonly disappear_count: number;
  /** What stays, and would be asked for with another McpConfig's credential. */
  readonly moved: { readonly name: string; readonly from: string; readonly to: string }[];
}

/** Of the tools, and beside them of prompts and of resources. */
export interface TokenEffect extends ListEffect {
  readonly id: string;
  readonly name: string;
  /** Tools that stay, and would be listed by another spelling; the first hundred. */
  readonly respelled: ListEffect['moved'];
  readonly prompts: ListEffect;
  /** Templates among them. */
  readonly resources: ListEffect;
}

const MAX_NAMES = 100;

export function compareCatalogs({ id, name, nameStyle }: StoredToken, before: Catalog, after: Catalog): TokenEffect {
  const spelled = (catalog: Catalog) => {
    const spellings = catalog.spellings(nameStyle);
    return new Map(catalog.routes.map(({ canonicalName }, index) => [canonicalName, spellings[index] ?? '']));
  };
  const was = spelled(before);
  const respelled = [...spelled(after)].flatMap(([tool, to]) => {
    const from = was.get(tool);
    return from === undefined || from === to ? [] : [{ name: tool, from, to }];
  });
  return {
    id,
    name,
    ...compareRoutes(before.routes, after.routes),
    respelled: respelled.slice(0, MAX_NAMES),
    prompts: compareRoutes(before.routesOf('prompts'), after.routesOf('prompts')),
    resources: compareRoutes(resourcesOf(before), resourcesOf(after)),
  };
}

/** What is listed of them: a URI that only a template stands for is in no list. */
export function resourcesOf(catalog: Catalog): readonly Route[] {
  return [...catalog.routesOf('resources'), ...catalog.routesOf('templates')];
}

function compareRoutes(before: readonly Route[], after: readonly Route[]): ListEffect {
  const was = new Map(before.map((route) => [route.canonicalName, route]));
  const is = new Map(after.map((route) => [route.canonicalName, route]));
  const appear = [...is.keys()].filter((each) => !was.has(each));
  const disappear = [...was.keys()].filter((each) => !is.has(each));
  const moved = [...is].flatMap(([name, route]) => {
    const [from, to] = [was.get(name)?.grant.config.config, route.grant.config.config];
    return from === undefined || from.id === to.id ? [] : [{ name, from: from.name, to: to.name }];
  });
  return {
    appear: appear.slice(0, MAX_NAMES),
    disappear: disappear.slice(0, MAX_NAMES),
    appear_count: appear.length,
    disappear_count: disappear.length,
    moved: moved.slice(0, MAX_NAMES),
  };
}
