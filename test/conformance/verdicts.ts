// What a run through the gateway means, seen beside the direct run of the same checks.

export type Status = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';

/** One check as the suite reports it. The same id may come several times in one scenario. */
export interface Check {
  readonly scenario: string;
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  readonly message: string | undefined;
}

/** One place where the suite runs: through the gateway, or directly, which is what others are compared with. */
export interface Cell {
  /** Such as `2025-11-25 legacy bare`; what expected failures name, with `*`. */
  readonly name: string;
  /** Both sides of the gateway speak one era: nothing is bridged, so nothing can be impossible to bridge. */
  readonly isSameEra: boolean;
}

/** A check that the specification makes impossible in some cells. */
export interface ExpectedFailure {
  /** Names of cells, `*` standing for any characters. */
  readonly cells: string;
  readonly scenario: string;
  /** The id of the check. */
  readonly check: string;
  /** Of the specification, word by word: what makes it impossible. */
  readonly sentence: string;
  /** Where the sentence stands. */
  readonly page: string;
}

/** `failed directly` as well: the fixture does not have what is tested, so nothing is said about the gateway. */
export type Outcome = 'passed' | 'failed' | 'failed directly' | 'not bridgeable';

export interface Verdict extends Check {
  readonly outcome: Outcome;
}

export interface Judgement {
  readonly verdicts: readonly Verdict[];
  /** Entries that name this cell although the check no longer fails here. */
  readonly stale: readonly ExpectedFailure[];
}

/** Verdicts on a direct run: it is compared with nothing. */
export function judgeDirect(direct: readonly Check[]): Verdict[] {
  return direct.flatMap((check) => {
    if (check.status === 'SUCCESS') return { ...check, outcome: 'passed' as const };
    return hasFailed(check) ? { ...check, outcome: 'failed directly' as const } : [];
  });
}

/**
 * Verdicts on a run through the gateway. A check that passes directly has failed when it fails, is skipped, or is not
 * reported at all; `INFO` is the suite's word for what is optional, and is no verdict.
 */
export function judge(
  cell: Cell,
  through: readonly Check[],
  direct: readonly Check[],
  expected: readonly ExpectedFailure[],
): Judgement {
  const entries = expected.filter((entry) => matchesCell(entry.cells, cell.name));
  const used = new Set<ExpectedFailure>();
  const excuse = (check: Check): Outcome => {
    const entry = entries.find(({ scenario, check: id }) => scenario === check.scenario && id === check.id);
    if (entry !== undefined) used.add(entry);
    // What both sides could do is not excused; that nothing exercised it here may be by design.
    return entry === undefined || (cell.isSameEra && check.status !== 'SKIPPED') ? 'failed' : 'not bridgeable';
  };
  const seen = keyed(through);
  const known = keyed(direct);
  const verdicts: Verdict[] = [];
  for (const [key, check] of seen) {
    const before = known.get(key);
    const isLost = check.status === 'SKIPPED' && before?.status === 'SUCCESS';
    if (check.status === 'SUCCESS') verdicts.push({ ...check, outcome: 'passed' });
    else if (before !== undefined && hasFailed(before)) verdicts.push({ ...check, outcome: 'failed directly' });
    else if (hasFailed(check) || isLost) verdicts.push({ ...check, outcome: excuse(check) });
  }
  for (const [key, check] of known) {
    if (check.status !== 'SUCCESS' || seen.has(key)) continue;
    // What was never exercised is often reported under another name.
    if (
      verdicts.some(
        ({ scenario, id, outcome }) => scenario === check.scenario && id === check.id && outcome !== 'passed',
      )
    )
      continue;
    const missing: Check = { ...check, status: 'FAILURE', message: NOT_REPORTED };
    verdicts.push({ ...missing, outcome: excuse(missing) });
  }
  return { verdicts, stale: entries.filter((entry) => !used.has(entry)) };
}

const NOT_REPORTED = 'not reported, though it is directly';

export function isMissing({ message }: Check): boolean {
  return message === NOT_REPORTED;
}

function hasFailed({ status }: Check): boolean {
  return status === 'FAILURE' || status === 'WARNING';
}

/** By scenario, id and name, and which one of several alike it is. */
function keyed(checks: readonly Check[]): Map<string, Check> {
  const byKey = new Map<string, Check>();
  for (const check of checks) {
    const alike = `${check.scenario}\n${check.id}\n${check.name}\n`;
    let index = 0;
    while (byKey.has(`${alike}${index}`)) index++;
    byKey.set(`${alike}${index}`, check);
  }
  return byKey;
}

export function matchesCell(pattern: string, name: string): boolean {
  const source = pattern.replaceAll(/[^\w *]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${source}$`).test(name);
}
