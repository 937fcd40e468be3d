import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { CallReason } from '../../../src/audit-log/call-record.ts';
import { type ParkedCall, ParkedCalls, type ParkedCallsOptions } from '../../../src/data-plane/parked-calls.ts';
import { RequestStates } from '../../../src/data-plane/request-states.ts';
import { createSealer } from '../../../src/vault/sealer.ts';

const OWNER = { tokenId: 'token', configId: 'config', method: 'tools/call', name: 'svc.tool' };

interface Seen extends ParkedCall {
  readonly ends: CallReason[];
}

function start(t: TestContext, options: Partial<ParkedCallsOptions> = {}) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000_000;
  const now = (): number => nowMs;
  const states = new RequestStates({ sealer: createSealer(randomBytes(32), 'test'), now });
  const parked = new ParkedCalls<Seen>({ states, now, ...options });
  t.after(() => parked.close());
  const upstream = {};
  const create = (to: object = upstream): Seen => {
    const ends: CallReason[] = [];
    return { upstream: to, ends, endParked: (why) => ends.push(why) };
  };
  const takeBy = (state: string | undefined, owner = OWNER): Seen | undefined => {
    const opened = state === undefined ? undefined : states.open(owner, state);
    return opened?.kind === 'parked' ? parked.take(opened.id) : undefined;
  };
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 1000) {
      nowMs += 1000;
      t.mock.timers.tick(1000);
    }
  };
  return { parked, create, takeBy, pass };
}

test('a call is taken by the state of its owner, once', (t) => {
  const { parked, create, takeBy } = start(t);
  const call = create();
  const other = create();
  const state = parked.park(OWNER, call);
  parked.park(OWNER, other);
  assert.equal(takeBy(state), call);
  assert.equal(takeBy(state), undefined);
  assert.deepEqual([call.ends, other.ends, parked.count], [[], [], 1]);
});

test('the state of another token or for another tool is unknown, and the call waits on', (t) => {
  const { parked, create, takeBy } = start(t);
  const call = create();
  const state = parked.park(OWNER, call);
  assert.equal(takeBy(state, { ...OWNER, tokenId: 'thief' }), undefined);
  assert.equal(takeBy(state, { ...OWNER, name: 'svc.other' }), undefined);
  assert.equal(takeBy('forged'), undefined);
  assert.equal(takeBy(state), call);
});

test('a call that is parked again has another state', (t) => {
  const { parked, create, takeBy } = start(t);
  const call = create();
  const first = parked.park(OWNER, call);
  assert.equal(takeBy(first), call);
  const second = parked.park(OWNER, call);
  assert.equal(takeBy(first), undefined);
  assert.equal(takeBy(second), call);
});

test('a call that nobody comes back for is ended', (t) => {
  const { parked, create, takeBy, pass } = start(t);
  const early = create();
  const state = parked.park(OWNER, early);
  pass(300_000);
  const late = create();
  parked.park(OWNER, late);
  pass(300_000);
  assert.deepEqual([early.ends, late.ends], [['input_missing'], []]);
  assert.equal(takeBy(state), undefined);
  pass(300_000);
  assert.deepEqual([early.ends, late.ends, parked.count], [['input_missing'], ['input_missing'], 0]);
});

test('calls are bounded for each upstream, each token and in all', (t) => {
  const { parked, create, takeBy } = start(t, { perUpstream: 2, perToken: 3, total: 4 });
  const [a, b] = [{}, {}];
  const state = parked.park(OWNER, create(a));
  assert.ok(parked.park(OWNER, create(a)));
  assert.equal(parked.park(OWNER, create(a)), undefined, 'of the upstream');
  assert.ok(parked.park(OWNER, create(b)));
  assert.equal(parked.park(OWNER, create({})), undefined, 'of the token');
  assert.ok(parked.park({ ...OWNER, tokenId: 'other' }, create(b)));
  assert.equal(parked.park({ ...OWNER, tokenId: 'third' }, create({})), undefined, 'in all');
  assert.ok(takeBy(state));
  assert.ok(parked.park(OWNER, create(a)));
});

test('the calls of whoever is gone are ended, the others wait on', (t) => {
  const { parked, create } = start(t);
  const [gone, here] = [create(), create()];
  parked.park(OWNER, gone);
  parked.park(OWNER, here);
  parked.endWhere((call) => call === gone, 'token_revoked');
  assert.deepEqual([gone.ends, here.ends, parked.count], [['token_revoked'], [], 1]);
});

test('on a stop all are ended, and none is parked any more', (t) => {
  const { parked, create } = start(t);
  const call = create();
  parked.park(OWNER, call);
  parked.close();
  assert.deepEqual([call.ends, parked.count], [['input_missing'], 0]);
  assert.equal(parked.park(OWNER, create()), undefined);
});
