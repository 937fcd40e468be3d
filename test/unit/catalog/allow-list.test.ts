import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileAllowList, findPatternProblem } from '../../../src/catalog/allow-list.ts';
import { CODE_POINT } from '../../support/code-points.ts';
import { expand, fits } from '../../support/glob-oracle.ts';

function admits(pattern: string, service: string, upstreamName: string): boolean {
  return compileAllowList([pattern], service).match(upstreamName) !== undefined;
}

describe('what a pattern admits', () => {
  const cases: readonly [pattern: string, service: string, admitted: readonly string[], hidden: readonly string[]][] = [
    ['*', 'github', ['search', '.', '..', '.hidden', 'a.b.c', '-', '_x', 'A'], ['']],
    ['search*', 'search', ['search', 'search_index', 'search.index'], ['delete_index', 'Search', 'research']],
    ['github.search_*', 'github', ['search_', 'search_issues', 'search_a.b'], ['search', 'github.search_x']],
    ['get_?', 'github', ['get_a', 'get_.', 'get_-'], ['get_', 'get_ab', 'Get_a']],
    ['[a-cX]1', 'github', ['a1', 'b1', 'c1', 'X1'], ['d1', '-1', 'A1', 'a']],
    ['[-a]', 'github', ['-', 'a'], ['b', '--']],
    ['[a-]', 'github', ['-', 'a'], ['b']],
    ['{get,list}_{a,b}', 'github', ['get_a', 'list_b'], ['get_', 'getlist_a', 'get_ab']],
    ['{list,github.get}_*', 'github', ['list_x', 'get_x'], ['github.list_x']],
    ['**', 'github', ['anything'], []],
    ['a**b*', 'github', ['ab', 'a.b.c'], ['ba']],
    ['*.search', 'github', ['search', 'code.search'], ['research']],
    ['g*.search', 'github', ['search', 'code.search'], []],
    ['github.*.*', 'github', ['code.search', '.'], ['search']],
    ['*a*ab', 'github', ['aab', 'xaxab', 'aaaab'], ['ab', 'aabx']],
    ['.', 'github', [], ['.']],
    ['repo.search', 'github', [], ['repo.search', 'search']],
    ['constructor', 'github', ['constructor'], ['toString']],
  ];
  for (const [pattern, service, admitted, hidden] of cases) {
    test(`${pattern} on ${service}`, () => {
      const list = compileAllowList([pattern], service);
      for (const name of admitted) assert.equal(list.match(name), pattern, `admits ${name}`);
      for (const name of hidden) assert.equal(list.match(name), undefined, `hides ${name}`);
    });
  }

  test('a pattern without a dot never meets the canonical name', () => {
    const list = compileAllowList(['search*'], 'search');
    assert.equal(list.match('delete_index'), undefined);
  });

  test('an empty list admits nothing', () => {
    assert.equal(compileAllowList([], 'github').match('search'), undefined);
  });

  test('a name that is not a tool name never matches', () => {
    const list = compileAllowList(['*', 'github.*'], 'github');
    for (const name of ['search\n', '\nsearch', 'a\nb', 'a b', 'é', '', 'a/b', 'x'.repeat(129)]) {
      assert.equal(list.match(name), undefined, JSON.stringify(name));
    }
  });

  test('the first pattern in order that admits decides', () => {
    const list = compileAllowList(['get_*', '*_issues', '*'], 'github');
    assert.deepEqual(['get_issues', 'list_issues', 'search'].map(list.match), ['get_*', '*_issues', '*']);
  });
});

describe('warnings', () => {
  test('a pattern that names another service is reported with what to write', () => {
    const list = compileAllowList(['githb.*', 'search_*'], 'github');
    assert.deepEqual(list.warnings, [
      {
        pattern: 'githb.*',
        message:
          "`githb.*` admits nothing: it names the service `githb` and this is `github`; write `github.*`, or `github.githb.*` if the dot is part of the tool's own name",
      },
    ]);
  });

  test('only the stray alternative of a brace is reported', () => {
    const list = compileAllowList(['{github,gitlab}.get_*'], 'github');
    assert.equal(list.match('get_x'), '{github,gitlab}.get_*');
    assert.equal(list.warnings.length, 1);
    assert.match(list.warnings[0]!.message, /^`gitlab\.get_\*` admits nothing/);
  });

  const possible = ['*.x', 'g*.x', 'github.*', 'git*', 'github?x.y', '[a-g]ithub.x', 'github.?', 'gi*b.x', 'github.a*'];
  const impossible = ['github.', 'github', 'git.x', 'x*.y', 'githubs.x', 'Github.x', '?.?', '[a-f]ithub.x', 'githu.*'];
  test('a pattern that can name the service is not reported', () => {
    for (const pattern of possible) assert.deepEqual(compileAllowList([pattern], 'github').warnings, [], pattern);
  });
  test('a dotted pattern that cannot name the service is reported', () => {
    for (const pattern of impossible.filter((each) => each.includes('.'))) {
      assert.equal(compileAllowList([pattern], 'github').warnings.length, 1, pattern);
    }
  });

  test('an invalid pattern admits nothing, is reported, and leaves the others in force', () => {
    const list = compileAllowList(['!delete_*', '(', 'get_*'], 'github');
    assert.equal(list.match('delete_repo'), undefined);
    assert.equal(list.match('search'), undefined);
    assert.equal(list.match('get_x'), 'get_*');
    assert.deepEqual(list.warnings, [
      {
        pattern: '!delete_*',
        message: 'admits nothing: at position 0, `!` cannot be used, there is no negation: list what is allowed',
      },
      {
        pattern: '(',
        message:
          'admits nothing: at position 0, `(` cannot be used, there are no groups or repetitions: write alternatives as {a,b}',
      },
    ]);
  });
});

