import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { viewCatalog } from '../../../src/catalog/catalog-view.ts';
import { catalogOf } from '../../support/catalogs.ts';

const resource = (uri: string, name: string, more = '') => JSON.stringify({ uri, name }).replace('}', `${more}}`);

describe('of the resources of a token', () => {
  const catalog = catalogOf([
    {
      name: 'docs',
      lists: {
        resources: [resource('docs://a', 'n'.repeat(300), ',"description":"Of BEES"'), resource('docs://b', 'Bee')],
        templates: ['{"uriTemplate":"docs://a","name":"again"}', '{"uriTemplate":"docs://{id}","name":"any"}'],
      },
    },
  ]);
  const view = (query: object) => viewCatalog(catalog, 'dot', { kind: 'resources', limit: 10, ...query });
  const uris = (query: object) => view(query)?.resources?.map(({ uri }) => uri);

  test('a template that is spelled like one of them is not shown a second time, so that pages end', () => {
    const all = ['docs://a', 'docs://b', 'docs://{id}'];
    assert.deepEqual(uris({}), all);
    assert.deepEqual([view({})?.total_count, view({})?.totals.resources], [3, 3]);
    assert.deepEqual(uris({ after: 'docs://a' }), all.slice(1));
    assert.equal(view({ after: 'docs://none' }), undefined);
  });

  test('URI, name and description are searched, and the name is cut', () => {
    assert.deepEqual(uris({ search: 'bee' }), ['docs://a', 'docs://b']);
    assert.deepEqual(uris({ search: '{ID}' }), ['docs://{id}']);
    assert.equal(view({})?.resources?.[0]?.name, 'n'.repeat(200));
  });
});
