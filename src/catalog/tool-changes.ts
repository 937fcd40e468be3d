// Tools that are no longer what they were when they were first seen: an upstream can win trust with one description and
// go on with another. They are told, and nothing is withheld (`trust: observe`).

import { hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Inventory } from './inventory.ts';
import type { ListedTool } from './listed-tool.ts';

/** What of a tool decides how an agent uses it. */
const PARTS = ['title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;
export type ToolPart = (typeof PARTS)[number];

export interface ToolChange {
  readonly tool: string;
  readonly parts: readonly ToolPart[];
  /** When the list came in which it was last found another than before. */
  readonly atMs: number;
}

type Digests = Readonly<Record<ToolPart, string>>;

interface Watched {
  /** As the tool was first seen. */
  readonly first: Digests;
  change: ToolChange | undefined;
}

/** Of one upstream; what changes beyond is not watched. */
const MAX_WATCHED = 1_000;
/** Compared in one go, between turns with other work. */
const BYTES_AT_ONCE = 512 * 1024;

/** The changes of one upstream's tools, whatever version its credential has. */
export class ToolChanges {
  /** Only tools that have changed or gone: what is as ever needs no memory but its list. */
  readonly #watched = new Map<string, Watched>();

  /** In order of their names. */
  all(): ToolChange[] {
    const changes = [...this.#watched.values()].flatMap(({ change }) => change ?? []);
    return changes.sort((a, b) => (a.tool < b.tool ? -1 : 1));
  }

  /** Compares the list that came at `atMs` with the one before it. */
  async note(before: Inventory, after: Inventory, atMs: number): Promise<void> {
    let bytes = 0;
    for (const [name, was] of before.tools) {
      const is = after.tools.get(name);
      if (is?.bytes.equals(was.bytes)) continue;
      const known = this.#watch(name, was);
      if (known !== undefined && is === undefined) known.change = undefined;
      if (known === undefined || is === undefined) continue;
      bytes += was.bytes.length + is.bytes.length;
      this.#compare(name, known, is, atMs);
      if (bytes < BYTES_AT_ONCE) continue;
      bytes = 0;
      await setImmediate();
    }
    // One that was away may come back as another.
    for (const [name, known] of this.#watched) {
      const is = before.tools.has(name) ? undefined : after.tools.get(name);
      if (is !== undefined) this.#compare(name, known, is, atMs);
    }
  }

  #watch(name: string, was: ListedTool): Watched | undefined {
    let known = this.#watched.get(name);
    if (known === undefined && this.#watched.size < MAX_WATCHED) {
      known = { first: digestsOf(was), change: undefined };
      this.#watched.set(name, known);
    }
    return known;
  }

  #compare(name: string, known: Watched, is: ListedTool, atMs: number): void {
    const now = digestsOf(is);
    const parts = PARTS.filter((part) => now[part] !== known.first[part]);
    known.change = parts.length === 0 ? undefined : { tool: name, parts, atMs };
    if (parts.length === 0) this.#watched.delete(name);
  }
}

function digestsOf({ bytes }: ListedTool): Digests {
  const tool: Record<string, unknown> = JSON.parse(bytes.toString('utf8'));
  const digest = (part: ToolPart) => hash('sha256', JSON.stringify(sorted(tool[part])) ?? '', 'base64url').slice(0, 22);
  return Object.fromEntries(PARTS.map((part) => [part, digest(part)])) as Record<ToolPart, string>;
}

/** Some servers write the keys of a schema in another order every time. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
