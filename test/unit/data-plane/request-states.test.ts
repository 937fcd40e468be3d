import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestStates } from '../../../src/data-plane/request-states.ts';
import { createSealer } from '../../../src/vault/sealer.ts';

const OWNER = { tokenId: 'token', configId: 'config', method: 'tools/call', name: 'svc.tool' };
const HOUR_MS = 60 * 60 * 1000;

function create(): { states: RequestStates; clock: { nowMs: number } } {
  const clock = { nowMs: 1_000_000 };
  const states = new RequestStates({ sealer: createSealer(randomBytes(32), 'test'), now: () => clock.nowMs });
  return { states, clock };
}

test('the state of an upstream comes back as the bytes it was', () => {
  const { states } = create();
  fc.assert(
    fc.property(fc.string(), (state) => {
      const raw = Buffer.from(JSON.stringify(state)).toString('latin1');
      assert.deepEqual(states.open(OWNER, states.sealUpstream(OWNER, raw)), { kind: 'upstream', raw });
    }),
  );
});

test('a state opens for no other token, config, method or name', () => {
  const { states } = create();
  const sealed = states.sealParked(OWNER, 'id', 1_000);
  assert.deepEqual(states.open(OWNER, sealed), { kind: 'parked', id: 'id' });
  for (const key of ['tokenId', 'configId', 'method', 'name'] as const) {
    assert.equal(states.open({ ...OWNER, [key]: 'other' }, sealed), undefined, key);
  }
  // Fields that run together differently are other fields.
  assert.equal(states.open({ ...OWNER, tokenId: 'token","config', configId: '' }, sealed), undefined);
});

test('a state that was changed or made up does not open', () => {
  const { states } = create();
  const sealed = states.sealUpstream(OWNER, '"s"');
  for (const forged of ['', 'x', sealed.slice(1), `${sealed}A`, `A${sealed.slice(1)}`, '"s"', '\ud800']) {
    assert.equal(states.open(OWNER, forged === sealed ? '' : forged), undefined, forged);
  }
  assert.equal(create().states.open(OWNER, sealed), undefined);
});

test('a state has its time', () => {
  const { states, clock } = create();
  const parked = states.sealParked(OWNER, 'id', 600_000);
  const upstream = states.sealUpstream(OWNER, '"s"');
  clock.nowMs += 599_999;
  assert.equal(states.open(OWNER, parked)?.kind, 'parked');
  clock.nowMs += 1;
  assert.equal(states.open(OWNER, parked), undefined);
  assert.equal(states.open(OWNER, upstream)?.kind, 'upstream');
  clock.nowMs += HOUR_MS;
  assert.equal(states.open(OWNER, upstream), undefined);
});
