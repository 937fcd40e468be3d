// A command over REST as one entry of a table: its words, what it asks of the gateway, and what it prints.

import { type Argument, type Command, Option } from 'commander';
import { parseGatewayUrl } from './arguments.ts';
import type { OutputFormat } from './output.ts';
import type { RestClient } from './rest-client.ts';

export interface Call<Options> {
  readonly client: RestClient;
  readonly args: readonly string[];
  readonly options: Options;
}

export interface Outcome {
  /** Printed with `-o json` and `-o yaml`. */
  readonly view: unknown;
  /** Printed on stdout otherwise; ends with a line break unless it is empty. */
  readonly text: string;
  /** Said on stderr with the text. */
  readonly note?: string;
  readonly exitCode?: 1 | 3;
}

export interface RestCommand<Options = never> {
  /** As it is typed, its arguments included: `get <id-or-name>`. */
  readonly usage: string;
  readonly aliases?: readonly string[];
  readonly about: string;
  readonly arguments?: readonly Argument[];
  readonly options?: readonly Option[];
  readonly examples: readonly [string, string];
  /** Asked on a terminal before it is done; a script answers with `-y`. */
  readonly question?: (args: readonly string[], options: Options) => string | undefined;
  /** What it does where `-c` names a config file: the same in the store itself, for a server that has no key yet. */
  readonly onStore?: (args: readonly string[], options: Options & StoreOptions) => Promise<void>;
  readonly run: (call: Call<Options>) => Promise<Outcome>;
}

export interface StoreOptions {
  readonly config?: string;
  readonly output: OutputFormat;
}

export interface CommandGroup {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly about: string;
  readonly examples: readonly [string, string];
  readonly commands: readonly RestCommand[];
}

/** Keeps the options' type together where a command is written; the table it goes into forgets it. */
export function restCommand<Options>(command: RestCommand<Options>): RestCommand {
  // Only the parser that was given `options` calls with what it read.
  return command as unknown as RestCommand;
}

export function addGroup(
  program: Command,
  { name, aliases = [], about, examples: lines, commands }: CommandGroup,
): void {
  const group = program
    .command(name)
    .aliases([...aliases])
    .description(about)
    .summary(toSummary(about))
    .addHelpText('after', examples(...lines));
  for (const each of commands) addRestCommand(group, each);
}

export function addRestCommand(parent: Command, command: RestCommand): Command {
  const { usage, about, aliases = [], options = [] } = command;
  const added = parent
    .command(usage)
    .aliases([...aliases])
    .description(about)
    .summary(toSummary(about));
  for (const argument of command.arguments ?? []) added.addArgument(argument);
  for (const option of options) added.addOption(option);
  if (command.question !== undefined) added.option('-y, --yes', 'do not ask');
  if (command.onStore !== undefined)
    added.option('-c, --config <file>', 'work on the store of this config file itself');
  return added
    .addOption(
      new Option('--url <url>', 'gateway to ask (default: SWITCHBOARD_URL, else the demo)')
        .argParser(parseGatewayUrl)
        .conflicts('config'),
    )
    .addOption(outputOption())
    .addHelpText('after', examples(...command.examples))
    .action(async (...given) => (await import('./run-rest-command.ts')).runRestCommand(command, given));
}

/** In the list of commands: the first sentence, or as much of it as says what the command is. */
function toSummary(about: string): string {
  return about.replace(/[.:;] .*$/, '').replace(/\.$/, '');
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'output format').choices(['text', 'json', 'yaml']).default('text');
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}
