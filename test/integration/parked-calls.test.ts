// Calls that wait for a person hold up nobody else, and those that run are as many as there are connections. The short
// version of the first; test/full has more blocks, and two comparisons.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { callModern, textOf } from '../support/asked-clients.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway } from '../support/gateway.ts';
import { send } from '../support/mcp-http.ts';
import { proveNeighboursAreAsFast } from '../support/parked-calls-proof.ts';
import { resultOf, ScriptedUpstream } from '../support/scripted-upstream.ts';
import { answer } from '../support/watched-upstream.ts';

test('64 calls that wait for a person leave the p99 of other calls on their credential within 10 %', (t) =>
  proveNeighboursAreAsFast(t, { blocks: 5, callsPerBlock: 300 }));

test('of many calls no more run than there are connections, and they open no more', async (t) => {
  const upstream = await ScriptedUpstream.start('modern');
  t.after(() => upstream.close());
  const limits = { connections_per_credential: 2 };
  const gateway = await startGateway({ configs: [{ name: 'svc', url: upstream.url }], limits });
  t.after(() => gateway.close());
  await callModern(gateway, { name: 'svc.echo' });
  // The gateway asks for several lists at once.
  const ports = Math.max(2, upstream.ports.size);
  let running = 0;
  let most = 0;
  const counted = Promise.withResolvers<void>();
  upstream.onCall = async (call) => {
    most = Math.max(most, ++running);
    await counted.promise;
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    running--;
    answer(call, { result: resultOf('modern', 'done') });
  };
  const calling = Promise.all(Array.from({ length: 100 }, () => callModern(gateway)));
  const metrics = async () => (await send(`${gateway.url}/metrics`, { method: 'GET', token: gateway.apiKey })).text;
  await eventually(async () => (await metrics()).includes('switchboard_calls_waiting{service="svc"} 98'));
  counted.resolve();
  const answers = await calling;
  assert.ok(answers.every((each) => textOf(each) === 'done'));
  assert.deepEqual([most, upstream.ports.size], [2, ports]);
});
