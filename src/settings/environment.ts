// The only place that reads the process environment.

import { GatewayError } from '../domain/errors.ts';
import { nearest } from '../domain/nearest.ts';
import { Secret } from '../domain/secret.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/log-levels.ts';
import { EXPECTED_WORKERS, parseWorkers, type Workers } from './workers.ts';

/** What a process that is an upstream gets to see; everything else may be a secret. */
const INHERITED = /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TMPDIR|SHELL|TERM)$/;

export type Lookup = (name: string) => string | undefined;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Environment {
  /** `SWITCHBOARD_MASTER_KEY`; never set together with `masterKeyFile`. */
  readonly masterKey: Secret | undefined;
  readonly masterKeyFile: string | undefined;
  /** `SWITCHBOARD_URL`: where the command line finds a running gateway; without a trailing slash. */
  readonly url: string | undefined;
  /** `SWITCHBOARD_API_KEY`: the key the command line uses there. */
  readonly apiKey: Secret | undefined;
  /** `SWITCHBOARD_LISTEN`: takes the place of `listen` of the config file. */
  readonly listen: Address | undefined;
  /** `SWITCHBOARD_LOG_LEVEL`: takes the place of `log.level` of the config file. */
  readonly logLevel: LogLevel | undefined;
  /** `SWITCHBOARD_WORKERS`: takes the place of `workers` of the config file. */
  readonly workers: Workers | undefined;
  /** Any variable, for `value_from: { env }`. */
  readonly lookup: Lookup;
}

function refuse(name: string, message: string): never {
  throw new GatewayError('invalid_argument', `${name} ${message}`, { problems: [{ path: name, message }] });
}

function parseListen(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535)
    return refuse('SWITCHBOARD_LISTEN', 'must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080');
  return { host, port };
}

function parseUrl(text: string): string {
  const url = /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '')
    return refuse('SWITCHBOARD_URL', 'must be an http(s) URL without user name, such as http://127.0.0.1:8080');
  return text.replace(/\/+$/, '');
}

function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  const suggestion = nearest(text, LOG_LEVELS);
  const hint = suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`;
  return refuse('SWITCHBOARD_LOG_LEVEL', `must be one of ${LOG_LEVELS.join(', ')}${hint}`);
}

function readWorkers(text: string): Workers {
  return parseWorkers(text) ?? refuse('SWITCHBOARD_WORKERS', EXPECTED_WORKERS);
}

/** Reads what the environment says. An empty variable counts as absent, as Compose files set what they do not know. @throws GatewayError invalid_argument */
export function readEnvironment(variables: Readonly<NodeJS.ProcessEnv> = process.env): Environment {
  const lookup: Lookup = (name) => (Object.hasOwn(variables, name) ? variables[name] : undefined);
  const read = <T>(name: string, parse: (text: string) => T): T | undefined => {
    const text = lookup(name);
    return text === undefined || text === '' ? undefined : parse(text);
  };
  const environment: Environment = {
    masterKey: read('SWITCHBOARD_MASTER_KEY', (text) => new Secret(text)),
    masterKeyFile: read('SWITCHBOARD_MASTER_KEY_FILE', String),
    url: read('SWITCHBOARD_URL', parseUrl),
    apiKey: read('SWITCHBOARD_API_KEY', (text) => new Secret(text)),
    listen: read('SWITCHBOARD_LISTEN', parseListen),
    logLevel: read('SWITCHBOARD_LOG_LEVEL', parseLogLevel),
    workers: read('SWITCHBOARD_WORKERS', readWorkers),
    lookup,
  };
  if (environment.masterKey !== undefined && environment.masterKeyFile !== undefined)
    return refuse('SWITCHBOARD_MASTER_KEY', 'and SWITCHBOARD_MASTER_KEY_FILE are both set: keep one');
  return environment;
}

/** The variables that programs need to find others, and to know where and for whom they run. */
export function inheritedEnvironment(variables: Readonly<NodeJS.ProcessEnv> = process.env): Record<string, string> {
  const entries = Object.entries(variables).filter(
    // A value that begins like this is a shell function exported by bash (CVE-2014-6271).
    (entry): entry is [string, string] => INHERITED.test(entry[0]) && entry[1]?.startsWith('()') === false,
  );
  return Object.fromEntries(entries);
}
