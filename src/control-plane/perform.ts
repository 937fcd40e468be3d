// Does an operation for an operator, whichever door it came through: who may, once and not twice, recorded, in force.

import { createHash } from 'node:crypto';
import { GatewayError } from '../domain/errors.ts';
import type { Operator } from '../identity/authenticate.ts';
import type { Sealer } from '../vault/sealer.ts';
import { type Change, type ChangeDeps, change, type Expected } from './change.ts';
import { isAllowed, type Operation, type WriteOperation } from './operation.ts';

export interface PerformDeps extends ChangeDeps {
  /** Seals answers that are kept to be given again: they may hold a token. */
  readonly replySealer: Sealer;
  /** Brings what was written into force in this process and those on the same port; others follow by themselves. */
  readonly refresh: () => Promise<void>;
}

/** One request as a door has read it: `query` and `body` by the operation's schemas. */
export interface Request {
  readonly operator: Operator;
  readonly id: string;
  readonly query: Record<string, unknown>;
  readonly body: Record<string, unknown>;
  readonly expected?: Expected | undefined;
  /** The same for a request that is sent again. */
  readonly requestId?: string | undefined;
}

export interface Answer {
  readonly view: Record<string, unknown>;
  /** Whether it was given before, and nothing was done this time. */
  readonly isReplay: boolean;
}

export type Perform = (operation: Operation, request: Request) => Promise<Answer>;

/** How long the answer to a write is remembered. */
const REPLY_LIFETIME_MS = 24 * 60 * 60 * 1000;

/** Throws `forbidden`, and whatever the operation throws. A write is committed, and in force here, when it resolves. */
export function createPerform(deps: PerformDeps): Perform {
  return async (operation, request) => {
    requireRole(operation, request.operator);
    if (operation.kind === 'read') return { view: await operation.run(request), isReplay: false };
    const { operator, expected, requestId } = request;
    const actor = { kind: 'api_key', id: operator.keyId, name: operator.name } as const;
    const answer = await change(
      deps,
      operator.accountId,
      { actor, role: operator.role, expected, requestId },
      (each) =>
        requestId === undefined ? run(operation, request, each) : runOnce(deps, operation, request, each, requestId),
    );
    // Committed is committed: a store that goes away now must not make it look refused. The change feed brings it into
    // force as soon as the store is back.
    await deps.refresh().catch(() => {});
    return answer;
  };
}

/** Throws `forbidden`. */
export function requireRole({ name, role }: Operation, operator: Operator): void {
  if (isAllowed(operator.role, role)) return;
  throw new GatewayError(
    'forbidden',
    `The API key "${operator.name}" has the role ${operator.role}, and ${name} needs ${role}. Use another key.`,
  );
}

async function run(operation: WriteOperation, request: Request, each: Change): Promise<Answer> {
  return { view: await operation.run(request, each), isReplay: false };
}

/**
 * In the transaction of the write, so that an answer is kept if and only if the write is: a client that lost it, even to
 * a crash, sends the request again and is given it. Throws `conflict` when the id has been used for something else.
 */
async function runOnce(
  deps: PerformDeps,
  operation: WriteOperation,
  request: Request,
  each: Change,
  requestId: string,
): Promise<Answer> {
  const key = digest(operation.method, operation.path, request.id, requestId);
  // Another key of the account must not be shown what this one was.
  const fingerprint = digest(request.operator.keyId, JSON.stringify([request.query, request.body, request.expected]));
  const context = `${each.accountId}\n${key}`;
  const known = await each.writer.findReply(key);
  if (known !== undefined && known.expiresAtMs > each.nowMs) {
    const opened = deps.replySealer.open(known.sealed, context);
    const kept = opened && (JSON.parse(opened.toString('utf8')) as { fingerprint: string; view: Answer['view'] });
    if (kept?.fingerprint === fingerprint) {
      each.expectNothing();
      return { view: kept.view, isReplay: true };
    }
    const message = 'x-request-id was used for another request within a day: send a new one with every new request.';
    throw new GatewayError('conflict', message, { problems: [{ path: 'x-request-id', message }] });
  }
  const answer = await run(operation, request, each);
  const sealed = deps.replySealer.seal(Buffer.from(JSON.stringify({ fingerprint, view: answer.view })), context);
  await each.writer.putReply({ key, sealed, expiresAtMs: each.nowMs + REPLY_LIFETIME_MS }, each.nowMs);
  return answer;
}

function digest(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
