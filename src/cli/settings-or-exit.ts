// Settings for a command, or every problem of the config file on stderr, one a line, and exit code 1.

import { readConfigFile } from '../settings/config-file.ts';
import { type Environment, readEnvironment } from '../settings/environment.ts';
import { type FileProblem, formatProblem } from '../settings/file-problem.ts';
import { loadSettings } from '../settings/load-settings.ts';
import type { ListenSettings, Settings } from '../settings/settings.ts';
import { readTlsPair } from '../settings/tls-pair.ts';
import { type Path, toPathText } from '../settings/yaml-source.ts';

interface Unusable {
  readonly path: Path;
  readonly part: 'key' | 'value';
  readonly message: string;
}

/** Prints warnings to stderr, unless somebody else does. Does not return when there are problems. */
export async function requireSettings(
  file: string | undefined,
  environment: Environment = readEnvironment(),
  isWarning = true,
): Promise<Settings> {
  const outcome = await loadSettings(file, environment);
  if (!outcome.ok) return exitWith(outcome.problems);
  const warnings = isWarning ? outcome.warnings : [];
  for (const warning of warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
  return outcome.settings;
}

/** As `requireSettings`, for who is about to serve: what stands in other files and only a listener needs must be good as well. */
export async function requireServable(file: string, isWarning = true): Promise<Settings> {
  const settings = await requireSettings(file, readEnvironment(), isWarning);
  const problems = [
    ...(await findTlsProblems(settings.listen, ['listen', 'tls'])),
    ...(await findTlsProblems(settings.admin?.listen, ['admin', 'listen', 'tls'])),
  ];
  return problems.length === 0 ? settings : exitWith(await place(file, problems, readEnvironment()));
}

async function findTlsProblems(listen: ListenSettings | undefined, path: Path): Promise<Unusable[]> {
  const read = listen?.tls && (await readTlsPair(listen.tls));
  if (read === undefined || read.ok) return [];
  return [{ path: [...path, read.field], part: 'value', message: `${read.message} (${read.file})` }];
}

function exitWith(problems: readonly FileProblem[]): never {
  // Each line begins with its place and not with our name, as editors expect of a checker.
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  process.exit(1);
}

async function place(file: string, problems: readonly Unusable[], { lookup }: Environment): Promise<FileProblem[]> {
  const read = await readConfigFile(file, lookup);
  return problems.map(({ path, part, message }) => ({
    file,
    path: toPathText(path),
    message,
    ...(read.ok ? read.positions.positionOf(path, part) : { line: 1, column: 1 }),
  }));
}

/** The master key as the environment gives it. */
export function masterKeySource(): { value?: string; file?: string } {
  const { masterKey, masterKeyFile } = readEnvironment();
  return {
    ...(masterKey === undefined ? {} : { value: masterKey.reveal() }),
    ...(masterKeyFile === undefined ? {} : { file: masterKeyFile }),
  };
}
