// `switchboard backup` and `restore`: a whole store to a file and back, from any kind of store to any other.

import { type BackupSummary, backUp, restore } from '../store/backup.ts';
import { requireStoreSettings } from './with-store.ts';

interface BackupOptions {
  readonly config?: string;
}

export async function backUpCommand(file: string, { config }: BackupOptions): Promise<void> {
  const { store } = await requireStoreSettings(config);
  const summary = await backUp(store.url, file);
  process.stdout.write(`${file} holds ${describe(summary)}\n`);
}

export async function restoreCommand(
  file: string,
  { config, force = false }: BackupOptions & { readonly force?: boolean },
): Promise<void> {
  const { store } = await requireStoreSettings(config);
  const summary = await restore(store.url, file, { replaces: force });
  process.stdout.write(`The store now holds ${describe(summary)}\n`);
}

function describe({ rows, schema, keyFingerprint }: BackupSummary): string {
  const key =
    keyFingerprint === undefined
      ? 'No master key was used with it yet.'
      : `Its secrets and tokens are of use only with the master key of fingerprint ${keyFingerprint.slice(0, 8)}…: keep it, too, apart from the backup.`;
  return `${rows} rows of schema ${schema}. ${key}`;
}
