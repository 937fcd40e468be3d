// Which features of MCP a catalog serves: what is not served is neither declared nor answered.

import type { ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';

export interface Served {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  /** Whether single resources can be subscribed to. */
  readonly subscriptions: boolean;
  readonly completions: boolean;
  readonly logging: boolean;
}

/** What a catalog is made of. */
export interface ServedFrom {
  readonly view: string | undefined;
  readonly grants: readonly ResolvedGrant[];
  readonly lists: readonly (Inventory | undefined)[];
}

/**
 * By policy, so that what is declared does not come and go with an upstream. A config that is seen by itself declares what
 * its upstream does, where the policy allows it.
 */
export function findServed({ view, grants, lists }: ServedFrom): Served {
  const prompts = grants.some(({ config }) => config.config.allowedPrompts.length > 0);
  const resources = grants.some(({ config }) => config.config.allowedResources.length > 0);
  const completions = prompts || resources;
  const about = view === undefined ? undefined : lists[0]?.about;
  if (about === undefined) {
    return { tools: true, prompts, resources, subscriptions: resources, completions, logging: true };
  }
  return {
    // Some upstreams list tools without a word.
    tools: about.tools || (lists[0]?.tools.size ?? 0) > 0,
    prompts: about.prompts && prompts,
    resources: about.resources && resources,
    subscriptions: about.subscribes && resources,
    completions: about.completions && completions,
    logging: about.logging,
  };
}
