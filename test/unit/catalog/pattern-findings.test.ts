import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findPatternFindings } from '../../../src/catalog/pattern-findings.ts';

const TOOLS = ['get_issue', 'search_code', 'delete_issue', 'a.b'];

function findings(patterns: readonly string[], tools: readonly string[] | undefined = TOOLS): string[] {
  return findPatternFindings(patterns, 'github', tools).map(({ kind, index }) => `${index} ${kind}`);
}

function betterThan(pattern: string): string | undefined {
  const [found] = findPatternFindings([pattern], 'github', TOOLS);
  return /did you mean '(.*)'\?/.exec(found?.message ?? '')?.[1];
}

describe('findPatternFindings', () => {
  it('has nothing to say of patterns that each admit something of their own', () => {
    assert.deepEqual(findings(['get_*', 'github.search_*', '{delete,none}_issue', 'github.a.?']), []);
  });

  it('tells a pattern that only admits what earlier ones admit', () => {
    assert.deepEqual(findings(['get_issue', '*', 'search_*', 'get_issue']), ['2 shadowed', '3 shadowed']);
    assert.deepEqual(findings(['get_*', '*_issue']), [], 'it admits one more');
  });

  it('tells patterns that match nothing, name another service or cannot be read', () => {
    assert.deepEqual(findings(['none', 'gitlab.get_issue', '(a|b)']), [
      '0 without_match',
      '1 of_other_service',
      '2 invalid',
    ]);
  });

  it('judges only the patterns themselves where no tools are known', () => {
    assert.deepEqual(
      findPatternFindings(['none', '*', '*', 'gitlab.x'], 'github', undefined).map(({ kind }) => kind),
      ['of_other_service'],
    );
    assert.deepEqual(findings(['*'], []), ['0 without_match']);
  });

  it('suggests a pattern that matches, for whole names and for beginnings', () => {
    assert.equal(betterThan('get_isue'), 'get_issue');
    assert.equal(betterThan('github.get_isue'), 'github.get_issue');
    assert.equal(betterThan('serch_*'), 'search_*');
    assert.equal(betterThan('delte_*'), 'delete_*');
    assert.equal(betterThan('Get_Issue'), 'get_issue');
    for (const odd of ['nonsense', 'x*', '*_isue', 'get_[x-z]', 'serch_*_none'])
      assert.equal(betterThan(odd), undefined, odd);
  });

  it('judges only so many of very many patterns and tools', () => {
    const tools = Array.from({ length: 10_000 }, (_, index) => `${'x'.repeat(100)}_${index}`);
    const patterns = Array.from({ length: 5_000 }, (_, index) => `${'x'.repeat(99)}y_${index}`);
    assert.equal(findPatternFindings(patterns, 'github', tools).length, 50);
  });
});
