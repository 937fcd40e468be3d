// SIGTERM with 500 calls in flight, HTTP/1.1 and HTTP/2, fifty times.

import { test } from 'node:test';
import { type DrainFigures, drainUnderLoad } from '../support/drain-proof.ts';

const ROUNDS = 50;

test(`SIGTERM with 500 calls in flight fails none of them, ${ROUNDS} times`, async (t) => {
  const rounds: DrainFigures[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    await t.test(`round ${round}`, async (inner) => {
      rounds.push(await drainUnderLoad(inner, 1_500));
    });
  }
  const most = (figure: keyof DrainFigures) => Math.max(...rounds.map((round) => round[figure])).toFixed();
  const answered = rounds.reduce((sum, round) => sum + round.answered, 0);
  t.diagnostic(
    `${answered} calls answered in ${rounds.length} rounds; at most ${most('lastAnswerMs')} ms from signal to last answer, ` +
      `${most('exitMs')} ms from there to exit, ${most('idleClosedMs')} ms until idle connections were closed`,
  );
});
