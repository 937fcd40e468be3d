// A gateway that cannot keep up: what it turns away it turns away at once, in words that clients know, and it goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway } from '../support/gateway.ts';
import { type Answer, send, toolCall } from '../support/mcp-http.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';

const CLIENTS = 150;

test('under overload requests are refused with 503 and Retry-After, and the rest is answered', async (t) => {
  const upstream = await startRecordingUpstream({ era: 'modern', onCall: () => '{}' });
  // One connection, so that calls wait for it; and any wait in a busy process is too long.
  const limits = { delay_ms: 1, connections_per_credential: 1 };
  const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }], limits });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  const call = (id: number): Promise<Answer> =>
    send(gateway.mcpUrl, { ...toolCall('rec.echo', { id: String(id) }), token: gateway.token() });
  const isOverloaded = async (): Promise<boolean> =>
    /^switchboard_overloaded 1$/m.test(await (await fetch(`${gateway.url}/metrics`)).text());

  const refused: Answer[] = [];
  let answered = 0;
  let isOver = false;
  const client = async (id: number): Promise<void> => {
    while (!isOver) {
      const answer = await call(id);
      if (answer.status === 200) answered++;
      else refused.push(answer);
      assert.equal(answer.message.id, id);
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, index) => client(index));
  await eventually(() => refused.length > 0, 20_000);
  const [before, length] = [answered, refused.length];
  await eventually(() => answered > before && refused.length > length, 20_000);
  assert.equal(await isOverloaded(), true);
  isOver = true;
  await Promise.all(clients);

  for (const { status, headers, message } of refused) {
    assert.deepEqual([status, headers['retry-after'], message.error?.code], [503, '1', -32603]);
    assert.deepEqual(message.error?.data, { source: 'gateway', reason: 'overloaded', retry_after_ms: 1000 });
  }
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  const counted = (name: string): number => Number(new RegExp(`^switchboard_${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
  assert.equal(counted('http_refusals_total\\{reason="overloaded"\\}'), refused.length);
  const waited = counted('calls_total\\{service="rec",tool="echo",outcome="limited"\\}');
  assert.ok(waited > 0, 'calls that waited when it began are refused, too');
  await eventually(async () => !(await isOverloaded()), 10_000);
  assert.equal((await call(1)).status, 200);
});
