// Secrets at rest: each version of a secret is sealed under a key of its own, and that key under the KEK.

import { randomBytes } from 'node:crypto';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { Secret } from '../domain/secret.ts';
import { decodeBase64url } from './base64url.ts';
import { KEY_BYTES, open, seal, toAad } from './cipher.ts';
import type { Keys } from './keys.ts';

const FORMAT = 'v1';

/** What a sealed value belongs to. All of it is authenticated: a row copied over another row does not open. */
export interface SecretRef {
  readonly accountId: AccountId;
  readonly secretId: string;
  readonly name: string;
  readonly version: number;
}

export class Vault {
  readonly #kek: Buffer;
  readonly #keyId: string;

  constructor(keys: Pick<Keys, 'kek' | 'fingerprint'>) {
    this.#kek = keys.kek;
    this.#keyId = keys.fingerprint.slice(0, 16);
  }

  /** Gives `v1.<key id>.<wrapped key>.<sealed value>`, the two last as base64url. */
  seal(ref: SecretRef, plaintext: string): string {
    const key = randomBytes(KEY_BYTES);
    const wrapped = seal(this.#kek, key, toRecordAad('key', ref, this.#keyId));
    const sealed = seal(key, Buffer.from(plaintext), toRecordAad('value', ref, this.#keyId));
    key.fill(0);
    return [FORMAT, this.#keyId, wrapped.toString('base64url'), sealed.toString('base64url')].join('.');
  }

  /** Throws `internal` with the secret's name, and never a part of its value, when the record does not open. */
  open(ref: SecretRef, sealed: string): Secret {
    const [format, keyId, wrapped, value, ...rest] = sealed.split('.');
    if (format === FORMAT && keyId !== undefined && keyId !== this.#keyId)
      throw sealedElsewhere(ref, keyId, this.#keyId);
    if (format !== FORMAT || wrapped === undefined || value === undefined || rest.length > 0) throw changed(ref);
    const key = openPart(this.#kek, wrapped, toRecordAad('key', ref, this.#keyId));
    const plaintext = key && openPart(key, value, toRecordAad('value', ref, this.#keyId));
    key?.fill(0);
    if (plaintext === undefined) throw changed(ref);
    return new Secret(plaintext.toString());
  }
}

/** `part` keeps a wrapped key from passing for a value. */
function toRecordAad(part: 'key' | 'value', ref: SecretRef, keyId: string): Buffer {
  return toAad([part, FORMAT, ref.accountId, ref.secretId, ref.name, String(ref.version), keyId]);
}

function openPart(key: Buffer, text: string, aad: Buffer): Buffer | undefined {
  const bytes = decodeBase64url(text);
  return bytes && open(key, bytes, aad);
}

function sealedElsewhere(ref: SecretRef, keyId: string, ownKeyId: string): GatewayError {
  return new GatewayError(
    'internal',
    `The secret ${ref.name} cannot be opened: it was sealed under the master key ${keyId}, and this gateway runs with ${ownKeyId}. ` +
      "Start with that master key, or write the secret's value again.",
  );
}

function changed(ref: SecretRef): GatewayError {
  return new GatewayError(
    'internal',
    `The secret ${ref.name} cannot be opened: its record in the store was changed, or belongs to another secret. ` +
      "Write the secret's value again, and look at who can write to the store.",
  );
}
