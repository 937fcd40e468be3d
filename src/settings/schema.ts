// The whole config file: its shape, its defaults and its words. The JSON schema and the README table come out of it.

import { isIP } from 'node:net';
import * as z from 'zod';
import { OVERFLOW_POLICIES } from '../audit-log/overflow-policy.ts';
import { callTimeout, count, milliseconds, millisecondsOrNever } from '../control-plane/schema-parts.ts';
import { secretInputSchema, tokenInputSchema } from '../control-plane/schemas.ts';
import { LOG_LEVELS } from '../telemetry/log-levels.ts';
import { parseCidr } from '../upstream/ip-address.ts';
import { fileConfigSchema } from './stdio-schema.ts';
import { EXPECTED_WORKERS, MAX_WORKERS } from './workers.ts';

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text);
}

function isPublicUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

function isAddressOrCidr(text: string): boolean {
  return isIP(text) !== 0 || isCidr(text);
}

function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined;
}

const port = z.int().min(0).max(65535);

const pemFile = z.string().min(1, 'is empty: write the path of a PEM file');
const tlsSchema = z.strictObject({
  certificate_file: pemFile.describe(
    'PEM file of the certificate, followed by its chain. A relative path starts at the directory of this file; a changed file is in use within a second.',
  ),
  key_file: pemFile.describe('PEM file of its private key, without a passphrase.'),
});

function listenSchema(defaultPort: number) {
  return z
    .strictObject({
      host: z.string().min(1, 'is empty: write an address').default('127.0.0.1').describe('Address to listen on.'),
      port: port.default(defaultPort).describe('Port to listen on; 0 takes any free one.'),
      tls: tlsSchema.optional().describe('With a certificate this port speaks TLS 1.2 or newer, and nothing else.'),
    })
    .prefault({});
}

const limitsSchema = z.strictObject({
  body_bytes: z
    .int()
    .min(1024)
    .default(4_194_304)
    .describe('Largest body of a request to `/mcp`, in bytes; elsewhere it is 1 MiB.'),
  call_timeout_ms: callTimeout.default(300_000).describe('Longest duration of one call, all included.'),
  connect_timeout_ms: milliseconds().default(5000).describe('Longest wait for a connection to an upstream.'),
  header_timeout_ms: milliseconds()
    .default(60_000)
    .describe("Longest wait for the first bytes of an upstream's answer."),
  idle_timeout_ms: milliseconds().default(300_000).describe("Longest silence inside an upstream's answer."),
  list_wait_ms: milliseconds().default(2000).describe('How long a list waits for upstreams never seen before.'),
  list_ttl_ms: milliseconds().default(60_000).describe("How long an upstream's list is used before it is asked again."),
  list_page_tools: z
    .int()
    .min(0)
    .default(0)
    .describe('Most tools on one page of a list. 0 puts all on one: many clients never ask for a second.'),
  session_idle_ms: milliseconds()
    .default(1_800_000)
    .describe(
      'How long a session with an upstream is kept open without a call, and the end of a broken stream at the longest.',
    ),
  connections_per_credential: count
    .default(256)
    .describe('Most calls at once to one upstream with one credential; those that wait for a person do not count.'),
  calls_per_token: count.default(1000).describe('Most calls in flight of one token.'),
  streams_per_token: count
    .default(256)
    .describe('Most streams of legacy sessions (GET) that one token has open at once.'),
  calls_per_upstream: count.default(2000).describe('Most calls in flight to one upstream with one credential.'),
  calls: count.default(10_000).describe('Most calls in flight of all tokens together.'),
  bytes_in_flight: z
    .int()
    .min(1024)
    .default(268_435_456)
    .describe('Most bytes of request bodies held; one token gets at most a quarter.'),
  heap_percent: z
    .int()
    .min(10)
    .max(100)
    .default(85)
    .describe('Share of the JavaScript heap in use from which calls are turned away with 503.'),
  delay_ms: millisecondsOrNever
    .default(250)
    .describe(
      'Overload: when the process is busy all the time and every call has waited this long in it, for half a second, some are turned away with 503 so that the others wait less. 0 turns none away.',
    ),
  api_requests_per_minute: count
    .default(6000)
    .describe('Most requests of one API key in a minute, to the REST API and the management MCP server together.'),
  drain_ms: milliseconds().default(60_000).describe('How long calls under way may finish when the gateway stops.'),
});

const BODIES_FIT = {
  path: ['bytes_in_flight'],
  message:
    'is less than four times limits.body_bytes, and one token gets a quarter of it, so that a body of that size could never be let in: raise it, or lower limits.body_bytes',
};

const auditSchema = z.strictObject({
  calls: z.boolean().default(true).describe('Whether every call is recorded. Changes are, whatever this says.'),
  directory: z
    .string()
    .min(1, 'is empty: write the path of a directory')
    .optional()
    .describe(
      'Where the records of calls are kept: `audit` beside the SQLite file, or `.switchboard/audit`, unless told. A relative path starts at the directory of this file.',
    ),
  checkpoint_file: z
    .string()
    .min(1, 'is empty: write the path of a file')
    .optional()
    .describe(
      'File that is told once a second how far the audit has come. Kept where the records are not, it shows what was cut off their end.',
    ),
  on_overflow: z
    .enum(OVERFLOW_POLICIES)
    .default('drop')
    .describe(
      'What gives when records cannot be written fast enough, or at all: `drop` leaves them out and counts them, `block` refuses calls with 503.',
    ),
  segment_bytes: z
    .int()
    .min(65_536)
    .max(1_073_741_824)
    .default(33_554_432)
    .describe('Size from which another file is begun; a file is a day old at most.'),
  keep_days: z.int().min(0).default(90).describe('Files whose last record is older are deleted. 0 keeps all.'),
  keep_bytes: z
    .int()
    .min(0)
    .default(4_294_967_296)
    .describe('The oldest files are deleted while all together are larger. 0 keeps all.'),
});

