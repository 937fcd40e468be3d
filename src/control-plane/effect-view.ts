// What a write gave and took, as its record shows it.

import * as z from 'zod';
import { type Effect, NO_EFFECT, type RecordedNames } from '../domain/revision.ts';

const recordedNames = {
  added: z.array(z.string()).describe('Canonical names, or URIs, of what became usable.'),
  removed: z.array(z.string()).describe('Canonical names, or URIs, of what ended to be usable.'),
};
export const effectView = z
  .object({
    summary: z
      .string()
      .describe('Such as `+2 −1 tools`, `+2 −0 prompts, +0 −1 resources` or `not known`; the names may be cut.'),
    is_partial: z.boolean().describe('A list of an upstream that decides was not known: there may be more to it.'),
    added: z.array(z.string()).describe('Canonical names of tools that became callable.'),
    removed: z.array(z.string()).describe('Canonical names of tools that ended to be callable.'),
    prompts: z.object(recordedNames).describe('The same of prompts.'),
    resources: z.object(recordedNames).describe('The same of resources and URI templates that are listed.'),
  })
  .describe('As far as the lists of the upstream were known at the time.');

export function toEffectView(effect: Effect): z.input<typeof effectView> {
  return {
    summary: summarize(effect),
    is_partial: effect.isPartial === true,
    ...toNames(effect),
    prompts: toNames(effect.prompts),
    resources: toNames(effect.resources),
  };
}

function toNames({ added, removed }: RecordedNames = NO_EFFECT) {
  return { added: [...added], removed: [...removed] };
}

/** What it gives and takes; of nothing, no tools, unless it is for want of a list. */
function summarize(effect: Effect): string {
  const lists = { tools: effect, prompts: effect.prompts, resources: effect.resources };
  const parts = Object.entries(lists).flatMap(([what, { addedCount: added, removedCount: removed } = NO_EFFECT]) =>
    added + removed > 0 ? [`+${added} −${removed} ${what}`] : [],
  );
  if (parts.length > 0) return parts.join(', ');
  return effect.isPartial === true ? 'not known' : '+0 −0 tools';
}
