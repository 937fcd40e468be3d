// What decides about each feature: which patterns of a config, and which list of its upstream they are held against.

import type { McpConfig } from '../domain/mcp-config.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import { type AllowList, findPatternProblem } from './allow-list.ts';
import type { PatternProblem } from './glob-syntax.ts';
import { type Admission, admit, admitPrompt, admitResource, type CompiledConfig, type ResolvedGrant } from './grant.ts';
import type { Feature } from './route.ts';
import { findUriPatternProblem } from './uri-allow-list.ts';

export const FEATURES = ['tool', 'prompt', 'resource'] as const satisfies readonly Feature[];
export const FIELDS = ['allowed_tools', 'allowed_prompts', 'allowed_resources'] as const;
/** Of a config, as the API names it. */
export type Field = (typeof FIELDS)[number];

/** What is decided about by the same patterns: templates stand for resources. */
export const FEATURE_OF: Readonly<Record<ListKind, Feature>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  templates: 'resource',
};

export interface FeaturePolicy {
  readonly field: Field;
  readonly kind: ListKind;
  /** Those that show what is admitted; a URI that only a template stands for is in none. */
  readonly shownIn: readonly ListKind[];
  readonly patternsOf: (config: McpConfig) => readonly string[];
  readonly allowListOf: (config: CompiledConfig) => AllowList;
  /** `pattern` is the one of the config, where that is known. */
  readonly admit: (grant: ResolvedGrant, name: string, pattern?: string) => Admission | undefined;
  readonly findProblem: (pattern: string) => PatternProblem | undefined;
  /** The config with one pattern more. */
  readonly widen: (config: McpConfig, pattern: string) => McpConfig;
}

export const POLICIES: Readonly<Record<Feature, FeaturePolicy>> = {
  tool: {
    field: 'allowed_tools',
    kind: 'tools',
    shownIn: ['tools'],
    patternsOf: ({ allowedTools }) => allowedTools,
    allowListOf: ({ allowList }) => allowList,
    admit,
    findProblem: (pattern) => findPatternProblem(pattern),
    widen: (config, pattern) => ({ ...config, allowedTools: [...config.allowedTools, pattern] }),
  },
  prompt: {
    field: 'allowed_prompts',
    kind: 'prompts',
    shownIn: ['prompts'],
    patternsOf: ({ allowedPrompts }) => allowedPrompts,
    allowListOf: ({ promptList }) => promptList,
    admit: admitPrompt,
    findProblem: (pattern) => findPatternProblem(pattern, 'prompt'),
    widen: (config, pattern) => ({ ...config, allowedPrompts: [...config.allowedPrompts, pattern] }),
  },
  resource: {
    field: 'allowed_resources',
    kind: 'resources',
    shownIn: ['resources', 'templates'],
    patternsOf: ({ allowedResources }) => allowedResources,
    allowListOf: ({ resourceList }) => resourceList,
    admit: admitResource,
    findProblem: findUriPatternProblem,
    widen: (config, pattern) => ({ ...config, allowedResources: [...config.allowedResources, pattern] }),
  },
};
