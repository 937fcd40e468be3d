import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Link } from '../../../src/upstream/handshake.ts';
import { Links } from '../../../src/upstream/links.ts';

const IDLE_MS = 60_000;
const TICK_MS = 1_000;

function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = { nowMs: 0 };
  const ended: string[] = [];
  const onEnd = (link: Link) => ended.push(link.sessionId ?? '');
  const links = new Links({ idleMs: IDLE_MS, now: () => clock.nowMs, onEnd });
  const wait = (forMs: number) => {
    for (let leftMs = forMs; leftMs > 0; leftMs -= TICK_MS) {
      clock.nowMs += Math.min(leftMs, TICK_MS);
      t.mock.timers.tick(Math.min(leftMs, TICK_MS));
    }
  };
  return { links, ended, wait };
}

function toLink(sessionId: string): Link {
  return { era: 'legacy', revision: '2025-11-25', sessionId, headers: [], capabilities: '', calls: 0, usedAtMs: 0 };
}

describe('Links', () => {
  it('ends a conversation that has had no call for the idle time, within half as much again', (t) => {
    const { links, ended, wait } = start(t);
    links.set('c', toLink('s'));
    wait(IDLE_MS - 1);
    assert.deepEqual(ended, []);
    wait(1 + IDLE_MS / 2);
    assert.deepEqual([ended, links.get('c')], [['s'], undefined]);
  });

  it('counts the idle time from the end of the last call, however long it took', (t) => {
    const { links, ended, wait } = start(t);
    const link = toLink('s');
    links.set('c', link);
    links.acquire(link);
    wait(10 * IDLE_MS);
    links.release(link);
    wait(IDLE_MS / 2);
    assert.deepEqual(ended, []);
    wait(IDLE_MS);
    assert.deepEqual(ended, ['s']);
  });

  it('goes on sweeping as long as there are conversations, and again for later ones', (t) => {
    const { links, ended, wait } = start(t);
    links.set('a', toLink('a'));
    wait(IDLE_MS / 2);
    links.set('b', toLink('b'));
    wait(2 * IDLE_MS);
    links.set('c', toLink('c'));
    wait(2 * IDLE_MS);
    assert.deepEqual(ended, ['a', 'b', 'c']);
  });

  for (const [what, lose] of [
    ['was deleted', (links: Links) => links.delete('c')],
    ['was replaced', (links: Links) => links.set('c', toLink('newer'))],
    [
      'had to make room',
      (links: Links) => {
        for (let other = 0; other < 10_000; other++) links.set(`other ${other}`, toLink('other'));
      },
    ],
  ] as const) {
    it(`ends a conversation that ${what} only when the last call on it has ended`, (t) => {
      const { links, ended } = start(t);
      const link = toLink('s');
      links.set('c', link);
      links.acquire(link);
      links.acquire(link);
      lose(links);
      links.release(link);
      assert.equal(ended.includes('s'), false);
      links.release(link);
      assert.deepEqual(
        ended.filter((id) => id === 's'),
        ['s'],
      );
    });
  }

  it('deletes a link only where it is still the one in use', (t) => {
    const { links, ended } = start(t);
    const newer = toLink('newer');
    links.set('c', newer);
    assert.deepEqual([links.delete('c', toLink('older')), links.get('c')], [false, newer]);
    assert.deepEqual([links.delete('c', newer), ended], [true, ['newer']]);
  });

  it('counts a conversation until the upstream has been told of its end', (t) => {
    const { links } = start(t);
    const link = toLink('s');
    links.set('c', link);
    links.acquire(link);
    links.delete('c');
    assert.equal(links.size, 1);
    links.release(link);
    assert.equal(links.size, 0);
  });

  it('is unused when every call has ended, also those on links that were never its own', async (t) => {
    const { links } = start(t);
    const shared = toLink('');
    links.acquire(shared);
    links.acquire(shared);
    let isUnused = false;
    const unused = links.unused().then(() => (isUnused = true));
    links.release(shared);
    await Promise.resolve();
    assert.equal(isUnused, false);
    links.release(shared);
    await unused;
    await links.unused();
  });

  it('ends everything at once, once each, and leaves no timer behind', (t) => {
    const { links, ended, wait } = start(t);
    const lost = toLink('lost');
    links.set('a', lost);
    links.acquire(lost);
    links.delete('a');
    links.set('b', toLink('idle'));
    links.endAll();
    assert.deepEqual(ended, ['idle', 'lost']);
    links.release(lost);
    links.set('c', toLink('late'));
    wait(10 * IDLE_MS);
    assert.deepEqual(ended, ['idle', 'lost', 'late']);
  });
});
