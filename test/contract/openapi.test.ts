// The OpenAPI document against what it describes: the routes, the committed file, and the API that Runloop's clients know.
// seed-operations.json holds the facts of that one: `string[]? null` is a list that may be left out, or null.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { createOperations, type OperationsDeps } from '../../src/control-plane/operations.ts';
import { createPerform, type PerformDeps } from '../../src/control-plane/perform.ts';
import { createRestDoor } from '../../src/control-plane/rest.ts';
import { type AppDeps, createApp } from '../../src/edge/app.ts';
import { Authenticator } from '../../src/identity/authenticate.ts';
import { RateLimiter } from '../../src/rate-limiter.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import {
  createJudge,
  type DescribedOperation,
  fetchOpenApi,
  type JsonSchema,
  type OpenApiDocument,
  operationsOf,
} from '../support/openapi.ts';

/** Routes for machines and for agents: no operation of an account. */
const OTHER_ROUTES =
  /^\/(?:livez|readyz|metrics|schema\/config\.json|openapi\.json|admin\/mcp|claim\/:code|register|\.well-known\/.*)$/;

let gateway: TestGateway;
let document: OpenApiDocument;
let operations: readonly DescribedOperation[];

before(async () => {
  gateway = await startGateway({ configs: [] });
  document = await fetchOpenApi(gateway.url);
  operations = operationsOf(document);
});

after(() => gateway.close());

test('the committed document is the one that is served (npm run openapi)', () => {
  const committed = readFileSync(join(import.meta.dirname, '../../config/openapi.json'), 'utf8');
  assert.deepEqual(JSON.parse(committed), document);
});

test('every route is an operation of the document, and every operation a route', () => {
  const authenticator = new Authenticator({ pepper: Buffer.alloc(32), now: Date.now });
  const rest = createRestDoor({
    authenticator,
    operations: createOperations({} as OperationsDeps),
    perform: createPerform({} as PerformDeps),
    limiter: new RateLimiter({ permits: 1, windowMs: 1, now: Date.now }),
  });
  const routes = createApp({ rest, authenticator } as unknown as AppDeps)
    .routes.filter(({ path }) => path !== '/v1/*' && !OTHER_ROUTES.test(path))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  assert.deepEqual(routes.toSorted(), operations.map(({ method, path }) => `${method} ${path}`).toSorted());
});

test('every operation is served, under a name of its own', async () => {
  assert.equal(new Set(operations.map(({ name }) => name)).size, operations.length);
  const judge = createJudge(document);
  for (const each of operations) {
    const response = await fetch(gateway.url + each.path.replace('{id}', 'none'), {
      method: each.method,
      headers: { authorization: `Bearer ${gateway.apiKey}` },
    });
    const text = await response.text();
    assert.doesNotMatch(text, /Nothing is served/, each.name);
    judge(each, { status: response.status, type: response.headers.get('content-type'), text });
  }
});

test('the document says what an operation may answer, and how a write is guarded', () => {
  const always = [200, 400, 401, 403, 404, 429, 500, 503];
  for (const { name, method, isWrite, statuses } of operations) {
    const expected = [...always, ...(method === 'POST' ? [413, 415] : []), ...(isWrite ? [412] : [])];
    assert.deepEqual(statuses.toSorted(), expected.toSorted(), name);
  }
});

test('what stands in several places stands there by its name, and every name is of use', () => {
  const { schemas } = document.components;
  const refs = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g);
  const used = new Map<string, number>();
  for (const [, name = ''] of refs) used.set(name, (used.get(name) ?? 0) + 1);
  assert.deepEqual([...used.keys()].toSorted(), Object.keys(schemas).toSorted());
  assert.ok(used.get('McpConfigView')! >= 6, 'of every operation that gives one, and of the list');
  const large = objectSchemas(document).filter((text) => text.length > 250);
  assert.ok(large.length > 20);
  assert.deepEqual(
    large.filter((text, index) => large.indexOf(text) !== index),
    [],
  );
});

/** Every schema of an object, as text. */
function objectSchemas(within: unknown): string[] {
  if (typeof within !== 'object' || within === null) return [];
  const nested = Object.values(within).flatMap(objectSchemas);
  return 'type' in within && within.type === 'object' ? [JSON.stringify(within), ...nested] : nested;
}

