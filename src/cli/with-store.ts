// Opens the store of a config file, or of the embedded default, for one command.

import { type Change, COMMAND, change } from '../control-plane/change.ts';
import { openVaulted } from '../gateway/vaulted.ts';
import { readEnvironment } from '../settings/environment.ts';
import type { Settings } from '../settings/settings.ts';
import { DEFAULT_ACCOUNT, type Store } from '../store/store.ts';
import { masterKeySource, requireSettings } from './settings-or-exit.ts';

export interface StoreAccess {
  readonly store: Store;
  readonly pepper: Buffer;
  /** Runs a write to the default account in one transaction, recorded as this command's. */
  readonly write: <T>(work: (change: Change) => Promise<T>) => Promise<T>;
}

/** Throws `GatewayError` when the store or its master key cannot be used. */
export async function withStore(
  config: string | undefined,
  work: (access: StoreAccess) => Promise<void>,
): Promise<void> {
  const settings = await requireStoreSettings(config);
  const { store, keys } = await openVaulted(settings, masterKeySource());
  try {
    const deps = { store, auditKey: keys.audit, now: Date.now };
    await work({
      store,
      pepper: keys.tokenPepper,
      write: (writing) => change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, writing),
    });
  } finally {
    await store.close();
  }
}

/** The settings of a command that uses the store alone: an operator's shell need not hold the secrets the gateway starts with. */
export function requireStoreSettings(config: string | undefined): Promise<Pick<Settings, 'store' | 'audit'>> {
  const { lookup, ...environment } = readEnvironment();
  const standIn = (name: string): string => lookup(name) ?? `not-set-in-this-shell-${name}`.padEnd(32, '-');
  return requireSettings(config, { ...environment, lookup: standIn });
}
