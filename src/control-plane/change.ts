// One write to an account: everything that is put or deleted in it leaves its revision in the same transaction, so that
// no door can change something unrecorded.

import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Role } from '../domain/principal.ts';
import {
  type Action,
  type Actor,
  type Effect,
  hasEffect,
  NO_EFFECT,
  type ObjectKind,
  type Objects,
  UNKNOWN_EFFECT,
} from '../domain/revision.ts';
import type { AccountConfiguration, Store, Writer } from '../store/store.ts';
import { type ChainLink, toStoredRevision } from './revision-chain.ts';

export interface ChangeDeps {
  readonly store: Store;
  /** Key of the MACs of revisions. */
  readonly auditKey: Buffer;
  readonly now: () => number;
  /** The configuration that was last read, to spare a large account the reading of it once more. */
  readonly known?: (account: AccountId) => AccountConfiguration | undefined;
  /** Told of the newest link of an account's chain of revisions, when it is committed. */
  readonly noteHead?: (account: AccountId, head: ChainLink) => void;
  /** What a write gives and takes, as far as this process knows the upstreams' lists; a command knows none. */
  readonly effectOf?: EffectOf;
  /** Where the config file declares an object, as `file:line:column`. */
  readonly positionOf?: (kind: ObjectKind, name: string) => string | undefined;
}

export type EffectOf = <K extends ObjectKind>(
  before: AccountConfiguration,
  kind: K,
  was: Objects[K] | undefined,
  is: Objects[K] | undefined,
) => Promise<Effect>;

/** A command that works on the store itself, as who may read the master key can. */
export const COMMAND: Actor = { kind: 'command', id: null, name: 'command line' };

/** Revisions an `If-Match` names; `*` stands for whatever is there. */
export type Expected = readonly number[] | '*';

export interface ChangeOptions {
  readonly actor: Actor;
  /** What the actor may do; who works on the store itself, or wrote its config file, may do what an owner may. */
  readonly role?: Role;
  readonly requestId?: string | undefined;
  readonly expected?: Expected | undefined;
}

/** The kinds that live in an account's configuration, and are found by id or name. */
type Findable = 'mcp_config' | 'secret' | 'token' | 'api_key';

const NAMES: Readonly<Record<Findable, string>> = {
  mcp_config: 'McpConfig',
  secret: 'secret',
  token: 'token',
  api_key: 'API key',
};

/** Runs `work` in one transaction and gives what it gives. Nothing of it is written when it throws. */
export async function change<T>(
  deps: ChangeDeps,
  account: AccountId,
  options: ChangeOptions,
  work: (change: Change) => Promise<T>,
): Promise<T> {
  let last: ChainLink | undefined;
  const done = await deps.store.write(account, async (writer) => {
    const before = await writer.readConfiguration(deps.known?.(account));
    const change = new Change(deps, options, writer, before, await writer.lastRevision());
    change.requireLiveActor();
    const result = await work(change);
    change.requireExpectationMet();
    last = change.last;
    return result;
  });
  if (last !== undefined) deps.noteHead?.(account, last);
  return done;
}

export class Change {
  /** The configuration before this write. */
  readonly before: AccountConfiguration;
  readonly accountId: AccountId;
  readonly nowMs: number;
  readonly isOwner: boolean;
  readonly writer: Pick<Writer, 'findDevbox' | 'findReply' | 'lastRevisionOf' | 'putReply'>;
  readonly #deps: ChangeDeps;
  readonly #options: ChangeOptions;
  readonly #writer: Writer;
  #last: ChainLink | undefined;
  #isExpectationMet: boolean;

  constructor(
    deps: ChangeDeps,
    options: ChangeOptions,
    writer: Writer,
    before: AccountConfiguration,
    last: ChainLink | undefined,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#writer = writer;
    this.#last = last;
    this.#isExpectationMet = options.expected === undefined;
    this.writer = writer;
    this.before = before;
    this.accountId = before.accountId;
    this.nowMs = deps.now();
    this.isOwner = (options.role ?? 'owner') === 'owner';
  }

