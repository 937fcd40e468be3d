// An McpConfig as the config file takes it: an upstream at a URL, or one that is a command. No other door knows commands:
// what runs on the gateway's machine is decided by whoever writes its file.

import * as z from 'zod';
import { checkedBy, condition, secretName } from '../control-plane/schema-parts.ts';
import { mcpConfigInputSchema, reachConditions, VARIABLE_NAME } from '../control-plane/schemas.ts';

/** The system's own bound for one argument is 128 KiB on Linux. */
const MAX_TEXT = 32_768;
const MAX_ARGUMENTS = 256;
const MAX_VARIABLES = 256;

const text = z
  .string()
  .max(MAX_TEXT, `is longer than ${MAX_TEXT} characters`)
  .refine((value) => !value.includes('\0'), 'holds a NUL character, which no program can be given');

const variable = z.union(
  [text, z.strictObject({ secret: secretName }), z.strictObject({ from: z.literal('grant') })],
  'must be text (numbers and true or false in quotes), { secret: NAME } or { from: grant }',
);

function findVariablesProblem(env: Readonly<Record<string, unknown>>): string | undefined {
  const names = Object.keys(env);
  if (names.length > MAX_VARIABLES) return `holds more than ${MAX_VARIABLES} variables`;
  const wrong = names.find((name) => !VARIABLE_NAME.test(name));
  return wrong === undefined
    ? undefined
    : `has ${JSON.stringify(wrong)}, which is no name of an environment variable: letters, digits and _, not beginning with a digit`;
}

const stdioSchema = z
  .strictObject({
    command: text
      .min(1, 'is empty: write a program, such as npx')
      .describe('Program to run, found in the `PATH` of the gateway. No shell reads it: arguments go into `args`.'),
    args: z
      .array(text)
      .max(MAX_ARGUMENTS, `holds more than ${MAX_ARGUMENTS} arguments`)
      .default([])
      .describe('Its arguments, each as it is.'),
    env: z
      .record(z.string(), variable)
      .check(checkedBy(findVariablesProblem))
      .default({})
      .describe(
        'Its environment, beside PATH, HOME, USER, LANG and the like: text, `{ secret: NAME }`, or `{ from: grant }` for the secret of the grant. Nothing else of the gateway is inherited.',
      ),
    cwd: text
      .min(1, 'is empty: write the path of a directory')
      .optional()
      .describe('Directory it runs in; a relative path starts at the directory of this file.'),
    process: z
      .enum(['credential', 'session'])
      .default('credential')
      .describe(
        'One process for all who share a `credential`, or one for each `session`. Of a shared one that speaks a legacy revision a question to the client is relayed only while one call runs.',
      ),
  })
  .describe('A command that speaks MCP on its stdin and stdout, in the place of `endpoint`.');

const { name, endpoint, ...rest } = mcpConfigInputSchema.shape;

type Place = { endpoint?: string | undefined; stdio?: unknown };

/** An McpConfig with either an endpoint or a command. */
export const fileConfigSchema = z
  .strictObject({
    name,
    endpoint: endpoint
      .optional()
      .describe('URL of the upstream MCP server; required, unless `stdio` says what to run.'),
    stdio: stdioSchema.optional(),
    ...rest,
  })
  .check(
    ...reachConditions,
    condition<Place>(
      (config) => config.endpoint !== undefined || config.stdio !== undefined,
      'is missing: URL of the upstream MCP server. For one that is a command, write stdio',
      ['endpoint'],
    ),
    condition<Place>(
      (config) => config.endpoint === undefined || config.stdio === undefined,
      'stands beside endpoint, and an upstream is either a URL or a command: remove one',
      ['stdio'],
    ),
  );
export type FileConfigInput = z.output<typeof fileConfigSchema>;
