// The command line: which commands there are and what they take. What they do is in a file each, loaded when it is
// called, so that help and a wrong word do not wait for a whole gateway to be read.

import { Command } from 'commander';
import { nearest } from '../domain/nearest.ts';
import { VERSION } from '../domain/version.ts';
import { parseWorkerCount } from './arguments.ts';
import { explain, UsageError } from './command-errors.ts';
import { addRestCommands } from './commands/groups.ts';
import { addLoadCommands } from './commands/load.ts';
import { examples } from './rest-command.ts';
import { WORKER } from './workers/messages.ts';

const CONFIG_OPTION: [string, string] = ['-c, --config <file>', 'config file that names the store'];

/** Runs one command; sets the exit code to 0, 1 (it failed) or 2 (it was called wrongly). */
export async function run(argv: readonly string[]): Promise<void> {
  if (argv[2] === WORKER) {
    await (await import('./workers/worker.ts')).runWorker(argv[3] ?? '');
    return;
  }
  // `switchboard keys list | head -1` ends the reader before the writer.
  process.stdout.on('error', () => process.exit(1));
  const program = createProgram();
  refuseUnknownCommand(program, argv[2]);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    const text = explain(error);
    if (text === undefined) throw error;
    process.stderr.write(text);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Commander hands an unknown word to the default command, which would call it an argument too many. */
function refuseUnknownCommand(program: Command, word: string | undefined): void {
  const names = [...program.commands.map((command) => command.name()), 'help'];
  const aliases = program.commands.flatMap((command) => command.aliases());
  if (word === undefined || word.startsWith('-') || [...names, ...aliases].includes(word)) return;
  const suggestion = nearest(word, names);
  const hint = suggestion === undefined ? `; there are ${names.join(', ')}` : ` (did you mean ${suggestion}?)`;
  program.error(`unknown command '${word.slice(0, 64)}'${hint}`);
}

/** The whole command line; exported for who looks at its help. */
export function createProgram(): Command {
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
    .option('--workers <count>', 'processes that serve the port, or `auto`: one for each core', parseWorkerCount)
    .addHelpText(
      'after',
      examples(
        'switchboard serve --config switchboard.yaml',
        'SWITCHBOARD_LOG_LEVEL=debug switchboard serve -c switchboard.yaml --workers auto',
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
  const { audit } = addRestCommands(program);
  addVerify(audit);
  addBackup(program);
  addLoadCommands(program);
  return program;
}

function addBackup(program: Command): void {
  program
    .command('backup')
    .description('Write all that the store holds to a file, beside a running gateway. Secrets stay sealed.')
    .argument('<file>', 'file to write; one that is there is replaced')
    .option(...CONFIG_OPTION)
    .addHelpText(
      'after',
      examples('switchboard backup switchboard.backup', 'switchboard backup switchboard.backup -c switchboard.yaml'),
    )
    .action(async (file, options) => (await import('./backup.ts')).backUpCommand(file, options));
  program
    .command('restore')
    .description('Make what a backup holds all that the store holds. The backup may be of another kind of store.')
    .argument('<file>', 'file that `switchboard backup` wrote')
    .option(...CONFIG_OPTION)
    .option('--force', 'lose what the store holds now')
    .addHelpText(
      'after',
      examples(
        'switchboard restore switchboard.backup',
        'switchboard restore switchboard.backup -c switchboard.yaml --force',
      ),
    )
    .action(async (file, options) => (await import('./backup.ts')).restoreCommand(file, options));
}

function addVerify(audit: Command): void {
  audit
    .command('verify')
    .description('Check that no record was changed, deleted or added; exit 1 if one was.')
    .option('--checkpoint <file>', 'copy of the checkpoint to check against (default: audit.checkpoint_file)')
    .option(...CONFIG_OPTION)
    .addHelpText(
      'after',
      examples(
        'switchboard audit verify -c switchboard.yaml',
        'switchboard audit verify --checkpoint /mnt/elsewhere/audit.json -c switchboard.yaml',
      ),
    )
    .action(async (options) => (await import('./audit.ts')).verifyAudit(options));
}

function toOneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .replace('\n(Did', ' (did')
    .trim();
}
