import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../../src/domain/errors.ts';
import type { LogLevel } from '../../../src/telemetry/log-levels.ts';
import { createLogger, LOG_FIELDS, type LogFields } from '../../../src/telemetry/logger.ts';

const CANARY = 'canary-7f3a';

/** What a log call writes: the raw lines, and the records read back. */
function capture(level: LogLevel, use: (log: ReturnType<typeof createLogger>) => void) {
  const lines: string[] = [];
  use(createLogger({ level, destination: { write: (line) => lines.push(line) } }));
  return { text: lines.join(''), records: lines.map((line): Record<string, unknown> => JSON.parse(line)) };
}

/** Fields as a careless caller could pass them, past the type checker. */
function careless(fields: object): LogFields {
  return fields as LogFields;
}

describe('records', () => {
  test('a record is one JSON line with level, time, event and the declared fields', () => {
    const { text, records } = capture('info', (log) =>
      log.info('upstream connected', { service: 'github', attempt: 2, status: null }),
    );
    assert.equal(text.split('\n').length, 2);
    const { time, ...record } = records[0]!;
    assert.deepEqual(record, {
      level: 'info',
      event: 'upstream connected',
      service: 'github',
      attempt: 2,
      status: null,
    });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test('a level below the configured one writes nothing', () => {
    const { records } = capture('warn', (log) => {
      log.debug('a');
      log.info('b');
      log.warn('c');
      log.error('d');
    });
    assert.deepEqual(
      records.map(({ event }) => event),
      ['c', 'd'],
    );
  });

  test('a silent log writes nothing', () => {
    assert.equal(capture('silent', (log) => log.error('x')).text, '');
  });

  test('placeholders in an event are text', () => {
    const { records } = capture('info', (log) => log.info('100%s %o %j', { service: 'github' }));
    assert.equal(records[0]!.event, '100%s %o %j');
  });

  test('long text is cut', () => {
    const { records } = capture('info', (log) => log.info('x'.repeat(5000), { tool: 'y'.repeat(5000) }));
    assert.equal(String(records[0]!.event).length, 1025);
    assert.equal(String(records[0]!.tool).length, 1025);
  });

  test('control and invisible characters are spelled out, so a line cannot drive a terminal or forge a record', () => {
    const { text, records } = capture('info', (log) => {
      log.info('a\u001b[2J', { tool: 'x\r\n{"level":"info"}\u202e\u2028\u0085\u{e0001}' });
    });
    assert.equal(records.length, 1);
    assert.equal(records[0]!.event, 'a\\u001b[2J');
    assert.equal(records[0]!.tool, 'x\\u000d\\u000a{"level":"info"}\\u202e\\u2028\\u0085\\ue0001');
    assert.doesNotMatch(text.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });
});

describe('errors', () => {
  test('an error of ours is written as code and message', () => {
    const { records } = capture('info', (log) =>
      log.warn('reload failed', { error: new GatewayError('conflict', 'The name is taken.', { cause: CANARY }) }),
    );
    assert.deepEqual(records[0]!.error, { code: 'conflict', message: 'The name is taken.' });
  });

  test('of a foreign error only the name is written', () => {
    const { records } = capture('info', (log) => log.error('bug', { error: new TypeError(CANARY) }));
    assert.deepEqual(records[0]!.error, { name: 'TypeError' });
  });

  test('at level debug the frames are written, without the message', () => {
    const { text, records } = capture('debug', (log) => log.error('bug', { error: new TypeError(`bad ${CANARY}`) }));
    const { name, stack } = records[0]!.error as { name: string; stack: string[] };
    assert.equal(name, 'TypeError');
    assert.match(stack[0] ?? '', /^at .*logger\.test\.ts:\d+:\d+\)?$/);
    assert.doesNotMatch(text, new RegExp(CANARY));
  });

  test('something thrown that is no error is written as its type', () => {
    const { records } = capture('debug', (log) => log.error('bug', { error: CANARY }));
    assert.deepEqual(records[0]!.error, { name: 'string' });
  });
});

describe('a secret never appears', () => {
  const changed = new Error(`x\n    at ${CANARY}`);
  changed.message = 'harmless';
  const named = new Error('x');
  named.name = `Bearer ${CANARY}`;
  const places: readonly [place: string, fields: object][] = [
    ['in an unlisted field', { authorization: CANARY }],
    ['in a field that spells a listed one differently', { Service: CANARY }],
    ['in a field that pino would understand', { err: new Error(CANARY), msg: CANARY, req: { headers: CANARY } }],
    ['as the name of a field', { [CANARY]: 1 }],
    ['in an object in a listed field', { service: { value: CANARY } }],
    ['in an array in a listed field', { tool: [CANARY] }],
    ['in an object with a toJSON method', { tool: { toJSON: () => CANARY } }],
    ['in a function, a symbol or a bigint', { tool: () => CANARY, service: Symbol(CANARY) }],
    ['in an inherited field', Object.create({ service: CANARY })],
    ['in the message of a foreign error', { error: new Error(CANARY) }],
    ['in a message of several lines that imitates frames', { error: new Error(`x\n    at ${CANARY}\n    at b`) }],
    ['in a message that was changed afterwards', { error: changed }],
    ['in the name of a foreign error', { error: named }],
    ['in the cause of an error', { error: new Error('x', { cause: new Error(CANARY) }) }],
    ['in the cause of an error of ours', { error: new GatewayError('internal', 'x', { cause: new Error(CANARY) }) }],
    ['in the data of an error of ours', { error: new GatewayError('internal', 'x', { data: { a: CANARY } }) }],
    ['in a property of a foreign error', { error: Object.assign(new Error('x'), { headers: CANARY }) }],
    ['in an aggregate', { error: new AggregateError([new Error(CANARY)], 'x') }],
    ['in a thrown object', { error: { message: CANARY } }],
  ];
  for (const [place, fields] of places) {
    test(place, () => {
      const { text, records } = capture('debug', (log) => log.error('bug', careless(fields)));
      assert.equal(records.length, 1);
      assert.doesNotMatch(text, new RegExp(CANARY));
    });
  }

  test('under any name that is not declared, at any depth', () => {
    const name = fc.string().filter((text) => text !== 'error' && !LOG_FIELDS.some((field) => field === text));
    const nested = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, fc.constant(CANARY), fc.array(tie('tree')), fc.dictionary(name, tie('tree'))),
    })).tree;
    fc.assert(
      fc.property(fc.dictionary(name, nested), (fields) => {
        assert.doesNotMatch(capture('debug', (log) => log.info('x', careless(fields))).text, new RegExp(CANARY));
      }),
      { numRuns: 300 },
    );
  });
});
