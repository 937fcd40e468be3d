import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../../src/catalog/explain.ts';
import { Ownership } from '../../../src/catalog/ownership.ts';
import type { NameStyle } from '../../../src/domain/principal.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { catalogOf, type OfferedConfig } from '../../support/catalogs.ts';
import { aToken } from '../../support/store-objects.ts';

test('a name in a spelling that only a URL asks for is explained by that, and one that is hidden as before', () => {
  const lists = {
    tools: ['time', 'a.b', 'secret'].map((name) => JSON.stringify({ name, inputSchema: { type: 'object' } })),
  };
  const catalog = catalogOf([{ name: 'toolbox', allow: { allowedTools: ['time', 'toolbox.a.b'] }, lists }]);
  const token = aToken('agent');
  const verdictOf = (name: string, nameStyle: NameStyle = 'dot') => {
    const question = { catalog, accountId: DEFAULT_ACCOUNT, feature: 'tool' as const, name };
    const { is_callable, verdict } = explain({ ...question, token: { ...token, nameStyle } });
    return [is_callable, verdict];
  };
  assert.deepEqual(verdictOf('toolbox__a_b'), [
    false,
    "'toolbox__a_b' can be called as 'toolbox.a.b'; by this name only at a URL with `?names=underscore`",
  ]);
  assert.equal(verdictOf('toolbox__a_b', 'underscore')[0], true);
  assert.match(String(verdictOf('toolbox__secret')[1]), /^'toolbox__secret' is hidden: /);
});

test('a URI that only another grant may serve, by a template that it served first, is explained by that', () => {
  const ownership = new Ownership();
  const lists = { templates: ['{"uriTemplate":"x://{n}","name":"t"}'] };
  const [first, second]: [OfferedConfig, OfferedConfig] = [
    { name: 'first', lists },
    { name: 'second', lists },
  ];
  catalogOf([{ ...first, lists: null }, second], { ownership });
  const catalog = catalogOf([first, { ...second, lists: {} }], { ownership });
  const question = { catalog, accountId: DEFAULT_ACCOUNT, token: aToken('agent'), feature: 'resource' as const };
  const { is_callable, steps } = explain({ ...question, name: 'x://1' });
  assert.equal(is_callable, false);
  assert.match(steps.join('\n'), /has been that of McpConfig 'second' .* never moved to the credential of 'first'/);
});
