import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Outbox } from '../../../src/data-plane/outbox.ts';

function readAll(outbox: Outbox): string[] {
  const read: string[] = [];
  for (let count = -1; count !== read.length; ) {
    count = read.length;
    outbox.readOn((key, { data, number }) => read.push(`${number} ${key}=${data}`));
  }
  return read;
}

describe('an outbox', () => {
  test('hands out of each thing only the last, in the order in which they came', () => {
    const outbox = new Outbox({ keepsRead: false });
    for (const [key, data] of ['a1', 'b1', 'a2', 'c1', 'b2']) outbox.put(key!, Buffer.from(data!));
    assert.deepEqual(readAll(outbox), ['3 a=2', '4 c=1', '5 b=2']);
    assert.deepEqual(readAll(outbox), []);
    outbox.put('a', Buffer.from('3'));
    assert.deepEqual(readAll(outbox), ['6 a=3']);
  });

  test('goes back to what was read, if it is kept, and never forward', () => {
    const outbox = new Outbox({ start: 100, keepsRead: true });
    for (const key of 'abc') outbox.put(key, Buffer.from('x'));
    assert.deepEqual(readAll(outbox), ['101 a=x', '102 b=x', '103 c=x']);
    outbox.rewind(101);
    assert.deepEqual(readAll(outbox), ['102 b=x', '103 c=x']);
    outbox.rewind(999);
    outbox.put('a', Buffer.from('y'));
    assert.deepEqual(readAll(outbox), ['104 a=y']);
    outbox.rewind(0);
    assert.deepEqual(readAll(outbox), ['102 b=x', '103 c=x', '104 a=y']);
  });

  test('hands out a part when there is much', () => {
    const outbox = new Outbox({ keepsRead: false });
    for (let index = 0; index < 10; index++) outbox.put(`${index}`, Buffer.alloc(20_000));
    let count = 0;
    outbox.readOn(() => count++);
    assert.equal(count, 4);
    assert.equal(readAll(outbox).length, 6);
  });

  test('makes room by what was read, and says when there is none', () => {
    const outbox = new Outbox({ keepsRead: true });
    for (let index = 0; index < 1_000; index++) outbox.put(`read ${index}`, Buffer.from('x'));
    readAll(outbox);
    for (let index = 0; index < 1_100; index++) outbox.put(`owed ${index}`, Buffer.from('x'));
    assert.equal(outbox.isFull, true);
    assert.equal(outbox.has('read 999'), false);
    assert.equal(readAll(outbox).length, 1_100);
  });

  test('is full by bytes as well, and what was read makes room for them', () => {
    const outbox = new Outbox({ keepsRead: true });
    for (let index = 0; index < 16; index++) outbox.put(`${index}`, Buffer.alloc(16 * 1024));
    assert.equal(outbox.isFull, true);
    for (let index = 0; index < 16; index++) outbox.put(`${index}`, Buffer.alloc(15 * 1024));
    assert.equal(outbox.isFull, false);
    readAll(outbox);
    outbox.put('more', Buffer.alloc(64 * 1024));
    assert.equal(outbox.isFull, false);
    assert.equal(outbox.has('0'), false);
    assert.equal(outbox.has('15'), true);
  });

  test('has told everything by its last state, whatever came in between', () => {
    const step = fc.oneof(fc.record({ key: fc.constantFrom('a', 'b', 'c') }), fc.constant('read' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, keepsRead) => {
        const outbox = new Outbox({ keepsRead });
        const [last, told] = [new Map<string, string>(), new Map<string, string>()];
        let [count, numberBefore] = [0, 0];
        const read = (): void =>
          outbox.readOn((key, { data, number }) => {
            assert.ok(number > numberBefore);
            numberBefore = number;
            told.set(key, `${data}`);
          });
        for (const each of steps) {
          if (each === 'read') read();
          else {
            last.set(each.key, `${++count}`);
            outbox.put(each.key, Buffer.from(`${count}`));
          }
        }
        read();
        assert.deepEqual(new Map([...told].toSorted()), new Map([...last].toSorted()));
      }),
      { numRuns: 200 },
    );
  });
});