describe('refusals name the place and what to write instead', () => {
  const negation = '`!` cannot be used, there is no negation: list what is allowed';
  const group = (char: string) =>
    `\`${char}\` cannot be used, there are no groups or repetitions: write alternatives as {a,b}`;
  const anchor = (char: string) => `\`${char}\` cannot be used, a pattern always covers the whole name: leave it out`;
  const joined = (char: string) =>
    `\`${char}\` cannot be used, service and tool are joined by a dot: write \`service.tool\``;
  const foreign = (shown: string) => `${shown} is in no tool name: use letters, digits, \`_\`, \`.\` and \`-\``;
  const comma =
    '`,` cannot be used, a comma separates alternatives inside braces only: write {a,b}, or an entry for each pattern';
  const closing = '`}` cannot be used, no brace is open here: write {a,b}, or leave `}` out';
  const bracket = '`]` cannot be used, no class is open here: write [a-z], or leave `]` out';
  const range = 'a range ascends within a-z, A-Z or 0-9, as in [a-f]';
  const members = 'a class holds letters, digits, `_` and `-` only';
  const golden: readonly [pattern: string, position: number, message: string][] = [
    ['', 0, 'the pattern is empty: write `*` to allow every tool'],
    ['a'.repeat(257), 256, 'at most 256 characters: write several patterns'],
    ['*a*b*c*', 6, 'at most 3 stars: write several patterns'],
    ['{a*,b*}{c*,d*}', 12, 'at most 3 stars: write several patterns'],
    ['!x', 0, negation],
    ['a!(b)', 1, negation],
    ['get issues', 3, '` ` cannot be used, a pattern holds no spaces: write each pattern as an entry of its own'],
    ['github/search', 6, joined('/')],
    ['github:search', 6, joined(':')],
    ['a\\*', 1, '`\\` cannot be used, there is no escaping: no tool name holds a character that would need it'],
    ['(a|b)', 0, group('(')],
    ['a)', 1, group(')')],
    ['a|b', 1, group('|')],
    ['a+', 1, group('+')],
    ['@a', 0, group('@')],
    ['^a', 0, anchor('^')],
    ['a$', 1, anchor('$')],
    ['a,b', 1, comma],
    ['{a,b},c', 5, comma],
    ['a}', 1, closing],
    ['{a,b}}', 5, closing],
    ['}', 0, closing],
    ['a]', 1, bracket],
    ['[a]]', 3, bracket],
    ['é*', 0, foreign('U+00E9')],
    ['a\nb', 1, foreign('U+000A')],
    ['a\u0000', 1, foreign('U+0000')],
    ['😀', 0, foreign('U+1F600')],
    ['a%', 1, foreign('`%`')],
    ['[abc', 0, 'the class opened here is not closed: add `]`'],
    ['a[]', 1, 'the class is empty: put the allowed characters in it'],
    ['[!a]', 1, negation],
    ['[^a]', 1, '`^` cannot be used, there is no negation: list what is allowed'],
    ['[a.b]', 2, members],
    ['[[:alpha:]]', 1, members],
    ['[a,b]', 2, members],
    ['[z-a]', 1, range],
    ['[A-z]', 1, range],
    ['[0-z]', 1, range],
    ['[--a]', 1, range],
    ['[a-c-e]', 4, 'inside a class, put `-` first or last'],
    ['{a,b', 0, 'the brace opened here is not closed: add `}`'],
    ['{a,{b,c}}', 3, 'braces do not nest: write several patterns'],
    ['{a}', 0, 'braces hold two alternatives or more, as in {a,b}'],
    ['{}', 0, 'braces hold two alternatives or more, as in {a,b}'],
    ['{get_,}*', 0, 'an alternative is empty: remove the extra comma'],
    ['{a,b}{c,d}{e,f}{g,h}{i,j}', 20, 'at most 16 alternatives in all: write several patterns'],
    [`{${'abcdefghijklmnopq'.split('').join(',')}}`, 0, 'at most 16 alternatives in all: write several patterns'],
  ];
  for (const [pattern, position, message] of golden) {
    test(`${JSON.stringify(pattern.slice(0, 40))} is refused`, () => {
      assert.deepEqual(findPatternProblem(pattern), { position, message });
      assert.equal(admits(pattern, 'a', 'a'), false);
    });
  }

  test('patterns at the limits are accepted', () => {
    const accepted = ['a'.repeat(256), '*a**b***', '{a,b}{c,d}{e,f}{g,h}', '[a-z0-9_-]', '{[ab],c}*', '-', '..', '_'];
    for (const pattern of accepted) assert.equal(findPatternProblem(pattern), undefined, pattern);
  });

  test('no character outside the alphabet is accepted', () => {
    for (let code = 0; code < 0x300; code++) {
      const char = String.fromCharCode(code);
      if (/[A-Za-z0-9_.*?-]/.test(char)) continue;
      assert.notEqual(findPatternProblem(`a${char}`), undefined, JSON.stringify(char));
    }
  });

  test('any text is judged without a throw, and the position lies in it', () => {
    const text = fc.oneof(fc.string({ unit: CODE_POINT }), fc.string({ unit: fc.constantFrom(...'ab.*?{},[]-!^') }));
    fc.assert(
      fc.property(text, (pattern) => {
        const problem = findPatternProblem(pattern);
        if (problem !== undefined) assert.ok(problem.position <= pattern.length);
        assert.equal(compileAllowList([pattern], 'a').match('\n'), undefined);
      }),
      { numRuns: 2000 },
    );
  });
});

