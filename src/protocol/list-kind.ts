// The four lists that MCP has, which are asked for, drained and answered alike.

export const LIST_KINDS = ['tools', 'prompts', 'resources', 'templates'] as const;
export type ListKind = (typeof LIST_KINDS)[number];

/** The method that asks for a list, and the member of its result that holds it (2026-07-28 server). */
export const LISTS: Readonly<Record<ListKind, { readonly method: string; readonly key: string }>> = {
  tools: { method: 'tools/list', key: 'tools' },
  prompts: { method: 'prompts/list', key: 'prompts' },
  resources: { method: 'resources/list', key: 'resources' },
  templates: { method: 'resources/templates/list', key: 'resourceTemplates' },
};
