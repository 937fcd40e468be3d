// What would have to be written so that an account has what a file declares. Nothing is written here.

import { isDeepStrictEqual } from 'node:util';
import type { Finding } from '../../settings/file-problem.ts';
import { findTokenWarnings } from '../../settings/token-findings.ts';
import { FileError } from '../command-errors.ts';
import type { Account } from './account.ts';
import type { DeclaredFile } from './declared-file.ts';
import { type Fields, type Kind, type There, wordsOfConfig, wordsOfToken } from './words.ts';

export interface FieldChange {
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
}

export interface Step {
  readonly action: 'create' | 'update' | 'delete';
  readonly kind: Kind;
  readonly name: string;
  readonly changes: readonly FieldChange[];
  /** Whether a value of the file is written as well. */
  readonly hasValue: boolean;
  /** Below `/v1`. */
  readonly path: string;
  /** Without the value. */
  readonly body: Fields;
  /** The revision that was read. */
  readonly ifMatch?: number;
}

/** A declared object that differs and is not for this command to write. */
export interface Stuck {
  readonly kind: Kind;
  readonly name: string;
  readonly changes: readonly FieldChange[];
  readonly reason: string;
}

export interface Plan {
  /** In an order in which each finds what it refers to. */
  readonly steps: readonly Step[];
  readonly stuck: readonly Stuck[];
  /** What the gateway's own config file declares and this one does not: left to that. */
  readonly left: readonly { readonly kind: Kind; readonly name: string }[];
  /** Fields of the file that the API neither shows nor takes, as lines. */
  readonly unseen: readonly string[];
}

export interface PlanOptions {
  /** Whether what the file does not declare is to go. */
  readonly prune: boolean;
  /** Whether secrets that are there are given the file's value, which may be the one they have. */
  readonly updateSecrets: boolean;
}

interface Wanted {
  readonly kind: Kind;
  readonly name: string;
  readonly index: number;
  readonly fields: Fields;
}

const LISTS: Readonly<Record<Kind, string>> = { secret: 'secrets', mcp_config: 'mcp-configs', token: 'mcp-tokens' };
/** Of a config in a file; they say what the gateway's own machine holds or reaches. */
const FILE_ONLY = ['stdio', 'tls', 'proxy', 'proxy_secret', 'limits'] as const;

/**
 * Throws `FileError` for a config that could only be made by the gateway's own file, and for what of a token the gateway
 * would refuse when half of the plan is done.
 */
export function makePlan(file: DeclaredFile, account: Account, options: PlanOptions): Plan {
  const { secrets, mcp_configs: configs, tokens } = file.document;
  const wanted: readonly Wanted[] = [
    ...secrets.map(({ name }, index): Wanted => ({ kind: 'secret', name, index, fields: {} })),
    ...configs.map(
      (each, index): Wanted => ({ kind: 'mcp_config', name: each.name, index, fields: wordsOfConfig(each) }),
    ),
    ...tokens.map((each, index): Wanted => ({ kind: 'token', name: each.name, index, fields: wordsOfToken(each) })),
  ];
  const extra = findExtra(account, wanted);
  const deleted = options.prune ? extra.filter(({ isFromFile }) => !isFromFile) : [];
  const compared = wanted.map((each) => compare(each, account[each.kind].get(each.name), options));
  requireTakenTokens(
    file,
    compared.flatMap(({ step }) => step ?? []),
  );
  return {
    steps: [...compared.flatMap(({ step }) => step ?? []), ...deleted.map(toDeletion)],
    stuck: compared.flatMap(({ stuck }) => stuck ?? []),
    left: extra.filter(({ isFromFile }) => isFromFile).map(({ kind, name }) => ({ kind, name })),
    unseen: findUnseen(file, account),
  };
}

