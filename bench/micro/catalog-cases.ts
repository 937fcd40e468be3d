// A catalogue of 1,000 McpConfigs of 100 tools: built when nothing is known, after an edit of one of them, and for another
// token of the same grants; then what it is for, and the patterns that decide about it.

import { compileAllowList } from '../../src/catalog/allow-list.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { compileConfig, type ResolvedGrant } from '../../src/catalog/grant.ts';
import { joinLists, readInventory } from '../../src/catalog/inventory.ts';
import { Ownership } from '../../src/catalog/ownership.ts';
import type { AccountId, McpConfig } from '../../src/domain/mcp-config.ts';
import { toMockList } from '../../src/load/mock-result.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import type { MicroCase } from './measure.ts';

const CONFIGS = 1_000;
const TOOLS = 100;
const PATTERNS = 1_000;

export function catalogCases(): MicroCase[] {
  const inventory = mockInventory();
  // Nobody connects to it.
  const upstream = {} as unknown as Upstream;
  const grantOf = (index: number, allowedTools: readonly string[]): ResolvedGrant => {
    const config = compileConfig(aConfig(index, allowedTools));
    return { config, narrowing: undefined, upstream, trouble: undefined };
  };
  const allGrants = () => Array.from({ length: CONFIGS }, (_, index) => grantOf(index, ['echo', 'tool_*']));
  const build = (grants: readonly ResolvedGrant[]): Catalog => {
    const accountId = 'acct_bench' as AccountId;
    return new Catalog({ accountId, epoch: 1, grants, listOf: () => inventory, ownership: new Ownership() });
  };
  const list = (catalog: Catalog): number => catalog.list('tools', 'modern', 'dot').count;
  const known = allGrants();
  const catalog = build(known);
  if (list(catalog) !== CONFIGS * TOOLS) throw new Error('not all tools are listed');
  let edits = 0;
  const patterns = Array.from({ length: PATTERNS }, (_, index) => `prefix_${index}_{get,list}_*`);
  const allowList = compileAllowList(patterns, 'bench');
  const hit = `prefix_${PATTERNS - 1}_list_all`;
  return [
    { name: 'catalogue: cold, with its list', run: () => list(build(allGrants())) },
    {
      name: 'catalogue: one config edited, with its list',
      run() {
        const grants = [...known];
        grants[7] = grantOf(7, edits++ % 2 === 0 ? ['echo'] : ['echo', 'tool_*']);
        return list(build(grants));
      },
    },
    { name: 'catalogue: of another token, with a route', run: () => build(known).route('bench7.tool_1', 'dot') },
    { name: 'route: hit', run: () => catalog.route('bench999.tool_99', 'dot') },
    { name: 'route: miss', run: () => catalog.route('bench999.tool_100', 'dot') },
    { name: 'glob: compile 1,000 patterns', run: () => compileAllowList(patterns, 'bench') },
    { name: 'glob: hit, the last of 1,000', run: () => allowList.match(hit) },
    { name: 'glob: miss of 1,000', run: () => allowList.match('create_issue') },
  ];
}

function mockInventory() {
  const { tools }: { tools: readonly object[] } = JSON.parse(toMockList('legacy', TOOLS));
  const raw = tools.map((tool) => Buffer.from(JSON.stringify(tool)));
  return readInventory(
    joinLists({ tools: raw, prompts: [], resources: [], templates: [], ttlMs: undefined, about: undefined }),
    0,
  );
}

function aConfig(index: number, allowedTools: readonly string[]): McpConfig {
  return {
    id: `mcp_${index}`,
    name: `bench${index}`,
    endpoint: 'https://mcp.example.com/mcp',
    allowedTools,
    allowedPrompts: [],
    allowedResources: [],
    authMechanism: { type: 'bearer' },
    customHeaders: [],
    tls: null,
    proxy: null,
    limits: {},
    stdio: null,
    description: null,
    revision: 1,
    managedBy: 'api',
    createTimeMs: 0,
  };
}
