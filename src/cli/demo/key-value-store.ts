// A small key-value store: a Map in memory, written whole to one JSON file before a change is acknowledged.

import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { GatewayError } from '../../domain/errors.ts';

const MAX_KEYS = 256;

/** Starts with a letter or digit, which also keeps `__proto__` out of the JSON object. */
export const keySchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/);
export const valueSchema = z.string().max(8192);
const fileSchema = z.record(keySchema, valueSchema);

export interface KeyValueStore {
  get(key: string): string | undefined;
  /** Resolves when the value is on disk; `created` is false when it replaced one. @throws GatewayError `invalid_argument` when full, `store_unavailable` when the disk refuses */
  set(key: string, value: string): Promise<{ created: boolean }>;
  delete(key: string): Promise<{ deleted: boolean }>;
  /** The keys that start with `prefix`, sorted. */
  keys(prefix: string): string[];
}

/** Opens or starts the store in `path`. @throws GatewayError `invalid_argument` when the file is not one of ours */
export async function openKeyValueStore(path: string): Promise<KeyValueStore> {
  let entries: ReadonlyMap<string, string> = new Map(Object.entries(await load(path)));
  let lastWrite: Promise<unknown> = Promise.resolve();

  // One change at a time, each on the outcome of the one before; a failed write leaves memory as it was.
  function change<T>(apply: (draft: Map<string, string>) => T): Promise<T> {
    const turn = lastWrite.then(async () => {
      const draft = new Map(entries);
      const outcome = apply(draft);
      await save(path, draft);
      entries = draft;
      return outcome;
    });
    lastWrite = turn.catch(() => undefined);
    return turn;
  }

  return {
    get: (key) => entries.get(key),
    set: (key, value) =>
      change((draft) => {
        const created = !draft.has(key);
        if (created && draft.size >= MAX_KEYS) {
          throw new GatewayError(
            'invalid_argument',
            `The store is full (${MAX_KEYS} keys): delete one with kv_delete.`,
          );
        }
        draft.set(key, value);
        return { created };
      }),
    delete: (key) => change((draft) => ({ deleted: draft.delete(key) })),
    keys: (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)).sort(),
  };
}

async function save(path: string, entries: ReadonlyMap<string, string>): Promise<void> {
  const text = JSON.stringify(Object.fromEntries(entries), null, 2);
  try {
    await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
    await rename(`${path}.new`, path);
  } catch (cause) {
    // The system's own message would name the file's place on this machine.
    throw new GatewayError('store_unavailable', 'The change could not be saved, so it was not made.', { cause });
  }
}

async function load(path: string): Promise<Record<string, string>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new GatewayError(
      'invalid_argument',
      `${path} does not hold the demo's keys and values: repair or delete it.`,
      {
        cause,
      },
    );
  }
}
