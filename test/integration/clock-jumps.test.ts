// A wall clock that is set back, as after a wrong start or by an operator: nothing waits for the time to come again.

import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const HOUR_MS = 3_600_000;

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
  readonly setBack: () => void;
}

async function start(t: TestContext, hangs: boolean): Promise<Running> {
  let nowMs = Date.now();
  const upstream = await startRecordingUpstream({ era: 'legacy', intercept: () => hangs });
  const configs = [{ name: 'rec', url: upstream.url }];
  const limits = { list_wait_ms: 300, list_ttl_ms: 60_000 };
  const gateway = await startGateway({ configs, limits, now: () => nowMs });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  return {
    gateway,
    upstream,
    setBack: () => {
      nowMs -= HOUR_MS;
    },
  };
}

async function list({ gateway }: Running): Promise<string> {
  return (await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() })).text;
}

suite('when the clock is set back', { concurrency: true }, () => {
  test('a list waits no longer for an upstream that hangs', async (t) => {
    const running = await start(t, true);
    await list(running);
    running.setBack();
    const startedMs = performance.now();
    await list(running);
    assert.ok(performance.now() - startedMs < 2_000);
  });

  test('a list that is older than the clock says is asked for again', async (t) => {
    const running = await start(t, false);
    await eventually(async () => (await list(running)).includes('rec.echo'));
    running.setBack();
    running.upstream.setTools(['{"name":"new","inputSchema":{"type":"object"}}']);
    await eventually(async () => (await list(running)).includes('rec.new'));
  });
});
