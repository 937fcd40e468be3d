import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { UpstreamFailureReason } from '../../../src/domain/errors.ts';
import { judgeHealth, readRetryAfter, UpstreamError } from '../../../src/upstream/failure.ts';

const EXPECTED: Readonly<Record<UpstreamFailureReason, 'failing' | 'answering' | undefined>> = {
  unreachable: 'failing',
  timeout: 'failing',
  broken_answer: 'failing',
  bad_status: 'failing',
  credential_refused: 'answering',
  rate_limited: 'answering',
  session_lost: 'answering',
  address_refused: undefined,
  breaker_open: undefined,
  overloaded: undefined,
};

describe('judgeHealth', () => {
  for (const [reason, health] of Object.entries(EXPECTED)) {
    it(`takes ${reason} for a sign that the upstream is ${health ?? 'neither failing nor answering'}`, () => {
      assert.equal(judgeHealth(new UpstreamError(reason as UpstreamFailureReason, 'call', '')), health);
    });
  }

  it('takes a status under 500 for an answer, since a client can call it forth', () => {
    const judge = (status: number) => judgeHealth(new UpstreamError('bad_status', 'call', '', { status }));
    assert.deepEqual([302, 400, 404, 499, 500, 503].map(judge), [
      ...Array(4).fill('answering'),
      ...Array(2).fill('failing'),
    ]);
  });

  it('takes a refusal that speaks of one tool for an answer, and success without a result for a failure', () => {
    const judge = (status: number) => judgeHealth(new UpstreamError('broken_answer', 'call', '', { status }));
    assert.deepEqual([202, 400, 404, 500].map(judge), ['failing', 'answering', 'answering', 'failing']);
  });
});

describe('readRetryAfter', () => {
  const nowMs = Date.parse('2026-11-20T10:00:00Z');
  const cases: readonly (readonly [string | string[] | undefined, number | undefined])[] = [
    ['7', 7_000],
    ['Fri, 20 Nov 2026 10:00:30 GMT', 30_000],
    ['999999999', 60 * 60 * 1000],
    ['0', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['Fri, 20 Nov 2026 09:59:00 GMT', undefined],
    ['soon', undefined],
    [['7', '8'], undefined],
    [undefined, undefined],
  ];
  for (const [header, ms] of cases) {
    it(`takes ${JSON.stringify(header)} for ${ms === undefined ? 'no wait' : `a wait of ${ms} ms`}`, () => {
      assert.equal(readRetryAfter(header, nowMs), ms);
    });
  }
});
