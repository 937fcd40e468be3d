// Connections to a gateway of several workers, each kept to the worker that took it.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { send } from './mcp-http.ts';

export interface WorkerConnection {
  /** Of the worker, from 1. */
  readonly worker: number;
  /** Has this one connection and no other, as long as it is used. */
  readonly agent: Agent;
}

/** Opens so many connections; they stay open until their agents are destroyed. */
export function openConnections(url: string, count: number): Promise<WorkerConnection[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      return { worker: await workerOf(url, agent), agent };
    }),
  );
}

/** The number of the worker that answers on an agent's connection. */
export async function workerOf(url: string, agent: Agent): Promise<number> {
  const { status, text } = await send(`${url}/readyz?detail`, { method: 'GET' }, agent);
  assert.equal(status, 200, text);
  return JSON.parse(text).worker.number;
}

/** Beyond the connections that a worker has not yet told the end of, which it is passed over for. */
const MOST_OPENED = 16;

/** A connection to each of two workers. */
export async function oneEach(url: string): Promise<{ readonly a: Agent; readonly b: Agent; close(): void }> {
  const opened: WorkerConnection[] = [];
  const close = (): void => {
    for (const { agent } of opened) agent.destroy();
  };
  while (opened.length < MOST_OPENED) {
    opened.push(...(await openConnections(url, 1)));
    const [a, b] = [1, 2].map((number) => opened.find(({ worker }) => worker === number)?.agent);
    if (a !== undefined && b !== undefined) return { a, b, close };
  }
  close();
  assert.fail(`workers ${opened.map(({ worker }) => worker)}`);
}

/** The value of a metric; with `labels`, of the series that has these among its own. */
export async function metricOf(url: string, name: string, labels = '', agent = new Agent()): Promise<number> {
  const { text } = await send(`${url}/metrics`, { method: 'GET' }, agent);
  const lines = text.split('\n').filter((line) => line.startsWith(`switchboard_${name}`) && line.includes(labels));
  assert.equal(lines.length, 1, lines.join('\n'));
  return Number(lines[0]?.split(' ').at(-1));
}