/** A second reading of design §3.4, by definition and without regular expressions. */
function oracle(pattern: string, service: string, name: string): boolean {
  return expand(pattern).some((glob) => fits(glob, glob.includes('.') ? `${service}.${name}` : name));
}

describe('properties', () => {
  const atom = fc.constantFrom('a', 'b', '.', '_', '-', '?', '*', '*', '[ab]', '[a-c_]', '[-b]', 'x.');
  const run = fc.array(atom, { minLength: 1, maxLength: 4 }).map((atoms) => atoms.join(''));
  const brace = fc.array(run, { minLength: 2, maxLength: 3 }).map((options) => `{${options.join(',')}}`);
  const pattern = fc
    .array(fc.oneof({ weight: 3, arbitrary: run }, { weight: 1, arbitrary: brace }), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join(''))
    .filter((text) => findPatternProblem(text) === undefined);
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '_', 'x'), minLength: 1, maxLength: 5 });
  const service = fc.constantFrom('a', 'x', 'ab', 'x_a');

  test('the compiled list decides as the definition does', () => {
    let admitted = 0;
    let hidden = 0;
    fc.assert(
      fc.property(pattern, service, fc.array(name, { minLength: 12, maxLength: 12 }), (glob, owner, names) => {
        const list = compileAllowList([glob], owner);
        for (const each of names) {
          const expected = oracle(glob, owner, each);
          assert.equal(list.match(each) !== undefined, expected, `${glob} on ${owner} for ${each}`);
          if (expected) admitted++;
          else hidden++;
        }
      }),
      { numRuns: 2500 },
    );
    assert.ok(
      admitted + hidden >= 20_000 && admitted > 1500 && hidden > 1500,
      `${admitted} admitted, ${hidden} hidden`,
    );
  });

  test('an alternative that is reported as naming another service admits nothing', () => {
    let stray = 0;
    fc.assert(
      fc.property(pattern, service, fc.array(name, { maxLength: 20 }), (glob, owner, names) => {
        for (const alternative of expand(glob)) {
          if (compileAllowList([alternative], owner).warnings.length === 0) continue;
          stray++;
          for (const each of names) assert.equal(oracle(alternative, owner, each), false, `${alternative} for ${each}`);
        }
      }),
      { numRuns: 1000 },
    );
    assert.ok(stray > 100, `${stray} stray alternatives`);
  });
});

test('the worst accepted patterns against the longest hostile names cost microseconds', () => {
  const service = 'a'.repeat(128);
  const tails = `{${Array.from({ length: 16 }, (_, index) => `b${'a'.repeat(index)}`).join(',')}}`;
  const patterns = [`*a*a*.${tails}`, `*a*a*${tails}`, '*a?a*[ab]*b', `*${'a'.repeat(100)}*${'?'.repeat(100)}*b`];
  const list = compileAllowList(patterns, service);
  const names = Array.from({ length: 200 }, (_, index) => 'a'.repeat(128 - (index % 5)));
  const started = performance.now();
  for (const name of names) assert.equal(list.match(name), undefined);
  const elapsedMs = performance.now() - started;
  // Backtracking would take seconds for this.
  assert.ok(elapsedMs < 1000, `${elapsedMs} ms`);
});
