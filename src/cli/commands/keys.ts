// `switchboard keys`: operators' API keys over REST, or, with `-c`, in the store of a config file itself.

import { Option } from 'commander';
import { ROLES, type Role } from '../../domain/principal.ts';
import { toText, toTime } from '../output.ts';
import { type CommandGroup, restCommand, type StoreOptions } from '../rest-command.ts';
import { ID_OR_NAME, limitOption, listed, newName, pathOf, written } from './shared.ts';
import { minted } from './tokens.ts';

export const keyGroup: CommandGroup = {
  name: 'keys',
  aliases: ['key', 'api-key'],
  about: "Operators' API keys, over REST or, with -c, in the store itself: the first key of a server is made there.",
  examples: ['switchboard keys list', 'switchboard keys create ops --config switchboard.yaml'],
  commands: [
    restCommand<{ readonly role: Role }>({
      usage: 'create',
      about: 'Create an API key; prints its value, once.',
      arguments: [newName()],
      options: [new Option('--role <role>', 'what the key may do').choices(ROLES).default('owner')],
      examples: ['switchboard keys create ci --role viewer', 'switchboard keys create ops --config switchboard.yaml'],
      onStore: async ([name = ''], options) => (await import('../keys.ts')).createKey(name, options),
      run: async ({ client, args: [name], options: { role } }) =>
        minted(await client.post('/api-keys', { name, role })),
    }),
    restCommand<{ readonly limit?: number }>({
      usage: 'list',
      aliases: ['ls'],
      about: 'List API keys, newest first.',
      options: [limitOption()],
      examples: ['switchboard keys list', 'switchboard keys list -o json'],
      onStore: async (_, options) => (await import('../keys.ts')).listKeys(options),
      run: async ({ client, options: { limit } }) =>
        listed(await client.list('/api-keys', 'api_keys', { limit }), (view) => ({
          id: toText(view.id),
          name: toText(view.name),
          role: toText(view.role),
          created: toTime(view.create_time_ms),
          state: view.revoke_time_ms === null ? 'live' : 'revoked',
        })),
    }),
    restCommand({
      usage: 'revoke',
      about: 'Revoke an API key other than the one that is used for this.',
      arguments: [ID_OR_NAME],
      examples: ['switchboard keys revoke ci', 'switchboard keys revoke key_3fK9… --config switchboard.yaml'],
      onStore: async ([id = ''], options: StoreOptions) => (await import('../keys.ts')).revokeKey(id, options),
      run: async ({ client, args: [id] }) => written(await client.post(pathOf('api-keys', id, '/revoke'))),
    }),
  ],
};
