// Settings for a command, or every problem of the config file on stderr and exit code 1.

import { GatewayError } from '../domain/errors.ts';
import { readEnvironment } from '../settings/environment.ts';
import { formatProblem } from '../settings/file-problem.ts';
import { loadSettings } from '../settings/load-settings.ts';
import type { Settings } from '../settings/settings.ts';

/** Prints warnings to stderr. Throws `GatewayError` that lists all problems, one a line. */
export async function requireSettings(file: string | undefined): Promise<Settings> {
  const outcome = await loadSettings(file, readEnvironment());
  if (!outcome.ok) {
    const count = outcome.problems.length;
    const lines = outcome.problems.map(formatProblem).join('\n');
    throw new GatewayError(
      'invalid_argument',
      `${count} problem${count === 1 ? '' : 's'} in the config file\n${lines}`,
    );
  }
  for (const warning of outcome.warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
  return outcome.settings;
}

/** The master key as the environment gives it. */
export function masterKeySource(): { value?: string; file?: string } {
  const { masterKey, masterKeyFile } = readEnvironment();
  return {
    ...(masterKey === undefined ? {} : { value: masterKey.reveal() }),
    ...(masterKeyFile === undefined ? {} : { file: masterKeyFile }),
  };
}
