// The `requestState` of a modern client: an upstream's own, or the name of a call that waits here. Either is sealed to
// who may use it and for what (design §3.11), so that one of another token, or for another tool, is just unknown.

import type { Sealer } from '../vault/sealer.ts';

/** Who was given a state, and for which request: of nobody else, and for nothing else, does it open. */
export interface StateOwner {
  readonly tokenId: string;
  readonly configId: string;
  readonly method: string;
  /** The tool, prompt or resource, by its canonical name. */
  readonly name: string;
}

export type RequestState =
  /** `raw`: the upstream's state, a JSON string with its quotes as latin1 text. */
  { readonly kind: 'upstream'; readonly raw: string } | { readonly kind: 'parked'; readonly id: string };

/** An upstream that wants its states to be shorter-lived sees to that itself. */
const UPSTREAM_LIFETIME_MS = 60 * 60 * 1000;

export interface RequestStatesOptions {
  readonly sealer: Sealer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class RequestStates {
  readonly #options: RequestStatesOptions;

  constructor(options: RequestStatesOptions) {
    this.#options = options;
  }

  /** Both give base64url. */
  sealUpstream(owner: StateOwner, raw: string): string {
    return this.#seal(owner, 'upstream', raw, UPSTREAM_LIFETIME_MS);
  }

  sealParked(owner: StateOwner, id: string, lifetimeMs: number): string {
    return this.#seal(owner, 'parked', id, lifetimeMs);
  }

  /** `undefined` for a state that is foreign, forged, for another request, or expired: all are unknown alike. */
  open(owner: StateOwner, text: string): RequestState | undefined {
    const opened = this.#options.sealer.open(text, toContext(owner));
    if (opened === undefined) return undefined;
    const [kind, value, expiresAtMs] = JSON.parse(opened.toString()) as ['upstream' | 'parked', string, number];
    if (expiresAtMs <= this.#options.now()) return undefined;
    return kind === 'upstream' ? { kind, raw: value } : { kind, id: value };
  }

  #seal(owner: StateOwner, kind: RequestState['kind'], value: string, lifetimeMs: number): string {
    const record = [kind, value, this.#options.now() + lifetimeMs];
    return this.#options.sealer.seal(Buffer.from(JSON.stringify(record)), toContext(owner));
  }
}

function toContext({ tokenId, configId, method, name }: StateOwner): string {
  return JSON.stringify([tokenId, configId, method, name]);
}
