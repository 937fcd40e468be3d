// `switchboard secrets`: names over REST. A value comes in on stdin or is typed unseen, for arguments are seen by everybody
// on the machine and kept in the shell's history.

import { Argument } from 'commander';
import { toText, toTime } from '../output.ts';
import { type CommandGroup, restCommand } from '../rest-command.ts';
import {
  ID_OR_NAME,
  type ListOptions,
  limitOption,
  listed,
  type MatchOptions,
  matchOption,
  nameFilter,
  pathOf,
  shown,
  written,
} from './shared.ts';

const LIST = 'secrets';

export const secretGroup: CommandGroup = {
  name: 'secrets',
  aliases: ['secret', 's'],
  about: 'Credentials for upstreams. Their values go in and never come out.',
  examples: ['switchboard secrets list', 'switchboard secret create TRACKER_KEY < key.txt'],
  commands: [
    restCommand<ListOptions>({
      usage: 'list',
      aliases: ['ls'],
      about: 'List secrets, newest first.',
      options: [nameFilter(), limitOption()],
      examples: ['switchboard secrets list', 'switchboard secrets list --name GITHUB_ -o yaml'],
      run: async ({ client, options: { name, limit } }) =>
        listed(await client.list('/secrets', 'secrets', { name, limit }), (view) => ({
          id: toText(view.id),
          name: toText(view.name),
          revision: toText(view.revision),
          updated: toTime(view.update_time_ms),
          managed_by: toText(view.managed_by),
        })),
    }),
    restCommand({
      usage: 'get',
      about: 'Show a secret, without its value.',
      arguments: [ID_OR_NAME],
      examples: ['switchboard secrets get TRACKER_KEY', 'switchboard secrets get TRACKER_KEY -o json'],
      run: async ({ client, args: [id] }) => shown(await client.get(pathOf(LIST, id))),
    }),
    restCommand({
      usage: 'create',
      about: 'Store a secret, its value from stdin or typed unseen; prints its id.',
      arguments: [new Argument('<name>', 'unique name')],
      examples: ['switchboard secrets create TRACKER_KEY', 'switchboard secrets create TRACKER_KEY < key.txt'],
      run: async ({ client, args: [name] }) =>
        written(await client.post('/secrets', { name, value: await readValue(`Value of ${name}`) })),
    }),
    restCommand<MatchOptions>({
      usage: 'update',
      about: 'Replace the value of a secret, from stdin or typed unseen.',
      arguments: [ID_OR_NAME],
      options: [matchOption()],
      examples: ['switchboard secrets update TRACKER_KEY', 'switchboard secrets update TRACKER_KEY < key.txt'],
      run: async ({ client, args: [id], options }) =>
        written(await client.post(pathOf(LIST, id), { value: await readValue(`New value of ${id}`) }, options.ifMatch)),
    }),
    restCommand<MatchOptions>({
      usage: 'delete',
      aliases: ['rm'],
      about: 'Delete a secret that nothing uses.',
      arguments: [ID_OR_NAME],
      options: [matchOption()],
      question: ([id]) => `Delete the secret '${id}'?`,
      examples: ['switchboard secrets delete TRACKER_KEY', 'switchboard secrets delete TRACKER_KEY -y'],
      run: async ({ client, args: [id], options }) =>
        written(await client.post(pathOf(LIST, id, '/delete'), {}, options.ifMatch)),
    }),
  ],
};

async function readValue(prompt: string): Promise<string> {
  return (await import('../terminal.ts')).readValue(prompt);
}
