// Edits of one McpConfig under calls, between two allow-lists that have nothing in common: how soon each is in force, on
// other connections and in another process, and whether anybody ever sees a bit of both.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import type { TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { Load, type LoadedTool, type Sample } from './load.ts';
import { mcpRequest, send, toolCall } from './mcp-http.ts';
import { type RecordedCall, startRecordingUpstream } from './recording-upstream.ts';
import { startServe } from './serve-child.ts';
import { OPEN, startServeRest } from './serve-rest.ts';

/** Each allows tools that the other does not. */
const STATES = [
  ['a', 'b'],
  ['c', 'd'],
] as const;
const TOOLS = STATES.flat().map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);
const CALLED: readonly LoadedTool[] = TOOLS.flatMap((_, index) =>
  (['http1', 'http2'] as const).flatMap((http) =>
    (['legacy', 'modern'] as const).map((era) => ({ name: `rec.${STATES.flat()[index]}`, era, http })),
  ),
);
const WITHIN_MS = 5_000;

export interface EditsOptions {
  readonly edits: number;
  readonly callsPerSecond: number;
  /** Every so many edits, when one is in force in another process on the same store is measured, too. */
  readonly elsewhereEvery: number;
}

/** When an edit was sent and answered, and what is allowed from then on. */
interface Edit {
  readonly allowed: readonly string[];
  readonly sentMs: number;
  readonly answeredMs: number;
}

export interface Seen {
  /** From the answer to the edit until another open connection had seen both sides of it, sorted. */
  readonly enforcedMs: readonly number[];
  readonly elsewhereMs: readonly number[];
  readonly calls: number;
  readonly lists: number;
}

/** Fails for a list of both states, and for a call that is answered by a state that was not in force during it. */
export async function editUnderCalls(t: TestContext, options: EditsOptions): Promise<Seen> {
  const upstream = await startRecordingUpstream({ era: 'modern', tools: TOOLS, onCall: answerWithText });
  t.after(() => upstream.close());
  const { child, client } = await startServeRest();
  t.after(() => client.close());
  const other = await startServe({
    ...OPEN,
    settings: { ...OPEN.settings, store: { url: `sqlite:${child.storeFile}` } },
  });
  const { id } = await client.make('/mcp-configs', { name: 'rec', endpoint: upstream.url, allowed_tools: STATES[0] });
  const { token } = await client.make('/mcp-tokens', { name: 'agent', grants: [{ mcp_config: id }] });
  const agents = {
    here: new Agent({ keepAlive: true }),
    there: new Agent({ keepAlive: true }),
    list: new Agent({ keepAlive: true }),
  };
  t.after(() => Object.values(agents).forEach((agent) => void agent.destroy()));
  const isCallable = async (url: string, agent: Agent, name: string): Promise<boolean> => {
    const { status, message } = await send(
      url,
      { ...toolCall(`rec.${name}`, { params: '"arguments":{"text":""}' }), token },
      agent,
    );
    return status === 200 && message.error === undefined;
  };
  const isInForce = async (url: string, agent: Agent, state: number): Promise<boolean> =>
    (await isCallable(url, agent, STATES[state]![0])) && !(await isCallable(url, agent, STATES[1 - state]![1]));
  for (const [url, agent] of [
    [child.mcpUrl, agents.here],
    [other.mcpUrl, agents.there],
  ] as const) {
    await eventually(() => isInForce(url, agent, 0), WITHIN_MS);
  }

  const edits: Edit[] = [{ allowed: STATES[0], sentMs: 0, answeredMs: 0 }];
  const load = new Load({ mcpUrl: child.mcpUrl, token, perSecond: options.callsPerSecond, tools: CALLED });
  const lists = listAlways(child.mcpUrl, token, agents.list);
  const enforcedMs: number[] = [];
  const elsewhereMs: number[] = [];
  for (let edit = 1; edit <= options.edits; edit++) {
    const state = edit % 2;
    const sentMs = performance.now();
    await client.make(`/mcp-configs/${id}`, { allowed_tools: STATES[state] });
    const answeredMs = performance.now();
    edits.push({ allowed: STATES[state]!, sentMs, answeredMs });
    await eventually(() => isInForce(child.mcpUrl, agents.here, state), WITHIN_MS);
    enforcedMs.push(performance.now() - answeredMs);
    if (edit % options.elsewhereEvery !== 0) continue;
    await eventually(() => isInForce(other.mcpUrl, agents.there, state), WITHIN_MS);
    elsewhereMs.push(performance.now() - answeredMs);
  }
  const samples = await load.stop();
  const listed = await lists.stop();
  for (const sample of samples) assertInForce(edits, sample);
  for (const { names, begunMs, endMs } of listed) {
    assert.ok(
      statesDuring(edits, begunMs, endMs).some(({ allowed }) => allowed.join() === names.join()),
      names.join(),
    );
  }
  const sorted = (values: number[]): number[] => values.toSorted((a, b) => a - b);
  return {
    enforcedMs: sorted(enforcedMs),
    elsewhereMs: sorted(elsewhereMs),
    calls: samples.length,
    lists: listed.length,
  };
}

function answerWithText({ body }: RecordedCall): string {
  const { text } = JSON.parse(body.toString()).params.arguments;
  return `{"content":[{"type":"text","text":"${text}"}],"resultType":"complete"}`;
}

/** An edit that is answered is in force for every request after it; until then the one before it may be. */
function statesDuring(edits: readonly Edit[], begunMs: number, endMs: number): readonly Edit[] {
  return edits.filter(({ sentMs }, index) => sentMs <= endMs && (edits[index + 1]?.answeredMs ?? Infinity) >= begunMs);
}

function assertInForce(edits: readonly Edit[], { tool, dueMs, endMs, outcome }: Sample): void {
  const name = tool.name.slice('rec.'.length);
  const states = statesDuring(edits, dueMs, endMs).map(({ allowed }) => allowed.includes(name));
  assert.ok(outcome === 'ok' || outcome === `-32602 Unknown tool: ${tool.name}`, outcome);
  assert.ok(
    states.includes(outcome === 'ok'),
    `${tool.name}: ${outcome}, while it was${states[0] ? '' : ' not'} allowed`,
  );
}

interface Listed {
  readonly names: readonly string[];
  readonly begunMs: number;
  readonly endMs: number;
}

/** Lists tools one request after another on a connection of its own. */
function listAlways(url: string, token: string, agent: Agent): { stop(): Promise<readonly Listed[]> } {
  const listed: Listed[] = [];
  let isStopped = false;
  const work = async (): Promise<void> => {
    while (!isStopped) {
      const begunMs = performance.now();
      const { message } = await send(url, { ...mcpRequest('tools/list'), token }, agent);
      const tools = message.result.tools as { readonly name: string }[];
      const names = tools.map(({ name }) => name.slice('rec.'.length)).sort();
      listed.push({ names, begunMs, endMs: performance.now() });
    }
  };
  const ended = work();
  return {
    stop: async () => {
      isStopped = true;
      await ended;
      return listed;
    },
  };
}
