// Handles that one token was given, tried with another token: each must be answered exactly like one that never existed.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type Answer, mcpRequest, type Sent, send, toolCall } from './mcp-http.ts';

export interface ForeignHandles {
  readonly gateway: { readonly mcpUrl: string; token(name?: string): string };
  readonly owner: string;
  readonly other: string;
  /** An event id of an upstream's stream; clients are given the gateway's own. */
  readonly lastEventId: string;
}

/** Returns how many requests with a foreign handle were compared. Needs a list of more than one page. */
export async function assertForeignHandlesUnknown({
  gateway,
  owner,
  other,
  lastEventId,
}: ForeignHandles): Promise<number> {
  const ask = (token: string, sent: Sent): Promise<Answer> =>
    send(gateway.mcpUrl, { ...sent, token: gateway.token(token) });
  const initialized = await ask(owner, mcpRequest('initialize', { params: INITIALIZE }));
  const sessionId = String(initialized.headers['mcp-session-id']);
  const inSession = { headers: { 'mcp-session-id': sessionId } };
  // What is remembered of a session once it has been used must be remembered of its owner.
  assert.deepEqual((await ask(owner, mcpRequest('ping', inSession))).message.result, {});
  const legacyCursor = await cursorOf(ask(owner, mcpRequest('tools/list')));
  const modernCursor = await cursorOf(ask(owner, mcpRequest('tools/list', { era: 'modern' })));
  const comparisons: [handle: string, toSent: (handle: string) => Sent][] = [
    [sessionId, (id) => toolCall('stateful.echo', { ...CALL, headers: { 'mcp-session-id': id } })],
    [sessionId, (id) => mcpRequest('tools/list', { headers: { 'mcp-session-id': id } })],
    [sessionId, (id) => ({ body: CANCEL, headers: { 'mcp-session-id': id } })],
    [sessionId, (id) => ({ method: 'DELETE', headers: { 'mcp-session-id': id } })],
    [legacyCursor, (cursor) => mcpRequest('tools/list', { params: `"cursor":"${cursor}"` })],
    [modernCursor, (cursor) => mcpRequest('tools/list', { era: 'modern', params: `"cursor":"${cursor}"` })],
    [lastEventId, (id) => ({ method: 'GET', headers: { accept: 'text/event-stream', 'last-event-id': id } })],
  ];
  for (const [handle, toSent] of comparisons) {
    const foreign = seenFromOutside(await ask(other, toSent(handle)));
    for (const unknown of [invented(handle), altered(handle)]) {
      assert.deepEqual(foreign, seenFromOutside(await ask(other, toSent(unknown))));
    }
    assert.ok(foreign.status >= 400 || foreign.text.includes('"error"'), foreign.text);
  }
  // None of that has done anything to them.
  assert.deepEqual((await ask(owner, mcpRequest('ping', inSession))).message.result, {});
  const nextPage = await ask(owner, mcpRequest('tools/list', { params: `"cursor":"${legacyCursor}"` }));
  assert.ok(nextPage.message.result.tools.length > 0);
  await ask(owner, { method: 'DELETE', ...inSession });
  return comparisons.length;
}

const INITIALIZE = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"owner","version":"1"}';
const CALL = { id: '"x"', params: '"arguments":{"canary":"canary-foreign-0","caller":"nobody","steps":0,"holdMs":0}' };
const CANCEL = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}';

async function cursorOf(listed: Promise<Answer>): Promise<string> {
  const { nextCursor } = (await listed).message.result;
  assert.equal(typeof nextCursor, 'string', 'the list has one page');
  return nextCursor;
}

function invented(handle: string): string {
  return randomBytes(handle.length).toString('base64url').slice(0, handle.length);
}

function altered(handle: string): string {
  const at = handle.length >> 1;
  return `${handle.slice(0, at)}${handle[at] === 'A' ? 'B' : 'A'}${handle.slice(at + 1)}`;
}

/** Status, headers and body; only the clock may tell two answers apart. */
function seenFromOutside({ status, headers, text }: Answer): { status: number; headers: object; text: string } {
  const { date, ...rest } = headers;
  return { status, headers: rest, text };
}
