// The command line: which commands there are and what they take. What they do is in a file each.

import { Command, Option } from 'commander';
import { GatewayError } from '../domain/errors.ts';
import { NAME_STYLES, ROLES } from '../domain/principal.ts';
import { VERSION } from '../domain/version.ts';
import { check } from './check.ts';
import { startDemo } from './demo.ts';
import { explain } from './explain.ts';
import { createKey, listKeys, revokeKey } from './keys.ts';
import { serve } from './serve.ts';
import { createTokenCommand, listTokens, revokeTokenCommand } from './tokens.ts';

const CONFIG_OPTION: [string, string] = ['-c, --config <file>', 'config file that names the store'];

/** Runs one command; sets the exit code to 0, 1 (it failed) or 2 (it was called wrongly). */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    process.stderr.write(`switchboard: ${error.message}\n`);
    process.exitCode = 1;
  }
}

function createProgram(): Command {
  const program = new Command('switchboard')
    .description('An MCP gateway: one URL and one opaque token for every MCP server an agent may use.')
    .version(VERSION)
    .configureOutput({ outputError: (text, write) => write(`switchboard: ${text.replace(/^error: /, '')}`) })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

  program
    .command('demo', { isDefault: true })
    .description('Start on this machine with two demo upstreams, and print how to connect.')
    .addHelpText('after', examples('switchboard', 'SWITCHBOARD_LISTEN=127.0.0.1:9000 switchboard demo'))
    .action(startDemo);
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
    .action(serve);
  program
    .command('check')
    .description('Check a config file; exit 1 if anything is wrong with it.')
    .argument('<file>', 'YAML or JSON config file')
    .option('--effective', 'print what would run, with every default filled in')
    .addHelpText(
      'after',
      examples('switchboard check switchboard.yaml', 'switchboard check --effective switchboard.yaml'),
    )
    .action(check);
  program
    .command('explain')
    .description('Ask a running gateway why a tool is shown, hidden or routed where it is.')
    .argument('<tool>', 'name of the tool, as a client would call it')
    .requiredOption('--token <name>', 'name or id of the token (never its value)')
    .option('--url <url>', 'gateway to ask (default: SWITCHBOARD_URL, else the demo)')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        'switchboard explain everything.get-env --token demo',
        'switchboard explain github.search_issues --token devbox-ci -o json',
      ),
    )
    .action(explain);
  addKeys(program);
  addTokens(program);
  return program;
}

function addKeys(program: Command): void {
  const keys = program.command('keys').description('Make, list and revoke API keys, in the store itself.');
  keys
    .command('create')
    .argument('<name>')
    .option(...CONFIG_OPTION)
    .addOption(new Option('--role <role>', 'what the key may do').choices(ROLES).default('owner'))
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard keys create ops', 'switchboard keys create ci --role viewer -o json'))
    .action(createKey);
  keys
    .command('list')
    .option(...CONFIG_OPTION)
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard keys list', 'switchboard keys list -o json'))
    .action(listKeys);
  keys
    .command('revoke')
    .argument('<name-or-id>')
    .option(...CONFIG_OPTION)
    .addHelpText('after', examples('switchboard keys revoke ci', 'switchboard keys revoke key_3fK9…'))
    .action(revokeKey);
}

function addTokens(program: Command): void {
  const tokens = program.command('tokens').description("Make, list and revoke agents' tokens, in the store itself.");
  tokens
    .command('create')
    .argument('<name>')
    .requiredOption(
      '--grant <config[=secret]...>',
      'McpConfig the token may use, and the secret it uses there; in order',
    )
    .option(...CONFIG_OPTION)
    .option('--expires <date>', 'when the token stops working, as an ISO 8601 date')
    .addOption(new Option('--names <style>', 'spelling of tool names').choices(NAME_STYLES).default('dot'))
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        'switchboard tokens create devbox-1 --grant github-readonly=GITHUB_TOKEN',
        'switchboard tokens create ide --grant toolbox-demo --names underscore',
      ),
    )
    .action(createTokenCommand);
  tokens
    .command('list')
    .option(...CONFIG_OPTION)
    .addOption(outputOption())
    .addHelpText('after', examples('switchboard tokens list', 'switchboard tokens list -o json'))
    .action(listTokens);
  tokens
    .command('revoke')
    .argument('<name-or-id>')
    .option(...CONFIG_OPTION)
    .addHelpText('after', examples('switchboard tokens revoke devbox-1', 'switchboard tokens revoke tok_3fK9…'))
    .action(revokeTokenCommand);
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}
