// Call logs made without a gateway: chains of made-up records in a folder of their own.

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { type CallEnd, toCallLine, toSubjectText } from '../../src/audit-log/call-record.ts';
import { Chain, type ChainOptions } from '../../src/audit-log/chain.ts';
import { deriveCallLogKeys } from '../../src/audit-log/format.ts';
import type { FromWriter } from '../../src/audit-log/messages.ts';
import { Writer, type WriterOptions } from '../../src/audit-log/writer.ts';
import { SCRATCH } from './scratch.ts';

export const AUDIT_KEY = Buffer.alloc(32, 7);
export const CALL_KEYS = deriveCallLogKeys(AUDIT_KEY);
export const START_MS = Date.parse('2026-11-21T12:00:00.000Z');

export const CALL_END: CallEnd = {
  method: 'tools/call',
  outcome: 'answered',
  reason: null,
  era: 'modern',
  totalMs: 1.5,
  upstreamMs: 1.25,
  requestBytes: 100,
  responseBytes: 200,
  traceId: null,
};

/** A folder that is removed when the test file ends. */
export function auditFolder(): string {
  const folder = mkdtempSync(join(SCRATCH, 'switchboard-audit-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One line of the log; `tool` tells it from others. */
export function callLine(
  tool: string,
  timeMs = START_MS,
  accountId = 'acct_default',
  end: Partial<CallEnd> = {},
): string {
  const config = { id: 'mcp_1', name: 'github-readonly', revision: 3 };
  const subject = { accountId, tokenId: 'tok_1', tool, config, pattern: '*', narrowingPattern: null, epoch: 7 };
  return toCallLine(new Date(timeMs).toISOString(), toSubjectText(subject), { ...CALL_END, ...end });
}

export interface TestChainOptions extends Partial<ChainOptions> {
  readonly directory: string;
}

export function openChain(options: TestChainOptions): Chain {
  return Chain.open({
    keys: CALL_KEYS,
    segmentBytes: 1_000_000,
    now: () => START_MS,
    checkpoint: undefined,
    onBroken: () => {},
    onCut: () => {},
    ...options,
  });
}

/** Appends one batch of calls to these tools. */
export function appendCalls(chain: Chain, tools: readonly string[], timeMs = START_MS): void {
  chain.append(Buffer.from(tools.map((tool) => callLine(tool, timeMs)).join('')), tools.length);
}

/** The part of the log that runs in a thread, in this one. */
export function createWriter(options: Partial<WriterOptions> & { readonly directory: string }): {
  readonly writer: Writer;
  readonly told: FromWriter[];
} {
  const told: FromWriter[] = [];
  const writer = new Writer({
    checkpointFile: undefined,
    key: AUDIT_KEY,
    segmentBytes: 1_000_000,
    keepDays: 0,
    keepBytes: 0,
    recordsCalls: true,
    now: () => START_MS,
    tell: (message) => told.push(message),
    ...options,
  });
  return { writer, told };
}