function compare(
  { kind, name, fields }: Wanted,
  there: There | undefined,
  { updateSecrets }: PlanOptions,
): { step?: Step; stuck?: Stuck } {
  const list = `/${LISTS[kind]}`;
  if (there === undefined) {
    const given = withoutAbsent(fields);
    const step = { action: 'create', kind, name, changes: changesBetween({}, given), path: list } as const;
    return { step: { ...step, hasValue: kind !== 'mcp_config', body: { name, ...given } } };
  }
  const changes = changesBetween(there.fields, fields);
  const hasValue = kind === 'secret' && updateSecrets && !there.isFromFile;
  if (changes.length === 0 && !hasValue) return {};
  if (there.isFromFile)
    return { stuck: { kind, name, changes, reason: 'the config file of the gateway declares it: change it there' } };
  const endless = changes.find(({ field, after }) => field === 'expire_time_ms' && after === null);
  if (endless !== undefined)
    return { stuck: { kind, name, changes, reason: 'an expiry cannot be taken away: revoke it, and it is made anew' } };
  const body = Object.fromEntries(changes.map(({ field, after }) => [field, after]));
  const path = `${list}/${there.id}`;
  return { step: { action: 'update', kind, name, changes, hasValue, path, body, ifMatch: there.revision } };
}

function changesBetween(before: Fields, after: Fields): FieldChange[] {
  return Object.keys(after)
    .map((field) => ({ field, before: before[field] ?? null, after: after[field] ?? null }))
    .filter((each) => !isDeepStrictEqual(each.before, each.after));
}

/** What a gateway serves when its own file has it, and takes from nobody else. */
function requireTakenTokens({ document, lineAt }: DeclaredFile, steps: readonly Step[]): void {
  const isWritten = ({ path: [, index, field] }: Finding): boolean => {
    const { name } = document.tokens[Number(index)] ?? {};
    const body = steps.find((step) => step.kind === 'token' && step.name === name)?.body ?? {};
    return Object.hasOwn(body, field === 'expires_at' ? 'expire_time_ms' : 'grants');
  };
  const refused = findTokenWarnings(document, Date.now()).filter(isWritten);
  if (refused.length > 0) throw new FileError(refused.map(({ path, message }) => lineAt(path, message)));
}

type Extra = There & { readonly kind: Kind };

/** What the file does not declare, in an order in which it can be deleted: what grants and sends before what is granted and sent. */
function findExtra(account: Account, wanted: readonly Wanted[]): Extra[] {
  const order = ['token', 'mcp_config', 'secret'] as const;
  return order.flatMap((kind) => {
    const names = new Set(wanted.filter((each) => each.kind === kind).map(({ name }) => name));
    return [...account[kind].values()].filter(({ name }) => !names.has(name)).map((each) => ({ ...each, kind }));
  });
}

function toDeletion({ kind, id, name, revision }: Extra): Step {
  const path = `/${LISTS[kind]}/${id}/${kind === 'token' ? 'revoke' : 'delete'}`;
  return { action: 'delete', kind, name, changes: [], hasValue: false, path, body: {}, ifMatch: revision };
}

function findUnseen({ document, lineAt }: DeclaredFile, account: Account): string[] {
  const found = document.mcp_configs.flatMap((config, index) =>
    FILE_ONLY.filter((field) => Object.keys(Object(config[field])).length > 0).map((field) => ({
      path: ['mcp_configs', index, field],
      isNew: !account.mcp_config.has(config.name),
    })),
  );
  const impossible = found.filter(({ isNew }) => isNew);
  if (impossible.length === 0)
    return found.map(({ path }) => lineAt(path, 'is not compared: the REST API does not show it'));
  const message = 'cannot be set over REST: declare this config in the file that the gateway serves';
  throw new FileError(impossible.map(({ path }) => lineAt(path, message)));
}

const MEANS_NOTHING_EMPTY = new Set(['allowed_prompts', 'allowed_resources', 'custom_headers']);

/** Without what means nothing where it is left out; an empty allow-list, and no grants, do mean something. */
function withoutAbsent(fields: Fields): Fields {
  const isGiven = ([field, value]: [string, unknown]): boolean =>
    value !== null && value !== '' && !(MEANS_NOTHING_EMPTY.has(field) && isDeepStrictEqual(value, []));
  return Object.fromEntries(Object.entries(fields).filter(isGiven));
}
