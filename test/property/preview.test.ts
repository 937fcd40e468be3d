// A preview says what the catalogue shows once the edit is saved, and `explain` says what a call does, for any policy,
// any catalogue and any edit. Both sides are the real classes, serving by lists of upstreams that nobody reaches.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { Catalogs } from '../../src/catalog/catalogs.ts';
import { effectOf, effectOfToken } from '../../src/catalog/effect.ts';
import { explain } from '../../src/catalog/explain.ts';
import { Inventories } from '../../src/catalog/inventories.ts';
import { previewConfig } from '../../src/catalog/preview.ts';
import type { WouldAdmit } from '../../src/catalog/would-admit.ts';
import type { McpConfig } from '../../src/domain/mcp-config.ts';
import { type Grant, NAME_STYLES, type StoredToken } from '../../src/domain/principal.ts';
import { Secret } from '../../src/domain/secret.ts';
import { type AccountConfiguration, DEFAULT_ACCOUNT, type StoredToolList } from '../../src/store/store.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import {
  expectedOf,
  type Offer,
  offers,
  type Pattern,
  patterns,
  probes,
  textOf,
  toolText,
} from '../support/policies.ts';
import { aConfig, aSecret, aToken } from '../support/store-objects.ts';
import { anUpstream, NOWHERE } from '../support/upstreams.ts';

const SECRET = aSecret('granted');
const log = createLogger({ level: 'silent' });

interface TokenPlan {
  readonly style: StoredToken['nameStyle'];
  /** `offer` is the index of a config, modulo how many there are. */
  readonly grants: readonly {
    readonly offer: number;
    readonly hasSecret: boolean;
    readonly narrowing: readonly Pattern[] | null;
  }[];
  readonly isRevoked: boolean;
}

type Edit =
  | { readonly kind: 'allowed_tools'; readonly patterns: readonly Pattern[] }
  | { readonly kind: 'name'; readonly service: string }
  | { readonly kind: 'endpoint'; readonly endpoint: string }
  | { readonly kind: 'auth' | 'nothing' };

interface Plan {
  readonly offers: readonly Offer[];
  readonly tokens: readonly TokenPlan[];
  /** Whose lists come after the first look, so that names have owners who are not the first in the token's order. */
  readonly late: readonly number[];
  readonly edited: number;
  readonly edit: Edit;
}

