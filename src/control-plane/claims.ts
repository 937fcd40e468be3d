// One-time links to the values of tokens: whoever makes a token through a model gets a link, and the value goes from the
// gateway to the person or program that opens it.

import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Store, StoredReply } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Sealer } from '../vault/sealer.ts';
import { NOTHING, type Operation, write } from './operation.ts';
import { createFromBody, newTokenBody, tokenView, toTokenView } from './token-operations.ts';
import type { UseCaseDeps } from './use-case.ts';

/** What a link gives. */
export interface Claimed {
  readonly name: string;
  readonly token: string;
  /** Where an agent connects with it. */
  readonly url: string;
}

export interface ClaimDeps extends UseCaseDeps {
  readonly claimSealer: Sealer;
  /** Such as `https://mcp.example.com/claim/CODE`. */
  readonly claimUrl: (code: string) => string;
}

export interface ClaimsDeps {
  readonly store: Store;
  readonly sealer: Sealer;
  readonly now: () => number;
  readonly log: Logger;
}

export const CLAIM_MINUTES = 15;
const CODE = 'code';
const CODE_BYTES = 32;

export function claimOperations(deps: ClaimDeps): Operation[] {
  return [
    write({
      name: 'createTokenClaim',
      tag: 'mcp-tokens',
      summary:
        'Create a token for agents, and a link that shows its value once. If-Match takes the epoch of the account.',
      method: 'post',
      path: '/mcp-token-claims',
      role: 'editor',
      query: NOTHING,
      body: newTokenBody,
      view: tokenView.extend({
        claim_url: z.string().describe('Gives the value of the token to the first who opens it.'),
        claim_expire_time_ms: z.int(),
      }),
      run: async ({ body }, change) => {
        change.requireRevision('The account', change.before.epoch);
        const { stored, value } = await createFromBody(deps.pepper, change, body);
        const secret = randomBytes(CODE_BYTES);
        const key = toKey(secret);
        const kept: Kept = { id: stored.id, name: stored.name, token: value, url: deps.mcpUrl() };
        const sealed = deps.claimSealer.seal(Buffer.from(JSON.stringify(kept)), toContext(change.accountId, key));
        const expiresAtMs = change.nowMs + CLAIM_MINUTES * 60_000;
        await change.writer.putReply({ key, sealed, expiresAtMs }, change.nowMs);
        const code = deps.claimSealer.seal(Buffer.concat([secret, Buffer.from(change.accountId)]), CODE);
        return {
          ...toTokenView(stored, change.before),
          claim_url: deps.claimUrl(code),
          claim_expire_time_ms: expiresAtMs,
        };
      },
    }),
  ];
}

interface Kept extends Claimed {
  /** Of the token. */
  readonly id: string;
}

/** The links as those who open them see them: unknown, used and expired ones are alike. */
export class Claims {
  readonly #deps: ClaimsDeps;

  constructor(deps: ClaimsDeps) {
    this.#deps = deps;
  }

  /** Whether the link would give something now; it is not used up by asking. */
  async isGood(code: string): Promise<boolean> {
    const claim = this.#read(code);
    if (claim === undefined) return false;
    const reply = await this.#deps.store.write(claim.account, (writer) => writer.findReply(claim.key));
    return this.#isInTime(reply);
  }

  /** What the link gives, to one of all who ask. */
  async take(code: string): Promise<Claimed | undefined> {
    const claim = this.#read(code);
    if (claim === undefined) return undefined;
    const { store, sealer, log } = this.#deps;
    const reply = await store.write(claim.account, (writer) => writer.takeReply(claim.key));
    const opened = this.#isInTime(reply) ? sealer.open(reply.sealed, toContext(claim.account, claim.key)) : undefined;
    if (opened === undefined) return undefined;
    const { id, name, token, url } = JSON.parse(opened.toString('utf8')) as Kept;
    log.info('token claimed', { account: claim.account, token_id: id });
    return { name, token, url };
  }

  /** Codes are sealed, so that guesses are refused before the store is asked. */
  #read(code: string): { readonly account: AccountId; readonly key: string } | undefined {
    const opened = this.#deps.sealer.open(code, CODE);
    if (opened === undefined) return undefined;
    const account = opened.subarray(CODE_BYTES).toString('utf8') as AccountId;
    return { account, key: toKey(opened.subarray(0, CODE_BYTES)) };
  }

  #isInTime(reply: StoredReply | undefined): reply is StoredReply {
    return reply !== undefined && reply.expiresAtMs > this.#deps.now();
  }
}

/** A hash: who reads the store's rows cannot make the link of one. */
function toKey(secret: Buffer): string {
  return `claim.${createHash('sha256').update(secret).digest('base64url')}`;
}

function toContext(account: AccountId, key: string): string {
  return `${account}\n${key}`;
}
