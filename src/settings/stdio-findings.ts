// What the schema cannot see of upstreams that are commands: keys that mean nothing for one, secrets that nobody grants
// or nobody takes, and whether the command is there.

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import type { Lookup } from './environment.ts';
import type { Finding } from './file-problem.ts';
import { entriesOf } from './reference-findings.ts';
import type { Path } from './yaml-source.ts';

interface Command {
  /** Of the McpConfig. */
  readonly name: unknown;
  readonly path: Path;
  readonly config: Readonly<Record<string, unknown>>;
  readonly stdio: Readonly<Record<string, unknown>>;
  readonly env: readonly [name: string, value: unknown][];
  /** The variable that takes the secret of the grant. */
  readonly takesGrant: string | undefined;
}

/** How a URL is reached; a process is handed what it needs in its environment. */
const KEYS_OF_URLS = ['auth_mechanism', 'custom_headers', 'tls', 'proxy', 'proxy_secret'];
const SECRET_NAME = /(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY)$/i;

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function commandsOf(document: unknown): Command[] {
  return entriesOf(document, 'mcp_configs').flatMap(({ path, fields: config }) => {
    const { name, stdio } = config;
    if (!isMapping(stdio)) return [];
    const env = isMapping(stdio.env) ? Object.entries(stdio.env) : [];
    const takesGrant = env.find(([, value]) => isMapping(value) && value.from === 'grant')?.[0];
    return [{ name, path, config, stdio, env, takesGrant }];
  });
}

/** The grants of a config, with the path of each. */
function grantsOf(document: unknown, config: unknown) {
  const grants = entriesOf(document, 'tokens').flatMap(({ path, fields }) => entriesOf(fields, 'grants', path));
  return grants.filter(({ fields }) => fields.mcp_config === config);
}

export function findStdioProblems(document: unknown): Finding[] {
  return commandsOf(document).flatMap(({ name, path, config, takesGrant }): Finding[] => [
    ...KEYS_OF_URLS.filter((key) => config[key] !== undefined).map((key): Finding => {
      const message = 'is for an upstream at a URL, and this one is a command: give it what it needs in stdio.env';
      return { path: [...path, key], part: 'key', message };
    }),
    ...grantsOf(document, name)
      .filter(({ fields }) => takesGrant !== undefined && fields.secret === undefined)
      .map((grant): Finding => {
        const message = `needs a secret: ${takesGrant} in the environment of this McpConfig is taken from the grant`;
        return { path: grant.path, part: 'value', message };
      }),
  ]);
}

/** What is valid but probably not meant. `lookup` and `directory` are those of the process that would run the commands. */
export async function findStdioWarnings(document: unknown, lookup: Lookup, directory: string): Promise<Finding[]> {
  const commands = commandsOf(document);
  const missing = await Promise.all(commands.map((command) => findMissing(command, lookup, directory)));
  return [...commands.flatMap((command) => findOddities(document, command)), ...missing.flat()];
}

function findOddities(document: unknown, { name, path, stdio, env, takesGrant }: Command): Finding[] {
  const { command, args = [] } = stdio;
  const isLine = typeof command === 'string' && /\s/.test(command.trim()) && Array.isArray(args) && args.length === 0;
  const line = 'holds a space and has no args: no shell splits it, so write the program here and each argument in args';
  const literal =
    'is a literal, and its name is that of a secret, which does not belong into a file: declare it under secrets and write { secret: NAME }';
  const untaken = `is sent nowhere: no variable in stdio.env of this McpConfig is { from: grant }`;
  return [
    ...(isLine ? [{ path: [...path, 'stdio', 'command'], part: 'value' as const, message: line }] : []),
    ...env
      .filter(([key, value]) => typeof value === 'string' && value !== '' && SECRET_NAME.test(key))
      .map(([key]): Finding => ({ path: [...path, 'stdio', 'env', key], part: 'value', message: literal })),
    ...grantsOf(document, name)
      .filter(({ fields }) => takesGrant === undefined && fields.secret !== undefined)
      .map((grant): Finding => ({ path: [...grant.path, 'secret'], part: 'value', message: untaken })),
  ];
}

/** Only warned of: `check` may run on another machine than the gateway. */
async function findMissing({ path, stdio, env }: Command, lookup: Lookup, directory: string): Promise<Finding[]> {
  const { command, cwd } = stdio;
  const findings: Finding[] = [];
  const place = typeof cwd === 'string' ? resolve(directory, cwd) : undefined;
  if (place !== undefined && !(await isDirectory(place)))
    findings.push({ path: [...path, 'stdio', 'cwd'], part: 'value', message: 'is no directory on this machine' });
  const ownPath = env.find(([name]) => name === 'PATH')?.[1];
  const search = typeof ownPath === 'string' ? ownPath : (lookup('PATH') ?? '');
  if (typeof command === 'string' && command !== '' && !(await isExecutable(command, search, place ?? '.')))
    findings.push({
      path: [...path, 'stdio', 'command'],
      part: 'value',
      message: 'is no program that can be run on this machine: install it, or give its path',
    });
  return findings;
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** As `execvp` finds it: what holds a slash is a path, from the working directory. */
async function isExecutable(command: string, search: string, cwd: string): Promise<boolean> {
  const places = command.includes('/') ? [cwd] : search.split(delimiter).filter((folder) => folder !== '');
  const found = places.map((folder) => {
    const file = command.includes('/') ? resolve(folder, command) : join(folder, command);
    return access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
  });
  return (await Promise.all(found)).includes(true);
}
