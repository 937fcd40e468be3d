// Catalogs are put together of what other tokens and earlier epochs have decided already: what comes out must be what a
// gateway would serve that decides everything anew.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AccountSnapshot } from '../../src/catalog/account-snapshot.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { Inventory } from '../../src/catalog/inventory.ts';
import { Ownership } from '../../src/catalog/ownership.ts';
import type { McpConfig } from '../../src/domain/mcp-config.ts';
import { NAME_STYLES, type StoredToken } from '../../src/domain/principal.ts';
import { LIST_KINDS } from '../../src/protocol/list-kind.ts';
import { type AccountConfiguration, DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { inventoryOf } from '../support/catalogs.ts';
import { aConfig, aToken } from '../support/store-objects.ts';
import { anUpstream, NOWHERE } from '../support/upstreams.ts';

/** Services whose spellings can meet, and two configs of one service. */
const CONFIGS = ['a-1', 'a-2', 'a_-1', 'a__b', 'git'];
const NAMES = ['x', 'b__x', '_x', 'a.x', 'long'.repeat(31)];
const PATTERNS = ['*', 'x', '*x', 'a.?', 'l*', 'r://*'];
const TOKENS = ['first', 'second'];

const some = (all: readonly string[]) => fc.subarray([...all]);
const edit = fc.record({
  kind: fc.constant('config' as const),
  name: fc.constantFrom(...CONFIGS),
  allowed: some(PATTERNS),
});
const list = fc.record({ kind: fc.constant('list' as const), name: fc.constantFrom(...CONFIGS), names: some(NAMES) });
const grants = fc.record({
  kind: fc.constant('token' as const),
  name: fc.constantFrom(...TOKENS),
  configs: some(CONFIGS).map((all) => all.toReversed()),
  narrowing: fc.option(some(PATTERNS)),
});
const steps = fc.array(fc.oneof(edit, list, list, grants), { minLength: 1, maxLength: 12 });

const offered = (names: readonly string[]): Inventory =>
  inventoryOf({
    tools: names.map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`),
    prompts: names.map((name) => `{"name":"${name}"}`),
    resources: names.map((name) => `{"uri":"r://${name}","name":"r"}`),
    templates: names.map((name) => `{"uriTemplate":"r://${name}/{n}","name":"t"}`),
  });

type Lists = ReadonlyMap<string, Inventory>;

function snapshotOf(configuration: AccountConfiguration, before?: AccountSnapshot): AccountSnapshot {
  const upstreamFor = ({ config }: { config: { config: McpConfig } }): Upstream => UPSTREAMS.get(config.config.name)!;
  return new AccountSnapshot(configuration, { upstreamFor, openSecret: () => assert.fail() }, before);
}

const UPSTREAMS = new Map(CONFIGS.map((name) => [name, anUpstream(NOWHERE, { key: name })]));

function build(snapshot: AccountSnapshot, token: StoredToken, lists: Lists, ownership: Ownership): Catalog {
  const { accountId, epoch } = snapshot;
  const listOf = ({ key }: Upstream) => lists.get(key);
  return new Catalog({ accountId, epoch, grants: snapshot.resolve(token), listOf, ownership });
}

/** Everything that a catalog answers, as plain data. */
function describe(catalog: Catalog): object {
  const whose = (route: ReturnType<Catalog['route']>) =>
    route && [route.canonicalName, route.epoch, route.grant.config.config.name, route.admission];
  const asked = CONFIGS.flatMap((config) =>
    NAMES.flatMap((name) => [
      `${config.split('-')[0]}.${name}`,
      `${config.split('-')[0]}__${name.replaceAll('.', '_')}`,
      name,
    ]),
  );
  return {
    lists: LIST_KINDS.flatMap((kind) =>
      NAME_STYLES.map((style) => {
        const array = catalog.list(kind, 'modern', style);
        return [kind, style, array.digest, Buffer.concat(array.slice()).toString()];
      }),
    ),
    spellings: NAME_STYLES.map((style) => catalog.spellings(style)),
    routes: LIST_KINDS.map((kind) => catalog.routesOf(kind).map(whose)),
    collisions: catalog.collisions,
    found: NAME_STYLES.map((style) =>
      asked.map((name) => [whose(catalog.route(name, style)), whose(catalog.prompt(name, style))]),
    ),
    read: NAMES.flatMap((name) => [whose(catalog.resource(`r://${name}`)), whose(catalog.resource(`r://${name}/1`))]),
  };
}

test('after any edits, lists and grants a token is served what it would be if nothing had been decided before', () => {
  let served = 0;
  fc.assert(
    fc.property(steps, (all) => {
      const open = { allowedPrompts: ['*'], allowedResources: ['*'], allowedTools: ['*'], customHeaders: [] };
      let configs = CONFIGS.map((name) => aConfig(name, open));
      let tokens = TOKENS.map((name) => aToken(name, { grants: grantsOf(CONFIGS, null) }));
      let lists: Lists = new Map();
      let epoch = 1;
      const configuration = (): AccountConfiguration => {
        return { accountId: DEFAULT_ACCOUNT, epoch, mcpConfigs: configs, secrets: [], tokens, apiKeys: [] };
      };
      let snapshot = snapshotOf(configuration());
      let ownerships = new Map<string, Ownership>();
      /** Since the configuration changed. */
      let seen: Lists[] = [lists];
      for (const step of all) {
        if (step.kind === 'list') {
          lists = new Map(lists).set(step.name, offered(step.names));
          seen.push(lists);
        } else {
          epoch++;
          if (step.kind === 'config') {
            const changes = {
              allowedTools: step.allowed,
              allowedPrompts: step.allowed,
              allowedResources: step.allowed,
            };
            configs = configs.map((each) => (each.name === step.name ? { ...each, ...changes } : each));
          } else {
            const changes = { grants: grantsOf(step.configs, step.narrowing) };
            tokens = tokens.map((each) => (each.name === step.name ? { ...each, ...changes } : each));
          }
          snapshot = snapshotOf(configuration(), snapshot);
          ownerships = new Map();
          seen = [lists];
        }
        for (const token of tokens) {
          const ownership = ownerships.get(token.id) ?? new Ownership();
          ownerships.set(token.id, ownership);
          const afresh = new Ownership();
          const fromScratch = snapshotOf(configuration());
          for (const earlier of seen) build(fromScratch, token, earlier, afresh);
          const catalog = build(snapshot, token, lists, ownership);
          served += catalog.routes.length;
          assert.deepEqual(describe(catalog), describe(build(fromScratch, token, lists, afresh)));
        }
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(served > 1_000, `${served}`);
});

function grantsOf(names: readonly string[], allowedTools: readonly string[] | null): StoredToken['grants'] {
  return names.map((name) => ({ mcpConfigId: `mcp_${name}`, secretId: null, allowedTools, secretOrigin: null }));
}
