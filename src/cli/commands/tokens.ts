// `switchboard tokens`: agents' tokens over REST, or, with `-c`, in the store of a config file itself.

import { Option } from 'commander';
import type { GrantInput } from '../../control-plane/tokens.ts';
import { NAME_STYLES, type NameStyle } from '../../domain/principal.ts';
import { parseFutureDate, parseGrant, parseName, parseSeconds } from '../arguments.ts';
import { toText, toTime, valueNote } from '../output.ts';
import type { RestClient, View } from '../rest-client.ts';
import { type CommandGroup, type Outcome, restCommand, type StoreOptions } from '../rest-command.ts';
import {
  ID_OR_NAME,
  type ListOptions,
  limitOption,
  listed,
  type MatchOptions,
  matchOption,
  nameFilter,
  newName,
  pathOf,
  shown,
  written,
} from './shared.ts';

const LIST = 'mcp-tokens';

interface TokenOptions {
  readonly grant: readonly GrantInput[];
  /** Milliseconds since 1970. */
  readonly expires?: number;
  readonly names: NameStyle;
}

interface ValueOptions {
  readonly stdin?: boolean;
}

const expires = () =>
  new Option('--expires <date>', 'when it stops working, as an ISO 8601 date').argParser(parseFutureDate);
const names = () => new Option('--names <style>', 'spelling of tool names').choices(NAME_STYLES);
const grant = () =>
  new Option(
    '--grant <config[=secret]>',
    'McpConfig the token may use, and the secret it uses there; repeat it for more, in order',
  ).argParser(parseGrant);
const ownValue = () => new Option('--stdin', 'take the value from stdin instead of making one').conflicts('config');

