// Legacy sessions towards clients. The id is a sealed record that any replica can read; it authenticates nobody, it is
// bound to the principal who opened it (2025-11-25 basic/security: session hijacking).

import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  type ClientCapabilities,
  capabilityClass,
  NO_CAPABILITIES,
  readCapabilityClass,
} from '../protocol/client-capabilities.ts';
import { LEGACY_REVISIONS } from '../protocol/era.ts';
import type { LogLevel } from '../protocol/log-level.ts';
import type { Sealer } from '../vault/sealer.ts';

export interface Session {
  /** Unguessable; names the session inside the gateway, where the sealed id would be long. */
  readonly nonce: string;
  readonly revision: string;
  readonly expiresAtMs: number;
  /** What its client can be asked: nothing once it has ended. */
  capabilities: ClientCapabilities;
  /** From which level on its client wants logs; lost with the memory of the process, and then as if never set. */
  logLevel: LogLevel | undefined;
}

/** A session may be used this long after `initialize`. */
const LIFETIME_MS = 24 * 60 * 60 * 1000;
/** Of this many, but taken as it is needed: `max` would take half a megabyte for each that is empty. */
const ROOM = { maxSize: 20_000, sizeCalculation: () => 1 };

export interface SessionsOptions {
  readonly sealer: Sealer;
  readonly now: () => number;
  /** Whether a session of this id would be served by this process; all are unless told. */
  readonly owns?: ((id: string) => boolean) | undefined;
}

export class Sessions {
  readonly #options: SessionsOptions;
  /** Sessions opened lately, by principal and id: unsealing costs more than the rest of a request's head. */
  readonly #opened = new LRUCache<string, Session>(ROOM);
  /** Nonces of sessions that were ended; one lost from here lives until it expires, and harms nobody but its owner. */
  readonly #ended = new LRUCache<string, true>(ROOM);

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** A new session id for a principal. */
  open(principalId: string, revision: string, capabilities: ClientCapabilities): string {
    const expiresAtMs = this.#options.now() + LIFETIME_MS;
    const nonce = randomBytes(12).toString('base64url');
    const record = Buffer.from(JSON.stringify([nonce, revision, expiresAtMs, capabilityClass(capabilities)]));
    const { sealer, owns } = this.#options;
    let id = sealer.seal(record, principalId);
    // Sealed anew it is another text. Of all ids an equal part is this process's own.
    while (owns?.(id) === false) id = sealer.seal(record, principalId);
    return id;
  }

  /** The session of an id, or `undefined` when it is not this principal's, ended, expired or not ours: all answered alike. */
  find(principalId: string, id: string): Session | undefined {
    const key = `${principalId}\n${id}`;
    let session = this.#opened.get(key);
    if (session === undefined) {
      const record = this.#options.sealer.open(id, principalId);
      session = record === undefined ? undefined : readRecord(record);
      if (session === undefined) return undefined;
      this.#opened.set(key, session);
    }
    return session.expiresAtMs <= this.#options.now() || this.#ended.has(session.nonce) ? undefined : session;
  }

  end(session: Session): void {
    this.#ended.set(session.nonce, true);
    session.capabilities = NO_CAPABILITIES;
  }
}

function readRecord(bytes: Buffer): Session | undefined {
  const record: unknown = JSON.parse(bytes.toString('utf8'));
  if (!Array.isArray(record)) return undefined;
  const [nonce, revision, expiresAtMs, declared] = record;
  if (typeof nonce !== 'string' || typeof expiresAtMs !== 'number') return undefined;
  const capabilities = typeof declared === 'string' ? readCapabilityClass(declared) : undefined;
  const isServed = (LEGACY_REVISIONS as readonly unknown[]).includes(revision);
  return isServed && capabilities !== undefined
    ? { nonce, revision, expiresAtMs, capabilities, logLevel: undefined }
    : undefined;
}
