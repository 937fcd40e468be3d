import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { UpstreamFailureReason } from '../../../src/domain/errors.ts';
import { judgeHealth, UpstreamError } from '../../../src/upstream/failure.ts';

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
  suspended: undefined,
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
});
