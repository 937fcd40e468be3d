// A thousand patterns that all have to be tried on ten thousand names: what is admitted is found out while everybody else
// is served, and until then nothing of it is.

import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { startListingUpstream, toolNamed } from '../support/listing-upstream.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';

const NAMES = Array.from({ length: 10_000 }, (_, index) => `t${index}`);
/** Of none of them can be told from how a name begins or ends whether it fits. */
const patternsWith = (last: string) => [...Array.from({ length: 999 }, (_, index) => `*${index}_?*`), `*${last}*`];
/** Held against each other in one go, they would take more than a second. */
const LONGEST_MS = 500;

test('ten thousand tools under a thousand patterns hold up nobody, and what they admit is complete when it comes', async (t) => {
  const tools = NAMES.map((name) => toolNamed(name));
  const { upstream } = await startListingUpstream({ era: 'modern', tools }, () => `{"tools":[${tools.join()}]}`);
  t.after(() => upstream.close());
  const options = (last: string) => ({
    configs: [{ name: 'rec', url: upstream.url, allowedTools: patternsWith(last) }],
    limits: { list_wait_ms: 20_000 },
  });
  const gateway = await startGateway(options('77'));
  t.after(() => gateway.close());
  const token = gateway.token();
  const call = async (name: string) =>
    (await send(gateway.mcpUrl, { ...toolCall(name, { era: 'modern' }), token })).text;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  for (const [last, other] of [
    ['77', '88'],
    ['88', '77'],
  ] as const) {
    if (last === '88') await gateway.reload(options(last));
    const [hidden, shown, listed] = await Promise.all([
      call(`rec.t${other}`),
      call(`rec.t${last}`),
      send(gateway.mcpUrl, { ...mcpRequest('tools/list', { era: 'modern' }), token }),
    ]);
    assert.match(hidden, new RegExp(`Unknown tool: rec\\.t${other}"`));
    assert.match(shown, /"content"/, 'a call waits for what is being found out');
    assert.deepEqual(
      listed.message.result.tools.map(({ name }: { name: string }) => name),
      NAMES.filter((name) => name.includes(last)).map((name) => `rec.${name}`),
    );
  }
  delay.disable();
  assert.ok(delay.max / 1e6 < LONGEST_MS, `${delay.max / 1e6} ms`);
});
