// `switchboard configs`: McpConfigs over REST, in the words of Runloop's own command line.

import { Option } from 'commander';
import { originOf } from '../../domain/mcp-config.ts';
import { type HeaderInput, parseAuthMechanism, parseHeader, parsePatterns, parseSecretHeader } from '../arguments.ts';
import { toText } from '../output.ts';
import type { RestClient, View } from '../rest-client.ts';
import { type CommandGroup, type Outcome, type RestCommand, restCommand } from '../rest-command.ts';
import { confirm as ask } from '../terminal.ts';
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

const LIST = 'mcp-configs';

interface FieldOptions {
  readonly name?: string;
  readonly endpoint?: string;
  readonly allowedTools?: readonly string[];
  readonly allowedPrompts?: readonly string[];
  readonly allowedResources?: readonly string[];
  readonly description?: string;
  readonly auth?: { readonly type: string; readonly key?: string };
  readonly header?: readonly HeaderInput[];
  readonly secretHeader?: readonly HeaderInput[];
}

export function fieldOptions(areRequired: boolean): Option[] {
  const required = (option: Option): Option => option.makeOptionMandatory(areRequired);
  return [
    required(new Option('--name <name>', 'unique name; the part before the first - prefixes its tools')),
    required(new Option('--endpoint <url>', 'URL of the upstream MCP server')),
    required(new Option('--allowed-tools <patterns>', 'globs, with commas between them').argParser(parsePatterns)),
    new Option('--allowed-prompts <patterns>', 'globs over names of prompts; none unless told').argParser(
      parsePatterns,
    ),
    new Option('--allowed-resources <patterns>', 'globs over URIs of resources; none unless told').argParser(
      parsePatterns,
    ),
    new Option('--description <text>', 'a note for people'),
    new Option('--auth <how>', 'how its secret is sent: bearer, basic or header:NAME').argParser(parseAuthMechanism),
    new Option('--header <name=value>', 'header sent with every request; repeat it for more').argParser(parseHeader),
    new Option('--secret-header <name=secret>', 'the same with the value of a secret').argParser(parseSecretHeader),
  ];
}