/** The config file. Keys are snake_case, as written; `toSettings` gives what the program works with. */
export const settingsSchema = z
  .strictObject({
    $schema: z.string().optional().describe('JSON schema of this file, for editors.'),
    listen: listenSchema(8080),
    admin: z
      .strictObject({ listen: listenSchema(9090) })
      .optional()
      .describe('A second listener for everything but `/mcp` and claim links. Without it one port serves all.'),
    workers: z
      .union([z.literal('auto'), z.int().min(1).max(MAX_WORKERS)], EXPECTED_WORKERS)
      .default(1)
      .describe(
        'Processes that serve the port, to use more than one core; `auto` starts one for each. `limits` are of all together.',
      ),
    public_url: z
      .string()
      .refine(isPublicUrl, 'is not an http(s) URL without user, query and fragment, such as https://mcp.example.com')
      .optional()
      .describe(
        'URL under which clients reach the gateway, where it differs from `listen`. If it has a path, the proxy must take that off before it passes a request on: the gateway serves `/mcp`.',
      ),
    trusted_proxies: z
      .array(z.string().refine(isAddressOrCidr, 'is not an address or range: write 10.0.0.7, 10.0.0.0/8 or fd00::/8'))
      .default([])
      .describe(
        'Addresses of the proxies whose `X-Forwarded-Host` and `X-Forwarded-Proto` are believed. From anybody else they change nothing.',
      ),
    allowed_hosts: z
      .array(z.string().regex(/^[A-Za-z0-9.\-:[\]]+$/, 'is not a host name: write mcp.example.com or host:port'))
      .default([])
      .describe('Host names accepted in the Host header besides those of `listen` and `public_url`.'),
    allowed_origins: z
      .array(z.string().refine(isOrigin, 'is not an origin: write https://app.example.com, without a path'))
      .default([])
      .describe('Origins whose pages may call the gateway from a browser.'),
    store: z
      .strictObject({
        url: z
          .string()
          .regex(
            // SQLite would read `:memory:` as a database that is gone with the process.
            /^(?:sqlite:(?!:memory:).+|postgres(?:ql)?:\/\/.+)$/,
            'is not a store: write sqlite:PATH or postgres://USER@HOST:5432/DATABASE',
          )
          .default('sqlite:.switchboard/switchboard.db')
          .describe(
            '`sqlite:PATH`, where a relative path starts at the directory of this file, or `postgres://USER@HOST:5432/DATABASE`, its password in `PGPASSWORD`.',
          ),
      })
      .prefault({}),
    upstreams: z
      .strictObject({
        allow_http: z
          .boolean()
          .default(false)
          .describe('Lets configs made through the API use plain http. Endpoints in this file need no permission.'),
        allow_cidrs: z
          .array(z.string().refine(isCidr, 'is not an address range: write 10.0.0.0/8 or fd00::/8'))
          .default([])
          .describe('Private address ranges that configs made through the API may reach.'),
      })
      .prefault({}),
    limits: limitsSchema.refine((limits) => limits.bytes_in_flight >= 4 * limits.body_bytes, BODIES_FIT).prefault({}),
    log: z
      .strictObject({
        level: z
          .enum(LOG_LEVELS)
          .default('info')
          .describe(`Lowest level that is logged: ${LOG_LEVELS.join(', ')}.`),
      })
      .prefault({}),
    audit: auditSchema.prefault({}),
    secrets: z.array(secretInputSchema).default([]).describe('Credentials for upstreams, sealed in the store.'),
    mcp_configs: z.array(fileConfigSchema).default([]).describe('The upstream MCP servers.'),
    tokens: z.array(tokenInputSchema).default([]).describe('The tokens of agents.'),
  })
  .describe('Config file of Switchboard, the MCP gateway.');

/** The file after parsing: defaults filled in, nothing unknown. */
export type SettingsDocument = z.output<typeof settingsSchema>;

/** What this program reads of a JSON schema it generated itself. */
export interface JsonSchema {
  readonly description?: string;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly not?: object;
}

/** JSON schema (draft 2020-12) of what an operator may write, served at `/schema/config.json`. */
export function toJsonSchema(): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(settingsSchema, { target: 'draft-2020-12', io: 'input' });
  return { $schema, title: 'Switchboard config', ...rest } as JsonSchema;
}

function toRows(schema: JsonSchema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    if (property.not !== undefined || key === '$schema') return [];
    const place = path === '' ? key : `${path}.${key}`;
    const inner = property.items?.properties ? toRows(property.items, `${place}[]`) : toRows(property, place);
    if (property.description === undefined) return inner;
    const isRequired = schema.required?.includes(key) === true;
    const value = isRequired
      ? 'required'
      : property.default === undefined
        ? ''
        : `\`${JSON.stringify(property.default)}\``;
    return [`| \`${place}\` | ${value} | ${property.description.replaceAll('|', '\\|')} |`, ...inner];
  });
}

/** The settings as a Markdown table, for the README. */
export function toSettingsTable(): string {
  return ['| Setting | Default | Meaning |', '| --- | --- | --- |', ...toRows(toJsonSchema(), '')].join('\n');
}
