// What operators write: McpConfigs, secrets and tokens in snake_case, as the config file and the REST API take them.
// Objects are strict; a door that must bear unknown fields drops them by their `unrecognized_keys` issue and says so.

import * as z from 'zod';
import { findPatternProblem } from '../catalog/allow-list.ts';
import type { PatternProblem } from '../catalog/glob-syntax.ts';
import { findUriPatternProblem } from '../catalog/uri-allow-list.ts';
import { isHeaderName, isReservedHeader } from '../domain/header-name.ts';
import { parseIsoDate } from '../domain/iso-date.ts';
import { isConfigName } from '../domain/mcp-config.ts';
import { NAME_STYLES, TOKEN_NAME } from '../domain/principal.ts';
import { checkedBy, condition, exactlyOne, secretName } from './schema-parts.ts';
import { configLimitsSchema, configTlsSchema, proxySchema, proxySecretSchema } from './transport-schemas.ts';

const HEADER_VALUE = /^[\t\x20-\x7e]{0,8192}$/;
/** A portable name of an environment variable (POSIX.1-2024, Base Definitions 8.1). */
export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What runs on the gateway's own machine is decided by who writes its file, and by no API key. */
export const STDIO_IS_OF_FILE =
  'begins with stdio:, which only stands for a process that the config file of the gateway declares under stdio: give an http(s) URL, or declare the process there';

function findEndpointProblem(endpoint: string): string | undefined {
  if (/^stdio:/i.test(endpoint)) return STDIO_IS_OF_FILE;
  // `new URL` forgives blanks, backslashes and missing slashes; another parser of the same text may then see another host.
  if (!/^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/i.test(endpoint) || !URL.canParse(endpoint))
    return 'is not an http(s) URL: write it like https://mcp.example.com/mcp';
  const url = new URL(endpoint);
  if (url.username !== '' || url.password !== '')
    return 'holds a user name or password: store it as a secret and grant it with the config';
  return endpoint.includes('#') ? 'holds a fragment (#…), which is never sent: remove it' : undefined;
}

function findHeaderNameProblem(name: string): string | undefined {
  if (!isHeaderName(name))
    return "is not a header name: letters, digits and -_.!#$%&'*+^`|~ only, at most 128 characters";
  return isReservedHeader(name) ? 'is a header the gateway sets itself: remove it' : undefined;
}

function findPattern(pattern: string): string | undefined {
  return toMessage(findPatternProblem(pattern));
}

function findPromptPattern(pattern: string): string | undefined {
  return toMessage(findPatternProblem(pattern, 'prompt'));
}

function findUriPattern(pattern: string): string | undefined {
  return toMessage(findUriPatternProblem(pattern));
}

function toMessage(problem: PatternProblem | undefined): string | undefined {
  return problem && `${problem.message} (character ${problem.position + 1})`;
}

function findDateProblem(text: string): string | undefined {
  return parseIsoDate(text) !== undefined
    ? undefined
    : 'is not a date: write 2027-01-31 (00:00 UTC of that day) or 2027-01-31T18:00:00Z';
}

const headerName = z.string().check(checkedBy(findHeaderNameProblem));
const headerValue = z
  .string()
  .regex(HEADER_VALUE, 'is not a header value: printable ASCII, spaces and tabs on one line, at most 8192 characters');
const configName = z
  .string()
  .refine(isConfigName, 'is not a config name: 1 to 128 letters, digits, _ or -, beginning with a letter or digit');
const MAX_PATTERNS = 1000;
const MAX_GRANTS = 1000;
/** Tried at each read of a resource that no upstream lists. */
const MAX_URI_ALTERNATIVES = 1000;
/** Of all grants of a token, each alternative in braces counted: to compile more would hold up everybody's calls. */
const MAX_NARROWING = 5000;
const patternsBy = (find: (pattern: string) => string | undefined) =>
  z.array(z.string().check(checkedBy(find))).max(MAX_PATTERNS, `holds more than ${MAX_PATTERNS} patterns`);
const patterns = patternsBy(findPattern);
const noKey = z
  .never('is only for type header: remove it, or write type: header')
  .optional()
  .describe('Only for type `header`.');

const authMechanismSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('bearer'), key: noKey }),
    z.strictObject({ type: z.literal('basic'), key: noKey }),
    z.strictObject({ type: z.literal('header'), key: headerName.describe('The header that carries the secret.') }),
  ])
  .describe(
    'How the secret is sent: `bearer`, `basic` (the secret is `user:password`), or `header` with the header name in `key`.',
  );

export const customHeaderSchema = z
  .strictObject({
    name: headerName.describe('Header name.'),
    value: headerValue.optional().describe('A literal value, for what is not secret.'),
    secret: secretName.optional().describe('The secret whose value is sent.'),
  })
  .check(exactlyOne(['value', 'secret'], 'needs either value or secret, and only one of them'))
  .meta({ oneOf: [{ required: ['value'] }, { required: ['secret'] }] });

function findRepeatedHeader(headers: readonly { readonly name: string }[]): string | undefined {
  const names = headers.map((header) => header.name.toLowerCase());
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  return repeated === undefined ? undefined : `sets ${repeated} twice: keep one`;
}

function findTooManyUriPatterns(all: readonly string[]): string | undefined {
  return countAlternatives(all) <= MAX_URI_ALTERNATIVES
    ? undefined
    : `holds more than ${MAX_URI_ALTERNATIVES} patterns, alternatives in braces counted: write shorter ones with *`;
}

type Reach = { endpoint?: string | undefined; tls?: unknown; proxy?: unknown; proxy_secret?: unknown };

