import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileUriAllowList, findUriPatternProblem } from '../../../src/catalog/uri-allow-list.ts';
import { CODE_POINT } from '../../support/code-points.ts';
import { expand, fits } from '../../support/glob-oracle.ts';

describe('what a pattern over URIs admits', () => {
  const cases: readonly [pattern: string, admitted: readonly string[], hidden: readonly string[]][] = [
    ['*', ['a', 'file:///a/b.txt', 'test://template/{id}/data', 'ui://x?y=1#z', 'note://ü/😀', 'file:///a b'], ['']],
    ['file:///docs/*', ['file:///docs/', 'file:///docs/a/b.md'], ['file:///docs', 'file:///key', 'FILE:///docs/a']],
    ['file:///*.md', ['file:///a/b.md', 'file:///.md'], ['file:///a.txt', 'file:///amd']],
    ['docs://?', ['docs://a', 'docs:///', 'docs://😀', 'docs://?', 'docs://,'], ['docs://', 'docs://ab']],
    ['docs://[a-c]/*', ['docs://a/', 'docs://c/x'], ['docs://d/', 'docs://A/']],
    ['{notes,docs}://a', ['notes://a', 'docs://a'], ['docs://b', 'notesdocs://a']],
    ['test://template/*/data', ['test://template/{id}/data', 'test://template/7/data'], ['test://template/7']],
    [
      "a://b?c=d&e=(f)!$@~+;%20'#g.h",
      ["a://b?c=d&e=(f)!$@~+;%20'#g.h"],
      ['a://b?c=d&e=f', "a://b?c=d&e=(f)!$@~+; '#g.h"],
    ],
    ['a.b', ['a.b'], ['axb']],
    ['+(a)@(b)!(c)', ['+(a)@(b)!(c)'], ['a', 'aab', 'abx']],
    ['!a', ['!a'], ['b']],
    ['%2a', ['%2a'], ['*', '%2A']],
    ['**', ['anything://at/all'], []],
  ];
  for (const [pattern, admitted, hidden] of cases) {
    test(pattern, () => {
      const list = compileUriAllowList([pattern]);
      assert.deepEqual(list.warnings, []);
      for (const uri of admitted) assert.equal(list.match(uri), pattern, `admits ${uri}`);
      for (const uri of hidden) assert.equal(list.match(uri), undefined, `hides ${uri}`);
    });
  }

  test('the first pattern in order that admits decides', () => {
    const { match } = compileUriAllowList(['a://*', '*://b', '*']);
    assert.deepEqual(['a://b', 'c://b', 'c://d'].map(match), ['a://*', '*://b', '*']);
  });

  test('an empty list, and one that cannot be read, admits nothing', () => {
    assert.equal(compileUriAllowList([]).match('a'), undefined);
    const { match, warnings } = compileUriAllowList(['notes://{id}']);
    assert.equal(match('notes://{id}'), undefined);
    assert.match(warnings[0]?.message ?? '', /^admits nothing: at position 8, /);
  });

  test('no pattern admits a way out of what it names', () => {
    const { match } = compileUriAllowList(['file:///docs/*', '*']);
    const ways = [
      '/..',
      '/../key',
      '/a/../../key',
      '/%2e%2E/key',
      '/.%2e/key',
      '/a%2f..%2Fkey',
      '/..\\key',
      '/\\..\\key',
      // Decoded twice, with a matrix parameter, ended by what parsers and file systems cut off.
      '/%252e%252e/key',
      '/a%252F..%25252fkey',
      '/..;/key',
      '/..%3Bv=1/key',
      '/.. ',
      '/..%20/key',
      '/..%00/key',
    ];
    for (const way of ways) assert.equal(match(`file:///docs${way}`), undefined, way);
    for (const uri of [
      '..',
      'a..b',
      'file:///docs/..a',
      'file:///docs/a../b',
      'file:///docs/.../b',
      'file:///docs/./b',
    ]) {
      assert.notEqual(match(uri), undefined, uri);
    }
  });

  test('a value with a control character, half a character, or too many is admitted by nothing', () => {
    const { match } = compileUriAllowList(['*', '?', 'a?b']);
    for (const uri of ['a\nb', 'a\rb', '\u0000', 'a\u2028b', '\u0085', '\ud800', 'a\udc00b', 'x'.repeat(4097)]) {
      assert.equal(match(uri), undefined, JSON.stringify(uri.slice(0, 9)));
    }
    assert.equal(match('x'.repeat(4096)), '*');
  });
});

