import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Route } from '../../../src/catalog/route.ts';
import { type CallLimits, CallsInFlight } from '../../../src/data-plane/calls-in-flight.ts';
import type { UpstreamCall } from '../../../src/data-plane/upstream-call.ts';
import { findMember } from '../../../src/protocol/json-scan.ts';
import { isSameId, scanMessage } from '../../../src/protocol/jsonrpc.ts';

const ROOMY: CallLimits = {
  callsPerToken: 1e6,
  callsPerUpstream: 1e6,
  calls: 1e6,
  bytesInFlight: 1e12,
  heapPercent: 100,
};

/** A clock that the sweep reads, and timers that run when it moves. */
interface Running {
  readonly calls: CallsInFlight;
  /** Moves the clock on, look by look. */
  pass(seconds: number): void;
  nowMs(): number;
}

function start(t: TestContext, limits: Partial<CallLimits> = {}, heapPercent = (): number => 0): Running {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000_000;
  const calls = new CallsInFlight({ ...ROOMY, ...limits }, () => nowMs, heapPercent);
  return {
    calls,
    nowMs: () => nowMs,
    pass: (seconds) => {
      for (let look = 0; look < seconds * 10; look++) {
        nowMs += 100;
        t.mock.timers.tick(100);
      }
    },
  };
}

interface Options {
  readonly token?: string;
  readonly conversation?: string;
  readonly era?: 'legacy' | 'modern';
  /** Raw JSON. */
  readonly id?: string;
  readonly bytes?: number;
  readonly route?: Route;
  readonly deadlineMs?: number;
}

/** What the sweep has done to a call. */
interface Told {
  expired: number;
  comments: number;
  destroyed: number;
}

const ROUTE = routeTo();

function routeTo(callLimits: { readonly calls?: number } = {}): Route {
  return { upstream: { calls: 0, callLimits } } as unknown as Route;
}

/** What the calls in flight see of a call. */
interface Seen {
  readonly call: UpstreamCall;
  readonly told: Told;
  readonly reply: { hasBegun: boolean; lastWriteMs: number; stalledSinceMs: number | undefined };
  isOpen: boolean;
}

function createCall(options: Options = {}): Seen {
  const { token = 'token', conversation = token, era = 'legacy', id = '1', bytes = 0, route = ROUTE } = options;
  const told: Told = { expired: 0, comments: 0, destroyed: 0 };
  const reply = { hasBegun: false, lastWriteMs: 0, stalledSinceMs: undefined as number | undefined };
  const seen = {
    told,
    reply: Object.assign(reply, { breakOff: () => void told.destroyed++ }),
    isOpen: true,
    call: {
      slot: -1,
      heldBytes: 0,
      conversation,
      route,
      reply,
      get isOpen() {
        return seen.isOpen;
      },
      expire: (nowMs: number) => {
        if (nowMs >= (options.deadlineMs ?? Infinity)) told.expired++;
      },
      keepAlive: () => void told.comments++,
      request: {
        ...requestOf(id, bytes),
        era,
        exchange: { principal: { token: { id: token } } },
      },
    } as unknown as UpstreamCall,
  };
  return seen;
}

function requestOf(id: string, bytes: number) {
  const message = scanMessage(Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"a"}`));
  assert.ok(message.kind === 'request');
  return { idText: id, id: message.id, message: { ...message, bytes: padded(message.bytes, bytes) } };
}

function padded(bytes: Buffer, length: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, length - bytes.length), ' ')]);
}

/** As a notification names it. */
function find(calls: CallsInFlight, conversation: string, requestId: string): UpstreamCall | undefined {
  const text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${requestId}}}`;
  const message = scanMessage(Buffer.from(text));
  assert.ok(message.kind === 'notification');
  const meant = findMember(message.params, 'requestId')!;
  const [call, ...others] = calls.find(conversation, ({ id, message: { bytes } }) =>
    isSameId(bytes, id, message.bytes, meant),
  );
  assert.equal(others.length, 0);
  return call;
}

