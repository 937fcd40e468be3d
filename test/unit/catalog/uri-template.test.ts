import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileUriTemplate, findTemplate, type UriTemplate } from '../../../src/catalog/uri-template.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const matchesAny = (templates: readonly UriTemplate[], uri: string) => findTemplate(templates, uri) !== undefined;

function matches(template: string, uri: string): boolean {
  const compiled = compileUriTemplate(template);
  assert.ok(compiled !== undefined, template);
  return matchesAny([compiled], uri);
}

describe('a template', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['docs://readme', ['docs://readme'], ['docs://', 'docs://readme/', 'DOCS://readme', '']],
    [
      'docs://{id}',
      ['docs://a', 'docs://a%2Fb', 'docs://é'],
      ['docs://', 'docs://a/b', 'docs://a?b', 'docs://a#b', 'docs:/a'],
    ],
    ['docs://{id}/raw', ['docs://a/raw', 'docs://raw/raw'], ['docs:///raw', 'docs://a/b/raw', 'docs://a/raw2']],
    ['{+uri}', ['x', 'http://a/b?c#d'], ['']],
    ['file://{+path}', ['file:///a/b', 'file://a?b#c'], ['file://', 'file:/a']],
    ['file://{/path}', ['file:///a'], ['file:///', 'file:///a/b', 'file://a', 'file://']],
    ['file://{/path*}', ['file:///a', 'file:///a/b'], ['file:///', 'file:///a?b', 'file://']],
    ['file://{/a,b}', ['file:///a', 'file:///a/b'], ['file://']],
    ['x{.ext}', ['x.md', 'x.a.b'], ['x', 'x.', 'xmd', 'x.a/b']],
    [
      's://find{?q,page}',
      ['s://find', 's://find?q=1', 's://find?page=2&q=a/b'],
      ['s://find?', 's://find#q', 's://findq'],
    ],
    ['s://find?fix=1{&q}', ['s://find?fix=1', 's://find?fix=1&q=2'], ['s://find', 's://find?fix=1&']],
    ['s://a{;p}', ['s://a', 's://a;p=1'], ['s://a;', 's://ap']],
    ['s://a{#at}', ['s://a', 's://a#x/y?z'], ['s://a#', 's://ax']],
    ['{a}{b}', ['ab', 'abc'], ['a', '']],
    ['{a:3}-{b}', ['x-y', '--y', 'x-y-z', '---'], ['-y', 'x-', '--']],
    ['{a.b,%20c}', ['x'], ['']],
    ['a{x}a{y}a', ['aaaaa', 'abaca', 'aaaaaaa'], ['aaa', 'aaaa', 'abaca ']],
  ];
  for (const [template, is, isNot] of cases) {
    test(`${template} stands for ${is.join(' and ')}, and not for ${isNot.map((uri) => `'${uri}'`).join(' or ')}`, () => {
      for (const uri of is) assert.equal(matches(template, uri), true, uri);
      for (const uri of isNot) assert.equal(matches(template, uri), false, uri);
    });
  }

  test('is none of RFC 6570, or too large, and is not compiled', () => {
    for (const text of [
      '{',
      '}',
      'a}',
      '{}',
      '{a',
      '{a}}',
      '{{a}}',
      '{a b}',
      '{=a}',
      '{|a}',
      '{!a}',
      '{a,}',
      '{a:0}',
      '{a:12345}',
      '{a-b}',
      '{.}',
      '{+}',
    ]) {
      assert.equal(compileUriTemplate(text), undefined, text);
    }
    assert.notEqual(compileUriTemplate('{a}'.repeat(32)), undefined);
    assert.equal(compileUriTemplate('{a}'.repeat(33)), undefined);
    assert.notEqual(compileUriTemplate('x'.repeat(1024)), undefined);
    assert.equal(compileUriTemplate('x'.repeat(1025)), undefined);
  });

  test('of the worst kind is answered at once for the longest URI, and no longer one is looked at', () => {
    const worst = compileUriTemplate('a{+x}'.repeat(32))!;
    const startedMs = performance.now();
    for (let time = 0; time < 10; time++) assert.equal(matchesAny([worst], 'a'.repeat(4095)), true);
    for (let time = 0; time < 10; time++)
      assert.equal(matchesAny([compileUriTemplate(`${'a{x}'.repeat(32)}b`)!], 'a'.repeat(4096)), false);
    assert.ok(performance.now() - startedMs < 1_000);
    assert.equal(matchesAny([worst], 'a'.repeat(4097)), false);
  });
});

