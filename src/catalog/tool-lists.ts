// The last known tools of every upstream, raw. A list is fetched once for many waiters, survives its upstream's death
// and, through the store, our restart; an older answer never overwrites a newer one.

import type { AccountId } from '../domain/mcp-config.ts';
import type { Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { textOf } from '../upstream/control-answer.ts';
import { UpstreamError } from '../upstream/failure.ts';
import { findElements, findJsonProblem, findMembers } from '../upstream/loose-json.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type LeftOutTool, type ListedTool, readListedTool } from './listed-tool.ts';

export interface ToolList {
  readonly tools: ReadonlyMap<string, ListedTool>;
  readonly leftOut: readonly LeftOutTool[];
  readonly fetchedAtMs: number;
}

export interface ToolListsOptions {
  readonly store: Store;
  /** Age from which a list is fetched again when it is next asked for. */
  readonly ttlMs: number;
  readonly now: () => number;
  readonly log: Logger;
  /** Told when a list, or an upstream's health, is no longer what a catalog was built from. */
  readonly onChange: () => void;
}

/** Last known tools older than this are forgotten (design §3.10). */
export const KEPT_MS = 24 * 60 * 60 * 1000;
/** An unchanged list is stored again at this age, so that a restart does not take it for an old one. */
const STORED_AGAIN_MS = KEPT_MS / 24;
/** A failed upstream is asked again after the first pause, and after pauses that double up to the longest. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** Containers around a tool in the answer to `tools/list`. */
const TOOL_DEPTH = 3;

interface Entry {
  list: ToolList | undefined;
  raw: Buffer | undefined;
  storedAtMs: number;
  /** When the upstream was first asked. */
  askedAtMs: number | undefined;
  /** When the upstream last confirmed the list, or last failed to. */
  checkedAtMs: number;
  /** In a row. */
  failures: number;
  retry: NodeJS.Timeout | undefined;
  fetching: Promise<void> | undefined;
}

export class ToolLists {
  readonly #options: ToolListsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: ToolListsOptions) {
    this.#options = options;
  }

  /** Reads what an earlier run of the gateway knew. */
  async restore(account: AccountId): Promise<void> {
    const { store, now } = this.#options;
    const oldestMs = now() - KEPT_MS;
    await store.deleteToolLists(account, oldestMs);
    for (const stored of await store.readToolLists(account)) {
      const list = readToolArray(stored.tools, stored.fetchedAtMs);
      if (list === undefined) continue;
      const entry = this.#entry(stored.key);
      entry.list ??= list;
      entry.raw ??= stored.tools;
      entry.storedAtMs = stored.fetchedAtMs;
    }
  }

  get(upstream: Upstream): ToolList | undefined {
    return this.#entries.get(upstream.key)?.list;
  }

  /** Whether the upstream has neither answered nor failed yet, so that waiting for it may help. */
  isPending(upstream: Upstream): boolean {
    const entry = this.#entries.get(upstream.key);
    return entry === undefined || (entry.list === undefined && entry.failures === 0);
  }

  /** Whether the list, if there is one, is only handed down: from an earlier run, or from an earlier credential. */
  isUnconfirmed(upstream: Upstream): boolean {
    return (this.#entries.get(upstream.key)?.checkedAtMs ?? Number.NEGATIVE_INFINITY) === Number.NEGATIVE_INFINITY;
  }

  /** Lets an upstream begin with the list of the one it replaces, so that its tools stay callable until it has answered. */
  inherit(key: string, fromKey: string): void {
    const from = this.#entries.get(fromKey);
    const entry = this.#entry(key);
    entry.list ??= from?.list;
    entry.raw ??= from?.raw;
  }

  /** How long a pending upstream has been asked for its list by now. */
  pendingMs(upstream: Upstream): number {
    const { now } = this.#options;
    return now() - (this.#entries.get(upstream.key)?.askedAtMs ?? now());
  }

  /** Fetches the list if it is missing or stale. Never rejects: a failure is the upstream's state. */
  refresh(account: AccountId, upstream: Upstream): Promise<void> {
    const entry = this.#entry(upstream.key);
    if (entry.fetching !== undefined) return entry.fetching;
    if (this.#options.now() - entry.checkedAtMs < this.#options.ttlMs) return Promise.resolve();
    entry.askedAtMs ??= this.#options.now();
    entry.fetching = this.#fetch(account, upstream, entry).finally(() => {
      entry.fetching = undefined;
    });
    return entry.fetching;
  }

  /** Makes the next `refresh` fetch, whatever the age of the list. */
  expire(upstream: Upstream): void {
    this.#entry(upstream.key).checkedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Forgets lists of upstreams that no longer exist. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const [key, { retry }] of this.#entries) {
      if (keys.has(key)) continue;
      clearTimeout(retry);
      this.#entries.delete(key);
    }
  }

  /** Asks no upstream again. */
  close(): void {
    this.keepOnly(new Set());
  }

  async #fetch(account: AccountId, upstream: Upstream, entry: Entry): Promise<void> {
    const { now, log, onChange } = this.#options;
    try {
      const raw = joinArray(await upstream.listTools());
      entry.checkedAtMs = now();
      const isRecovered = entry.failures > 0;
      entry.failures = 0;
      if (entry.raw?.equals(raw) && entry.list !== undefined) {
        if (isRecovered) onChange();
        if (entry.checkedAtMs - entry.storedAtMs >= STORED_AGAIN_MS) await this.#keep(account, upstream, entry, raw);
        return;
      }
      entry.raw = raw;
      entry.list = readToolArray(raw, entry.checkedAtMs);
      onChange();
      for (const tool of entry.list?.leftOut ?? []) {
        log.warn('tool left out of the catalog', { service: upstream.service, tool: tool.name, reason: tool.reason });
      }
      await this.#keep(account, upstream, entry, raw);
    } catch (error) {
      if (error instanceof UpstreamError && error.reason === 'breaker_open') {
        this.#retryLater(account, upstream, entry, upstream.retryAfterMs);
        return;
      }
      entry.checkedAtMs = now();
      entry.failures++;
      log.warn('tool list not fetched', { service: upstream.service, reason: upstream.failure?.reason, error });
      const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** (entry.failures - 1), LONGEST_RETRY_MS);
      this.#retryLater(account, upstream, entry, pauseMs);
      if (entry.failures === 1) onChange();
    }
  }

  /** Nobody need list again for a recovered upstream to be noticed: agents that know its tools only call. */
  #retryLater(account: AccountId, upstream: Upstream, entry: Entry, pauseMs: number): void {
    if (this.#entries.get(upstream.key) !== entry) return;
    clearTimeout(entry.retry);
    entry.retry = setTimeout(() => {
      this.expire(upstream);
      void this.refresh(account, upstream);
    }, pauseMs).unref();
  }

  /** A store that is down costs the memory of the list across a restart, and nothing else. */
  async #keep(account: AccountId, upstream: Upstream, entry: Entry, tools: Buffer): Promise<void> {
    try {
      await this.#options.store.putToolList(account, { key: upstream.key, tools, fetchedAtMs: entry.checkedAtMs });
      entry.storedAtMs = entry.checkedAtMs;
    } catch (error) {
      this.#options.log.warn('tool list not stored', { service: upstream.service, error });
    }
  }

  #entry(key: string): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        list: undefined,
        raw: undefined,
        storedAtMs: Number.NEGATIVE_INFINITY,
        askedAtMs: undefined,
        checkedAtMs: Number.NEGATIVE_INFINITY,
        failures: 0,
        retry: undefined,
        fetching: undefined,
      };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}

