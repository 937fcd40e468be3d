import assert from 'node:assert/strict';
import { appendFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Chain } from '../../../src/audit-log/chain.ts';
import { listChains } from '../../../src/audit-log/files.ts';
import { type CallQuery, readCalls } from '../../../src/audit-log/read-calls.ts';
import type { AccountId } from '../../../src/domain/mcp-config.ts';
import { auditFolder, callLine, openChain, START_MS } from '../../support/audit-log.ts';

const ACCOUNT = 'acct_default' as AccountId;
const NO_FINDER = { account: ACCOUNT };

function append(chain: Chain, ...lines: readonly string[]): void {
  chain.append(Buffer.from(lines.join('')), lines.length);
}

function toolOf(call: object): unknown {
  return 'tool' in call ? call.tool : call;
}

/** All pages of a query after another, and how many there were. */
function readAll(
  directory: string,
  query: CallQuery,
  { limit = 7, maxBytes }: { readonly limit?: number; readonly maxBytes?: number } = {},
): { readonly tools: readonly unknown[]; readonly pages: number } {
  const tools: unknown[] = [];
  let cursor: string | null = null;
  for (let pages = 1; ; pages++) {
    const page = readCalls(directory, query, cursor, limit, maxBytes);
    assert.ok(page.calls.length <= limit);
    tools.push(...page.calls.map(toolOf));
    cursor = page.cursor;
    if (cursor === null) return { tools, pages };
    assert.ok(pages < 500, 'it gets on');
  }
}

/** Calls one minute apart, in turn to two chains, in batches of three; `tool.n` is the nth. */
function twoChains(calls: number): string {
  const directory = auditFolder();
  const chains = [openChain({ directory, segmentBytes: 2000 }), openChain({ directory, segmentBytes: 5000 })];
  for (let batch = 0; batch * 3 < calls; batch++) {
    const lines = [0, 1, 2].map((index) =>
      callLine(`tool.${batch * 3 + index}`, START_MS + (batch * 3 + index) * 60_000),
    );
    append(chains[batch % 2]!, ...lines);
  }
  return directory;
}

test('pages show every call once, the newest first, whatever their size and however little is read for each', () => {
  const directory = twoChains(60);
  const expected = Array.from({ length: 60 }, (_, index) => `tool.${59 - index}`);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 20_000 }), (limit, maxBytes) => {
      assert.deepEqual(readAll(directory, NO_FINDER, { limit, maxBytes }).tools, expected);
    }),
    { numRuns: 20 },
  );
});

test('a page reads no more of the log than it may, and says where to go on', () => {
  const directory = twoChains(60);
  const none = { ...NO_FINDER, tool: 'tool.none' };
  assert.equal(readCalls(directory, none, null, 7).cursor, null);
  assert.ok(readAll(directory, none, { maxBytes: 4000 }).pages > 3);
});

test('calls that come between two pages do not shift the second', () => {
  const directory = auditFolder();
  const chain = openChain({ directory });
  append(chain, ...[1, 2, 3].map((index) => callLine(`tool.${index}`)));
  const { calls, cursor } = readCalls(directory, NO_FINDER, null, 1);
  append(chain, callLine('tool.4'));
  append(openChain({ directory }), callLine('tool.5'));
  assert.deepEqual(calls.map(toolOf), ['tool.3']);
  assert.deepEqual(readCalls(directory, NO_FINDER, cursor, 9).calls.map(toolOf), ['tool.2', 'tool.1']);
});

test("another account's calls are never shown, whatever the cursor says", () => {
  const directory = auditFolder();
  const chain = openChain({ directory });
  append(chain, callLine('mine.1'), callLine('theirs.1', START_MS, 'acct_other'), callLine('mine.2'));
  assert.deepEqual(readAll(directory, NO_FINDER).tools, ['mine.2', 'mine.1']);
  const any = fc.integer({ min: 0, max: 3000 });
  fc.assert(
    fc.property(any, (offset) => {
      const cursor = Buffer.from(JSON.stringify([[chain.id, 1, offset]])).toString('base64url');
      const tools = readCalls(directory, NO_FINDER, cursor, 9).calls.map(toolOf);
      assert.ok(tools.every((tool) => String(tool).startsWith('mine.')));
    }),
  );
});