/** The body of a create, an update or a preview: what was given. */
export function toBody(options: FieldOptions): Record<string, unknown> {
  const headers = [...(options.header ?? []), ...(options.secretHeader ?? [])];
  const body = {
    name: options.name,
    endpoint: options.endpoint,
    allowed_tools: options.allowedTools,
    allowed_prompts: options.allowedPrompts,
    allowed_resources: options.allowedResources,
    description: options.description,
    auth_mechanism: options.auth,
    custom_headers: headers.length === 0 ? undefined : headers,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

const list = restCommand<ListOptions & { readonly search?: string }>({
  usage: 'list',
  aliases: ['ls'],
  about: 'List McpConfigs, newest first.',
  options: [nameFilter(), new Option('--search <text>', 'name, endpoint or description holds this'), limitOption()],
  examples: ['switchboard configs list', 'switchboard configs list --name github -o json'],
  run: async ({ client, options: { name, search, limit } }) =>
    listed(await client.list('/mcp-configs', 'mcp_configs', { name, search, limit }), (view) => ({
      id: toText(view.id),
      name: toText(view.name),
      endpoint: toText(view.endpoint),
      allowed_tools: toText(view.allowed_tools),
      revision: toText(view.revision),
      managed_by: toText(view.managed_by),
    })),
});

const get = restCommand({
  usage: 'get',
  about: 'Show an McpConfig.',
  arguments: [ID_OR_NAME],
  examples: ['switchboard configs get github-readonly', 'switchboard configs get github-readonly -o yaml'],
  run: async ({ client, args: [id] }) => shown(await client.get(pathOf(LIST, id))),
});

const create = restCommand<FieldOptions>({
  usage: 'create',
  about: 'Create an McpConfig; prints its id.',
  options: fieldOptions(true),
  examples: [
    "switchboard configs create --name github-readonly --endpoint https://mcp.example.com/mcp --allowed-tools 'get_*,search_*'",
    "switchboard configs create --name wiki --endpoint https://wiki.example.com/mcp --allowed-tools '*' --allowed-resources 'wiki://public/*' --auth header:X-Api-Key",
  ],
  run: async ({ client, options }) => written(await client.post('/mcp-configs', toBody(options))),
});

const update = restCommand<FieldOptions & MatchOptions>({
  usage: 'update',
  about: 'Change an McpConfig; what is not given stays. An edit by somebody else in between is not overwritten.',
  arguments: [ID_OR_NAME],
  options: [...fieldOptions(false), matchOption()],
  examples: [
    "switchboard configs update github-readonly --allowed-tools 'get_*'",
    'switchboard configs update github-readonly --description "for CI" --if-match 3',
  ],
  run: async ({ client, args: [id], options }) => {
    const revision = options.ifMatch ?? (await readRevision(client, id));
    return written(await client.post(pathOf(LIST, id), toBody(options), revision));
  },
});

const remove = restCommand<MatchOptions>({
  usage: 'delete',
  aliases: ['rm'],
  about: 'Delete an McpConfig that no live token is granted.',
  arguments: [ID_OR_NAME],
  options: [matchOption()],
  question: ([id]) => `Delete the McpConfig '${id}'?`,
  examples: ['switchboard configs delete github-readonly', 'switchboard configs delete github-readonly -y'],
  run: async ({ client, args: [id], options }) =>
    written(await client.post(pathOf(LIST, id, '/delete'), {}, options.ifMatch)),
});

interface ConfirmOptions {
  readonly origin?: string;
  readonly yes?: boolean;
}

const confirm = restCommand<ConfirmOptions>({
  usage: 'confirm',
  about: 'Say that the secrets granted with an McpConfig may go to where its endpoint has moved.',
  arguments: [ID_OR_NAME],
  options: [
    new Option('--origin <origin>', 'where it has moved, as you know it; refused if it is elsewhere by now'),
    new Option('-y, --yes', 'do not ask'),
  ],
  examples: [
    'switchboard configs confirm github-readonly',
    'switchboard configs confirm github-readonly --origin https://mcp.example.com',
  ],
  run: async ({ client, args: [id], options }): Promise<Outcome> => {
    const origin = options.origin ?? (await askForOrigin(client, id, options.yes === true));
    if (origin === undefined) return { view: null, text: '', note: 'Nothing was done.\n', exitCode: 1 };
    const view = await client.post(pathOf(LIST, id, '/confirm_endpoint'), { origin });
    const tokens = view.tokens as readonly string[];
    return {
      view,
      text: tokens.map((token) => `${token}\n`).join(''),
      note: `Secrets may go to ${view.origin}; tokens: ${tokens.length}\n`,
    };
  },
});

/** Where its endpoint points, which is confirmed as it was shown; `undefined` when the answer is no. */
async function askForOrigin(
  client: RestClient,
  idOrName: string | undefined,
  isSure: boolean,
): Promise<string | undefined> {
  const { name, endpoint } = await client.get(pathOf(LIST, idOrName));
  const origin = originOf(String(endpoint));
  const isMeant = isSure || (await ask(`Let the secrets granted with '${name}' go to ${origin}?`));
  return isMeant ? origin : undefined;
}

/** The revision that an update is made from. */
async function readRevision(client: RestClient, idOrName: string | undefined): Promise<number> {
  const { revision }: View = await client.get(pathOf(LIST, idOrName));
  return revision as number;
}

export function configGroup(history: readonly RestCommand[]): CommandGroup {
  return {
    name: 'configs',
    aliases: ['config', 'mcp-config', 'mcpc'],
    about: 'McpConfigs: the upstream MCP servers and what of them is allowed.',
    examples: ['switchboard configs list', 'switchboard mcpc get github-readonly -o yaml'],
    commands: [list, get, create, update, remove, ...history, confirm],
  };
}
