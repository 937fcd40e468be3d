// What targets are asked, and which answers count.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { problemOf, toArguments, toCall } from '../../../bench/calls.ts';
import { toReason } from '../../../bench/scenario.ts';
import { GATEWAY_FLAG } from '../../../bench/targets.ts';
import { toMockList, toMockResult } from '../../../src/load/mock-result.ts';

const ENDPOINT = { url: 'http://127.0.0.1:1/mcp', era: 'modern', tool: 'bench.echo', token: 't' } as const;

function answer(result: string, id = 7): string {
  return `{"result":${result},"jsonrpc":"2.0","id":${id}}`;
}

test('calls carry what their era asks for', () => {
  const modern = toCall(ENDPOINT, { hasProgress: true });
  assert.equal(modern.headers['mcp-name'], 'bench.echo');
  assert.deepEqual(Object.keys(JSON.parse(modern.body).params._meta)[0], 'progressToken');
  const list = toCall({ ...ENDPOINT, era: 'legacy', sessionId: 's' }, { method: 'tools/list' });
  assert.equal(list.headers['mcp-session-id'], 's');
  assert.deepEqual(JSON.parse(list.body), { method: 'tools/list', params: {}, jsonrpc: '2.0', id: 7 });
});

test('arguments have about the size that is wanted', () => {
  for (const shape of ['string', 'dense'] as const) {
    const text = toArguments(100_000, shape);
    assert.ok(Math.abs(text.length - 100_000) < 200, `${shape} ${text.length}`);
    assert.equal(typeof JSON.parse(text).text, 'string');
  }
});

test('right answers are those of the mock upstream, in JSON or as the last event', () => {
  for (const shape of ['string', 'dense'] as const) {
    assert.equal(problemOf(answer(toMockResult('modern', 4000, shape)), { bytes: 3900 }), undefined);
  }
  assert.equal(problemOf(answer(toMockList('legacy', 20)), { tools: 20 }), undefined);
  const progress = '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}';
  const events = [progress, answer(toMockResult('legacy', 200, 'string'))].map(
    (each) => `event: message\ndata: ${each}\n\n`,
  );
  assert.equal(problemOf(events.join(''), { progressEvents: 1 }), undefined);
  assert.equal(problemOf(events.join(''), {}), '1 events of progress');
});

test('any other answer is a problem', () => {
  const result = toMockResult('legacy', 200, 'string');
  assert.equal(problemOf(answer(result, 8), {}), 'an answer under another id');
  assert.equal(problemOf('', {}), 'no JSON');
  assert.equal(problemOf('data: {', {}), 'no JSON');
  assert.equal(problemOf('{"jsonrpc":"2.0","id":7,"error":{}}', {}), 'no result');
  assert.equal(problemOf(answer('{"content":[],"isError":true}'), {}), 'no result');
  assert.equal(problemOf(answer('{"content":[{"type":"text","text":"else"}]}'), {}), 'another result');
  assert.equal(problemOf(answer(result), { bytes: 1000 }), 'fewer than 1000 bytes');
  assert.equal(problemOf(answer(toMockList('legacy', 19)), { tools: 20 }), 'not 20 tools');
});

test('the pipe with a flag has the one that the gateway sets', () => {
  const program = readFileSync(join(import.meta.dirname, '../../../src/switchboard.cjs'), 'utf8');
  assert.deepEqual(
    [...program.matchAll(/setFlagsFromString\('(.*?)'\)/g)].map(([, flag]) => flag),
    [GATEWAY_FLAG],
  );
});

test('reasons are one line, without a path of this machine', () => {
  assert.equal(toReason(new Error('node /tmp/x-1/y/z.ts: it ended\nat /home/a')), 'node z.ts: it ended');
  assert.equal(toReason('http://127.0.0.1:80/mcp refused'), 'http://127.0.0.1:80/mcp refused');
});