  /** Throws `unauthenticated` for an API key that was revoked while its request was still coming in. */
  requireLiveActor(): void {
    const { kind, id, name } = this.#options.actor;
    if (kind !== 'api_key' || this.before.apiKeys.some((key) => key.id === id && key.revokedAtMs === null)) return;
    throw new GatewayError(
      'unauthenticated',
      `The API key "${name}" was revoked. Nothing was changed; use another key.`,
    );
  }

  /**
   * The object that the request is about, by id or name. Throws `not_found`, and `revision_mismatch` when the request
   * expects another revision than there is.
   */
  find<K extends Findable>(kind: K, idOrName: string): Objects[K] {
    const found = find(objectsOf(this.before, kind), idOrName, NAMES[kind]);
    this.requireRevision(`The ${NAMES[kind]} '${found.name}'`, revisionOf(kind, found));
    return found;
  }

  /** Throws `revision_mismatch` when the request expects another revision of `what` than there is. */
  requireRevision(what: string, revision: number): void {
    const { expected } = this.#options;
    this.#isExpectationMet = true;
    if (expected === undefined || expected === '*' || expected.includes(revision)) return;
    throw new GatewayError(
      'revision_mismatch',
      `${what} is at revision ${revision}, and this request is about ${expected.join(', ')}: ` +
        'somebody else has changed it. Read it again, and decide again.',
    );
  }

  /** Like `find`; throws `conflict` for what the config file owns, and would bring back. */
  findEditable<K extends 'mcp_config' | 'secret' | 'token'>(kind: K, idOrName: string): Objects[K] {
    const found = this.find(kind, idOrName);
    if (found.managedBy === 'api') return found;
    const position = this.#deps.positionOf?.(kind, found.name);
    const what = `The ${NAMES[kind]} '${found.name}' is declared`;
    const revocation =
      kind === 'token' ? ` To revoke it at once: switchboard tokens revoke ${found.name} --config FILE.` : '';
    throw new GatewayError(
      'conflict',
      position === undefined
        ? `${what} in the config file of the gateway, or by the demo: change it in the file, or make one of your own.`
        : `${what} at ${position}: change it there.${revocation}`,
    );
  }

  async put<K extends Exclude<ObjectKind, 'account'>>(kind: K, object: Objects[K], action: Action): Promise<void> {
    const was = kind === 'devbox' ? await this.#writer.findDevbox(object.id) : this.#known(kind, object.id);
    await WRITES[kind].call(this.#writer, object);
    await this.#record(kind, was as Objects[K] | undefined, object, action);
  }

  async delete<K extends 'mcp_config' | 'secret' | 'token'>(kind: K, object: Objects[K]): Promise<void> {
    await DELETIONS[kind].call(this.#writer, object.id);
    await this.#record(kind, object, undefined, 'delete');
  }

  /** Lets go of the values of tokens that are about to be put again in this change. */
  async freeHashes(tokens: readonly Objects['token'][]): Promise<void> {
    for (const { id } of tokens) await this.#writer.deleteToken(id);
  }

  /** Makes another account, with its first API key. Throws `conflict`. */
  async createAccount(account: Objects['account'], firstKey: Objects['api_key']): Promise<void> {
    await this.#writer.createAccount({ id: account.id as AccountId, name: account.name }, firstKey);
    await this.#record('account', undefined, account, 'create');
  }

  /** The newest link of the account's chain, with what this change adds to it. */
  get last(): ChainLink | undefined {
    return this.#last;
  }

  /** What was asked for has been done before. */
  expectNothing(): void {
    this.#isExpectationMet = true;
  }

  /** A request that expects a revision of nothing would otherwise be done whatever there is (RFC 9110 §13.1.1). */
  requireExpectationMet(): void {
    if (this.#isExpectationMet) return;
    throw new GatewayError(
      'revision_mismatch',
      'If-Match is for a request that changes one object that is there: leave it out here.',
    );
  }

  #known(kind: ObjectKind, id: string): unknown {
    return kind === 'devbox' || kind === 'account'
      ? undefined
      : objectsOf(this.before, kind).find((each) => each.id === id);
  }

  async #record<K extends ObjectKind>(
    kind: K,
    was: Objects[K] | undefined,
    is: Objects[K] | undefined,
    action: Action,
  ): Promise<void> {
    const { auditKey, effectOf } = this.#deps;
    const object = (is ?? was) as Objects[K];
    const stored = toStoredRevision(auditKey, this.accountId, this.#last, {
      timeMs: this.nowMs,
      actor: this.#options.actor,
      requestId: this.#options.requestId ?? null,
      action,
      objectKind: kind,
      objectId: object.id,
      objectName: object.name ?? '',
      revision: revisionOf(kind, object) + (is === undefined ? 1 : 0),
      effect: (await effectOf?.(this.before, kind, was, is)) ?? (hasEffect(kind) ? UNKNOWN_EFFECT : NO_EFFECT),
      before: was === undefined ? null : toPublic(was),
      after: is === undefined ? null : toPublic(is),
    });
    await this.#writer.appendRevision(stored);
    this.#last = stored;
  }
}

