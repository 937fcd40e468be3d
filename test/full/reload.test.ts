// 500 edits of the config file at 500 calls a second: no call of a tool that no edit is about fails.
// test/integration/reload.test.ts has the edits that must not take effect.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import type { ConfigFileOptions, ConfigOption } from '../support/gateway.ts';
import { countOutcomes, Load, type LoadedTool, latencyPercentile } from '../support/load.ts';
import { type Answer, send, toolCall } from '../support/mcp-http.ts';
import { type RecordedCall, startRecordingUpstream } from '../support/recording-upstream.ts';
import { type ServeChild, startServe } from '../support/serve-child.ts';

const EDITS = 500;
const CALLS_PER_SECOND = 500;
const ENFORCED_WITHIN_MS = 1_000;
const TOOLS = ['steady', 'toggle'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

/** What the edits change, one thing each in turn. */
interface Edited {
  isToggleAllowed: boolean;
  description: string;
  hasMore: boolean;
  /** Another limit is another upstream, with connections and sessions of its own. */
  headerTimeoutMs: number;
}

const EDITS_IN_TURN: readonly ((edited: Edited, edit: number) => void)[] = [
  (edited) => (edited.isToggleAllowed = !edited.isToggleAllowed),
  (edited, edit) => (edited.description = `as of edit ${edit}`),
  (edited) => (edited.hasMore = !edited.hasMore),
  (edited, edit) => (edited.headerTimeoutMs = 30_000 + edit),
  (edited) => (edited.isToggleAllowed = !edited.isToggleAllowed),
];

const STEADY: readonly LoadedTool[] = (['http1', 'http2'] as const).flatMap((http) =>
  (['legacy', 'modern'] as const).flatMap((era) => ['one.steady', 'two.steady'].map((name) => ({ name, era, http }))),
);

function answerWithText(era: 'legacy' | 'modern') {
  return ({ body }: RecordedCall) => {
    const { text } = JSON.parse(body.toString()).params.arguments;
    return `{"content":[{"type":"text","text":"${text}"}]${era === 'modern' ? ',"resultType":"complete"' : ''}}`;
  };
}

/** An edit in place of which the gateway has read half. */
async function overwriteSlowly(gateway: ServeChild, next: ConfigFileOptions): Promise<void> {
  const failures = await failuresOf(gateway);
  await gateway.overwrite(next, () => eventually(async () => (await failuresOf(gateway)) > failures));
}

async function failuresOf(gateway: ServeChild): Promise<number> {
  const { text } = await send(`${gateway.url}/metrics`, { method: 'GET' });
  return Number(/^switchboard_config_reload_failures_total (\d+)$/m.exec(text)?.[1]);
}

async function epochOf(gateway: ServeChild): Promise<number> {
  const { message } = await send(`${gateway.url}/readyz?detail`, { method: 'GET' });
  return Math.max(...Object.values(message.epochs as Record<string, number>));
}

function call(gateway: ServeChild, name: string): Promise<Answer> {
  const params = '"arguments":{"text":"aside"}';
  return send(gateway.mcpUrl, { ...toolCall(name, { params }), token: gateway.token() });
}

test(`${EDITS} reloads at ${CALLS_PER_SECOND} calls a second fail no call`, async (t) => {
  const [legacy, modern] = [
    await startRecordingUpstream({ era: 'legacy', sessions: true, tools: TOOLS, onCall: answerWithText('legacy') }),
    await startRecordingUpstream({ era: 'modern', reply: 'sse', tools: TOOLS, onCall: answerWithText('modern') }),
  ];
  for (const upstream of [legacy, modern]) t.after(() => upstream.close());
  const edited: Edited = { isToggleAllowed: false, description: '', hasMore: false, headerTimeoutMs: 30_000 };
  const file = (): ConfigFileOptions => {
    const allowedTools = edited.isToggleAllowed ? ['steady', 'toggle'] : ['steady'];
    const more = { description: edited.description, limits: { header_timeout_ms: edited.headerTimeoutMs } };
    const configs: ConfigOption[] = [
      { name: 'one', url: legacy.url, allowedTools, more },
      { name: 'two', url: modern.url, allowedTools, more },
      ...(edited.hasMore ? [{ name: 'more', url: legacy.url }] : []),
    ];
    return { configs };
  };
  const gateway = await startServe(file());
  t.after(() => gateway.stop());
  const load = new Load({
    mcpUrl: gateway.mcpUrl,
    token: gateway.token(),
    perSecond: CALLS_PER_SECOND,
    tools: STEADY,
  });
  t.after(() => load.stop());
  const enforcedMs: number[] = [];
  for (let edit = 0; edit < EDITS; edit++) {
    const epoch = await epochOf(gateway);
    EDITS_IN_TURN[edit % EDITS_IN_TURN.length]!(edited, edit);
    if (edit % 20 === 1) await overwriteSlowly(gateway, file());
    else await (edit % 2 === 0 ? gateway.edit(file()) : gateway.overwrite(file()));
    const editedMs = performance.now();
    await eventually(async () => (await epochOf(gateway)) > epoch);
    enforcedMs.push(performance.now() - editedMs);
    for (const name of ['one.toggle', 'two.toggle']) {
      const { error } = (await call(gateway, name)).message;
      assert.equal(error?.message, edited.isToggleAllowed ? undefined : `Unknown tool: ${name}`);
    }
    const { error } = (await call(gateway, 'more.steady')).message;
    assert.equal(error?.message, edited.hasMore ? undefined : 'Unknown tool: more.steady');
  }
  const failures = await failuresOf(gateway);
  const samples = await load.stop();
  const [slowest, p99] = [Math.max(...enforcedMs), latencyPercentile(samples, 99)];
  t.diagnostic(
    `${EDITS} edits in force, the slowest after ${slowest.toFixed()} ms, and ${failures} times half of one was read and not used; ` +
      `${samples.length} calls, p99 ${p99.toFixed(1)} ms`,
  );
  assert.deepEqual(Object.keys(countOutcomes(samples)), ['ok']);
  assert.ok(slowest < ENFORCED_WITHIN_MS);
});
