// Opens the store of a config file, or of the embedded default, for one command.

import type { TokenDeps } from '../control-plane/tokens.ts';
import { openVaulted } from '../gateway.ts';
import { readEnvironment } from '../settings/environment.ts';
import { masterKeySource, requireSettings } from './settings-or-exit.ts';

/** Throws `GatewayError` when the store or its master key cannot be used. */
export async function withStore(config: string | undefined, work: (deps: TokenDeps) => Promise<void>): Promise<void> {
  // The store alone is used: the shell of an operator need not hold the secrets that the gateway starts with.
  const { lookup, ...environment } = readEnvironment();
  const standIn = (name: string): string => lookup(name) ?? `not-set-in-this-shell-${name}`.padEnd(32, '-');
  const settings = await requireSettings(config, { ...environment, lookup: standIn });
  const { store, keys } = await openVaulted(settings, masterKeySource());
  try {
    await work({ store, pepper: keys.tokenPepper, now: Date.now });
  } finally {
    await store.close();
  }
}