function joinArray(items: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from('[')];
  items.forEach((item, index) => {
    if (index > 0) parts.push(Buffer.from(','));
    parts.push(item);
  });
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}

/** Reads a JSON array of tools; one that cannot be read, or that no client could use, is left out, never the list. */
export function readToolArray(raw: Buffer, fetchedAtMs: number): ToolList | undefined {
  const spans = findElements(raw, 0);
  if (spans === undefined) return undefined;
  const tools = new Map<string, ListedTool>();
  const leftOut: LeftOutTool[] = [];
  for (const span of spans) {
    const tool = readTool(raw.subarray(span.start, span.end));
    if ('reason' in tool) leftOut.push(tool);
    else if (tools.has(tool.name)) leftOut.push({ name: tool.name, reason: 'the upstream lists it twice' });
    else tools.set(tool.name, tool);
  }
  return { tools, leftOut, fetchedAtMs };
}

function readTool(bytes: Buffer): ListedTool | LeftOutTool {
  const problem = findJsonProblem(bytes, TOOL_DEPTH);
  if (problem === undefined) return readListedTool(bytes);
  const name = textOf(bytes, findMembers(bytes, 0) ?? [], 'name') ?? '';
  return { name: name.slice(0, 128), reason: `it cannot be read: ${problem}` };
}
