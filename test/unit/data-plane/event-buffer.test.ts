import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CallEvents, EventBuffers, type Taker } from '../../../src/data-plane/event-buffer.ts';
import { toEvent } from '../../../src/data-plane/reply.ts';
import type { Session } from '../../../src/data-plane/sessions.ts';
import { EVENT_END, EVENT_HEAD } from '../../../src/protocol/sse.ts';

function sessionOf(nonce: string, revision = '2025-11-25'): Session {
  return { nonce, revision, expiresAtMs: 0 } as Session;
}

const SESSION = sessionOf('one');
const COMMENT = Buffer.from(':\n\n');

function after(events: CallEvents, number: number): string | undefined {
  return events.after(number)?.toString();
}

describe('the events of a call', () => {
  test('get ids that count, in whatever parts they are written, and comments get none', () => {
    const events = new EventBuffers().begin(SESSION);
    assert.equal(events.opening().toString(), `id: ${events.id}-0\nretry: 1000\ndata: \n\n`);
    const [first, second] = [`id: ${events.id}-1\n`, `id: ${events.id}-2\n`];
    const parts = [EVENT_HEAD, Buffer.from('{"a":'), Buffer.from('\ndata: '), Buffer.from('1}'), EVENT_END];
    const sent = [...parts, COMMENT, toEvent(Buffer.from('{}'))].map((part) => events.take(part)).join('');
    const one = `${first}event: message\ndata: {"a":\ndata: 1}\n\n`;
    const two = `${second}event: message\ndata: {}\n\n`;
    assert.equal(sent, `${one}:\n\n${two}`);
    assert.deepEqual(
      [0, 1, 2, 3].map((number) => after(events, number)),
      [one + two, two, '', undefined],
    );
  });

  test('of earlier revisions begin with no event that has no data', () => {
    assert.equal(new EventBuffers().begin(sessionOf('one', '2025-06-18')).opening().length, 0);
  });

  test('are found under their own session and id alone', () => {
    const buffers = new EventBuffers();
    const events = buffers.begin(SESSION);
    assert.equal(buffers.find(SESSION, events.id), events);
    assert.equal(buffers.find(sessionOf('two'), events.id), undefined);
    assert.equal(buffers.find(SESSION, 'other'), undefined);
    buffers.endSession(sessionOf('two'));
    assert.equal(buffers.find(SESSION, events.id), events);
    buffers.endSession(SESSION);
    assert.equal(buffers.find(SESSION, events.id), undefined);
    assert.equal(buffers.bytes, 0);
  });

  test('are given up when they are too much, and go on without being kept', () => {
    const buffers = new EventBuffers();
    const events = buffers.begin(SESSION);
    const large = toEvent(Buffer.alloc(100 * 1024, 0x20));
    for (let count = 0; count < 2; count++) events.take(large);
    assert.ok(after(events, 0));
    events.take(EVENT_HEAD);
    for (let count = 0; count < 100; count++) events.take(Buffer.alloc(10 * 1024, 0x20));
    events.take(EVENT_END);
    assert.equal(after(events, 0), undefined);
    assert.equal(buffers.bytes, 0);
    assert.equal(events.take(EVENT_HEAD).toString(), `id: ${events.id}-4\n${EVENT_HEAD}`);
  });

  test('count from their first byte, and hold no more than was written, in however small parts', () => {
    const buffers = new EventBuffers();
    const large = Buffer.alloc(16 * 1024 * 1024, 0x20);
    const begun = Array.from({ length: 100 }, () => {
      const events = buffers.begin(SESSION);
      for (const part of [EVENT_HEAD, large.subarray(0, 200 * 1024)]) events.take(part);
      return events;
    });
    assert.ok(buffers.bytes > 15 * 1024 * 1024 && buffers.bytes <= 16 * 1024 * 1024, `${buffers.bytes}`);
    assert.equal(after(begun[0]!, 0), undefined);
    const trickled = begun.at(-1)!;
    for (let count = 0; count < 10_000; count++) trickled.take(large.subarray(0, 1));
    trickled.take(EVENT_END);
    const event = trickled.after(0)!;
    assert.equal(event.length, `id: ${trickled.id}-1\n`.length + EVENT_HEAD.length + 200 * 1024 + 10_000 + 2);
    assert.ok(event.buffer.byteLength < 2 * event.length);
    trickled.giveUp();
    for (const events of begun) events.giveUp();
    assert.equal(buffers.bytes, 0);
  });

  test('are forgotten five minutes after their end, and not while they go on', (t) => {
    let nowMs = 1_000;
    t.mock.method(performance, 'now', () => nowMs);
    const buffers = new EventBuffers();
    const [ended, live] = [buffers.begin(SESSION), buffers.begin(SESSION)];
    ended.end();
    nowMs += 5 * 60_000 - 1;
    buffers.tend(nowMs);
    assert.equal(buffers.find(SESSION, ended.id), ended);
    nowMs++;
    buffers.tend(nowMs);
    assert.equal(buffers.find(SESSION, ended.id), undefined);
    assert.equal(buffers.find(SESSION, live.id), live);
  });

  test('are forgotten sooner where sessions may be idle for less', (t) => {
    let nowMs = 1_000;
    t.mock.method(performance, 'now', () => nowMs);
    const buffers = new EventBuffers(2_000);
    const ended = buffers.begin(SESSION);
    ended.end();
    nowMs += 2_000;
    buffers.tend(nowMs);
    assert.equal(buffers.find(SESSION, ended.id), undefined);
    assert.equal(buffers.bytes, 0);
  });

  test('of all calls together take no more than they may: those that ended first make room', () => {
    const buffers = new EventBuffers();
    const event = toEvent(Buffer.alloc(200 * 1024, 0x20));
    const live = buffers.begin(SESSION);
    live.take(event);
    const all = Array.from({ length: 100 }, () => {
      const events = buffers.begin(SESSION);
      events.take(event);
      events.end();
      return events;
    });
    assert.ok(buffers.bytes <= 16 * 1024 * 1024);
    assert.equal(buffers.find(SESSION, live.id), live);
    assert.equal(after(all[0]!, 0), undefined);
    assert.ok(after(all[99]!, 0));
    for (let count = 0; count < 20_000; count++) buffers.begin(SESSION).end();
    assert.ok(buffers.bytes <= 16 * 1024 * 1024);
  });

  test('are told to one who takes them up, the last to ask', () => {
    const events = new EventBuffers().begin(SESSION);
    const told: string[] = [];
    const taker = (name: string): Taker => ({
      onEvent: () => told.push(`${name} event`),
      onEnd: () => told.push(`${name} end`),
      onLost: () => told.push(`${name} lost`),
    });
    events.onTakenUp = () => told.push('taken up');
    const [one, two] = [taker('one'), taker('two')];
    events.takeUp(one);
    events.take(toEvent(Buffer.from('{}')));
    events.takeUp(two);
    events.take(toEvent(Buffer.from('{}')));
    events.leave(one);
    events.end();
    events.end();
    assert.deepEqual(told, ['taken up', 'one event', 'one lost', 'two event', 'two end']);
  });
});