/** RFC 6570 §3, for strings and lists of strings, written for this test. */
const OPERATORS = {
  '': { first: '', separator: ',', named: false, reserved: false },
  '+': { first: '', separator: ',', named: false, reserved: true },
  '.': { first: '.', separator: '.', named: false, reserved: false },
  '/': { first: '/', separator: '/', named: false, reserved: false },
  ';': { first: ';', separator: ';', named: true, reserved: false },
  '?': { first: '?', separator: '&', named: true, reserved: false },
  '&': { first: '&', separator: '&', named: true, reserved: false },
  '#': { first: '#', separator: ',', named: false, reserved: true },
} as const;
type Operator = keyof typeof OPERATORS;

interface Part {
  readonly literal: string;
  readonly operator: Operator;
  readonly values: readonly string[];
  readonly explodes: boolean;
}

const part: fc.Arbitrary<Part> = fc.record({
  literal: fc.constantFrom('', 'a', '/', '://', 'docs', '-', '.'),
  operator: fc.constantFrom(...(Object.keys(OPERATORS) as Operator[])),
  values: fc.array(fc.string({ unit: fc.constantFrom(...'ab/?#.;&,é%'), minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 3,
  }),
  explodes: fc.boolean(),
});

function encode(value: string, reserved: boolean): string {
  return reserved
    ? encodeURI(value)
    : encodeURIComponent(value).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

function write({ literal, operator, values, explodes }: Part) {
  const { first, separator, named, reserved } = OPERATORS[operator];
  const expand = (value: string, index: number) => {
    const parts = explodes ? [value, 'z'] : [value];
    return parts.map((each) => `${named ? `v${index}=` : ''}${encode(each, reserved)}`).join(separator);
  };
  return {
    template: `${literal}{${operator}${values.map((_, index) => `v${index}${explodes ? '*' : ''}`).join()}}`,
    uri: `${literal}${first}${values.map(expand).join(separator)}`,
  };
}

describe('of many templates', () => {
  test('each is looked at, of any that upstreams write', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => compileUriTemplate(`docs://{a}/{b}/${index}`)!);
    assert.equal(matchesAny(many, 'docs://some/page/4999'), true);
    assert.equal(matchesAny(many, 'docs://some/page/5000'), false);
    assert.equal(matchesAny([], 'docs://some/page/1'), false);
  });

  test('as many are looked at as takes some milliseconds', () => {
    const slow = Array.from({ length: 500 }, () => compileUriTemplate(`${'a{+x}'.repeat(31)}b`)!);
    const uri = `${'a'.repeat(4_000)}bc`;
    const startedMs = performance.now();
    for (let time = 0; time < 5; time++) {
      assert.equal(matchesAny([...slow, compileUriTemplate('a{+x}')!], uri), false);
    }
    assert.ok(performance.now() - startedMs < 400);
    assert.equal(matchesAny([...slow.slice(0, 3), compileUriTemplate('a{+x}')!], uri), true);
  });

  test('those whose own words a URI does not hold in their order cost next to nothing', () => {
    const alike = Array.from(
      { length: 10_000 },
      (_, index) => compileUriTemplate(`a{+x}/${'b{+y}'.repeat(9)}${index}!`)!,
    );
    assert.equal(matchesAny([...alike, compileUriTemplate('a{+x}')!], 'a'.repeat(300)), true);
    assert.equal(matchesAny(alike, `a1/${'b1'.repeat(9)}9999!`), true);
    const startedMs = performance.now();
    const costly = Array.from({ length: 10_000 }, (_, index) => compileUriTemplate(`${'{+a}x'.repeat(32)}${index}`)!);
    for (let time = 0; time < 5; time++) assert.equal(matchesAny(costly, 'x'.repeat(4_000)), false);
    assert.ok(performance.now() - startedMs < 600);
  });
});

describe('any template', () => {
  test('stands for each of its own expansions', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const written = parts.map(write);
        const template = written.map((each) => each.template).join('');
        const uri = written.map((each) => each.uri).join('');
        assert.ok(matches(template, uri), `${template} ${uri}`);
      }),
      { numRuns: 500 },
    );
  });

  test('of plain variables is what a regular expression makes of it', () => {
    const piece = fc.oneof(
      fc.constantFrom('{x}', '{+y}'),
      fc.string({ unit: fc.constantFrom(...'ab/'), minLength: 1, maxLength: 2 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }),
        fc.string({ unit: fc.constantFrom(...'ab/'), maxLength: 12 }),
        (pieces, uri) => {
          const toPattern = (each: string) => (each === '{x}' ? '[^/?#]+' : each === '{+y}' ? '.+' : each);
          const expected = new RegExp(`^${pieces.map(toPattern).join('')}$`, 's').test(uri);
          assert.equal(matches(pieces.join(''), uri), expected, `${pieces.join('')} ${uri}`);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('is any text whatever, and any URI is answered', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab{}+/?#*:,1é ') }),
        fc.string({ unit: CODE_POINT }),
        (text, uri) => {
          assert.equal(typeof matchesAny([compileUriTemplate(text) ?? { pieces: [] }], uri), 'boolean');
        },
      ),
    );
  });
});