suite('of the API that Runloop’s clients know, the document has:', () => {
  type Fields = Readonly<Record<string, string>>;
  interface Seed {
    readonly operations: readonly {
      readonly name: string;
      readonly method: string;
      readonly path: string;
      readonly query: Fields;
      readonly body: string | null;
      readonly view: string;
      readonly statuses: readonly number[];
    }[];
    readonly schemas: Readonly<Record<string, Fields>>;
  }
  const seed: Seed = JSON.parse(readFileSync(join(import.meta.dirname, 'seed-operations.json'), 'utf8'));

  /** The kinds of JSON that a schema admits; `string[]` is a list of strings. */
  function kindsOf(schema: JsonSchema): Set<string> {
    const { type, items, anyOf, oneOf, enum: values } = schema;
    const nested = [...(anyOf ?? []), ...(oneOf ?? [])].flatMap((each) => [...kindsOf(each)]);
    const named = [type ?? (values === undefined ? [] : values.map((value) => typeof value))].flat();
    const kinds = named.flatMap((kind) =>
      kind === 'array' ? [...kindsOf(items ?? {})].map((of) => `${of}[]`) : [kind],
    );
    return new Set([...kinds, ...nested]);
  }

  /** `string[]? null` as what it says. */
  function readFact(fact: string): { kind: string; isRequired: boolean; isNullable: boolean } {
    const [, kind = '', optional, nullable] = /^([\w[\]]+)(\?)?( null)?$/.exec(fact) ?? assert.fail(fact);
    return { kind, isRequired: optional === undefined, isNullable: nullable !== undefined };
  }

  function assertTakes(schema: JsonSchema, fields: Fields): void {
    const { properties = {}, required = [] } = schema;
    for (const [name, fact] of Object.entries(fields)) {
      const { kind, isNullable } = readFact(fact);
      const kinds = kindsOf(properties[name] ?? assert.fail(`${name} is not taken`));
      for (const wanted of [kind, ...(isNullable ? ['null'] : [])]) assert.ok(kinds.has(wanted), `${name}: ${wanted}`);
    }
    for (const name of required) assert.ok(readFact(fields[name] ?? '-').isRequired, `${name} is required here only`);
  }

  function assertGives(schema: JsonSchema, fields: Fields): void {
    const { properties = {}, required = [] } = schema;
    for (const [name, fact] of Object.entries(fields)) {
      const { kind, isRequired, isNullable } = readFact(fact);
      const given = properties[name] ?? assert.fail(`${name} is not given`);
      const view = seed.schemas[kind.replace('[]', '')];
      if (view !== undefined) assertGives(given.items ?? assert.fail(`${name} is no list`), view);
      else {
        const known = new Set([kind, ...(isNullable ? ['null'] : [])]);
        for (const each of kindsOf(given)) assert.ok(known.has(each), `${name}: ${each} where ${fact} is known`);
      }
      if (isRequired) assert.ok(required.includes(name), `${name} may be missing`);
    }
  }

  for (const known of seed.operations) {
    test(known.name, () => {
      const found = operations.find(({ name }) => name === known.name) ?? assert.fail('there is none');
      assert.deepEqual([found.method.toLowerCase(), found.path], [known.method, known.path]);
      for (const status of known.statuses) assert.ok(found.statuses.includes(status), `${status}`);
      for (const [name, kind] of Object.entries(known.query)) {
        const parameter = found.query.find((each) => each.name === name) ?? assert.fail(`there is no ${name}`);
        assert.ok(kindsOf(parameter.schema).has(kind), name);
        assert.equal(parameter.required, false);
      }
      const { requestBody, responses } = document.paths[known.path]![known.method as 'get' | 'post'];
      const nameOf = (media: typeof requestBody) => media?.content['application/json']?.schema;
      assert.deepEqual(nameOf(responses['200']), { $ref: `#/components/schemas/${known.view}` });
      if (known.body !== null) {
        assert.deepEqual(nameOf(requestBody), { $ref: `#/components/schemas/${known.body}` });
        assertTakes(found.body ?? assert.fail('takes no body'), seed.schemas[known.body] ?? {});
      }
      assertGives(found.view, seed.schemas[known.view] ?? {});
    });
  }
});
