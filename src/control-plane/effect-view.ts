// What a write gave and took, as its record shows it.

import * as z from 'zod';
import { type Effect, NO_EFFECT, type RecordedNames } from '../domain/revision.ts';

const recordedNames = {
  added: z.array(z.string()).describe('Canonical names, or URIs, of what became usable.'),
  removed: z.array(z.string()).describe('Canonical names, or URIs, of what ended to be usable.'),
};
export const effectView = z
  .object({
    summary: z.string().describe('Such as `+2 −1 tools` or `+2 −0 prompts, +0 −1 resources`; the names may be cut.'),
    added: z.array(z.string()).describe('Canonical names of tools that became callable.'),
    removed: z.array(z.string()).describe('Canonical names of tools that ended to be callable.'),
    prompts: z.object(recordedNames).describe('The same of prompts.'),
    resources: z.object(recordedNames).describe('The same of resources and URI templates that are listed.'),
  })
  .describe('As far as the lists of the upstream were known at the time.');

export function toEffectView(effect: Effect): z.input<typeof effectView> {
  return {
    summary: summarize(effect),
    ...toNames(effect),
    prompts: toNames(effect.prompts),
    resources: toNames(effect.resources),
  };
}

function toNames({ added, removed }: RecordedNames = NO_EFFECT) {
  return { added: [...added], removed: [...removed] };
}

/** What it gives and takes; of nothing, no tools. */
function summarize(effect: Effect): string {
  const lists = { tools: effect, prompts: effect.prompts, resources: effect.resources };
  const parts = Object.entries(lists).flatMap(([what, { addedCount: added, removedCount: removed } = NO_EFFECT]) =>
    added + removed > 0 ? [`+${added} −${removed} ${what}`] : [],
  );
  return parts.length > 0 ? parts.join(', ') : '+0 −0 tools';
}
