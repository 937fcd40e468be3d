// The four lists that MCP has, which are asked for, drained and answered alike.

export const LIST_KINDS = ['tools', 'prompts', 'resources', 'templates'] as const;
export type ListKind = (typeof LIST_KINDS)[number];

/** Those that servers tell the change of: that of resources is also that of templates. */
export type ChangedList = Exclude<ListKind, 'templates'>;

/** By the notification that tells it (2026-07-28 server). */
export const CHANGED_LISTS: ReadonlyMap<string, ChangedList> = new Map([
  ['notifications/tools/list_changed', 'tools'],
  ['notifications/prompts/list_changed', 'prompts'],
  ['notifications/resources/list_changed', 'resources'],
]);

/** The method that asks for a list, and the member of its result that holds it (2026-07-28 server). */
export const LISTS: Readonly<Record<ListKind, { readonly method: string; readonly key: string }>> = {
  tools: { method: 'tools/list', key: 'tools' },
  prompts: { method: 'prompts/list', key: 'prompts' },
  resources: { method: 'resources/list', key: 'resources' },
  templates: { method: 'resources/templates/list', key: 'resourceTemplates' },
};
