import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { LOG_LEVELS, passesLog, saysMore } from '../../../src/protocol/log-level.ts';

function log(level: string) {
  const params = `{"level":${level},"data":1}`;
  const message = scanMessage(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/message","params":${params}}`));
  assert.ok(message.kind === 'notification');
  return message;
}

test('a message passes from the level on that was asked for', () => {
  for (const [at, from] of LOG_LEVELS.entries()) {
    const passing = LOG_LEVELS.filter((level) => passesLog(log(`"${level}"`), from));
    assert.deepEqual(passing, LOG_LEVELS.slice(at));
  }
});

test('who asked for none gets none', () => {
  assert.ok(LOG_LEVELS.every((level) => !passesLog(log(`"${level}"`), undefined)));
});

test('a message of no known level goes to who asked for all', () => {
  for (const level of ['"loud"', '7', 'null']) {
    assert.deepEqual([passesLog(log(level), 'debug'), passesLog(log(level), 'info')], [true, false]);
  }
});

test('a level says more than those behind it', () => {
  assert.ok(saysMore('debug', 'info') && saysMore('info', 'emergency'));
  assert.ok(!saysMore('info', 'info') && !saysMore('error', 'warning'));
});
