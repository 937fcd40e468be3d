import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findRequestProblem, toOriginForm } from '../../../src/edge/request-problem.ts';

const SINGLETONS = [
  'authorization',
  'host',
  'content-type',
  'content-length',
  'origin',
  'mcp-protocol-version',
  'mcp-session-id',
  'mcp-method',
  'mcp-name',
  'last-event-id',
];

function head(rawHeaders: string[], url = '/mcp', version: [number, number] = [1, 1]) {
  return { httpVersionMajor: version[0], httpVersionMinor: version[1], rawHeaders, url };
}

const anyCase = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => [...name].map((letter, index) => (upper[index] ? letter.toUpperCase() : letter)).join(''));

const otherName = fc.stringMatching(/^[a-z][a-z-]{0,24}$/).filter((name) => !SINGLETONS.includes(name));

test('a singleton header sent twice is refused by name, whatever its case and place', () => {
  const scenario = fc.record({
    name: fc.constantFrom(...SINGLETONS),
    others: fc.array(otherName, { maxLength: 30 }),
    places: fc.tuple(fc.nat(), fc.nat()),
  });
  fc.assert(
    fc.property(
      scenario.chain((it) => fc.tuple(fc.constant(it), anyCase(it.name), anyCase(it.name))),
      ([{ name, others, places }, first, second]) => {
        const names = [...others];
        names.splice(places[0] % (names.length + 1), 0, first);
        names.splice(places[1] % (names.length + 1), 0, second);
        const problem = findRequestProblem(head(names.flatMap((each) => [each, 'x'])));
        assert.equal(problem?.status, 400);
        assert.match(problem.message, new RegExp(`header ${name} is`));
      },
    ),
    { numRuns: 300 },
  );
});

test('headers that are not singletons may repeat, and each singleton may be sent once', () => {
  fc.assert(
    fc.property(fc.array(otherName, { maxLength: 40 }), (others) => {
      const names = [...SINGLETONS, ...others, ...others];
      assert.equal(findRequestProblem(head(names.flatMap((name) => [name, 'x']))), undefined);
    }),
    { numRuns: 300 },
  );
});

test('a header with the shape of a singleton is not taken for one', () => {
  assert.equal(findRequestProblem(head(['host', 'a', 'h-is', 'b', 'HEAD', 'c'])), undefined);
  assert.equal(findRequestProblem(head(['host', 'a', 'hint', '?'])), undefined);
  assert.equal(findRequestProblem(head(['host', '?', 'hint', 'a']))?.status, 400);
  assert.equal(findRequestProblem(head(['host', 'a', 'origin', 'a', 'oooooo', 'b'])), undefined);
  assert.equal(findRequestProblem(head(['host', 'a', 'x'.repeat(300), 'a', 'x'.repeat(300), 'b', '', ''])), undefined);
});

test('100 header lines pass and 101 do not; pseudo-headers are not counted', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => [`x-${index}`, '1']).flat();
  const pseudo = [':method', 'POST', ':scheme', 'http', ':authority', 'a', ':path', '/mcp'];
  assert.equal(findRequestProblem(head(['host', 'a', ...lines(99)])), undefined);
  assert.equal(findRequestProblem(head(['host', 'a', ...lines(100)]))?.status, 431);
  assert.equal(findRequestProblem(head([...pseudo, ...lines(100)], '/mcp', [2, 0])), undefined);
  assert.equal(findRequestProblem(head([...pseudo, ...lines(101)], '/mcp', [2, 0]))?.status, 431);
});

test('HTTP/1.0 and HTTP/0.9 are refused', () => {
  assert.equal(findRequestProblem(head(['host', 'a'], '/', [1, 0]))?.status, 505);
  assert.equal(findRequestProblem(head([], '/', [0, 9]))?.status, 505);
});

test('HTTP/1.1 that calls itself HTTP/2 is refused', () => {
  assert.equal(findRequestProblem(head(['host', 'a'], '/mcp', [2, 0]))?.status, 505);
});

test('a Host is a name or an address, with or without a port', () => {
  const statusOf = (host: string) => findRequestProblem(head(['host', host]))?.status;
  for (const host of ['a', 'A.test:1', 'my_gateway:8080', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]:65535']) {
    assert.equal(statusOf(host), undefined, host);
  }
  for (const host of [
    '',
    ':80',
    'a:',
    'a:123456',
    'a/b',
    'a b',
    'a,b',
    'a@b',
    '[::1',
    '[::1%25lo]',
    'a%2e',
    '\u00e9',
  ]) {
    assert.equal(statusOf(host), 400, host);
  }
});

test('a header name with an underscore is refused, but for those that a tool names its arguments with', () => {
  const problemOf = (name: string) => findRequestProblem(head(['host', 'a', name, 'x']));
  assert.equal(problemOf('Mcp-Param-user_id'), undefined);
  for (const name of ['mcp_session_id', 'Content_Length', 'x_foo', '_', 'mcp_param-x']) {
    assert.equal(problemOf(name)?.status, 400, name);
    assert.match(problemOf(name)?.message ?? '', new RegExp(`header ${name} has an underscore`));
  }
});

test('chunked is the only transfer coding', () => {
  const statusOf = (coding: string) => findRequestProblem(head(['host', 'a', 'Transfer-Encoding', coding]))?.status;
  assert.deepEqual([statusOf('chunked'), statusOf('Chunked')], [undefined, undefined]);
  for (const coding of ['gzip, chunked', 'chunked, chunked', 'identity', ''])
    assert.equal(statusOf(coding), 400, coding);
});

test('an absolute target passes only when its authority is the Host', () => {
  const statusOf = (url: string, host = 'gateway.test:8080') => findRequestProblem(head(['Host', host], url))?.status;
  assert.equal(statusOf('http://gateway.test:8080/mcp?names=dot'), undefined);
  assert.equal(statusOf('HTTP://Gateway.Test:8080'), undefined);
  for (const url of [
    'http://evil.test/mcp',
    'http://gateway.test:8080@evil.test/mcp',
    'http://user@gateway.test:8080/mcp',
    'http://gateway.test/mcp',
    'http://gateway.test:8080\\@evil.test/',
    'http://gateway.test:8080#/mcp',
    'ftp://gateway.test:8080/mcp',
    'http:/mcp',
    'http://gateway.test:8080/mcp#x',
    'mcp',
    '*',
    '',
  ]) {
    assert.equal(statusOf(url), 400, url);
  }
});

test('an absolute target is reduced to its path and query', () => {
  assert.equal(toOriginForm('http://a.test/mcp?names=dot'), '/mcp?names=dot');
  assert.equal(toOriginForm('http://a.test'), '/');
  assert.equal(toOriginForm('http://a.test?names=dot'), '/?names=dot');
  assert.equal(toOriginForm('http://a.test//evil.test/'), '//evil.test/');
  assert.equal(toOriginForm('/mcp'), '/mcp');
});

test('over HTTP/2 a Host that differs from :authority is refused', () => {
  const withHost = (host: string) =>
    findRequestProblem(head([':authority', 'gateway.test', 'host', host], '/mcp', [2, 0]));
  assert.equal(withHost('Gateway.test'), undefined);
  assert.equal(withHost('evil.test')?.status, 400);
});