export const tokenGroup: CommandGroup = {
  name: 'tokens',
  aliases: ['token', 'mcp-token'],
  about: "Agents' tokens: what each may use, over REST or, with -c, in the store itself.",
  examples: ['switchboard tokens list', 'switchboard tokens create ci --grant github-readonly=GITHUB_TOKEN'],
  commands: [
    restCommand<ListOptions>({
      usage: 'list',
      aliases: ['ls'],
      about: 'List tokens, newest first.',
      options: [nameFilter(), limitOption()],
      examples: ['switchboard tokens list', 'switchboard tokens list --config switchboard.yaml -o json'],
      onStore: async (_, options) => (await import('../tokens.ts')).listTokens(options),
      run: async ({ client, options: { name, limit } }) => {
        const configNames = await namesOfConfigs(client);
        return listed(await client.list('/mcp-tokens', 'mcp_tokens', { name, limit }), (view) => ({
          id: toText(view.id),
          name: toText(view.name),
          grants: describeGrants(view, configNames),
          expires: view.expire_time_ms === null ? 'never' : toTime(view.expire_time_ms),
          managed_by: toText(view.managed_by),
          state: stateOf(view, Date.now()),
        }));
      },
    }),
    restCommand({
      usage: 'get',
      about: 'Show a token, without its value.',
      arguments: [ID_OR_NAME],
      examples: ['switchboard tokens get devbox-7', 'switchboard tokens get devbox-7 -o yaml'],
      run: async ({ client, args: [id] }) => {
        const view = await client.get(pathOf(LIST, id));
        return shown(view, { grants: describeGrants(view, await namesOfConfigs(client)) });
      },
    }),
    restCommand<TokenOptions & ValueOptions>({
      usage: 'create',
      about: 'Create a token; prints its value, once.',
      arguments: [newName()],
      options: [grant().makeOptionMandatory(), expires(), names().default('dot'), ownValue()],
      examples: [
        'switchboard tokens create devbox-1 --grant github-readonly=GITHUB_TOKEN',
        'switchboard tokens create ide --grant toolbox-demo --grant everything-demo --names underscore',
      ],
      onStore: async ([name = ''], options) => (await import('../tokens.ts')).createTokenCommand(name, options),
      run: async ({ client, args: [name], options }) => {
        const value = await readOwnValue(options, `Value of ${name}`);
        return minted(await client.post('/mcp-tokens', { name, ...toBody(options), ...value }));
      },
    }),
    restCommand<Partial<TokenOptions> & MatchOptions & { readonly name?: string }>({
      usage: 'update',
      about: 'Change a token; what is not given stays, and its value stays good.',
      arguments: [ID_OR_NAME],
      options: [
        new Option('--name <name>', 'another name').argParser(parseName),
        grant(),
        expires(),
        names(),
        matchOption(),
      ],
      examples: [
        'switchboard tokens update devbox-1 --grant github-readonly=GITHUB_TOKEN --grant wiki',
        'switchboard tokens update devbox-1 --expires 2099-01-31',
      ],
      run: async ({ client, args: [id], options }) => {
        const revision = options.ifMatch ?? ((await client.get(pathOf(LIST, id))).revision as number);
        const name = options.name === undefined ? {} : { name: options.name };
        return written(await client.post(pathOf(LIST, id), { ...name, ...toBody(options) }, revision));
      },
    }),
    restCommand<ValueOptions & MatchOptions & { readonly overlap?: number }>({
      usage: 'rotate',
      about: 'Give a token another value; prints it, once. The one before stays good for the overlap.',
      arguments: [ID_OR_NAME],
      options: [
        new Option('--overlap <seconds>', 'how long the value before is good; an hour unless told').argParser(
          parseSeconds,
        ),
        ownValue(),
        matchOption(),
      ],
      examples: ['switchboard tokens rotate devbox-1', 'switchboard tokens rotate devbox-1 --overlap 0'],
      run: async ({ client, args: [id], options }) => {
        const overlap = options.overlap === undefined ? {} : { overlap_seconds: options.overlap };
        const value = await readOwnValue(options, `New value of ${id}`);
        return minted(
          await client.post(pathOf(LIST, id, '/rotate'), { ...overlap, ...value }, options.ifMatch),
          'was rotated',
        );
      },
    }),
    restCommand({
      usage: 'revoke',
      about: 'Revoke a token: it opens nothing any more, and what is open under it is closed.',
      arguments: [ID_OR_NAME],
      examples: ['switchboard tokens revoke devbox-1', 'switchboard tokens revoke tok_3fK9… -c switchboard.yaml'],
      onStore: async ([id = ''], options: StoreOptions) =>
        (await import('../tokens.ts')).revokeTokenCommand(id, options),
      run: async ({ client, args: [id] }) => written(await client.post(pathOf(LIST, id, '/revoke'))),
    }),
  ],
};

/** The value alone on stdout, for scripts; shared with API keys. */
export function minted(view: View, done?: string): Outcome {
  return { view, text: `${view.token ?? view.api_key}\n`, note: valueNote(view, done) };
}

async function readOwnValue({ stdin }: ValueOptions, prompt: string): Promise<{ value?: string }> {
  return stdin === true ? { value: await (await import('../terminal.ts')).readValue(prompt) } : {};
}

function toBody(options: Partial<TokenOptions>): Record<string, unknown> {
  const grants = options.grant?.map(({ mcpConfig, secret }) => ({
    mcp_config: mcpConfig,
    ...(secret === null ? {} : { secret }),
  }));
  const body = { grants, names: options.names, expire_time_ms: options.expires };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

async function namesOfConfigs(client: RestClient): Promise<ReadonlyMap<unknown, string>> {
  const configs = await client.list('/mcp-configs', 'mcp_configs');
  return new Map(configs.map(({ id, name }) => [id, String(name)]));
}

function describeGrants(view: View, configNames: ReadonlyMap<unknown, string>): string {
  return (view.grants as readonly View[])
    .map(
      (each) => `${configNames.get(each.mcp_config) ?? '(deleted)'}${each.is_suspended === true ? ' (suspended)' : ''}`,
    )
    .join(',');
}

function stateOf({ revoke_time_ms: revokedAtMs, expire_time_ms: expiresAtMs }: View, nowMs: number): string {
  if (revokedAtMs !== null) return 'revoked';
  return typeof expiresAtMs === 'number' && expiresAtMs <= nowMs ? 'expired' : 'live';
}
