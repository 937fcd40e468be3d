// Use cases of McpConfigs: created, read, changed and deleted, in the shapes of Runloop's API.

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { isLive } from '../catalog/catalogs.ts';
import { named } from '../catalog/named.ts';
import { GatewayError } from '../domain/errors.ts';
import {
  type CustomHeader,
  isStdioEndpoint,
  type McpConfig,
  type StoredSecret,
  serviceOf,
} from '../domain/mcp-config.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { find } from './change.ts';
import { findMoveWarnings, findWarnings } from './config-warnings.ts';
import { NOTHING, type Operation, read, warningsView, write } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { mcpConfigInputSchema, STDIO_IS_OF_FILE } from './schemas.ts';
import { addedSendings, bindSecrets } from './secret-binding.ts';
import { refer, requireFreeName, type UseCaseDeps } from './use-case.ts';

const fields = mcpConfigInputSchema.shape;

/** Without what only the operator's file may set. */
export const createBody = z.strictObject({
  name: fields.name,
  endpoint: fields.endpoint,
  allowed_tools: fields.allowed_tools,
  allowed_prompts: fields.allowed_prompts,
  allowed_resources: fields.allowed_resources,
  auth_mechanism: fields.auth_mechanism,
  custom_headers: fields.custom_headers,
  description: fields.description,
});
/** What is left out stays as it is, so nothing here has a default. */
export const updateBody = z.strictObject({
  name: fields.name.optional(),
  endpoint: fields.endpoint.optional(),
  allowed_tools: fields.allowed_tools.optional(),
  allowed_prompts: fields.allowed_prompts.unwrap().optional(),
  allowed_resources: fields.allowed_resources.unwrap().optional(),
  auth_mechanism: fields.auth_mechanism.unwrap().optional(),
  custom_headers: fields.custom_headers.unwrap().optional(),
  description: fields.description,
});

export const mcpConfigView = z.object({
  id: z.string(),
  name: z.string(),
  service: z.string().describe('The prefix of its tools: the part of the name before the first `-`.'),
  endpoint: z.string(),
  allowed_tools: z.array(z.string()),
  allowed_prompts: z.array(z.string()),
  allowed_resources: z.array(z.string()),
  auth_mechanism: z.object({ type: z.enum(['bearer', 'basic', 'header']), key: z.string().optional() }),
  custom_headers: z
    .array(z.object({ name: z.string(), value: z.string().optional(), secret: z.string().optional() }))
    .nullable()
    .describe('`secret` is the id of the secret; its value is never shown.'),
  description: z.string().nullable(),
  create_time_ms: z.int(),
  revision: z.int().describe('Counts the writes to this config, from 1.'),
  managed_by: z.enum(['api', 'file']).describe('`file`: declared in the config file, and changed only there.'),
  warnings: warningsView,
});

const listQuery = pageQuery.extend({
  name: z.string().optional().describe('Begins with this.'),
  id: z.string().optional().describe('Is this.'),
  search: z.string().optional().describe('Name, endpoint or description holds this, in upper or lower case.'),
});

export const listView = z.object({ mcp_configs: z.array(mcpConfigView), ...pageView });

export function mcpConfigOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'mcp-configs', query: NOTHING, body: NOTHING, view: mcpConfigView };
  return [
    write({
      ...shared,
      name: 'createMcpConfig',
      summary: 'Create an McpConfig.',
      method: 'post',
      path: '/mcp-configs',
      role: 'editor',
      body: createBody,
      run: async ({ body }, change) => {
        requireFreeName(change.before.mcpConfigs, body.name, 'McpConfig');
        requireAdmitted(deps, body.endpoint);
        const config = toMcpConfig(body, deps.newId('mcp'), change.before, change.nowMs);
        await bindSecrets(change, addedSendings(undefined, config));
        await change.put('mcp_config', config, 'create');
        return toMcpConfigView(config);
      },
    }),
    read({
      ...shared,
      name: 'listMcpConfigs',
      summary: 'List McpConfigs, newest first.',
      method: 'get',
      path: '/mcp-configs',
      role: 'viewer',
      query: listQuery,
      view: listView,
      run: async ({ operator, query }) => {
        const { mcpConfigs } = await deps.store.readConfiguration(operator.accountId);
        const { items, ...page } = toPage(mcpConfigs, (config) => isWanted(config, query), query);
        return { mcp_configs: items.map(toListedConfig), ...page };
      },
    }),
    read({
      ...shared,
      name: 'getMcpConfig',
      summary: 'Get an McpConfig by its id or name.',
      method: 'get',
      path: '/mcp-configs/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => {
        const { mcpConfigs } = await deps.store.readConfiguration(operator.accountId);
        return toMcpConfigView(find(mcpConfigs, id, 'McpConfig'));
      },
    }),
    write({
      ...shared,
      name: 'updateMcpConfig',
      summary: 'Change an McpConfig. What is left out, or null, stays as it is; `custom_headers` is replaced whole.',
      method: 'post',
      path: '/mcp-configs/{id}',
      role: 'editor',
      body: updateBody,
      run: async ({ id, body }, change) => {
        const current = change.find('mcp_config', id);
        const next = merge(current, body, change.before);
        if (next === current) return toMcpConfigView(current);
        change.findEditable('mcp_config', id);
        requireFreeName(change.before.mcpConfigs, next.name, 'McpConfig', current.id);
        if (next.endpoint !== current.endpoint) requireAdmitted(deps, next.endpoint);
        await bindSecrets(change, addedSendings(current, next));
        await change.put('mcp_config', next, 'update');
        return toChangedView(current, next, change.before);
      },
    }),
    write({
      ...shared,
      name: 'deleteMcpConfig',
      summary: 'Delete an McpConfig that no live token is granted.',
      method: 'post',
      path: '/mcp-configs/{id}/delete',
      role: 'editor',
      run: async ({ id }, change) => {
        const config = change.findEditable('mcp_config', id);
        requireUngranted(change.before, config, change.nowMs);
        await change.delete('mcp_config', config);
        return toMcpConfigView(config);
      },
    }),
  ];
}

