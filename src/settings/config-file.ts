// Reads the config file and tells everything that is wrong with it at once, each problem at its line and column.

import { dirname } from 'node:path';
import type { Secret } from '../domain/secret.ts';
import { openCertificates } from './certificate-files.ts';
import { type Lookup, readEnvironment } from './environment.ts';
import type { FileProblem, Finding } from './file-problem.ts';
import { digestOf, MAX_CONFIG_FILE_BYTES, readBytes } from './read-bytes.ts';
import { findReferenceProblems, findWarnings } from './reference-findings.ts';
import { type SettingsDocument, settingsSchema, toJsonSchema } from './schema.ts';
import { findSchemaProblems } from './schema-findings.ts';
import { findMisusedSecrets } from './secret-use-findings.ts';
import { findStdioProblems, findStdioWarnings } from './stdio-findings.ts';
import { findTokenWarnings } from './token-findings.ts';
import { openValues } from './value-from.ts';
import { parseYamlSource, toPathText, type YamlSource } from './yaml-source.ts';

export interface ConfigFile {
  readonly ok: true;
  readonly document: SettingsDocument;
  /** The opened values, by the name of their secret or token. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly tokens: ReadonlyMap<string, Secret>;
  /** PEM certificates, by the path of their file as it is written. */
  readonly certificates: ReadonlyMap<string, string>;
  /** Where a path of the document stands in the file. */
  readonly positions: Pick<YamlSource, 'positionOf'>;
  /** Valid, but probably not meant. */
  readonly warnings: readonly FileProblem[];
  /** SHA-256 of the file, in hex. */
  readonly digest: string;
}

export interface RefusedFile {
  readonly ok: false;
  readonly problems: readonly FileProblem[];
  /** The file could not be read: there may be nothing wrong with what is in it. */
  readonly isUnread?: true;
}

export type FileOutcome = ConfigFile | RefusedFile;

function refuse(file: string, message: string, line = 1, column = 1): RefusedFile {
  return { ok: false, problems: [{ file, line, column, path: '', message }] };
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Line and column of the first byte that is not UTF-8. */
function refuseEncoding(file: string, bytes: Buffer): FileOutcome {
  const lines = bytes.toString('utf8').split('\ufffd', 1).join('').split('\n');
  const message = 'is not UTF-8 text: save the file as UTF-8';
  return refuse(file, message, lines.length, (lines.at(-1)?.length ?? 0) + 1);
}

function place(findings: readonly Finding[], file: string, source: YamlSource): FileProblem[] {
  return findings.map(({ path, part, message, suggestion }) => ({
    file,
    ...source.positionOf(path, part),
    path: toPathText(path),
    message,
    ...(suggestion !== undefined && { suggestion }),
  }));
}

function byPosition(left: FileProblem, right: FileProblem): number {
  return left.line - right.line || left.column - right.column;
}

function findSyntaxProblems(file: string, source: YamlSource): FileProblem[] {
  const firstFatal = source.problems.find(({ isFatal }) => isFatal);
  return source.problems
    .filter((problem) => !problem.isFatal || problem === firstFatal)
    .map(({ line, column, message }) => ({ file, line, column, path: '', message }));
}

/**
 * Reads a config file (YAML 1.2 or JSON, UTF-8, at most 10 MB) and opens its `value_from`. Never throws for what is in
 * the file. `file` is repeated in the problems as it is given here.
 */
export async function readConfigFile(file: string, lookup: Lookup = readEnvironment().lookup): Promise<FileOutcome> {
  const read = await readBytes(file, MAX_CONFIG_FILE_BYTES);
  if (!read.ok) return { ...refuse(file, `${read.message}: give the path of a config file`), isUnread: true };
  const text = decode(read.bytes);
  if (text === undefined) return refuseEncoding(file, read.bytes);

  const source = parseYamlSource(text);
  const syntax = findSyntaxProblems(file, source);
  if (source.problems.some(({ isFatal }) => isFatal)) return { ok: false, problems: syntax.sort(byPosition) };
  const { value } = source;
  if (value === null || value === undefined)
    return refuse(file, 'is empty: declare mcp_configs and tokens, or write {} for the defaults');

  const parsed = settingsSchema.safeParse(value);
  const directory = dirname(file);
  const opened = await openValues(value, { lookup, directory });
  const { certificates, findings: certificateFindings } = await openCertificates(value, directory, opened.secrets);
  const findings = [
    ...(parsed.success ? [] : findSchemaProblems(parsed.error.issues, value, toJsonSchema())),
    ...findReferenceProblems(value),
    ...findStdioProblems(value),
    ...opened.findings,
    ...certificateFindings,
    ...findMisusedSecrets(value, opened.secrets),
  ];
  const problems = [...syntax, ...place(findings, file, source)].sort(byPosition);
  if (!parsed.success || problems.length > 0) return { ok: false, problems };
  const stdioWarnings = await findStdioWarnings(value, lookup, directory);
  return {
    ok: true,
    document: parsed.data,
    secrets: opened.secrets,
    tokens: opened.tokens,
    certificates,
    positions: source,
    warnings: place(
      [...findWarnings(value), ...findTokenWarnings(value, Date.now()), ...stdioWarnings],
      file,
      source,
    ).sort(byPosition),
    digest: digestOf(read.bytes),
  };
}