describe('what is no pattern over URIs', () => {
  const golden: readonly [pattern: string, position: number, message: RegExp][] = [
    ['', 0, /^the pattern is empty: write `\*` to allow every resource$/],
    [
      'a://{id}/x',
      4,
      /^braces hold two alternatives or more, as in \{a,b\}; to allow what a template such as `notes:\/\/\{id\}` stands for, write `\*`/,
    ],
    ['a://{a,}', 4, /an alternative is empty/],
    ['a://{a,{b,c}}', 7, /braces do not nest/],
    ['a://{a', 4, /not closed/],
    ['a://[a', 4, /not closed/],
    ['a://[]', 4, /the class is empty/],
    ['a://[!a]', 5, /there is no negation/],
    ['a://}', 4, /no brace is open/],
    ['a://]', 4, /no class is open/],
    ['a,b', 1, /outside braces/],
    ['a b', 1, /holds no spaces: write %20/],
    ['a\\*', 1, /there is no escaping/],
    ['a://ü', 4, /^U\+00FC is in no URI: write it percent-encoded/],
    ['a://"', 4, /^`"` is in no URI/],
    ['a\n', 1, /^U\+000A/],
    ['*a*b*c*', 6, /at most 3 stars/],
    ['{a,b}{a,b}{a,b}{a,b}{a,b}', 20, /at most 16 alternatives/],
    ['a'.repeat(513), 512, /at most 512 characters/],
  ];
  for (const [pattern, position, message] of golden) {
    test(`${JSON.stringify(pattern.slice(0, 30))} is refused`, () => {
      const problem = findUriPatternProblem(pattern);
      assert.equal(problem?.position, position);
      assert.match(problem?.message ?? '', message);
    });
  }

  test('every other character of a URI stands for itself', () => {
    for (const char of "abcXYZ019-._~:/#@!$&'()+;=%") {
      const { match } = compileUriAllowList([`a${char}`]);
      assert.equal(match(`a${char}`), `a${char}`);
      assert.equal(match('ax') !== undefined, char === 'x', char);
    }
    assert.equal(findUriPatternProblem('a'.repeat(512)), undefined);
  });

  test('any text is judged without a throw', () => {
    const text = fc.oneof(
      fc.string({ unit: CODE_POINT }),
      fc.string({ unit: fc.constantFrom(...'ab/.*?{},[]-!^+(@') }),
    );
    fc.assert(
      fc.property(text, text, (pattern, uri) => {
        const problem = findUriPatternProblem(pattern);
        if (problem !== undefined) assert.ok(problem.position <= pattern.length);
        compileUriAllowList([pattern]).match(uri);
      }),
      { numRuns: 2000 },
    );
  });
});

test('the compiled list decides as the definition does', () => {
  const atom = fc.constantFrom('a', 'b', '.', '/', ':', '%', '(', '+', '?', '*', '*', '[ab]', '{a,b/}', '$', '!');
  const pattern = fc
    .array(atom, { minLength: 1, maxLength: 6 })
    .map((atoms) => atoms.join(''))
    .filter((text) => findUriPatternProblem(text) === undefined);
  const uri = fc
    .string({
      unit: fc.constantFrom('a', 'b', '.', '/', ':', '%', '(', '+', '$', '!', '{', 'ü', '😀'),
      minLength: 1,
      maxLength: 5,
    })
    .filter((text) => !text.includes('..'));
  let admitted = 0;
  fc.assert(
    fc.property(pattern, fc.array(uri, { minLength: 12, maxLength: 12 }), (glob, uris) => {
      const { match } = compileUriAllowList([glob]);
      for (const each of uris) {
        const expected = expand(glob).some((alternative) => fits(alternative, each));
        assert.equal(match(each) !== undefined, expected, `${glob} for ${each}`);
        if (expected) admitted++;
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(admitted > 500, `${admitted} admitted`);
});

test('the worst accepted patterns against the longest hostile URI cost no more than its length allows', () => {
  const tails = `{${Array.from({ length: 16 }, (_, index) => `b${'a'.repeat(index)}`).join(',')}}`;
  const patterns = [`*a*a*${tails}`, '*a?a*[ab]*b', `*${'a'.repeat(250)}*${'?'.repeat(250)}*b`];
  const { match } = compileUriAllowList(patterns);
  const started = performance.now();
  for (let count = 0; count < 20; count++) assert.equal(match('a'.repeat(4096)), undefined);
  const elapsedMs = performance.now() - started;
  // Backtracking would take hours for this.
  assert.ok(elapsedMs < 1500, `${elapsedMs} ms`);
});
