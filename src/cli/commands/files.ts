// The file door over REST: what a config file declares against what a running gateway has.

import { Argument, Option } from 'commander';
import type { ApplyOptions } from '../file-door/door.ts';
import { restCommand } from '../rest-command.ts';

const FILE = new Argument('<file>', 'YAML or JSON config file');

export const diff = restCommand({
  usage: 'diff',
  about:
    'What differs between a config file and a running gateway: + would be made, ~ changed, - is only there. Values are not compared. Exit 3 when anything differs.',
  arguments: [FILE],
  examples: ['switchboard diff switchboard.yaml', 'switchboard diff switchboard.yaml -o json'],
  run: async ({ client, args: [file = ''] }) => (await import('../file-door/door.ts')).diffFile(client, file),
});

export const apply = restCommand<ApplyOptions>({
  usage: 'apply',
  about:
    'Make a running gateway have what a config file declares. What its own config file declares is left to that; what somebody else changes meanwhile is not overwritten.',
  arguments: [FILE],
  options: [
    new Option('--dry-run', 'print what would be done, and do nothing'),
    new Option('--prune', 'delete what was made through the API and is not in the file'),
    new Option('--update-secrets', 'write the values of secrets that are there as well'),
  ],
  question: ([file], { prune, dryRun }) =>
    prune === true && dryRun !== true ? `Delete what was made through the API and is not in ${file}?` : undefined,
  examples: ['switchboard apply switchboard.yaml --dry-run', 'switchboard apply switchboard.yaml --prune -y'],
  run: async ({ client, args: [file = ''], options }) =>
    (await import('../file-door/door.ts')).applyFile(client, file, options),
});

export const exportFile = restCommand({
  usage: 'export',
  about: 'Print the McpConfigs, secrets (without values) and tokens of the account as a config file.',
  examples: ['switchboard export', 'switchboard export > switchboard.yaml'],
  run: async ({ client }) => {
    const view = await client.get('/export');
    const paths = ((view.certificates ?? []) as { path: string }[]).map(({ path }) => path);
    const note = `It names certificates, which must be written beside it: ${paths.join(', ')}. They are in what -o json prints.\n`;
    return { view, text: String(view.yaml), ...(paths.length === 0 ? {} : { note }) };
  },
});
