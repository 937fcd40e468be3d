// The only file that derives keys and encrypts: HKDF-SHA-256, scrypt for passphrases, AES-256-GCM.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, scryptSync } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
export const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A key of its own for one use: `info` names the use, and no key tells anything about another. */
export function deriveKey(key: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), info, KEY_BYTES));
}

/** The 32 bytes a passphrase stands for. Slow on purpose (about 0.1 s): a passphrase may be guessable where a key is not. */
export function stretchPassphrase(passphrase: string): Buffer {
  // One fixed salt: every replica must arrive at the same key from the passphrase alone.
  const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };
  return scryptSync(passphrase.normalize('NFC'), 'switchboard/v1/master-key', KEY_BYTES, cost);
}

/**
 * Encrypts to `iv ‖ ciphertext ‖ tag`. The IV is random, 96 bits: good for 2^32 seals under one key (NIST SP 800-38D §8.3).
 * What `aad` says must be said again, byte for byte, to open it.
 */
export function seal(key: Buffer, plaintext: Buffer, aad: Buffer): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The plaintext, or `undefined` when the key, the `aad` or any bit of `sealed` is not what it was. */
export function open(key: Buffer, sealed: Buffer, aad: Buffer): Buffer | undefined {
  if (sealed.length < IV_BYTES + TAG_BYTES) return undefined;
  // Without authTagLength Node takes a tag of 4 bytes, which can be guessed.
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plaintext = decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    // `final` throws for exactly one reason, a tag that does not fit; the caller knows what that means here.
    return undefined;
  }
}

/** Fields as one AAD. Each has its length before it, so that no two lists of fields give the same bytes. */
export function toAad(fields: readonly string[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const bytes = Buffer.from(field);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