const WRITES: { readonly [K in Exclude<ObjectKind, 'account'>]: (this: Writer, object: Objects[K]) => Promise<void> } =
  {
    mcp_config(object) {
      return this.putMcpConfig(object);
    },
    secret(object) {
      return this.putSecret(object);
    },
    token(object) {
      return this.putToken(object);
    },
    api_key(object) {
      return this.putApiKey(object);
    },
    devbox(object) {
      return this.putDevbox(object);
    },
  };

const DELETIONS: Readonly<Record<'mcp_config' | 'secret' | 'token', (this: Writer, id: string) => Promise<void>>> = {
  mcp_config(id) {
    return this.deleteMcpConfig(id);
  },
  secret(id) {
    return this.deleteSecret(id);
  },
  token(id) {
    return this.deleteToken(id);
  },
};

/** Throws `not_found` when no object has this id or name. */
export function find<T extends { readonly id: string; readonly name: string }>(
  all: readonly T[],
  idOrName: string,
  kind: string,
): T {
  const named = all.filter(({ name }) => name === idOrName);
  // A name may be that of a token in force and of revoked ones.
  const found = all.find(({ id }) => id === idOrName) ?? named.find((each) => !isRevoked(each)) ?? named.at(-1);
  if (found !== undefined) return found;
  throw new GatewayError('not_found', `There is no ${kind} ${shown(idOrName)} in this account.`);
}

/** What was asked for, as an error may say it: what could be a value, sent by mistake, is not repeated. */
export function shown(idOrName: string): string {
  const isName = /^[\w.-]{1,64}$/.test(idOrName) && !/^(?:swb|gh[a-z]|sk|xox[a-z])[_-]/.test(idOrName);
  return isName ? `'${idOrName}'` : 'of this name or id';
}

function isRevoked(object: object): boolean {
  return 'revokedAtMs' in object && object.revokedAtMs !== null;
}

function objectsOf<K extends Findable>(configuration: AccountConfiguration, kind: K): readonly Objects[K][] {
  const { mcpConfigs, secrets, tokens, apiKeys } = configuration;
  const all: { readonly [F in Findable]: readonly Objects[F][] } = {
    mcp_config: mcpConfigs,
    secret: secrets,
    token: tokens,
    api_key: apiKeys,
  };
  return all[kind];
}

/** Counts the writes to an object, from 1; an API key and a devbox are made and ended, and nothing else. */
function revisionOf<K extends ObjectKind>(kind: K, object: Objects[K]): number {
  if (kind === 'secret') return (object as Objects['secret']).version;
  if ('revision' in object) return object.revision;
  const hasEnded = isRevoked(object) || ('endTimeMs' in object && object.endTimeMs !== null);
  return hasEnded ? 2 : 1;
}

/** What a record may say of an object: everything but sealed values, the hashes of tokens and keys, and the operator's commands. */
function toPublic(object: object): Record<string, unknown> {
  const { sealed: _, hash: __, previousHash: ___, stdio: ____, ...rest } = object as Record<string, unknown>;
  return rest;
}
