// What will run, as an operator reads it: the file's own words, with every default filled in and no secret.

import { X509Certificate } from 'node:crypto';
import { stringify } from 'yaml';
import type { DeclaredMcpConfig, DeclaredStdio } from '../control-plane/declared.ts';
import type { Settings } from './settings.ts';

/** The keys of the declared objects that the file spells otherwise. */
const FILE_WORDS: Readonly<Record<string, string>> = { nameStyle: 'names', expiresAtMs: 'expires_at' };

function toFileWord(key: string): string {
  return FILE_WORDS[key] ?? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function toFileWords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toFileWords);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined && each !== null);
  return Object.fromEntries(entries.map(([key, each]) => [toFileWord(key), toValue(key, each)]));
}

function toValue(key: string, value: unknown): unknown {
  if (key === 'expiresAtMs') return new Date(Number(value)).toISOString();
  // Its keys are the names of variables.
  return key === 'env' ? value : toFileWords(value);
}

function redactUrl(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  // A database URL may carry its password in the query as well.
  return url.password === '' && url.search === '' ? text : `${url.protocol}//${url.host}${url.pathname} [redacted]`;
}

/** With certificates told apart by what people know them by, as the file names where they are and not what they say. */
function toReach({ tls, proxy, stdio, limits, ...config }: DeclaredMcpConfig): object {
  return {
    ...config,
    ...(stdio !== null && { ...NOT_OF_COMMANDS, stdio: toCommand(stdio) }),
    tls: tls && {
      caFile: describeCertificates(tls.ca),
      clientCertificateFile: describeCertificates(tls.clientCertificate),
      clientKey: tls.clientKey,
      serverName: tls.serverName,
    },
    proxy: proxy?.url,
    proxySecret: proxy?.secret,
    limits: Object.keys(limits).length === 0 ? undefined : limits,
  };
}

/** The file does not take these beside a command. */
const NOT_OF_COMMANDS = { endpoint: undefined, authMechanism: undefined, customHeaders: undefined };

function toCommand({ env, ...command }: DeclaredStdio): object {
  const toVariable = (variable: DeclaredStdio['env'][number]): unknown => {
    if ('value' in variable) return variable.value;
    return 'secret' in variable ? { secret: variable.secret } : { from: 'grant' };
  };
  return { ...command, env: Object.fromEntries(env.map((variable) => [variable.name, toVariable(variable)])) };
}

function describeCertificates(pem: string | null): string[] | undefined {
  return pem?.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g)?.map((block) => {
    const { subject, validToDate, fingerprint256 } = new X509Certificate(block);
    return `${subject.replaceAll('\n', ', ')}, until ${validToDate.toISOString()}, SHA-256 ${fingerprint256}`;
  });
}

/** The settings as YAML in the words of the config file. Secrets, tokens and the database password show as `[redacted]`. */
export function renderEffective(settings: Settings): string {
  const { declared, ...rest } = settings;
  const secretsAndTokens = {
    secrets: declared.secrets.map(({ name, value }) => ({ name, value: value.toJSON() })),
    mcpConfigs: declared.mcpConfigs.map(toReach),
    tokens: declared.tokens.map((token) => ({ ...token, value: token.value.toJSON() })),
  };
  return stringify(toFileWords({ ...rest, store: { url: redactUrl(settings.store.url) }, ...secretsAndTokens }), {
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}