suite('the clock', () => {
  test('gives a call up within a tenth of a second of its deadline, and not before', (t) => {
    const { calls, pass, nowMs } = start(t);
    const { call, told } = createCall({ deadlineMs: nowMs() + 5_550 });
    calls.add(call);
    pass(5.5);
    assert.equal(told.expired, 0);
    pass(0.1);
    assert.equal(told.expired, 1);
  });

  test('has a stream commented every 15 seconds in which nothing was written', (t) => {
    const { calls, pass, nowMs } = start(t);
    const { call, told, reply } = createCall();
    calls.add(call);
    Object.assign(reply, { hasBegun: true, lastWriteMs: nowMs() });
    pass(15);
    assert.equal(told.comments, 0);
    pass(0.1);
    assert.equal(told.comments, 1);
    reply.lastWriteMs = nowMs();
    pass(10);
    reply.lastWriteMs = nowMs();
    pass(15);
    assert.equal(told.comments, 1);
    pass(0.1);
    assert.equal(told.comments, 2);
  });

  test('leaves alone what has not begun, has ended, or has been answered', (t) => {
    const { calls, pass } = start(t);
    const [waiting, ended, answered] = [createCall(), createCall(), createCall()];
    for (const { call } of [waiting, ended, answered]) calls.add(call);
    for (const { reply } of [ended, answered]) reply.hasBegun = true;
    calls.remove(ended.call);
    answered.isOpen = false;
    pass(200);
    for (const { told } of [waiting, ended, answered])
      assert.deepEqual(told, { expired: 0, comments: 0, destroyed: 0 });
  });

  test('cuts a client off that has taken nothing for two minutes, and no other', (t) => {
    const { calls, pass, nowMs } = start(t);
    const [stalled, slow] = [createCall(), createCall()];
    for (const { call, reply } of [stalled, slow]) {
      calls.add(call);
      Object.assign(reply, { hasBegun: true, lastWriteMs: nowMs(), stalledSinceMs: nowMs() });
    }
    pass(119);
    // It takes something once in a while.
    slow.reply.stalledSinceMs = undefined;
    slow.reply.lastWriteMs = nowMs();
    pass(1);
    assert.deepEqual([stalled.told.destroyed, slow.told.destroyed], [0, 0]);
    slow.reply.stalledSinceMs = nowMs();
    pass(0.1);
    assert.deepEqual([stalled.told.destroyed, slow.told.destroyed], [1, 0]);
  });

  test('stops with the gateway', (t) => {
    const { calls, pass } = start(t);
    const { call, told } = createCall({ deadlineMs: 0 });
    calls.add(call);
    calls.close();
    pass(10);
    assert.equal(told.expired, 0);
  });

  test('does not trip over calls that end while it looks', (t) => {
    const { calls, pass } = start(t);
    const all = Array.from({ length: 20 }, () => createCall());
    for (const { call } of all) {
      calls.add(call);
      Object.assign(call, { expire: () => calls.remove(call) });
    }
    pass(1);
    assert.equal(calls.findLimit('token', ROUTE, 0), undefined);
    assert.equal(find(calls, 'token', '1'), undefined);
  });
});