test('every filter narrows', () => {
  const directory = auditFolder();
  const chain = openChain({ directory });
  append(
    chain,
    callLine('github.search', START_MS),
    callLine('github.get', START_MS + 1000, 'acct_default', { outcome: 'upstream_failed', reason: 'timeout' }),
    callLine('wiki.read', START_MS + 2000),
  );
  const found = (query: Partial<CallQuery>) => readAll(directory, { ...NO_FINDER, ...query }).tools;
  assert.deepEqual(found({ service: 'github' }), ['github.get', 'github.search']);
  assert.deepEqual(found({ tool: 'wiki.read' }), ['wiki.read']);
  assert.deepEqual(found({ outcome: 'upstream_failed' }), ['github.get']);
  assert.deepEqual(found({ sinceMs: START_MS + 1000 }), ['wiki.read', 'github.get']);
  assert.deepEqual(found({ untilMs: START_MS + 1000 }), ['github.search']);
  assert.deepEqual(found({ tokenId: 'tok_2' }), []);
  for (const config of ['mcp_1', 'github-readonly', 'github-readonly@3']) assert.equal(found({ config }).length, 3);
  for (const config of ['mcp_2', 'github', 'github-readonly@2']) assert.deepEqual(found({ config }), []);
});

test('a time long ago is found without reading what came since, and nothing before it is read', () => {
  const directory = twoChains(300);
  const range = { sinceMs: START_MS + 60_000 * 100, untilMs: START_MS + 60_000 * 103 };
  const { tools, pages } = readAll(directory, { ...NO_FINDER, ...range }, { maxBytes: 50_000 });
  assert.deepEqual(tools, ['tool.102', 'tool.101', 'tool.100']);
  assert.ok(pages < 20, String(pages));
});

test('a gap is shown among the calls, but not where only certain calls are asked for', () => {
  const directory = auditFolder();
  const gap = { time: new Date(START_MS).toISOString(), account: ACCOUNT, dropped: 3 };
  append(openChain({ directory }), callLine('tool.1', START_MS - 1), `${JSON.stringify(gap)}\n`);
  assert.deepEqual(readAll(directory, NO_FINDER).tools, [gap, 'tool.1']);
  assert.deepEqual(readAll(directory, { ...NO_FINDER, service: 'tool' }).tools, ['tool.1']);
});

test('what is not sealed is not shown, and nonsense in the log does no harm', () => {
  const directory = auditFolder();
  const chain = openChain({ directory });
  append(chain, callLine('tool.1'));
  const nonsense = [
    '{"time":"x","account":5}',
    '{"time":',
    '{"time":"x","account":"acct_default","outcome":1,"tool":{}}',
  ];
  append(
    chain,
    ...nonsense.map((line) => `${line}\n`),
    `{"time":"${'x'.repeat(200_000)}\n`,
    `{"time":"${'y'.repeat(3_000_000)}\n`,
  );
  const [{ path = '' } = {}] = [...listChains(directory).values()].flat();
  appendFileSync(path, callLine('forged.1', START_MS + 1));
  assert.deepEqual(readAll(directory, NO_FINDER).tools, ['tool.1']);
});

test('a segment that retention deletes between two pages is over', () => {
  const directory = auditFolder();
  const chain = openChain({ directory, segmentBytes: 100 });
  for (const tool of ['tool.1', 'tool.2', 'tool.3']) append(chain, callLine(tool));
  const { cursor } = readCalls(directory, NO_FINDER, null, 1);
  const [first, second] = [...listChains(directory).values()].flat();
  rmSync(first!.path);
  assert.deepEqual(readCalls(directory, NO_FINDER, cursor, 9).calls.map(toolOf), ['tool.2']);
  rmSync(second!.path);
  assert.deepEqual(readCalls(directory, NO_FINDER, cursor, 9), { calls: [], cursor: null });
});

test('a cursor of another kind is refused, and no directory is no call', () => {
  const bad = ['', 'x', Buffer.from('[["a",-1,2]]').toString('base64url'), Buffer.from('{}').toString('base64url')];
  for (const cursor of bad) {
    assert.throws(() => readCalls(auditFolder(), NO_FINDER, cursor, 1), { code: 'invalid_argument' });
  }
  assert.deepEqual(readCalls('/nowhere/at/all', NO_FINDER, null, 1), { calls: [], cursor: null });
});
