// The table of the micro benchmark, from its JSON.

import type { MicroFigures } from '../micro/measure.ts';
import { formatNumber, toTime } from './format.ts';

/** What `npm run bench:micro` writes. */
export interface MicroResults {
  readonly date: string;
  readonly commit: string;
  readonly rounds: number;
  readonly cases: readonly MicroFigures[];
}

export function toPieces({ date, commit, rounds, cases }: MicroResults): string {
  const rows = cases.map(({ name, bestNs, medianNs, worstNs, bestNsPerByte }) => {
    const times = [bestNs, medianNs, worstNs].map(toTime);
    return `| ${[name, ...times, bestNsPerByte === null ? '' : formatNumber(bestNsPerByte, 3)].join(' | ')} |`;
  });
  return [
    '## The pieces by themselves',
    '',
    `In one process, without sockets, by \`npm run bench:micro\` (${date.slice(0, 10)}, commit ${commit}): the best, the median and the worst of ${rounds} rounds.`,
    '',
    '|  | Best | Median | Worst | ns per byte |',
    '| --- | --: | --: | --: | --: |',
    ...rows,
  ].join('\n');
}