suite('limits', () => {
  const rows: readonly [
    what: string,
    limits: Partial<CallLimits>,
    held: readonly Options[],
    limit: string | undefined,
  ][] = [
    ['room for one more', { callsPerToken: 2 }, [{}], undefined],
    ['as many calls as a token may have', { callsPerToken: 2 }, [{}, {}], 'token'],
    ['as many of another token', { callsPerToken: 2 }, [{ token: 'other' }, { token: 'other' }], undefined],
    ['as many calls as there may be', { calls: 2 }, [{ token: 'a' }, { token: 'b' }], 'process'],
    ['as many calls as an upstream may have', { callsPerUpstream: 1 }, [{ token: 'a' }], 'upstream'],
    ['a quarter of the bytes held by the token', { bytesInFlight: 4_000 }, [{ bytes: 950 }], 'token'],
    ['a quarter of the bytes held by another', { bytesInFlight: 4_000 }, [{ token: 'a', bytes: 950 }], undefined],
    [
      'all bytes held by others',
      { bytesInFlight: 4_000 },
      ['a', 'b', 'c', 'd'].map((token) => ({ token, bytes: 990 })),
      'process',
    ],
    ['the token’s own limit named before the gateway’s', { callsPerToken: 1, calls: 1 }, [{}], 'token'],
  ];
  for (const [what, limits, held, limit] of rows) {
    test(`with ${what} a call is ${limit === undefined ? 'admitted' : `over the limit of the ${limit}`}`, (t) => {
      const { calls } = start(t, limits);
      const route = routeTo();
      const all = held.map((options) => createCall({ route, ...options }).call);
      for (const call of all) calls.add(call);
      assert.equal(calls.findLimit('token', route, 100), limit);
      for (const call of all) calls.remove(call);
      assert.equal(calls.findLimit('token', route, 100), undefined);
    });
  }

  test('of an upstream may be its own', (t) => {
    const { calls } = start(t, { callsPerUpstream: 1 });
    const route = routeTo({ calls: 2 });
    calls.add(createCall({ route }).call);
    assert.equal(calls.findLimit('token', route, 0), undefined);
    calls.add(createCall({ route }).call);
    assert.equal(calls.findLimit('token', route, 0), 'upstream');
    assert.equal(calls.findLimit('token', routeTo(), 0), undefined);
  });

  test('of bytes hold for what is still being received', (t) => {
    const { calls } = start(t, { bytesInFlight: 4_000 });
    assert.equal(calls.tryHold('token', 900), true);
    assert.equal(calls.tryHold('token', 200), false);
    assert.equal(calls.findLimit('token', ROUTE, 200), 'token');
    for (const token of ['a', 'b', 'c']) assert.equal(calls.tryHold(token, 1_000), true);
    assert.equal(calls.tryHold('d', 200), false);
    calls.letGo('token', 900);
    assert.equal(calls.tryHold('d', 200), true);
    assert.equal(calls.tryHold('token', 200), true);
  });

  test('turn calls away while the heap is full', (t) => {
    let percent = 90;
    const { calls, pass } = start(t, { heapPercent: 85 }, () => percent);
    for (let count = 0; count < 32; count++) calls.add(createCall().call);
    assert.equal(calls.findLimit('token', ROUTE, 0), undefined);
    pass(1);
    assert.equal(calls.findLimit('token', ROUTE, 0), 'process');
    percent = 80;
    pass(1);
    assert.equal(calls.findLimit('token', ROUTE, 0), undefined);
  });

  test('let a few calls through a full heap, which lets it be collected', (t) => {
    const { calls, pass } = start(t, { heapPercent: 85 }, () => 100);
    calls.add(createCall().call);
    pass(1);
    assert.equal(calls.findLimit('token', ROUTE, 0), undefined);
  });
});

suite('the call that a legacy client means', () => {
  test('is the one of its conversation and id', (t) => {
    const { calls } = start(t);
    const own = createCall({ id: '1' }).call;
    const text = createCall({ id: '"1"' }).call;
    const elsewhere = createCall({ id: '1', conversation: 'another session' }).call;
    for (const call of [own, text, elsewhere]) calls.add(call);
    assert.equal(find(calls, 'token', '1'), own);
    assert.equal(find(calls, 'token', '"1"'), text);
    assert.equal(find(calls, 'another session', '1'), elsewhere);
    for (const [conversation, id] of [
      ['another session', '"1"'],
      ['token', '2'],
      ['token', 'null'],
      ['token', '{}'],
      ['nobody', '1'],
    ] as const) {
      assert.equal(find(calls, conversation, id), undefined);
    }
  });

  test('is found by an id that is spelled another way', (t) => {
    const { calls } = start(t);
    const { call } = createCall({ id: '"é/1"' });
    calls.add(call);
    for (const spelling of ['"é/1"', '"\\u00e9\\/1"', '"\\u00E9/\\u0031"']) {
      assert.equal(find(calls, 'token', spelling), call, spelling);
    }
  });

  test('is none of the modern era, and none that has been answered', (t) => {
    const { calls } = start(t);
    const answered = createCall({ id: '2' });
    calls.add(createCall({ era: 'modern', id: '1' }).call);
    calls.add(answered.call);
    answered.isOpen = false;
    assert.equal(find(calls, 'token', '1'), undefined);
    assert.equal(find(calls, 'token', '2'), undefined);
  });

  test('is found among all that have not ended, in whatever order calls come and go', (t) => {
    const { calls } = start(t);
    const route = routeTo();
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (ids) => {
        const open = new Map<number, UpstreamCall>();
        for (const id of ids) {
          const begun = open.get(id);
          if (begun === undefined) {
            const { call } = createCall({ id: String(id), token: `token ${id % 3}`, route });
            open.set(id, call);
            calls.add(call);
          } else {
            open.delete(id);
            calls.remove(begun);
          }
          for (let each = 0; each < 10; each++) {
            assert.equal(find(calls, `token ${each % 3}`, String(each)), open.get(each));
          }
        }
        for (const call of open.values()) calls.remove(call);
        assert.equal(route.upstream.calls, 0);
      }),
      { numRuns: 200 },
    );
  });
});
