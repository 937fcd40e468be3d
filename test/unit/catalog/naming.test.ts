import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { spellNames } from '../../../src/catalog/naming.ts';
import { NAME_STYLES, type NameStyle } from '../../../src/domain/principal.ts';
import { type CanonicalName, toCanonicalName } from '../../../src/domain/tool-name.ts';

const LIMITS: Record<NameStyle, number> = { dot: 128, underscore: 64, bare: 128 };

function github(...upstreamNames: string[]): CanonicalName[] {
  return upstreamNames.map((upstreamName) => ({ service: 'github', upstreamName }));
}

describe('spellings', () => {
  const names = github('search_issues', 'code.search', 'a-b');
  test('dot writes the canonical name', () => {
    assert.deepEqual(spellNames(names, 'dot'), ['github.search_issues', 'github.code.search', 'github.a-b']);
  });
  test('underscore joins with two underscores and writes dots as one', () => {
    assert.deepEqual(spellNames(names, 'underscore'), ['github__search_issues', 'github__code_search', 'github__a-b']);
  });
  test('bare writes the upstream name', () => {
    assert.deepEqual(spellNames(names, 'bare'), ['search_issues', 'code.search', 'a-b']);
  });
  test('an empty list has no spellings', () => {
    assert.deepEqual(spellNames([], 'dot'), []);
  });
  test('a repeated name has one spelling', () => {
    assert.deepEqual(spellNames(github('a', 'a'), 'underscore'), ['github__a', 'github__a']);
  });
});

describe('suffixes', () => {
  test('all members of a collision are suffixed, with a hash that never changes', () => {
    assert.deepEqual(spellNames(github('a.b', 'other', 'a_b'), 'underscore'), [
      'github__a_b_m2op3hvz',
      'github__other',
      'github__a_b_8clryjfo',
    ]);
  });

  test('the border between service and tool can be in collision', () => {
    const spellings = spellNames(
      [
        { service: 'a', upstreamName: 'b__c' },
        { service: 'a__b', upstreamName: 'c' },
      ],
      'underscore',
    );
    assert.equal(new Set(spellings).size, 2);
    for (const spelling of spellings) assert.match(spelling, /^a__b__c_[0-9a-z]{8}$/);
  });

  test('a name over the limit is cut and suffixed, one at the limit is not', () => {
    const [atLimit, over] = spellNames(github('a'.repeat(56), 'a'.repeat(57)), 'underscore');
    assert.equal(atLimit, `github__${'a'.repeat(56)}`);
    assert.match(over ?? '', /^github__a{47}_[0-9a-z]{8}$/);
    assert.equal(over?.length, 64);
    const [dotted] = spellNames(github('a'.repeat(128)), 'dot');
    assert.match(dotted ?? '', /^github\.a{112}_[0-9a-z]{8}$/);
  });

  test('a bare name that reads as a canonical name is suffixed and loses its dots', () => {
    const [plain, disguised, other] = spellNames(github('search', 'github.search', 'code.search'), 'bare');
    assert.equal(plain, 'search');
    assert.match(disguised ?? '', /^github_search_[0-9a-z]{8}$/);
    assert.equal(other, 'code.search');
  });

  test('a name forged to look like a suffixed one moves away and does not take its place', () => {
    const pair = github('a.b', 'a_b');
    const [first, second] = spellNames(pair, 'underscore');
    const forged = github((first ?? '').slice('github__'.length));
    const [firstAgain, secondAgain, moved] = spellNames([...pair, ...forged], 'underscore');
    assert.deepEqual([firstAgain, secondAgain], [first, second]);
    assert.match(moved ?? '', /^github__a_b_[0-9a-z]{8}_[0-9a-z]{8}$/);
  });

  test('two names whose hashes are equal by design of an upstream are told apart', () => {
    // Found by searching three million names: an upstream can do the same.
    const twins = github(`${'a'.repeat(60)}274522`, `${'a'.repeat(60)}2968303`);
    const alone = twins.map((twin) => spellNames([twin], 'underscore')[0]);
    assert.equal(alone[0], alone[1]);
    const together = spellNames(twins, 'underscore');
    assert.equal(new Set(together).size, 2);
    assert.deepEqual(spellNames(twins.toReversed(), 'underscore').toReversed(), together);
    for (const spelling of together) assert.match(spelling, /^github__a{47}_[0-9a-z]{8}$/);
  });
});

describe('properties', () => {
  const text = (units: string, maxLength: number) =>
    fc.string({ unit: fc.constantFrom(...units), minLength: 1, maxLength });
  const service = fc.oneof(fc.constantFrom('a', 'b', 'a_', 'a__b'), text('ab_', 128));
  const upstreamName = fc.oneof(text('ab._', 5), text('a.-', 128), text('a', 128), text('ab.', 3));
  const nameList = fc.uniqueArray(fc.record({ service, upstreamName }), {
    maxLength: 30,
    selector: (name) => toCanonicalName(name.service, name.upstreamName),
  });
  const oneService = fc.tuple(fc.constantFrom('a', 'b'), fc.uniqueArray(upstreamName, { maxLength: 30 }));
  const style = fc.constantFrom(...NAME_STYLES);

  test('spellings are unique and within the limit of their style', () => {
    fc.assert(
      fc.property(nameList, style, (names, nameStyle) => {
        const spellings = spellNames(names, nameStyle);
        assert.equal(spellings.length, names.length);
        assert.equal(new Set(spellings).size, names.length);
        for (const spelling of spellings) assert.ok(spelling.length <= LIMITS[nameStyle], spelling);
      }),
      { numRuns: 500 },
    );
  });

  test('every underscore spelling passes the strictest client', () => {
    fc.assert(
      fc.property(nameList, (names) => {
        for (const spelling of spellNames(names, 'underscore')) assert.match(spelling, /^[a-zA-Z0-9_-]{1,64}$/);
      }),
      { numRuns: 300 },
    );
  });

  test('the order of the list changes no spelling', () => {
    fc.assert(
      fc.property(nameList, style, fc.infiniteStream(fc.nat()), (names, nameStyle, numbers) => {
        const order = names.map((name, index) => ({ name, index, rank: numbers.next().value ?? 0 }));
        order.sort((left, right) => left.rank - right.rank);
        const spellings = spellNames(names, nameStyle);
        const reordered = spellNames(
          order.map(({ name }) => name),
          nameStyle,
        );
        order.forEach(({ index }, place) => {
          assert.equal(reordered[place], spellings[index]);
        });
      }),
      { numRuns: 300 },
    );
  });

  test('a spelling without a suffix stays when other names leave', () => {
    fc.assert(
      fc.property(nameList, fc.nat(), style, (names, seed, nameStyle) => {
        const spellings = spellNames(names, nameStyle);
        const kept = names.filter((_, index) => (seed >> (index % 30)) & 1);
        const keptSpellings = spellNames(kept, nameStyle);
        kept.forEach((name, index) => {
          const before = spellings[names.indexOf(name)] ?? '';
          if (!/_[0-9a-z]{8}$/.test(before)) assert.equal(keptSpellings[index], before);
        });
      }),
      { numRuns: 300 },
    );
  });

  test('no bare spelling reads as a canonical name of the service', () => {
    fc.assert(
      fc.property(oneService, ([owner, upstreamNames]) => {
        const names = upstreamNames.map((each) => ({ service: owner, upstreamName: each }));
        for (const spelling of spellNames(names, 'bare')) {
          const isCanonical = spelling.startsWith(`${owner}.`) && spelling.length > owner.length + 1;
          assert.equal(isCanonical, false, spelling);
        }
      }),
      { numRuns: 300 },
    );
  });
});
