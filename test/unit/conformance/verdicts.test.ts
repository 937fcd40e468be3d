import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CLIENT_CELLS, SERVER_CELLS } from '../../conformance/cells.ts';
import { readExpectedFailures } from '../../conformance/expected-failures.ts';
import { findingLines, sectionLines } from '../../conformance/table.ts';
import {
  type Check,
  type ExpectedFailure,
  judge,
  judgeDirect,
  matchesCell,
  type Status,
} from '../../conformance/verdicts.ts';

const BETWEEN_ERAS = { name: '2026-07-28 legacy bare', isSameEra: false };
const ONE_ERA = { name: '2026-07-28 modern bare', isSameEra: true };
const ENTRY: ExpectedFailure = { cells: '2026-07-28 * bare', scenario: 's', check: 'c', sentence: 'So.', page: 'p' };

function check(id: string, status: Status, name = id): Check {
  return { scenario: 's', id, name, status, message: undefined };
}

function outcomes(through: readonly Check[], direct: readonly Check[], entries: readonly ExpectedFailure[] = []) {
  const of = (cell: typeof ONE_ERA) => {
    const { verdicts, stale } = judge(cell, through, direct, entries);
    return [...verdicts.map(({ outcome }) => outcome), ...stale.map(() => 'stale')];
  };
  return { oneEra: of(ONE_ERA), betweenEras: of(BETWEEN_ERAS) };
}

const same = (...all: string[]) => ({ oneEra: all, betweenEras: all });

describe('a check through the gateway', () => {
  test('has failed when it passes directly and then fails, warns, is skipped or is not reported', () => {
    for (const status of ['FAILURE', 'WARNING', 'SKIPPED'] as const)
      assert.deepEqual(outcomes([check('c', status)], [check('c', 'SUCCESS')]), same('failed'));
    assert.deepEqual(outcomes([], [check('c', 'SUCCESS')]), same('failed'));
  });

  test('has failed when it fails and the direct run does not report it', () => {
    assert.deepEqual(outcomes([check('c', 'FAILURE')], []), same('failed'));
  });

  test('is no verdict where the suite calls it optional, or skips it directly as well', () => {
    assert.deepEqual(outcomes([check('c', 'INFO')], [check('c', 'SUCCESS')]), same());
    assert.deepEqual(outcomes([check('c', 'SKIPPED')], [check('c', 'SKIPPED')]), same());
  });

  test('that fails directly as well says nothing about the gateway', () => {
    assert.deepEqual(outcomes([check('c', 'FAILURE')], [check('c', 'FAILURE')]), same('failed directly'));
  });

  test('is compared with its namesake, one by one where several are alike', () => {
    const direct = [check('c', 'SUCCESS'), check('c', 'SUCCESS'), check('c', 'FAILURE', 'other')];
    const through = [check('c', 'SUCCESS'), check('c', 'FAILURE'), check('c', 'FAILURE', 'other')];
    assert.deepEqual(outcomes(through, direct), same('passed', 'failed', 'failed directly'));
  });

  test('that failed under another name is not counted as missing too', () => {
    const direct = [check('c', 'SUCCESS', 'first'), check('c', 'SUCCESS', 'second')];
    assert.deepEqual(outcomes([check('c', 'FAILURE', 'not observed')], direct), same('failed'));
  });
});

describe('an expected failure', () => {
  test('excuses a check between eras, and in one era only what nothing exercises', () => {
    const direct = [check('c', 'SUCCESS')];
    assert.deepEqual(outcomes([check('c', 'FAILURE')], direct, [ENTRY]), {
      oneEra: ['failed'],
      betweenEras: ['not bridgeable'],
    });
    assert.deepEqual(outcomes([check('c', 'SKIPPED')], direct, [ENTRY]), same('not bridgeable'));
  });

  test('is stale once the check passes', () => {
    assert.deepEqual(outcomes([check('c', 'SUCCESS')], [check('c', 'SUCCESS')], [ENTRY]), same('passed', 'stale'));
  });

  test('concerns only the cells, the scenario and the check it names', () => {
    for (const other of [
      { cells: '2026-07-28 * rename' },
      { cells: '2026-07-28' },
      { scenario: 't' },
      { check: 'd' },
    ]) {
      const entries = [{ ...ENTRY, ...other }];
      const [first] = outcomes([check('c', 'FAILURE')], [check('c', 'SUCCESS')], entries).betweenEras;
      assert.equal(first, 'failed');
    }
  });

  test('of ours names cells that exist', () => {
    const names = [...SERVER_CELLS, ...CLIENT_CELLS].map(({ name }) => name);
    for (const { cells } of readExpectedFailures())
      assert.ok(
        names.some((name) => matchesCell(cells, name)),
        cells,
      );
  });
});

describe('the table', () => {
  const direct = [check('a', 'SUCCESS'), check('b', 'SUCCESS'), check('c', 'SUCCESS'), check('d', 'FAILURE')];
  const through = [check('a', 'SUCCESS'), check('b', 'FAILURE'), check('c', 'FAILURE'), check('d', 'FAILURE')];
  const judgement = judge(BETWEEN_ERAS, through, direct, [ENTRY]);

  test('counts checks by scenario and cell, beside the direct run', () => {
    const columns = [
      { title: 'directly', verdicts: judgeDirect(direct) },
      { title: 'bare', verdicts: judgement.verdicts },
    ];
    assert.deepEqual(sectionLines('what', columns), [
      'what  directly  bare',
      's     3 (1)     1 ✗1 (1) –1',
      'all   3 (1)     1 ✗1 (1) –1',
    ]);
  });

  test('is followed by what is lost, which is neither what fails directly nor what has a reason', () => {
    assert.deepEqual(findingLines(new Map([['cell', judgement]])), ['✗ cell: s, b (b), FAILURE: ']);
  });

  test('names in one line what a scenario did not come to report', () => {
    const broken = judge(BETWEEN_ERAS, [], direct, []);
    assert.deepEqual(findingLines(new Map([['cell', broken]])), ['✗ cell: s, not reported: a, b, c']);
  });
});
