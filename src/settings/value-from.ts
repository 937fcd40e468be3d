// Opens `value_from`: the values of secrets and tokens, out of the environment or out of files.

import { createPrivateKey } from 'node:crypto';
import { resolve } from 'node:path';
import { VARIABLE_NAME } from '../control-plane/schemas.ts';
import { Secret } from '../domain/secret.ts';
import { type BearerForm, classifyBearer, isOperatorSuppliedToken } from '../identity/tokens.ts';
import type { Lookup } from './environment.ts';
import type { Finding } from './file-problem.ts';
import { readBytes } from './read-bytes.ts';
import { entriesOf } from './reference-findings.ts';
import type { Path } from './yaml-source.ts';

const MAX_VALUE_BYTES = 65_536;

export interface ValueSource {
  readonly lookup: Lookup;
  /** Relative paths of value files start here. */
  readonly directory: string;
}

/** The opened values by the name of their object, and what kept others from being opened. */
export interface OpenedValues {
  readonly values: ReadonlyMap<string, Secret>;
  readonly findings: readonly Finding[];
}

type Opened = { readonly value: string } | { readonly message: string } | undefined;

function fromVariable(name: string, lookup: Lookup): Opened {
  const value = lookup(name);
  // Only what looks like a name is repeated: somebody may have put the secret itself here.
  const variable = /^[A-Z_][A-Z0-9_]*$/.test(name) ? `the environment variable ${name}` : 'this environment variable';
  if (value === undefined) return { message: `${variable} is not set: export it before starting` };
  return value === '' ? { message: `${variable} is set but empty` } : { value };
}

async function fromFile(file: string, directory: string): Promise<Opened> {
  const outcome = await readBytes(resolve(directory, file), MAX_VALUE_BYTES);
  if (!outcome.ok) return { message: `the file ${outcome.message}` };
  try {
    // Editors and `echo` end a file with a line break that is not part of the secret.
    const value = new TextDecoder('utf-8', { fatal: true }).decode(outcome.bytes).replace(/\r?\n$/, '');
    return value === '' ? { message: 'the file is empty' } : { value };
  } catch {
    return { message: 'the file is not UTF-8 text' };
  }
}

const PRIVATE_KEY = /^\s*-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----[^-]*-----END \1-----\s*$/;

function findSecretProblem(value: string): string | undefined {
  if (PRIVATE_KEY.test(value)) return isReadableKey(value) ? undefined : UNREADABLE_KEY;
  // A credential travels in a header: a line break in it would end the header.
  return /[\r\n\0]/.test(value)
    ? 'the value holds a line break: a credential is one line, but for a private key in PEM that stands alone'
    : undefined;
}

const UNREADABLE_KEY =
  'the value is a private key that cannot be read: it must be PEM and not encrypted (`openssl pkey` decrypts one)';

function isReadableKey(pem: string): boolean {
  try {
    createPrivateKey(pem);
    return true;
  } catch {
    return false;
  }
}

/** What authentication would turn away at every call is refused here, once. */
const UNUSABLE_TOKEN: Readonly<Partial<Record<BearerForm['form'], string>>> = {
  key: 'the value is an API key of the control plane: use a token of its own',
  bad_checksum: 'the value begins like a token of this gateway but is cut short or mistyped: copy it again',
  variable: 'the value is a variable that nothing filled in: set the value itself',
};

function findTokenProblem(value: string): string | undefined {
  return isOperatorSuppliedToken(value)
    ? UNUSABLE_TOKEN[classifyBearer(value).form]
    : 'the value must be 32 to 256 visible ASCII characters, without blanks: make one with `openssl rand -hex 32`';
}

async function openList(
  document: unknown,
  list: string,
  source: ValueSource,
  findProblem: (value: string) => string | undefined,
): Promise<OpenedValues> {
  const values = new Map<string, Secret>();
  const findings: Finding[] = [];
  for (const { path, fields } of entriesOf(document, list)) {
    const valueFrom = fields.value_from as { readonly env?: unknown; readonly file?: unknown } | null | undefined;
    const kind = typeof valueFrom?.env === 'string' ? 'env' : 'file';
    const name = valueFrom?.[kind];
    if (typeof name !== 'string' || name === '' || (kind === 'env' && !VARIABLE_NAME.test(name))) continue;
    const opened = kind === 'env' ? fromVariable(name, source.lookup) : await fromFile(name, source.directory);
    const message = opened && 'value' in opened ? findProblem(opened.value) : opened?.message;
    const place: Path = [...path, 'value_from', kind];
    if (message !== undefined) findings.push({ path: place, part: 'value', message });
    else if (opened && 'value' in opened) values.set(String(fields.name), new Secret(opened.value));
  }
  return { values, findings };
}

function findRepeatedTokens(tokens: ReadonlyMap<string, Secret>, document: unknown): Finding[] {
  const owners = new Map<string, string>();
  return entriesOf(document, 'tokens').flatMap(({ path, fields }): Finding[] => {
    const value = tokens.get(String(fields.name))?.reveal();
    if (value === undefined) return [];
    const owner = owners.get(value) ?? String(fields.name);
    owners.set(value, owner);
    const message = `has the same value as the token ${owner}: the gateway could not tell them apart`;
    return owner === fields.name ? [] : [{ path: [...path, 'value_from'], part: 'value', message }];
  });
}

/** Opens every `value_from` of the raw document, whatever else is wrong with it. Never throws. */
export async function openValues(
  document: unknown,
  source: ValueSource,
): Promise<{ secrets: OpenedValues['values']; tokens: OpenedValues['values']; findings: readonly Finding[] }> {
  const secrets = await openList(document, 'secrets', source, findSecretProblem);
  const tokens = await openList(document, 'tokens', source, findTokenProblem);
  const repeated = findRepeatedTokens(tokens.values, document);
  return {
    secrets: secrets.values,
    tokens: tokens.values,
    findings: [...secrets.findings, ...tokens.findings, ...repeated],
  };
}
