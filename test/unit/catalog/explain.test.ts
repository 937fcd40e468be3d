import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../../src/catalog/explain.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { catalogOf, type OfferedConfig } from '../../support/catalogs.ts';
import { aToken } from '../../support/store-objects.ts';

test('a URI that only another grant may serve, by a template that it served first, is explained by that', () => {
  const owners = new Map<string, number>();
  const lists = { templates: ['{"uriTemplate":"x://{n}","name":"t"}'] };
  const [first, second]: [OfferedConfig, OfferedConfig] = [
    { name: 'first', lists },
    { name: 'second', lists },
  ];
  catalogOf([{ ...first, lists: null }, second], { owners });
  const catalog = catalogOf([first, { ...second, lists: {} }], { owners });
  const question = { catalog, accountId: DEFAULT_ACCOUNT, token: aToken('agent'), feature: 'resource' as const };
  const { is_callable, steps } = explain({ ...question, name: 'x://1' });
  assert.equal(is_callable, false);
  assert.match(steps.join('\n'), /has been that of McpConfig 'second' .* never moved to the credential of 'first'/);
});
