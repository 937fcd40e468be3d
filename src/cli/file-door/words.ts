// McpConfigs, secrets and tokens in one form, whether a file declares them or an account has them: names for references,
// and what may be left out filled in.

import type { TokenInput } from '../../control-plane/schemas.ts';
import { stdioEndpoint } from '../../domain/mcp-config.ts';
import type { FileConfigInput } from '../../settings/stdio-schema.ts';
import type { View } from '../rest-client.ts';

export type Kind = 'secret' | 'mcp_config' | 'token';

/** The fields that are compared, in the words of the config file and of the REST API. */
export type Fields = Readonly<Record<string, unknown>>;

/** An object as the account has it. */
export interface There {
  readonly id: string;
  readonly name: string;
  readonly revision: number;
  readonly isFromFile: boolean;
  readonly fields: Fields;
}

export function wordsOfConfig(input: FileConfigInput): Fields {
  return {
    endpoint: input.endpoint ?? stdioEndpoint(input.name),
    allowed_tools: input.allowed_tools,
    allowed_prompts: input.allowed_prompts,
    allowed_resources: input.allowed_resources,
    auth_mechanism: withoutAbsent(input.auth_mechanism),
    custom_headers: input.custom_headers.map(withoutAbsent),
    description: input.description ?? '',
  };
}

export function wordsOfToken(input: TokenInput): Fields {
  return {
    grants: input.grants.map(withoutAbsent),
    names: input.names,
    expire_time_ms: input.expires_at === undefined ? null : Date.parse(input.expires_at),
  };
}

export function toThere(view: View, fields: Fields): There {
  return {
    id: String(view.id),
    name: String(view.name),
    revision: Number(view.revision),
    isFromFile: view.managed_by === 'file',
    fields,
  };
}

/** `names` are those of secrets, by their ids. */
export function wordsOfConfigView(view: View, names: ReadonlyMap<string, string>): Fields {
  const headers = (view.custom_headers ?? []) as readonly { readonly secret?: string }[];
  return {
    endpoint: view.endpoint,
    allowed_tools: view.allowed_tools,
    allowed_prompts: view.allowed_prompts,
    allowed_resources: view.allowed_resources,
    auth_mechanism: view.auth_mechanism,
    custom_headers: headers.map((header) =>
      header.secret === undefined ? header : { ...header, secret: names.get(header.secret) ?? header.secret },
    ),
    description: view.description ?? '',
  };
}

interface GrantView {
  readonly mcp_config: string;
  readonly secret: string | null;
  readonly allowed_tools: readonly string[] | null;
}

/** `names` are those of McpConfigs and secrets, by their ids. */
export function wordsOfTokenView(view: View, names: ReadonlyMap<string, string>): Fields {
  return {
    grants: (view.grants as readonly GrantView[]).map(({ mcp_config: config, secret, allowed_tools }) =>
      withoutAbsent({
        mcp_config: names.get(config) ?? config,
        secret: secret === null ? null : (names.get(secret) ?? secret),
        allowed_tools,
      }),
    ),
    names: view.names,
    expire_time_ms: view.expire_time_ms,
  };
}

function withoutAbsent(fields: object): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}
