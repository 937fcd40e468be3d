import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IsoClock, toCallLine, toGapLine, toSubjectText } from '../../../src/audit-log/call-record.ts';
import { CALL_END } from '../../support/audit-log.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const SUBJECT = {
  accountId: 'acct_default',
  tokenId: 'tok_1',
  tool: 'github.search_issues',
  config: { id: 'mcp_1', name: 'github-readonly', revision: 3 },
  pattern: 'search_*',
  narrowingPattern: null,
  epoch: 7,
};

test('a call is one JSON line with who, what, by whose decision, how it ended and how long it took', () => {
  const line = toCallLine('2026-11-21T12:00:00.000Z', toSubjectText(SUBJECT), {
    ...CALL_END,
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  });
  assert.equal(line.indexOf('\n'), line.length - 1);
  assert.deepEqual(JSON.parse(line), {
    time: '2026-11-21T12:00:00.000Z',
    account: 'acct_default',
    token: 'tok_1',
    tool: 'github.search_issues',
    config: 'github-readonly@3',
    config_id: 'mcp_1',
    pattern: 'search_*',
    narrowing_pattern: null,
    epoch: 7,
    method: 'tools/call',
    outcome: 'answered',
    reason: null,
    era: 'modern',
    ms: 1.5,
    upstream_ms: 1.25,
    request_bytes: 100,
    response_bytes: 200,
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  });
});

test('whatever a client calls a tool, its record is one line of ASCII that says exactly that', () => {
  fc.assert(
    fc.property(fc.string({ unit: CODE_POINT }), (tool) => {
      const subject = { ...SUBJECT, tool, config: null, pattern: null, epoch: null };
      const line = toCallLine('t', toSubjectText(subject), { ...CALL_END, upstreamMs: null });
      assert.match(line, /^[ -~]*\n$/);
      assert.equal(JSON.parse(line).tool, tool);
    }),
    { numRuns: 40 },
  );
});

test('a gap says whose calls are missing, how many, and why', () => {
  assert.deepEqual(JSON.parse(toGapLine('t', 'acct_"', 'dropped', 12)), { time: 't', account: 'acct_"', dropped: 12 });
});

test('the clock tells the time as ISO 8601, at any two moments after another', () => {
  const time = fc.integer({ min: 0, max: Date.parse('2100-01-01') });
  fc.assert(
    fc.property(time, fc.integer({ min: -5000, max: 5000 }), (timeMs, stepMs) => {
      const clock = new IsoClock();
      for (const at of [timeMs, Math.max(0, timeMs + stepMs)]) assert.equal(clock.at(at), new Date(at).toISOString());
    }),
  );
});
