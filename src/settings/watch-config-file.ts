// Tells when the content of the config file changed, whichever way: written in place, renamed over, or behind a symlink;
// and when there is none any more.

import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { digestOf, MAX_CONFIG_FILE_BYTES, readBytes } from './read-bytes.ts';

const DEBOUNCE_MS = 30;

/** In the place of a digest. */
const AWAY = 'away';

export interface WatchOptions {
  /** Longest time until a change is noticed where the file system tells nothing; 250 unless told. */
  readonly intervalMs?: number;
  /** A file that cannot be read for longer than this is a change, and so is its return; 1,000 unless told. */
  readonly awayMs?: number;
  /** Digest of the content that is in use, so that a change between loading and watching is not lost. */
  readonly loadedDigest?: string;
}

/**
 * Calls `onChange` after each change of the file's content; what is then in the file may be half-written or broken, so
 * the caller keeps its last good settings. A file that is away for a while, as during a rename, is no change.
 * Returns the function that stops watching.
 */
export function watchConfigFile(file: string, onChange: () => void, options: WatchOptions = {}): () => void {
  const { intervalMs = 250, awayMs = 1_000, loadedDigest } = options;
  let digest = loadedDigest;
  let unreadSinceMs: number | undefined;
  let isStopped = false;
  let isChecking = false;
  let isDue = false;
  let debounce: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;

  async function check(): Promise<void> {
    if (isChecking) {
      isDue = true;
      return;
    }
    isChecking = true;
    const read = await readBytes(file, MAX_CONFIG_FILE_BYTES);
    isChecking = false;
    if (isStopped) return;
    unreadSinceMs = read.ok ? undefined : (unreadSinceMs ?? performance.now());
    const isAway = unreadSinceMs !== undefined && performance.now() - unreadSinceMs >= awayMs;
    const current = read.ok ? digestOf(read.bytes) : isAway ? AWAY : digest;
    const hasChanged = digest !== undefined && current !== digest;
    digest = current;
    if (hasChanged) onChange();
    if (isDue) {
      isDue = false;
      await check();
    }
  }

  function checkSoon(): void {
    clearTimeout(debounce);
    debounce = setTimeout(() => void check(), DEBOUNCE_MS).unref();
  }

  // The content decides, never the modification time: a rewrite of equal length within one clock tick counts too.
  const poll = setInterval(() => void check(), intervalMs).unref();
  try {
    // The directory, as a watch on the file follows the inode that an editor or a symlink swap leaves behind.
    watcher = watch(dirname(file), { persistent: false }, checkSoon);
    watcher.on('error', () => watcher?.close());
  } catch {
    // No watch to be had (inotify limits, network file systems): the poll alone notices.
    watcher = undefined;
  }
  void check();

  return () => {
    isStopped = true;
    clearInterval(poll);
    clearTimeout(debounce);
    watcher?.close();
  };
}
