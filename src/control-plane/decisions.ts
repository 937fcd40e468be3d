// What the gateway decides, told to operators: why a tool is shown or hidden, what a token sees, and what is wrong.

import * as z from 'zod';
import { CATALOG_KINDS, viewCatalog } from '../catalog/catalog-view.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import { explainWanted } from '../catalog/explain.ts';
import { FEATURES, FIELDS } from '../catalog/feature-policy.ts';
import { findIssues, ISSUE_CODES, ISSUE_SEVERITIES } from '../catalog/issues.ts';
import { findTokenProblem } from '../catalog/token-problem.ts';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { NAME_STYLES, type StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { find } from './change.ts';
import { NOTHING, type Operation, read } from './operation.ts';
import { pageQuery, pageView } from './page.ts';
import { condition } from './schema-parts.ts';

export interface DecisionDeps {
  readonly catalogs: Catalogs;
  /** The longest that upstreams never seen before are waited for. */
  readonly listWaitMs: number;
  readonly now: () => number;
}

const MAX_LISTED = 5_000;
const MAX_ISSUES = 5_000;

const asked = z.string().max(512, 'is longer than 512 characters');
const token = asked.describe('Name or id of the token.');

export function decisionOperations(deps: DecisionDeps): Operation[] {
  return [explainOperation(deps), catalogOperation(deps), issuesOperation(deps)];
}

function explainOperation(deps: DecisionDeps): Operation {
  return read({
    name: 'explain',
    tag: 'decisions',
    summary: 'Why a token may or may not call a tool, get a prompt or read a resource, step by step.',
    method: 'get',
    path: '/explain',
    role: 'viewer',
    query: z
      .strictObject({
        tool: asked.optional().describe('Name of the tool, as a client of the token spells it.'),
        prompt: asked.optional().describe('Name of the prompt, as a client of the token spells it.'),
        resource: z
          .string()
          .max(4096, 'is longer than 4096 characters')
          .optional()
          .describe('URI of the resource, or the text of a URI template.'),
        token,
      })
      .check(
        condition(
          (given) => FEATURES.filter((feature) => Object.hasOwn(given, feature)).length === 1,
          'or prompt or resource is to be given, and only one of the three',
          ['tool'],
        ),
      ),
    body: NOTHING,
    view: z.object({
      tool: z.string().optional(),
      prompt: z.string().optional(),
      resource: z.string().optional(),
      token: z.string(),
      epoch: z.int(),
      is_callable: z.boolean().describe('Whether the call, the get or the read of it is let through.'),
      verdict: z.string(),
      steps: z.array(z.string()).describe('In the order in which they decide.'),
      suggestion: z.string().nullable().describe('The change that would admit what is hidden.'),
      would_admit: z
        .object({
          mcp_config: z.string().describe('Id of the McpConfig.'),
          field: z.enum(FIELDS),
          pattern: z.string(),
          in_config: z.boolean().describe('Whether to add the pattern to `field` of the config.'),
          in_grant: z.boolean().describe("Whether to add it to `allowed_tools` of the token's grants of it."),
        })
        .nullable()
        .describe('The same as `suggestion`, to be applied.'),
    }),
    run: async ({ operator: { accountId }, query }) => {
      const known = find(configurationOf(deps, accountId).tokens, query.token, 'token');
      const times = { waitMs: deps.listWaitMs, nowMs: deps.now() };
      const feature = FEATURES.find((each) => query[each] !== undefined) ?? 'tool';
      const wanted = { feature, name: query[feature] ?? '' };
      const explanation = await explainWanted(deps.catalogs, accountId, known, wanted, times);
      return explanation === undefined ? gone(known) : { [feature]: wanted.name, ...explanation };
    },
  });
}

export const decidingConfig = z
  .object({ id: z.string(), name: z.string(), revision: z.int() })
  .describe('The config that decides, and the revision that is in force.');
export const upstreamState = z.object({
  state: z.enum(['ok', 'unavailable']).describe('`unavailable`: the last known list is shown, and calls fail.'),
  reason: z.string().nullable(),
  since: z.string().nullable(),
});
const catalogTool = z.object({
  name: z.string().describe('As the token spells it.'),
  canonical_name: z.string(),
  service: z.string(),
  mcp_config: decidingConfig,
  pattern: z.string().describe("The pattern of the config's `allowed_tools` that allows it."),
  narrowing_pattern: z.string().nullable().describe("The pattern of the grant's own, if the grant narrows."),
  description: z.string().nullable().describe('The first 200 characters.'),
  read_only: z.boolean().nullable().describe('What the upstream says of it; null if it does not say.'),
  destructive: z.boolean().nullable().describe('What the upstream says of it; null if it does not say.'),
  context_tokens: z.int().describe("What listing it costs in an agent's context: an estimate, 4 bytes to a token."),
  upstream: upstreamState,
});
const decided = catalogTool.pick({ service: true, mcp_config: true, pattern: true, description: true, upstream: true });
const catalogPrompt = z.object({
  ...catalogTool.pick({ name: true, canonical_name: true }).shape,
  ...decided.shape,
  pattern: z.string().describe("The pattern of the config's `allowed_prompts` that allows it."),
});
const catalogResource = z.object({
  uri: z.string().describe('Or the text of the URI template.'),
  name: z.string().describe('What its upstream calls it, the first 200 characters.'),
  is_template: z.boolean(),
  ...decided.shape,
  pattern: z.string().describe("The pattern of the config's `allowed_resources` that allows it."),
});

function catalogOperation(deps: DecisionDeps): Operation {
  return read({
    name: 'getCatalog',
    tag: 'decisions',
    summary: 'What a token sees, in the order of its list, and which config and pattern decide it.',
    method: 'get',
    path: '/catalog',
    role: 'viewer',
    query: z.strictObject({
      token,
      kind: z.enum(CATALOG_KINDS).default('tools').describe('What to list; URI templates are among the resources.'),
      search: asked.optional().describe('A name, the URI or the description holds this, in upper or lower case.'),
      limit: pageQuery.shape.limit,
      starting_after: z
        .string()
        .optional()
        .describe('Canonical name of the last tool or prompt of the page before, or URI of the last resource.'),
    }),
    body: NOTHING,
    view: z.object({
      epoch: z.int().describe('The version of the configuration it was made under.'),
      token: z.object({ id: z.string(), name: z.string(), names: z.enum(NAME_STYLES) }),
      tools: z.array(catalogTool).describe('Empty where another `kind` is asked for.'),
      prompts: z.array(catalogPrompt).optional().describe('Where they are asked for.'),
      resources: z.array(catalogResource).optional().describe('Where they are asked for.'),
      ...pageView,
      totals: z
        .object({
          tools: z.int(),
          prompts: z.int(),
          resources: z.int(),
          context_tokens: z.int().describe('Of the tools, an estimate.'),
        })
        .describe('Of the whole lists, whatever is asked or searched for.'),
      upstreams: z
        .array(
          z.object({
            service: z.string(),
            mcp_config: z.string(),
            state: z.string(),
            reason: z.string().optional(),
            since: z.string().optional(),
          }),
        )
        .describe('Upstreams of the token that are not as they should be.'),
    }),
    run: async ({ operator: { accountId }, query }) => {
      const known = find(configurationOf(deps, accountId).tokens, query.token, 'token');
      const problem = findTokenProblem(known, deps.now());
      if (problem !== undefined) {
        throw new GatewayError('conflict', `The token '${known.name}' (${known.id}) ${problem}: it sees nothing.`);
      }
      const catalog = await deps.catalogs.settled(accountId, known.id, deps.listWaitMs);
      const { kind, search, starting_after: after } = query;
      const limit = Math.min(query.limit, MAX_LISTED);
      const view = viewCatalog(catalog ?? gone(known), known.nameStyle, { kind, search, limit, after });
      if (view !== undefined) return { token: { id: known.id, name: known.name, names: known.nameStyle }, ...view };
      const [what, key] = [kind.slice(0, -1), kind === 'resources' ? 'uri' : 'canonical name'];
      const message = `the token sees no ${what} '${after?.slice(0, 64)}'; give the ${key} of the last ${what} of the page before, or leave it out`;
      throw new GatewayError('invalid_argument', `starting_after: ${message}.`, {
        problems: [{ path: 'starting_after', message }],
      });
    },
  });
}

function issuesOperation(deps: DecisionDeps): Operation {
  return read({
    name: 'listIssues',
    tag: 'decisions',
    summary: 'What is wrong with the configuration or probably not meant, the worst first, each with what to do.',
    method: 'get',
    path: '/issues',
    role: 'viewer',
    query: NOTHING,
    body: NOTHING,
    view: z.object({
      epoch: z.int(),
      issues: z.array(
        z.object({
          code: z.enum(ISSUE_CODES),
          severity: z.enum(ISSUE_SEVERITIES),
          object: z.object({ kind: z.enum(['mcp_config', 'secret', 'token']), id: z.string(), name: z.string() }),
          message: z.string(),
          remedy: z.string(),
        }),
      ),
      total_count: z.int().describe(`More than the issues shown where there are more than ${MAX_ISSUES}.`),
    }),
    run: async ({ operator: { accountId } }) => {
      const { epoch } = configurationOf(deps, accountId);
      const found = await findIssues(deps.catalogs, accountId, deps.now());
      const issues = found?.issues ?? [];
      return { epoch: found?.epoch ?? epoch, issues: issues.slice(0, MAX_ISSUES), total_count: issues.length };
    },
  });
}

/** The configuration in force here: what is decided by, whatever the store says by now. Throws `store_unavailable`. */
export function configurationOf(
  { catalogs }: Pick<DecisionDeps, 'catalogs'>,
  account: AccountId,
): AccountConfiguration {
  const snapshot = catalogs.snapshot(account);
  if (snapshot !== undefined) return snapshot.configuration;
  throw new GatewayError('store_unavailable', 'The configuration of this account has not been read yet: try again.');
}

function gone({ name }: StoredToken): never {
  throw new GatewayError('not_found', `The token '${name}' is gone.`);
}
