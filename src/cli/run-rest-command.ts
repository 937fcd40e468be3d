// Does a command over REST: finds the gateway, asks what must be asked, and prints what came of it.

import { findTarget } from './gateway-target.ts';
import { type OutputFormat, print, toLine } from './output.ts';
import { createRestClient } from './rest-client.ts';
import type { Outcome, RestCommand } from './rest-command.ts';
import { confirm } from './terminal.ts';

interface Common {
  readonly output: OutputFormat;
  readonly url?: string;
  readonly yes?: boolean;
  readonly config?: string;
}

/** `given` is what the parser calls an action with: the arguments, the options, the command. Throws `GatewayError`. */
export async function runRestCommand(command: RestCommand, given: readonly unknown[]): Promise<void> {
  const args = given.slice(0, -2).filter((each) => each !== undefined) as string[];
  const options = given.at(-2) as Common;
  if (options.config !== undefined) return command.onStore?.(args, options as never);
  const target = await findTarget(options.url);
  const question = options.yes === true ? undefined : command.question?.(args, options as never);
  if (question !== undefined && !(await confirm(question))) {
    process.stderr.write('Nothing was done.\n');
    process.exitCode = 1;
    return;
  }
  const outcome = await command.run({ client: createRestClient(target), args, options: options as never });
  await tell(outcome, options.output);
}

async function tell({ view, text, note, exitCode }: Outcome, format: OutputFormat): Promise<void> {
  for (const warning of warningsOf(view)) process.stderr.write(`warning: ${toLine(warning)}\n`);
  if (note !== undefined && format === 'text') process.stderr.write(note);
  await print(format, view, text);
  if (exitCode !== undefined) process.exitCode = exitCode;
}

function warningsOf(view: unknown): string[] {
  const warnings = typeof view === 'object' && view !== null && 'warnings' in view ? view.warnings : [];
  return Array.isArray(warnings) ? warnings.map(({ path, message }) => `${path} ${message}`) : [];
}