const narrowing = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: patterns });
const edits: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 6, arbitrary: patterns.map((list): Edit => ({ kind: 'allowed_tools', patterns: list })) },
  {
    weight: 3,
    arbitrary: fc.constantFrom('git', 'a', 'github', 'a_').map((service): Edit => ({ kind: 'name', service })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('http://127.0.0.1:1/other', 'http://127.0.0.1:2/mcp')
      .map((endpoint): Edit => ({ kind: 'endpoint', endpoint })),
  },
  { weight: 1, arbitrary: fc.constantFrom<Edit>({ kind: 'auth' }, { kind: 'nothing' }) },
);
const plans: fc.Arbitrary<Plan> = fc.record({
  offers,
  tokens: fc.array(
    fc.record({
      style: fc.constantFrom(...NAME_STYLES),
      grants: fc.array(fc.record({ offer: fc.nat(3), hasSecret: fc.boolean(), narrowing }), {
        minLength: 1,
        maxLength: 4,
      }),
      isRevoked: fc.nat(9).map((number) => number === 0),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  late: fc.array(fc.nat(3), { maxLength: 2 }),
  edited: fc.nat(3),
  edit: edits,
});

function toConfiguration({ offers: list, tokens }: Plan): AccountConfiguration {
  const mcpConfigs = list.map((each) =>
    aConfig(each.configName, {
      id: each.configName,
      endpoint: NOWHERE,
      allowedTools: each.patterns.map(textOf),
      authMechanism: { type: 'bearer' },
      customHeaders: [],
    }),
  );
  const stored = tokens.map(({ style, grants, isRevoked }, index) => {
    const byConfig = new Map(grants.map((grant) => [list[grant.offer % list.length]!.configName, grant]));
    const own = [...byConfig].map(
      ([mcpConfigId, { hasSecret, narrowing: narrowed }]): Grant => ({
        mcpConfigId,
        secretId: hasSecret ? SECRET.id : null,
        allowedTools: narrowed?.map(textOf) ?? null,
        secretOrigin: new URL(NOWHERE).origin,
      }),
    );
    const ends = { expiresAtMs: null, revokedAtMs: isRevoked ? 1 : null };
    return aToken(`t${index}`, { nameStyle: style, grants: own, ...ends });
  });
  return { accountId: DEFAULT_ACCOUNT, epoch: 1, mcpConfigs, secrets: [SECRET], tokens: stored, apiKeys: [] };
}

function apply(config: McpConfig, edit: Edit): McpConfig {
  const next = { ...config, revision: config.revision + 1 };
  if (edit.kind === 'allowed_tools') return { ...next, allowedTools: edit.patterns.map(textOf) };
  if (edit.kind === 'name') return { ...next, name: `${edit.service}-edited` };
  if (edit.kind === 'endpoint') return { ...next, endpoint: edit.endpoint };
  return edit.kind === 'auth' ? { ...next, authMechanism: { type: 'header', key: 'x-key' } } : config;
}

/** The catalogs of one account, whose upstreams' lists are what an earlier run of the gateway is said to have stored. */
class Stage {
  configuration: AccountConfiguration;
  readonly catalogs: Catalogs;
  readonly #stored = new Map<string, StoredToolList>();
  #noteChange = () => {};

  constructor(configuration: AccountConfiguration) {
    this.configuration = configuration;
    const store = {
      readToolLists: async () => [...this.#stored.values()],
      putToolList: async () => {},
      deleteToolLists: async () => {},
    };
    this.catalogs = new Catalogs({
      openSecret: () => new Secret('value'),
      createUpstream: ({ key, config }) => anUpstream(config.config.endpoint, { key }),
      createLists: (onChange) => {
        this.#noteChange = onChange;
        return new Inventories({ store, ttlMs: 1_000_000, now: () => 0, log, onChange });
      },
      ttlMs: 1_000,
      now: () => 0,
    });
  }

  serve(configuration: AccountConfiguration): void {
    this.configuration = { ...configuration, epoch: this.configuration.epoch + 1 };
    this.catalogs.replace([this.configuration]);
  }

  /** From here on the upstreams of these offers are known to have their tools. */
  async know(list: readonly Offer[]): Promise<void> {
    const spare = anUpstream(NOWHERE, { key: 'spare' });
    const supposed = new Catalogs({
      openSecret: () => new Secret('value'),
      createUpstream: () => spare,
      createLists: () => this.catalogs.lists,
      ttlMs: 1,
      now: () => 0,
    }).suppose(this.configuration, ({ key, config }) => {
      const offer = list.find(({ configName }) => configName === config.config.id);
      if (offer?.tools != null) {
        const tools = Buffer.from(`[${offer.tools.map((each) => toolText(offer.configName, each)).join()}]`);
        this.#stored.set(key, { key, tools, fetchedAtMs: 0 });
      }
      return spare;
    });
    for (const token of this.configuration.tokens) supposed.resolve(token);
    await spare.close();
    await this.catalogs.lists.restore(DEFAULT_ACCOUNT);
    this.#noteChange();
  }

  catalogOf(token: StoredToken): Catalog {
    return this.catalogs.current(DEFAULT_ACCOUNT, token.id)!;
  }
}

/** Serves the plan's configuration as it is once all lists have come. */
async function start(plan: Plan): Promise<Stage> {
  const configuration = toConfiguration(plan);
  const stage = new Stage(configuration);
  const late = new Set(plan.late.map((number) => plan.offers[number % plan.offers.length]));
  await stage.know(plan.offers.filter((each) => !late.has(each)));
  stage.serve(configuration);
  for (const token of configuration.tokens) stage.catalogOf(token);
  await stage.know([...late].filter((each) => each !== undefined));
  for (const token of configuration.tokens) stage.catalogOf(token);
  return stage;
}

const namesOf = ({ routes }: Catalog): string[] => routes.map(({ canonicalName }) => canonicalName);
const without = (names: readonly string[], others: readonly string[]): string[] =>
  names.filter((name) => !others.includes(name)).sort();

/** Checks one edit against what comes of it; gives how many names changed for tokens. */
async function checkEdit(plan: Plan): Promise<number> {
  const stage = await start(plan);
  const { catalogs, configuration } = stage;
  const before = configuration.mcpConfigs[plan.edited % configuration.mcpConfigs.length]!;
  const after = apply(before, plan.edit);
  const asked = { accountId: DEFAULT_ACCOUNT, before, after, secretId: undefined, isTrusted: true };
  const preview = await previewConfig(catalogs, { ...asked, waitMs: 200, now: () => 0 });
  const effect = effectOf(catalogs, DEFAULT_ACCOUNT, before, after);
  const was = new Map(configuration.tokens.map((token) => [token.id, stage.catalogOf(token)]));

  const others = configuration.mcpConfigs.filter(({ id }) => id !== before.id);
  stage.serve({ ...configuration, mcpConfigs: [after, ...others] });
  let changed = 0;
  for (const token of configuration.tokens.filter(({ revokedAtMs }) => revokedAtMs === null)) {
    const [old, now] = [was.get(token.id)!, stage.catalogOf(token)];
    const [appear, disappear] = [without(namesOf(now), namesOf(old)), without(namesOf(old), namesOf(now))];
    changed += appear.length + disappear.length;
    const told = preview.tokens.find(({ id }) => id === token.id);
    if (!token.grants.some(({ mcpConfigId }) => mcpConfigId === before.id)) {
      assert.deepEqual([told, appear, disappear], [undefined, [], []]);
      continue;
    }
    assert.deepEqual([told?.appear.toSorted(), told?.disappear.toSorted()], [appear, disappear]);
    const stay = namesOf(now).filter((name) => namesOf(old).includes(name));
    const respelled = stay.map((name) => ({
      name,
      from: spellingOf(old, token, name),
      to: spellingOf(now, token, name),
    }));
    assert.deepEqual(
      told?.respelled,
      respelled.filter(({ from, to }) => from !== to),
    );
    const moved = stay.filter((name) => ownerOf(old, name).id !== ownerOf(now, name).id);
    assert.deepEqual(
      told?.moved,
      moved.map((name) => ({ name, from: ownerOf(old, name).name, to: ownerOf(now, name).name })),
    );
  }
  if (plan.edit.kind !== 'endpoint' && preview.token_count > 0) {
    const offer = plan.offers.find(({ configName }) => configName === before.id)!;
    const allowed = plan.edit.kind === 'allowed_tools' ? plan.edit.patterns : offer.patterns;
    const [had, has] = [admittedBy(offer), admittedBy({ ...offer, configName: after.name, patterns: allowed })];
    const [appear, disappear] = [without(has, had), without(had, has)];
    const told = [preview.appear, preview.disappear].map((tools) => tools.map(({ name }) => name).toSorted());
    assert.deepEqual(told, [appear, disappear]);
    assert.deepEqual([effect.added.toSorted(), effect.removed.toSorted()], [appear, disappear]);
  }
  await catalogs.close();
  return changed;
}

/** What the config alone allows of its upstream's tools, by the oracle. */
function admittedBy(offer: Offer): string[] {
  return expectedOf([{ ...offer, narrowing: null, isSuspended: false }]).map(({ canonicalName }) => canonicalName);
}

const spellingOf = (catalog: Catalog, { nameStyle }: StoredToken, name: string): string =>
  catalog.spellings(nameStyle)[namesOf(catalog).indexOf(name)]!;
// Once the configuration has changed a config may have another name, and is still the same.
const ownerOf = (catalog: Catalog, name: string): McpConfig => catalog.route(name, 'dot')!.grant.config.config;

/** A name that is served by the second grant, because the first one's list came late, until something is edited. */
const LATE_FIRST: Plan = {
  offers: ['git-a', 'git-b'].map((configName) => ({
    configName,
    patterns: [{ pieces: [{ kind: 'any' }] }],
    narrowing: null,
    tools: [{ name: 'x', isBroken: false }],
    isSuspended: false,
  })),
  tokens: [
    {
      style: 'dot',
      grants: [0, 1].map((offer) => ({ offer, hasSecret: false, narrowing: null })),
      isRevoked: false,
    },
  ],
  late: [0],
  edited: 1,
  edit: { kind: 'allowed_tools', patterns: [{ pieces: [{ kind: 'text', text: 'x' }] }] },
};

describe('of random edits of random configurations', () => {
  test('each does to every token what its preview said', async () => {
    let changed = 0;
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        changed += Math.sign(await checkEdit(plan));
      }),
      { numRuns: 180, examples: [[LATE_FIRST]] },
    );
    assert.ok(changed > 30, `only ${changed} edits changed what a token lists`);
  });
});

interface Tally {
  cases: number;
  callable: number;
  applied: number;
}

/** The names a client may try, those of hidden tools and of nobody's among them. */
function namesToAsk(plan: Plan, catalog: Catalog): string[] {
  return [...probes(plan.offers, catalog)].filter((_, index) => index % 7 < 3);
}

async function checkExplanations(plan: Plan, tally: Tally): Promise<void> {
  const stage = await start(plan);
  for (const token of stage.configuration.tokens.filter(({ revokedAtMs }) => revokedAtMs === null)) {
    const catalog = stage.catalogOf(token);
    // Grants of a config whose list is not known, for lack of one, list nothing.
    const granted = token.grants.map((grant) => toOffer(plan, token, grant));
    const expected = new Set(expectedOf(granted).map(({ canonicalName }) => canonicalName));
    const made = effectOfToken(stage.catalogs, stage.configuration, undefined, token);
    assert.deepEqual([made.added.toSorted(), made.removed], [[...expected].sort(), []]);
    const question = { catalog, accountId: DEFAULT_ACCOUNT, token, feature: 'tool' } as const;
    for (const name of new Set([...expected, ...namesToAsk(plan, catalog)])) {
      const told = explain({ ...question, name });
      const route = catalog.route(name, token.nameStyle);
      tally.cases++;
      assert.equal(told.is_callable, route !== undefined);
      if (expected.has(name)) assert.ok(told.is_callable, `${name} is listed`);
      if (route !== undefined) {
        tally.callable++;
        assert.ok(expected.has(route.canonicalName), `${name} is not listed`);
        assert.ok(told.steps.some((step) => step.includes(`'${route.admission.pattern}'`)));
      }
      assert.equal(told.suggestion === null, told.would_admit === null);
      if (told.would_admit === null || tally.applied > 1_000) continue;
      assert.ok(!told.is_callable);
      tally.applied++;
      assert.ok(admitsOnceApplied(stage, token, name, told.would_admit), `${name}: ${told.suggestion}`);
    }
  }
  await stage.catalogs.close();
}

function toOffer(plan: Plan, { id }: StoredToken, { mcpConfigId }: Grant): Offer {
  const offer = plan.offers.find(({ configName }) => configName === mcpConfigId)!;
  const { grants } = plan.tokens[Number(id.replace('tok_t', ''))]!;
  const grant = grants.findLast((each) => plan.offers[each.offer % plan.offers.length] === offer)!;
  return { ...offer, narrowing: grant.narrowing, isSuspended: false };
}

/** Saves what was suggested, sees whether the name can be called, and takes it back. */
function admitsOnceApplied(stage: Stage, token: StoredToken, name: string, change: WouldAdmit): boolean {
  const { configuration } = stage;
  const widen = (list: readonly string[]) => [...list, change.pattern];
  stage.serve({
    ...configuration,
    mcpConfigs: configuration.mcpConfigs.map((config) =>
      config.id === change.mcp_config && change.in_config
        ? { ...config, revision: config.revision + 1, allowedTools: widen(config.allowedTools) }
        : config,
    ),
    tokens: configuration.tokens.map((each) =>
      each.id !== token.id || !change.in_grant ? each : { ...each, grants: each.grants.map(widenGrant) },
    ),
  });
  const route = stage.catalogOf(token).route(name, token.nameStyle);
  stage.serve(configuration);
  return route?.grant.config.config.id === change.mcp_config;

  function widenGrant(grant: Grant): Grant {
    if (grant.mcpConfigId !== change.mcp_config || grant.allowedTools === null) return grant;
    return { ...grant, allowedTools: widen(grant.allowedTools) };
  }
}

describe('of ten thousand names that tokens ask for', () => {
  test('each is explained as a call of it is answered, and what is suggested admits it', async () => {
    const tally: Tally = { cases: 0, callable: 0, applied: 0 };
    await fc.assert(
      fc.asyncProperty(plans, (plan) => checkExplanations(plan, tally)),
      { numRuns: 60 },
    );
    const { cases, callable, applied } = tally;
    assert.ok(cases >= 10_000 && callable > 150 && applied > 100, JSON.stringify(tally));
  });
});