export function toMcpConfig(
  body: z.output<typeof createBody>,
  id: string,
  { secrets }: AccountConfiguration,
  nowMs: number,
): McpConfig {
  return {
    id,
    name: body.name,
    endpoint: body.endpoint,
    allowedTools: body.allowed_tools,
    allowedPrompts: body.allowed_prompts,
    allowedResources: body.allowed_resources,
    authMechanism: toAuthMechanism(body.auth_mechanism),
    customHeaders: toCustomHeaders(body.custom_headers, secrets),
    tls: null,
    proxy: null,
    limits: {},
    stdio: null,
    description: body.description ?? null,
    revision: 1,
    managedBy: 'api',
    createTimeMs: nowMs,
  };
}

export function toMcpConfigView(config: McpConfig): z.input<typeof mcpConfigView> {
  const warnings = findWarnings(config);
  return { ...toListedConfig(config), ...(warnings.length === 0 ? {} : { warnings }) };
}

/** Of one that was another before, with whom that breaks. */
export function toChangedView(
  was: McpConfig,
  is: McpConfig,
  configuration: AccountConfiguration,
): z.input<typeof mcpConfigView> {
  const view = toMcpConfigView(is);
  const warnings = [...findMoveWarnings(was, is, configuration), ...(view.warnings ?? [])];
  return warnings.length === 0 ? view : { ...view, warnings };
}

/** Without warnings: to judge the patterns of thousands of configs takes seconds. */
export function toListedConfig(config: McpConfig): Omit<z.input<typeof mcpConfigView>, 'warnings'> {
  return {
    id: config.id,
    name: config.name,
    service: serviceOf(config.name),
    endpoint: config.endpoint,
    allowed_tools: [...config.allowedTools],
    allowed_prompts: [...config.allowedPrompts],
    allowed_resources: [...config.allowedResources],
    auth_mechanism: { ...config.authMechanism },
    custom_headers: config.customHeaders.length === 0 ? null : config.customHeaders.map(toHeaderView),
    description: config.description,
    create_time_ms: config.createTimeMs,
    revision: config.revision,
    managed_by: config.managedBy,
  };
}

function toHeaderView(header: CustomHeader): { name: string; value?: string; secret?: string } {
  return 'value' in header ? header : { name: header.name, secret: header.secretId };
}

function isWanted(config: McpConfig, query: z.output<typeof listQuery>): boolean {
  if (query.name !== undefined && !config.name.startsWith(query.name)) return false;
  if (query.id !== undefined && config.id !== query.id) return false;
  const wanted = query.search?.toLowerCase();
  if (wanted === undefined) return true;
  return [config.name, config.endpoint, config.description ?? ''].some((text) => text.toLowerCase().includes(wanted));
}

function toAuthMechanism({ type, key }: z.output<typeof fields.auth_mechanism>): McpConfig['authMechanism'] {
  return type === 'header' ? { type, key } : { type };
}

function toCustomHeaders(
  given: z.output<typeof fields.custom_headers>,
  secrets: readonly StoredSecret[],
): CustomHeader[] {
  return given.map((header, index) => {
    if (header.secret === undefined) return { name: header.name, value: header.value ?? '' };
    return {
      name: header.name,
      secretId: refer(secrets, header.secret, 'secret', `custom_headers[${index}].secret`).id,
    };
  });
}

/** Throws `invalid_argument` for an endpoint that this gateway would not connect to, and for a process, which no API may name. */
export function requireAdmitted(deps: Pick<UseCaseDeps, 'findAddressProblem'>, url: string): void {
  const problem = isStdioEndpoint(url) ? STDIO_IS_OF_FILE : deps.findAddressProblem(url);
  if (problem === undefined) return;
  const message = `endpoint: ${problem}.`;
  throw new GatewayError('invalid_argument', message, { problems: [{ path: 'endpoint', message: problem }] });
}

/** The config as it is to be: the same object when nothing would change. */
export function merge(
  current: McpConfig,
  body: z.output<typeof updateBody>,
  { secrets }: AccountConfiguration,
): McpConfig {
  const next: McpConfig = {
    ...current,
    name: body.name ?? current.name,
    endpoint: body.endpoint ?? current.endpoint,
    allowedTools: body.allowed_tools ?? current.allowedTools,
    allowedPrompts: body.allowed_prompts ?? current.allowedPrompts,
    allowedResources: body.allowed_resources ?? current.allowedResources,
    authMechanism: body.auth_mechanism === undefined ? current.authMechanism : toAuthMechanism(body.auth_mechanism),
    customHeaders:
      body.custom_headers === undefined ? current.customHeaders : toCustomHeaders(body.custom_headers, secrets),
    description: body.description ?? current.description,
  };
  return isDeepStrictEqual(next, current) ? current : { ...next, revision: current.revision + 1 };
}

/** Throws `conflict`, naming the tokens that would lose the config. */
function requireUngranted({ tokens }: AccountConfiguration, config: McpConfig, nowMs: number): void {
  const granted = tokens.filter(
    (token) => isLive(token, nowMs) && token.grants.some(({ mcpConfigId }) => mcpConfigId === config.id),
  );
  if (granted.length === 0) return;
  const names = granted.map((token) => `${token.name} (${token.id})`);
  throw new GatewayError(
    'conflict',
    `The McpConfig '${config.name}' is in use by live tokens: ${named(names)}. Revoke them first.`,
  );
}
