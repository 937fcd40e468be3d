// The command line: which commands there are and what they take. What they do is in a file each, loaded when it is
// called, so that help and a wrong word do not wait for a whole gateway to be read.

import { Argument, Command, Option } from 'commander';
import { GatewayError } from '../domain/errors.ts';
import { NAME_STYLES, ROLES } from '../domain/principal.ts';
import { VERSION } from '../domain/version.ts';
import { nearest } from '../settings/nearest.ts';
import { parseFutureDate, parseGatewayUrl, parseGrant, parseName } from './arguments.ts';

const CONFIG_OPTION: [string, string] = ['-c, --config <file>', 'config file that names the store'];

/** Runs one command; sets the exit code to 0, 1 (it failed) or 2 (it was called wrongly). */
export async function run(argv: readonly string[]): Promise<void> {
  // `switchboard keys list | head -1` ends the reader before the writer.
  process.stdout.on('error', () => process.exit(1));
  const program = createProgram();
  refuseUnknownCommand(program, argv[2]);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!isExplained(error)) throw error;
    process.stderr.write(`switchboard: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** A failed system call names the call and the file, which is what an operator needs. Anything else is our bug and keeps its stack. */
function isExplained(error: unknown): error is Error {
  return error instanceof GatewayError || (error instanceof Error && 'syscall' in error);
}

/** Commander hands an unknown word to the default command, which would call it an argument too many. */
function refuseUnknownCommand(program: Command, word: string | undefined): void {
  const names = [...program.commands.map((command) => command.name()), 'help'];
  if (word === undefined || word.startsWith('-') || names.includes(word)) return;
  const suggestion = nearest(word, names);
  const hint = suggestion === undefined ? `; there are ${names.join(', ')}` : ` (did you mean ${suggestion}?)`;
  program.error(`unknown command '${word.slice(0, 64)}'${hint}`);
}

function createProgram(): Command {
  const program = new Command('switchboard')
    .description('An MCP gateway: one URL and one opaque token for every MCP server an agent may use.')
    .version(VERSION)
    .configureOutput({ outputError: (text, write) => write(`switchboard: ${toOneLine(text)}\n`) })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

  program
    .command('demo', { isDefault: true })
    .description('Start on this machine with two demo upstreams, and print how to connect.')
    .addHelpText('after', examples('switchboard', 'SWITCHBOARD_LISTEN=127.0.0.1:9000 switchboard demo'))
    .action(async () => (await import('./demo.ts')).startDemo());
  program
    .command('serve')
    .description('Serve from a config file.')
    .requiredOption('-c, --config <file>', 'YAML or JSON config file')
    .addHelpText(
      'after',
      examples(
        'switchboard serve --config switchboard.yaml',
        'SWITCHBOARD_LOG_LEVEL=debug switchboard serve -c switchboard.yaml',
      ),
    )
    .action(async (options) => (await import('./serve.ts')).serve(options));
  program
    .command('check')
    .description('Check a config file; exit 1 if anything is wrong with it.')
    .argument('<file>', 'YAML or JSON config file')
    .option('--effective', 'print what would run, with every default filled in')
    .addHelpText(
      'after',
      examples('switchboard check switchboard.yaml', 'switchboard check --effective switchboard.yaml'),
    )
    .action(async (file, options) => (await import('./check.ts')).check(file, options));
  program
    .command('explain')
    .description('Ask a running gateway why a tool is shown, hidden or routed where it is.')
    .argument('<tool>', 'name of the tool, as a client would call it')
    .requiredOption('--token <name>', 'name or id of the token (never its value)')
    .option('--url <url>', 'gateway to ask (default: SWITCHBOARD_URL, else the demo)', parseGatewayUrl)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        'switchboard explain everything.get-env --token demo',
        'switchboard explain github.search_issues --token devbox-ci -o json',
      ),
    )
    .action(async (tool, options) => (await import('./explain.ts')).explain(tool, options));
  addKeys(program);
  addTokens(program);
  return program;
}

function addKeys(program: Command): void {
  const keys = program.command('keys').description('Make, list and revoke API keys, in the store itself.');
  keys
    .command('create')
    .addArgument(nameArgument())
    .option(...CONFIG_OPTION)
    .addOption(new Option('--role <role>', 'what the key may do').choices(ROLES).default('owner'))
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard keys create ops', 'switchboard keys create ci --role viewer -o json'))
    .action(async (name, options) => (await import('./keys.ts')).createKey(name, options));
  keys
    .command('list')
    .option(...CONFIG_OPTION)
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard keys list', 'switchboard keys list -o json'))
    .action(async (options) => (await import('./keys.ts')).listKeys(options));
  keys
    .command('revoke')
    .argument('<name-or-id>')
    .option(...CONFIG_OPTION)
    .addHelpText('after', examples('switchboard keys revoke ci', 'switchboard keys revoke key_3fK9…'))
    .action(async (nameOrId, options) => (await import('./keys.ts')).revokeKey(nameOrId, options));
}

function addTokens(program: Command): void {
  const tokens = program.command('tokens').description("Make, list and revoke agents' tokens, in the store itself.");
  tokens
    .command('create')
    .addArgument(nameArgument())
    .requiredOption(
      '--grant <config[=secret]>',
      'McpConfig the token may use, and the secret it uses there; repeat it for more, in order',
      parseGrant,
    )
    .option(...CONFIG_OPTION)
    .option('--expires <date>', 'when the token stops working, as an ISO 8601 date', parseFutureDate)
    .addOption(new Option('--names <style>', 'spelling of tool names').choices(NAME_STYLES).default('dot'))
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        'switchboard tokens create devbox-1 --grant github-readonly=GITHUB_TOKEN',
        'switchboard tokens create ide --grant toolbox-demo --grant everything-demo --names underscore',
      ),
    )
    .action(async (name, options) => (await import('./tokens.ts')).createTokenCommand(name, options));
  tokens
    .command('list')
    .option(...CONFIG_OPTION)
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard tokens list', 'switchboard tokens list -o json'))
    .action(async (options) => (await import('./tokens.ts')).listTokens(options));
  tokens
    .command('revoke')
    .argument('<name-or-id>')
    .option(...CONFIG_OPTION)
    .addHelpText('after', examples('switchboard tokens revoke devbox-1', 'switchboard tokens revoke tok_3fK9…'))
    .action(async (nameOrId, options) => (await import('./tokens.ts')).revokeTokenCommand(nameOrId, options));
}

function nameArgument(): Argument {
  return new Argument('<name>', 'shown in lists and logs').argParser(parseName);
}

function toOneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .replace('\n(Did', ' (did')
    .trim();
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}
