// JSON-RPC ids towards upstreams: ours, unguessable and of constant width (design §3.11), so that an answer can be
// recognised by a native search for its id instead of a walk through the answer.

import { randomBytes } from 'node:crypto';

/** Characters of an id without its quotes: 132 random bits. */
const UPSTREAM_ID_LENGTH = 22;
/** Ids cut from one draw of the generator; a draw costs about as much as one id alone would. */
const IDS_PER_DRAW = 256;

/** Mints ids of `UPSTREAM_ID_LENGTH` base64url characters. */
export class UpstreamIds {
  #pool = '';
  #next = 0;

  mint(): string {
    if (this.#next === this.#pool.length) {
      this.#pool = randomBytes((IDS_PER_DRAW * UPSTREAM_ID_LENGTH * 3) / 4).toString('base64url');
      this.#next = 0;
    }
    const start = this.#next;
    this.#next = start + UPSTREAM_ID_LENGTH;
    return this.#pool.slice(start, this.#next);
  }
}
