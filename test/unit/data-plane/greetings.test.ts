import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agreeRevision, legacyInitializeResult, modernDiscoverResult } from '../../../src/data-plane/greetings.ts';
import { LEGACY_REVISIONS } from '../../../src/protocol/era.ts';
import { catalogOf, type OfferedConfig } from '../../support/catalogs.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

const UI = '{"io.modelcontextprotocol/ui":{"n":1.0}}';
const ALL: OfferedConfig = { name: 'a', lists: { about: { instructions: 'Say "é"\n.', extensions: UI } } };
const NONE: OfferedConfig = { ...ALL, allow: { allowedTools: [], allowedPrompts: [], allowedResources: [] } };

const legacy = (configs: readonly OfferedConfig[], isView = false) =>
  JSON.parse(legacyInitializeResult('2025-11-25', catalogOf(configs, { isView })));
const modern = (configs: readonly OfferedConfig[], isView = false) =>
  JSON.parse(modernDiscoverResult(catalogOf(configs, { isView }), 250));

describe('a greeting', () => {
  test('is one of its era', () => {
    for (const configs of [[], [ALL], [NONE], [ALL, { ...NONE, name: 'b' }]]) {
      for (const isView of configs.length > 0 ? [false, true] : [false]) {
        assertIsMcp('2025-11-25', 'InitializeResult', legacy(configs, isView));
        assertIsMcp('2026-07-28', 'DiscoverResult', modern(configs, isView));
        assert.deepEqual(legacy(configs, isView).capabilities, modern(configs, isView).capabilities);
        assert.equal(legacy(configs, isView).instructions, modern(configs, isView).instructions);
      }
    }
    assert.deepEqual([modern([]).ttlMs, modern([]).cacheScope], [250, 'private']);
  });

  test('declares what is served and nothing else', () => {
    const listChanged = true;
    assert.deepEqual(legacy([NONE]).capabilities, { tools: { listChanged }, logging: {} });
    assert.deepEqual(legacy([ALL]).capabilities, {
      tools: { listChanged },
      prompts: { listChanged },
      resources: { subscribe: true, listChanged },
      completions: {},
      logging: {},
    });
  });

  test('has no instructions where there are none', () => {
    assert.equal('instructions' in legacy([NONE]), false);
    assert.equal(legacy([ALL]).instructions, '# a\n> Say "é"\n> .');
  });

  test('of a config by itself has its instructions, and its extensions byte for byte', () => {
    assert.equal(legacy([ALL], true).instructions, 'Say "é"\n.');
    const text = legacyInitializeResult('2025-11-25', catalogOf([ALL], { isView: true }));
    assert.ok(text.includes(`,"extensions":${UI}}`), text);
    assert.equal('extensions' in legacy([ALL]).capabilities, false);
    const silent = { tools: false, prompts: false, resources: false, completions: false, logging: false };
    assert.deepEqual(legacy([{ name: 'a', lists: { about: silent } }], true).capabilities, {});
    assert.deepEqual(legacy([{ name: 'a', lists: { about: { ...silent, extensions: UI } } }], true).capabilities, {
      extensions: JSON.parse(UI),
    });
  });
});

test("a client's revision is agreed on if it is served, else the newest", () => {
  for (const revision of LEGACY_REVISIONS) assert.equal(agreeRevision(revision), revision);
  for (const revision of ['', '2026-07-28', '2025-11-25 ', '1.0']) assert.equal(agreeRevision(revision), '2025-11-25');
});
