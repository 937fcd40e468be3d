// The store opened with the master key that is its own.

import type { Settings } from '../settings/settings.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { assertMasterKey, deriveKeys, type Keys } from '../vault/keys.ts';
import { type MasterKeySource, readMasterKey } from '../vault/master-key.ts';

/** The store with the keys that open what is in it: all that the command line needs to make a first key. */
export interface Vaulted {
  readonly store: Store;
  readonly keys: Keys;
}

/** Opens the store and checks that the master key is its own. Throws `GatewayError`. */
export async function openVaulted(
  settings: Pick<Settings, 'store'>,
  masterKey: Pick<MasterKeySource, 'value' | 'file'>,
): Promise<Vaulted> {
  const { url } = settings.store;
  // Replicas that share a store share its key, so only a file of our own gets a key file beside it.
  const beside = url.startsWith('sqlite:') ? { beside: `${url.slice('sqlite:'.length)}.key` } : {};
  const readKeys = () => deriveKeys(readMasterKey({ ...masterKey, ...beside }));
  // A missing key is said before tables are made in a database; a key file is not made before the store is known to be good.
  const known = 'beside' in beside ? undefined : readKeys();
  const store = await openStore(url);
  try {
    const keys = known ?? readKeys();
    await assertMasterKey(store, keys);
    return { store, keys };
  } catch (error) {
    await store.close();
    throw error;
  }
}
