import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../../src/catalog/explain.ts';
import { Ownership } from '../../../src/catalog/ownership.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { catalogOf, type OfferedConfig } from '../../support/catalogs.ts';
import { aToken } from '../../support/store-objects.ts';

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