/** What holds between the fields that say how an upstream is reached. */
export const reachConditions = [
  condition<Reach>(
    ({ tls, endpoint }) => tls === undefined || !/^http:/i.test(endpoint ?? ''),
    'is for an https endpoint; this one is http: remove it, or write https://',
    ['tls'],
  ),
  condition<Reach>(
    (config) => config.proxy_secret === undefined || config.proxy !== undefined,
    'is for a config with a proxy: add proxy, or remove it',
    ['proxy_secret'],
  ),
];

/** The description of one upstream, as an operator writes it. */
export const mcpConfigInputSchema = z
  .strictObject({
    name: configName.describe('Unique name; the part before the first `-` is the service that prefixes its tools.'),
    endpoint: z
      .string()
      .max(2048, 'is longer than 2048 characters')
      .check(checkedBy(findEndpointProblem))
      .describe('URL of the upstream MCP server.'),
    allowed_tools: patterns.describe(
      'Globs over tool names, bare (`get_*`) or qualified (`github.get_*`). An empty list allows nothing.',
    ),
    allowed_prompts: patternsBy(findPromptPattern)
      .default([])
      .describe('Globs over prompt names, bare or qualified as those of tools. Without it, no prompt is allowed.'),
    allowed_resources: patternsBy(findUriPattern)
      .check(checkedBy(findTooManyUriPatterns))
      .default([])
      .describe(
        'Globs over the URIs of resources (`file:///docs/*`), where `*` stands for any characters, slashes too. Without it, no resource is allowed.',
      ),
    auth_mechanism: authMechanismSchema.default({ type: 'bearer' }),
    custom_headers: z
      .array(customHeaderSchema)
      .max(8, 'holds more than 8 headers')
      .check(checkedBy(findRepeatedHeader))
      .default([])
      .describe('At most 8 headers sent with every request to the upstream, after the credential.'),
    tls: configTlsSchema.optional(),
    proxy: proxySchema.optional(),
    proxy_secret: proxySecretSchema.optional(),
    limits: configLimitsSchema.prefault({}).describe('Limits of this upstream, in the place of those under `limits`.'),
    description: z.string().max(2048, 'is longer than 2048 characters').optional().describe('A note for people.'),
  })
  .check(...reachConditions);

const valueFromSchema = z
  .strictObject({
    env: z
      .string()
      .regex(VARIABLE_NAME, 'is not the name of an environment variable: write the bare name, without $ or braces')
      .optional()
      .describe('Environment variable that holds the value.'),
    file: z
      .string()
      .min(1, 'is empty: write the path of a file')
      .optional()
      .describe('File that holds the value; a relative path starts at the directory of this file.'),
  })
  .check(exactlyOne(['env', 'file'], 'needs either env or file, and only one of them'))
  .meta({ oneOf: [{ required: ['env'] }, { required: ['file'] }] });

const noLiteral = z
  .never(
    'is a secret written into the file: take it out, write value_from: { env: NAME } or { file: PATH }, and rotate it',
  )
  .optional()
  .describe('Not allowed: a config file lives in git. Use `value_from`.');

/** A secret as the config file declares it: where its value is, never the value. */
export const secretInputSchema = z.strictObject({
  name: secretName.describe('Unique name that grants and custom headers refer to.'),
  value: noLiteral,
  value_from: valueFromSchema.describe('Where the value is read from when the file is loaded.'),
});

const grantInputSchema = z.strictObject({
  mcp_config: configName.describe('Name of the McpConfig.'),
  secret: secretName.optional().describe('Name of the secret sent to it; none if the upstream needs none.'),
  allowed_tools: patterns.optional().describe('Narrows the allow-list of the config further, for this token.'),
});
export type GrantInput = z.output<typeof grantInputSchema>;

function findTooManyPatterns(grants: readonly GrantInput[]): string | undefined {
  const count = grants.reduce((sum, { allowed_tools = [] }) => sum + countAlternatives(allowed_tools), 0);
  return count <= MAX_NARROWING
    ? undefined
    : `holds more than ${MAX_NARROWING} patterns in all, alternatives in braces counted: narrow the McpConfig instead`;
}

function countAlternatives(all: readonly string[]): number {
  const inBraces = (pattern: string) => pattern.match(/\{[^}]*\}/g) ?? [];
  const product = (braces: readonly string[]) => braces.reduce((sum, each) => sum * each.split(',').length, 1);
  return all.reduce((sum, pattern) => sum + product(inBraces(pattern)), 0);
}

/** An agent's token as the config file declares it. */
export const tokenInputSchema = z.strictObject({
  name: z
    .string()
    .regex(TOKEN_NAME, 'is not a token name: 1 to 128 letters, digits, _, . or -, beginning with a letter or digit')
    .describe('Unique name, shown in logs and audit.'),
  value: noLiteral,
  value_from: valueFromSchema.describe('Where the token is read from: 32 to 256 visible ASCII characters.'),
  grants: z
    .array(grantInputSchema)
    .max(MAX_GRANTS, `holds more than ${MAX_GRANTS} grants`)
    .check(checkedBy(findTooManyPatterns))
    .describe('What the token may use, in order: of two grants that allow one tool, the first wins.'),
  names: z
    .enum(NAME_STYLES)
    .default('dot')
    .describe('Spelling of tool names: `dot`, `underscore`, or `bare` for a token of one service.'),
  expires_at: z
    .string()
    .check(checkedBy(findDateProblem))
    .optional()
    .describe('Date or date-time (ISO 8601) after which the token is refused.'),
});
export type TokenInput = z.output<typeof tokenInputSchema>;
