import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { Pool } from 'undici';
import type { Link } from '../../../src/upstream/handshake.ts';
import { type LinkStream, openLinkStream } from '../../../src/upstream/link-stream.ts';
import { eventually } from '../../support/eventually.ts';
import { type Asked, beginStream, tell, WatchedUpstream } from '../../support/watched-upstream.ts';

async function start(t: TestContext, script: (asked: Asked) => void) {
  const upstream = await new WatchedUpstream(script).listen();
  const pool = new Pool(upstream.url, { bodyTimeout: 0 });
  const told: string[] = [];
  const link = { era: 'legacy', sessionId: 's', headers: ['mcp-session-id', 's'] } as unknown as Link;
  const open = (): LinkStream =>
    openLinkStream({
      pool,
      path: '/mcp',
      link,
      onMessage: ({ kind, method }) => told.push(`${kind} ${method}`),
      onClose: () => {},
    });
  t.after(async () => {
    pool.destroy().catch(() => undefined);
    await upstream.close();
  });
  return { upstream, told, open };
}

const ELICIT = { jsonrpc: '2.0', id: 'e', method: 'elicitation/create', params: {} };

suite("the GET stream of a client's session upstream", () => {
  test('is open when its headers are here, and passes on what is asked and told', async (t) => {
    const { upstream, told, open } = await start(t, (asked) => beginStream(asked));
    const stream = open();
    await stream.opened;
    const [asked] = upstream.asked;
    assert.equal(asked!.headers['mcp-session-id'], 's');
    tell(asked!, ELICIT);
    tell(asked!, { jsonrpc: '2.0', id: 'r', result: {} });
    tell(asked!, 'no JSON');
    tell(asked!, { jsonrpc: '2.0', method: 'notifications/elicitation/complete' });
    await eventually(() => told.length === 2);
    assert.deepEqual(told, ['request elicitation/create', 'notification notifications/elicitation/complete']);
    stream.close();
    await eventually(() => asked!.isOver);
    assert.equal(upstream.asked.length, 1);
  });

  test('that there is not is known at once, and not asked for again', async (t) => {
    const { upstream, open } = await start(t, ({ response }) => response.writeHead(405).end());
    const stream = open();
    await stream.opened;
    stream.close();
    assert.equal(upstream.asked.length, 1);
  });

  test('that breaks is taken up where it broke', async (t) => {
    const { upstream, told, open } = await start(t, (asked) => beginStream(asked));
    const stream = open();
    await stream.opened;
    tell(upstream.asked[0]!, ELICIT, 'event-1');
    await eventually(() => told.length === 1);
    upstream.asked[0]!.response.end('retry: 5\n\n');
    const second = await eventually(() => upstream.asked[1]);
    assert.equal(second.headers['last-event-id'], 'event-1');
    tell(second, ELICIT);
    await eventually(() => told.length === 2);
    stream.close();
  });

  test('that is closed before it is open holds nobody up', async (t) => {
    const { upstream, open } = await start(t, () => undefined);
    const stream = open();
    stream.close();
    await stream.opened;
    await eventually(() => upstream.asked.every(({ isOver }) => isOver));
  });
});
