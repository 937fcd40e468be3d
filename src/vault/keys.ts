// The keys that derive from the master key, and the check that it is the one the store was made with.

import { GatewayError } from '../domain/errors.ts';
import type { Store } from '../store/store.ts';
import { deriveKey } from './cipher.ts';
import type { MasterKey } from './master-key.ts';

export interface Keys {
  /** Wraps the key of every secret. */
  readonly kek: Buffer;
  /** Keys the HMAC under which tokens are stored. */
  readonly tokenPepper: Buffer;
  /** Seals session ids, cursors and upstreams' handles. */
  readonly sealing: Buffer;
  readonly audit: Buffer;
  /** Names the master key without telling anything about it; public, 32 hex digits. */
  readonly fingerprint: string;
}

/** The same master key gives the same keys, in every replica and for ever: the names are part of the format. */
export function deriveKeys(master: MasterKey): Keys {
  const key = master.reveal();
  return {
    kek: deriveKey(key, 'switchboard/v1/kek'),
    tokenPepper: deriveKey(key, 'switchboard/v1/token-pepper'),
    sealing: deriveKey(key, 'switchboard/v1/sealing'),
    audit: deriveKey(key, 'switchboard/v1/audit'),
    fingerprint: deriveKey(key, 'switchboard/v1/fingerprint').toString('hex').slice(0, 32),
  };
}

/**
 * Pins the master key at the first start; afterwards throws `invalid_argument` when another one is used, under which
 * no secret would open and no token be known.
 */
export async function assertMasterKey(store: Store, keys: Keys): Promise<void> {
  const pinned = await store.pin('master_key', keys.fingerprint);
  if (pinned === keys.fingerprint) return;
  throw new GatewayError(
    'invalid_argument',
    `The master key is not the one this store was made with (its fingerprint is ${keys.fingerprint.slice(0, 8)}…, the store's ` +
      `${pinned.slice(0, 8)}…). Start with the first key: SWITCHBOARD_MASTER_KEY, SWITCHBOARD_MASTER_KEY_FILE, or the key file ` +
      'beside the store. If it is lost, secrets and tokens cannot be recovered: start with a new store.',
  );
}
