// A config file as `diff` and `apply` read it: with the reader of the gateway itself, but the values of what is there
// already need not be in the shell.

import { GatewayError } from '../../domain/errors.ts';
import type { Secret } from '../../domain/secret.ts';
import { type ConfigFile, readConfigFile } from '../../settings/config-file.ts';
import { readEnvironment } from '../../settings/environment.ts';
import { formatProblem } from '../../settings/file-problem.ts';
import { type Path, toPathText } from '../../settings/yaml-source.ts';
import { FileError } from '../command-errors.ts';

export interface DeclaredFile {
  readonly document: ConfigFile['document'];
  /** The value of `secrets[index]` or `tokens[index]`. Throws `FileError` where its variable is not set. */
  readonly valueOf: (list: 'secrets' | 'tokens', index: number) => string;
  /** A line about a place of the file, as `check` writes it. */
  readonly lineAt: (path: Path, message: string) => string;
}

/** Prints warnings to stderr. Throws `FileError` with every problem of the file. */
export async function readDeclaredFile(file: string): Promise<DeclaredFile> {
  const { lookup } = readEnvironment();
  const missing = new Set<string>();
  const outcome = await readConfigFile(file, (name) => {
    const value = lookup(name);
    if (value === undefined) missing.add(name);
    return value ?? `not-set-in-this-shell-${name}`.padEnd(32, '-');
  });
  if (!outcome.ok) throw new FileError(outcome.problems.map(formatProblem));
  for (const warning of outcome.warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
  const { document, positions } = outcome;
  const lineAt: DeclaredFile['lineAt'] = (path, message) =>
    formatProblem({ file, ...positions.positionOf(path), path: toPathText(path), message });
  return {
    document,
    lineAt,
    valueOf: (list, index) => {
      const { name = '', value_from: from } = document[list][index] ?? {};
      if (from?.env === undefined || !missing.has(from.env)) return reveal(outcome[list], name);
      const message = `the environment variable ${from.env} is not set: export it, for this is to be written`;
      throw new FileError([lineAt([list, index, 'value_from', 'env'], message)]);
    },
  };
}

function reveal(values: ReadonlyMap<string, Secret>, name: string): string {
  const value = values.get(name);
  if (value === undefined) throw new GatewayError('internal', `The value of '${name}' was not opened.`);
  return value.reveal();
}
