// Use cases of McpConfigs: created, read, changed and deleted, in the shapes of Runloop's API.

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { compileAllowList } from '../catalog/allow-list.ts';
import { GatewayError, type Problem } from '../domain/errors.ts';
import { type CustomHeader, type McpConfig, type StoredSecret, serviceOf } from '../domain/mcp-config.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { NOTHING, type Operation, operation, warningsView } from './operation.ts';
import { pageQuery, pageView, toPage } from './page.ts';
import { mcpConfigInputSchema } from './schemas.ts';
import { change, find, requireApiManaged, requireFreeName, type UseCaseDeps } from './use-case.ts';

const { name, endpoint, allowed_tools, auth_mechanism, custom_headers, description } = mcpConfigInputSchema.shape;

const createBody = z.strictObject({ name, endpoint, allowed_tools, auth_mechanism, custom_headers, description });
/** What is left out stays as it is, so nothing here has a default. */
const updateBody = z.strictObject({
  name: name.optional(),
  endpoint: endpoint.optional(),
  allowed_tools: allowed_tools.optional(),
  auth_mechanism: auth_mechanism.unwrap().optional(),
  custom_headers: custom_headers.unwrap().optional(),
  description,
});

const viewSchema = z.object({
  id: z.string(),
  name: z.string(),
  service: z.string().describe('The prefix of its tools: the part of the name before the first `-`.'),
  endpoint: z.string(),
  allowed_tools: z.array(z.string()),
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

const listView = z.object({ mcp_configs: z.array(viewSchema), ...pageView });

export function mcpConfigOperations(deps: UseCaseDeps): Operation[] {
  const shared = { tag: 'mcp-configs', query: NOTHING, body: NOTHING, view: viewSchema };
  return [
    operation({
      ...shared,
      name: 'createMcpConfig',
      summary: 'Create an McpConfig.',
      method: 'post',
      path: '/mcp-configs',
      role: 'editor',
      body: createBody,
      run: async ({ operator, body }) => {
        const created = await change(deps, operator.accountId, async (writer) => {
          const before = await writer.readConfiguration();
          requireFreeName(before.mcpConfigs, body.name, 'McpConfig');
          requireAdmitted(deps, body.endpoint);
          const config: McpConfig = {
            id: deps.newId('mcp'),
            name: body.name,
            endpoint: body.endpoint,
            allowedTools: body.allowed_tools,
            authMechanism: toAuthMechanism(body.auth_mechanism),
            customHeaders: toCustomHeaders(body.custom_headers, before.secrets),
            tls: null,
            proxy: null,
            limits: {},
            description: body.description ?? null,
            revision: 1,
            managedBy: 'api',
            createTimeMs: deps.now(),
          };
          await writer.putMcpConfig(config);
          return config;
        });
        return toView(created);
      },
    }),
    operation({
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
        return { mcp_configs: items.map((config) => toView(config)), ...page };
      },
    }),
    operation({
      ...shared,
      name: 'getMcpConfig',
      summary: 'Get an McpConfig by its id or name.',
      method: 'get',
      path: '/mcp-configs/{id}',
      role: 'viewer',
      run: async ({ operator, id }) => {
        const { mcpConfigs } = await deps.store.readConfiguration(operator.accountId);
        return toView(find(mcpConfigs, id, 'McpConfig'));
      },
    }),
    operation({
      ...shared,
      name: 'updateMcpConfig',
      summary: 'Change an McpConfig. What is left out, or null, stays as it is; `custom_headers` is replaced whole.',
      method: 'post',
      path: '/mcp-configs/{id}',
      role: 'editor',
      body: updateBody,
      run: async ({ operator, id, body }) => {
        const updated = await change(deps, operator.accountId, async (writer) => {
          const before = await writer.readConfiguration();
          const current = find(before.mcpConfigs, id, 'McpConfig');
          const next = merge(current, body, before);
          if (next === current) return current;
          requireApiManaged(current, 'McpConfig');
          requireFreeName(before.mcpConfigs, next.name, 'McpConfig', current.id);
          if (next.endpoint !== current.endpoint) requireAdmitted(deps, next.endpoint);
          await writer.putMcpConfig(next);
          return next;
        });
        return toView(updated);
      },
    }),
    operation({
      ...shared,
      name: 'deleteMcpConfig',
      summary: 'Delete an McpConfig that no live token is granted.',
      method: 'post',
      path: '/mcp-configs/{id}/delete',
      role: 'editor',
      run: async ({ operator, id }) => {
        const deleted = await change(deps, operator.accountId, async (writer) => {
          const before = await writer.readConfiguration();
          const config = find(before.mcpConfigs, id, 'McpConfig');
          requireApiManaged(config, 'McpConfig');
          requireUngranted(before, config, deps.now());
          await writer.deleteMcpConfig(config.id);
          return config;
        });
        return toView(deleted);
      },
    }),
  ];
}

function toView(config: McpConfig): z.input<typeof viewSchema> {
  const warnings = findWarnings(config);
  return {
    id: config.id,
    name: config.name,
    service: serviceOf(config.name),
    endpoint: config.endpoint,
    allowed_tools: [...config.allowedTools],
    auth_mechanism: { ...config.authMechanism },
    custom_headers: config.customHeaders.length === 0 ? null : config.customHeaders.map(toHeaderView),
    description: config.description,
    create_time_ms: config.createTimeMs,
    revision: config.revision,
    managed_by: config.managedBy,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

function toHeaderView(header: CustomHeader): { name: string; value?: string; secret?: string } {
  return 'value' in header ? header : { name: header.name, secret: header.secretId };
}

/** Patterns that can admit nothing (design §3.4): stored as they are, for an upstream may yet change. */
function findWarnings({ allowedTools, name }: McpConfig): Problem[] {
  if (allowedTools.length === 0) {
    return [{ path: 'allowed_tools', message: 'is empty, so that no tool is listed and none can be called' }];
  }
  return compileAllowList(allowedTools, serviceOf(name)).warnings.map(({ pattern, message }) => ({
    path: `allowed_tools[${allowedTools.indexOf(pattern)}]`,
    message: `'${pattern}': ${message}`,
  }));
}

function isWanted(config: McpConfig, query: z.output<typeof listQuery>): boolean {
  if (query.name !== undefined && !config.name.startsWith(query.name)) return false;
  if (query.id !== undefined && config.id !== query.id) return false;
  const wanted = query.search?.toLowerCase();
  if (wanted === undefined) return true;
  return [config.name, config.endpoint, config.description ?? ''].some((text) => text.toLowerCase().includes(wanted));
}

function toAuthMechanism({ type, key }: z.output<typeof auth_mechanism>): McpConfig['authMechanism'] {
  return type === 'header' ? { type, key } : { type };
}

function toCustomHeaders(given: z.output<typeof custom_headers>, secrets: readonly StoredSecret[]): CustomHeader[] {
  return given.map((header, index) => {
    if (header.secret === undefined) return { name: header.name, value: header.value ?? '' };
    const secret = secrets.find(({ id, name: own }) => id === header.secret || own === header.secret);
    if (secret !== undefined) return { name: header.name, secretId: secret.id };
    const path = `custom_headers[${index}].secret`;
    const message = `names no secret of this account: create it first with POST /v1/secrets`;
    throw new GatewayError('invalid_argument', `${path} ${message}.`, { problems: [{ path, message }] });
  });
}

function requireAdmitted(deps: UseCaseDeps, url: string): void {
  const problem = deps.findAddressProblem(url);
  if (problem === undefined) return;
  const message = `endpoint: ${problem}.`;
  throw new GatewayError('invalid_argument', message, { problems: [{ path: 'endpoint', message: problem }] });
}

/** The config as it is to be: the same object when nothing would change. */
function merge(current: McpConfig, body: z.output<typeof updateBody>, { secrets }: AccountConfiguration): McpConfig {
  const next: McpConfig = {
    ...current,
    name: body.name ?? current.name,
    endpoint: body.endpoint ?? current.endpoint,
    allowedTools: body.allowed_tools ?? current.allowedTools,
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
    ({ grants, revokedAtMs, expiresAtMs }) =>
      revokedAtMs === null &&
      (expiresAtMs === null || expiresAtMs > nowMs) &&
      grants.some(({ mcpConfigId }) => mcpConfigId === config.id),
  );
  if (granted.length === 0) return;
  const names = granted.slice(0, 10).map((token) => `${token.name} (${token.id})`);
  const more = granted.length > names.length ? ` and ${granted.length - names.length} more` : '';
  throw new GatewayError(
    'conflict',
    `The McpConfig '${config.name}' is in use by live tokens: ${names.join(', ')}${more}. Revoke them first.`,
  );
}
