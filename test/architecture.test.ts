// The shape of the house, checked: arrows between rooms, cycles between files, who may import which library,
// and that README names only files that exist.

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { describe, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

/** Highest first. A file imports its own room and rooms of lower levels; rooms on one level are strangers. */
const LEVELS = [
  ['main'],
  ['cli'],
  ['gateway'],
  ['settings'],
  ['edge'],
  ['data-plane', 'control-plane'],
  ['catalog'],
  ['identity', 'vault', 'audit-log', 'upstream', 'load'],
  ['protocol', 'store', 'rate-limiter'],
  ['telemetry'],
  ['domain'],
];

interface Rule {
  readonly what: string;
  /** Tested against the specifier of every import, or, for `inCode`, against code without comments and strings. */
  readonly pattern: RegExp;
  readonly inCode?: boolean;
  readonly isAllowedIn: (file: string) => boolean;
  readonly where: string;
}

const inRooms =
  (...rooms: string[]) =>
  (file: string) =>
    rooms.includes(roomOf(file));

/** Stands in an import for a specifier that only running the code would tell. */
const COMPUTED = '(computed)';

const RULES: readonly Rule[] = [
  {
    what: 'a computed import',
    pattern: /^\(computed\)$/,
    isAllowedIn: (file) => file.startsWith('src/cli/demo/'),
    where: 'cli/demo, whose upstreams are programs of their own; elsewhere name the module literally',
  },
  {
    what: 'hono',
    pattern: /^(?:hono|@hono\/[^/]+)(?:\/|$)/,
    isAllowedIn: (file) => roomOf(file) === 'edge' || file.startsWith('src/control-plane/rest'),
    where: 'edge and control-plane/rest',
  },
  { what: 'undici', pattern: /^undici(?:\/|$)/, isAllowedIn: inRooms('upstream'), where: 'upstream' },
  {
    what: 'picomatch',
    pattern: /^picomatch(?:\/|$)/,
    isAllowedIn: (file) => file === 'src/catalog/allow-list.ts',
    where: 'catalog/allow-list.ts',
  },
  {
    what: 'a database driver',
    pattern: /^(?:node:sqlite|kysely|pg)(?:\/|$)/,
    isAllowedIn: inRooms('store'),
    where: 'store',
  },
  {
    what: 'a cipher',
    pattern: /\bcreate(?:Cipher|Decipher)(?:iv)?\b/,
    inCode: true,
    isAllowedIn: (file) => file === 'src/vault/cipher.ts',
    where: 'vault/cipher.ts',
  },
  { what: 'OpenTelemetry', pattern: /^@opentelemetry\//, isAllowedIn: inRooms('telemetry'), where: 'telemetry' },
  { what: 'pino', pattern: /^pino(?:-|\/|$)/, isAllowedIn: inRooms('telemetry'), where: 'telemetry' },
  {
    what: 'process.env',
    pattern: /\bprocess\s*\??\.\s*env\b|\bprocess\s*\[|\benv\b[^{}]*\}\s*=\s*process\b/,
    inCode: true,
    isAllowedIn: inRooms('settings'),
    where: 'settings',
  },
  // The global is enough, and an import could rename `env`.
  { what: 'node:process', pattern: /^(?:node:)?process$/, isAllowedIn: inRooms('settings'), where: 'settings' },
  {
    what: 'the MCP SDK',
    pattern: /^@modelcontextprotocol\//,
    isAllowedIn: (file) => !inRooms('data-plane', 'catalog', 'upstream', 'protocol')(file),
    where: 'rooms that are not on the hot path',
  },
  {
    what: 'yaml',
    pattern: /^yaml(?:\/|$)/,
    isAllowedIn: (file) => inRooms('settings', 'cli')(file) || file === 'src/control-plane/export-yaml.ts',
    where: 'settings, which reads the config file, and what writes one: cli and control-plane/export-yaml.ts',
  },
  {
    what: 'zod',
    pattern: /^zod(?:\/|$)/,
    isAllowedIn: (file) => !inRooms('data-plane')(file),
    where: 'rooms other than the data plane',
  },
  {
    what: 'a default export',
    pattern: /^\s*export\s+default\b|\bas\s+default\b/m,
    inCode: true,
    isAllowedIn: () => false,
    where: 'no file; export by name',
  },
];

/** Sources by path from the root, such as `src/domain/errors.ts`. */
type Sources = ReadonlyMap<string, string>;

interface Import {
  readonly specifier: string;
  /** `import type` leaves no trace when the program runs. */
  readonly isType: boolean;
}

function roomOf(file: string): string {
  return (file.split('/')[1] ?? '').replace(/\.ts$/, '');
}

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/;
const TEXT = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/;
const REGULAR_EXPRESSION =
  /(?<=[=>(,:;!&|?[{}\n]\s*|\breturn\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/;
const TOKENS = new RegExp([COMMENT, TEXT, REGULAR_EXPRESSION].map(({ source }) => source).join('|'), 'g');

/** The source without comments and regular expressions, and, unless `keepsText`, with empty strings. */
function toCode(source: string, keepsText: boolean): string {
  return source.replaceAll(TOKENS, (token) => {
    if (!/^['"`]/.test(token)) return ' ';
    // A template may hold code between its braces, so it stays.
    return keepsText || token.startsWith('`') ? token : "''";
  });
}

function importsOf(source: string): Import[] {
  const code = toCode(source, true);
  const imports: Import[] = [];
  for (const [, type, specifier] of code.matchAll(
    /^\s*(?:import|export)\b(\s+type\b)?(?:[^'"`;()=]*?\bfrom)?\s*['"]([^'"]+)['"]/gm,
  )) {
    imports.push({ specifier: specifier!, isType: type !== undefined });
  }
  for (const [, text] of code.matchAll(/(?:\bimport|\brequire|\bgetBuiltinModule)\s*\(\s*(?:['"`]([^'"`]+)['"`])?/g)) {
    imports.push({ specifier: text ?? COMPUTED, isType: false });
  }
  return imports;
}

/** The file in `sources` that a relative specifier means. */
function resolve(from: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? join(dirname(from), specifier) : undefined;
}

function findArrowProblem(from: string, to: string, sources: Sources): string | undefined {
  const [upper, lower] = [roomOf(from), roomOf(to)];
  const levelOf = (room: string) => LEVELS.findIndex((rooms) => rooms.includes(room));
  if (!sources.has(to)) return 'there is no such TypeScript file under src';
  for (const room of [upper, lower]) {
    if (levelOf(room) < 0) return `the design has no room ${room}; if it should, add it to LEVELS`;
  }
  if (upper === lower || levelOf(upper) < levelOf(lower)) return undefined;
  if (levelOf(upper) > levelOf(lower)) return `${upper} is below ${lower}, and arrows point down`;
  return `${upper} and ${lower} are on one level and do not import one another`;
}

function findArrowViolations(sources: Sources): string[] {
  return [...sources].flatMap(([file, source]) =>
    importsOf(source).flatMap(({ specifier }) => {
      const target = resolve(file, specifier);
      if (target === undefined || target === 'package.json') return [];
      const why = findArrowProblem(file, target, sources);
      return why === undefined ? [] : [`${file} → ${target}: ${why}`];
    }),
  );
}

function findLibraryViolations(sources: Sources): string[] {
  return [...sources].flatMap(([file, source]) => {
    const specifiers = importsOf(source).map(({ specifier }) => specifier);
    const code = toCode(source, false);
    return RULES.filter(({ pattern, inCode, isAllowedIn }) => {
      return !isAllowedIn(file) && (inCode ? pattern.test(code) : specifiers.some((each) => pattern.test(each)));
    }).map(({ what, where }) => `${file} → ${what}: belongs in ${where}`);
  });
}

/** Every import that closes a circle of value imports, each circle once. */
function findCycles(sources: Sources): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) {
      const circle = path.slice(path.indexOf(file));
      cycles.push(`${path.at(-1)} → ${file}: closes the cycle ${[...circle, file].join(' → ')}`);
      return;
    }
    if (done.has(file)) return;
    done.add(file);
    path.push(file);
    for (const { specifier, isType } of importsOf(sources.get(file) ?? '')) {
      const target = resolve(file, specifier);
      if (!isType && target !== undefined) visit(target);
    }
    path.pop();
  };
  for (const file of sources.keys()) visit(file);
  return cycles;
}

/** Paths into the checkout that a Markdown text names in backticks or links. */
function findPathsNamed(markdown: string): string[] {
  const named = [...markdown.matchAll(/`([^`\n]+)`|\]\(([^)\s]+)/g)].flatMap(([, code, link]) =>
    [...(code ?? link ?? '').matchAll(/(?<![\w./-])(?:src|config|test|bench|\.ci)\/[\w./-]*/g)].map(([path]) => path),
  );
  return [...new Set(named.map((path) => path.replace(/\.$/, '')))];
}

function readSources(): Sources {
  const files = globSync('src/**/*.ts', { cwd: ROOT }).map((file) => file.replaceAll('\\', '/'));
  return new Map(files.sort().map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
}

function report(violations: readonly string[]): string {
  return `${violations.length} violations:\n${violations.join('\n')}`;
}

describe('src', () => {
  const sources = readSources();
  const checks = [
    ['imports point down only', findArrowViolations],
    ['no file imports itself by a detour', findCycles],
    ['every library is imported in its room only', findLibraryViolations],
  ] as const;
  for (const [fact, find] of checks) {
    test(fact, () => {
      const violations = find(sources);
      assert.deepEqual(violations, [], report(violations));
    });
  }
});

test('README names only files that exist', () => {
  const readme = join(ROOT, 'README.md');
  const named = existsSync(readme) ? findPathsNamed(readFileSync(readme, 'utf8')) : [];
  const missing = named.filter((path) => !existsSync(join(ROOT, path)));
  assert.deepEqual(missing, []);
});

describe('the check itself', () => {
  const house = (files: Record<string, string>): Sources => new Map(Object.entries(files));
  const domain = { 'src/domain/errors.ts': 'export const x = 1;' };

  test('a house in order passes', () => {
    const sources = house({
      ...domain,
      'src/main.ts': "import { run } from './cli/run.ts';\nimport { version } from '../package.json';",
      'src/cli/run.ts': "import { x } from '../domain/errors.ts';\nawait import('./lazy.ts');",
      'src/cli/lazy.ts': "export { x } from '../domain/errors.ts';",
    });
    assert.deepEqual(findArrowViolations(sources), []);
    assert.deepEqual(findCycles(sources), []);
    assert.deepEqual(findLibraryViolations(sources), []);
  });

  const upwards = 'src/domain/up.ts → src/edge/app.ts: domain is below edge, and arrows point down';
  const reversed: readonly [form: string, source: string][] = [
    ['an import', "import { app } from '../edge/app.ts';"],
    ['an import over several lines', "import {\n  app,\n  type B,\n} from '../edge/app.ts';"],
    ['a type import', "import type { App } from '../edge/app.ts';"],
    ['an import for its effects', "import '../edge/app.ts';"],
    ['a re-export', "export * from '../edge/app.ts';"],
    ['a dynamic import', "const app = await import('../edge/app.ts');"],
    ['a require', "const app = require('../edge/app.ts');"],
    ['an import after a regular expression with quotes', "const a = /['\"`]/;\nimport { app } from '../edge/app.ts';"],
  ];
  for (const [form, source] of reversed) {
    test(`a reversed arrow is found in ${form}`, () => {
      const sources = house({ 'src/domain/up.ts': source, 'src/edge/app.ts': '' });
      assert.deepEqual(findArrowViolations(sources), [upwards]);
    });
  }

  test('rooms on one level are strangers', () => {
    const sources = house({ 'src/vault/vault.ts': "import '../identity/tokens.ts';", 'src/identity/tokens.ts': '' });
    assert.deepEqual(findArrowViolations(sources), [
      'src/vault/vault.ts → src/identity/tokens.ts: vault and identity are on one level and do not import one another',
    ]);
  });

  test('unknown rooms and missing files are found', () => {
    const sources = house({
      ...domain,
      'src/misc/a.ts': "import '../domain/errors.ts';",
      'src/cli/a.ts': "import './gone.ts';\nimport '../../test/x.ts';",
    });
    assert.deepEqual(findArrowViolations(sources), [
      'src/misc/a.ts → src/domain/errors.ts: the design has no room misc; if it should, add it to LEVELS',
      'src/cli/a.ts → src/cli/gone.ts: there is no such TypeScript file under src',
      'src/cli/a.ts → test/x.ts: there is no such TypeScript file under src',
    ]);
  });

  test('an import in a comment is none', () => {
    const sources = house({ 'src/domain/a.ts': "// import '../edge/app.ts';\n/*\nimport '../edge/app.ts';\n*/" });
    assert.deepEqual(findArrowViolations(sources), []);
  });

  test('a cycle of three files is found, and a type import closes none', () => {
    const files = {
      'src/cli/a.ts': "import { b } from './b.ts';",
      'src/cli/b.ts': "import { c } from './c.ts';",
      'src/cli/c.ts': "import { a } from './a.ts';",
    };
    assert.deepEqual(findCycles(house(files)), [
      'src/cli/c.ts → src/cli/a.ts: closes the cycle src/cli/a.ts → src/cli/b.ts → src/cli/c.ts → src/cli/a.ts',
    ]);
    assert.deepEqual(findCycles(house({ ...files, 'src/cli/c.ts': "import type { A } from './a.ts';" })), []);
  });

  const misplaced: readonly [file: string, source: string, what: string][] = [
    ['src/cli/a.ts', 'await import(name);', 'a computed import'],
    ['src/data-plane/a.ts', "import { Hono } from 'hono';", 'hono'],
    ['src/control-plane/tokens.ts', "import { serve } from '@hono/node-server';", 'hono'],
    ['src/data-plane/a.ts', "import type { Pool } from 'undici';", 'undici'],
    ['src/catalog/catalog.ts', "import picomatch from 'picomatch/posix';", 'picomatch'],
    ['src/catalog/a.ts', "import { DatabaseSync } from 'node:sqlite';", 'a database driver'],
    ['src/gateway.ts', "await import('pg');", 'a database driver'],
    ['src/gateway.ts', "process.getBuiltinModule('node:sqlite');", 'a database driver'],
    ['src/vault/vault.ts', "import { createCipheriv } from 'node:crypto';", 'a cipher'],
    ['src/edge/a.ts', "crypto.createDecipheriv('aes-256-gcm', key, iv);", 'a cipher'],
    ['src/upstream/a.ts', "import { trace } from '@opentelemetry/api';", 'OpenTelemetry'],
    ['src/edge/a.ts', "import { pino } from 'pino';", 'pino'],
    ['src/cli/a.ts', 'const home = process.env.HOME;', 'process.env'],
    ['src/cli/a.ts', "const home = process['env'];", 'process.env'],
    ['src/cli/a.ts', 'const { argv, env } = process;', 'process.env'],
    ['src/cli/a.ts', "import { env as e } from 'node:process';", 'node:process'],
    ['src/protocol/a.ts', "import { x } from '@modelcontextprotocol/server';", 'the MCP SDK'],
    ['src/data-plane/a.ts', "import { z } from 'zod';", 'zod'],
    ['src/control-plane/a.ts', "import { stringify } from 'yaml';", 'yaml'],
    ['src/domain/a.ts', 'export default 1;', 'a default export'],
    ['src/domain/a.ts', 'export { a as default };', 'a default export'],
  ];
  for (const [file, source, what] of misplaced) {
    test(`${what} is found in ${file}: ${source}`, () => {
      const found = findLibraryViolations(house({ [file]: source }));
      assert.deepEqual(
        found.map((violation) => violation.replace(/: belongs in .*/, '')),
        [`${file} → ${what}`],
      );
    });
  }

  test('libraries are left alone where they belong, and in text and comments', () => {
    const sources = house({
      'src/edge/app.ts': "import { Hono } from 'hono';",
      'src/control-plane/rest.ts': "import { Hono } from 'hono';\nimport { z } from 'zod';",
      'src/control-plane/rest/errors.ts': "import { HTTPException } from 'hono/http-exception';",
      'src/control-plane/management-mcp.ts': "import { McpServer } from '@modelcontextprotocol/server';",
      'src/upstream/pool.ts': "import { Pool } from 'undici';",
      'src/catalog/allow-list.ts': "import picomatch from 'picomatch';",
      'src/store/sqlite.ts': "import { DatabaseSync } from 'node:sqlite';\nimport { Kysely } from 'kysely';",
      'src/vault/cipher.ts': "import { createCipheriv, createDecipheriv } from 'node:crypto';",
      'src/settings/environment.ts': 'export const environment = process.env;',
      'src/cli/a.ts': "// process.env\nconst text = 'process.env, createCipheriv';\nprocess.exitCode = 1;",
    });
    assert.deepEqual(findLibraryViolations(sources), []);
  });

  test('paths are read from backticks and links of a README', () => {
    const markdown = [
      'See `src/catalog/allow-list.ts`, [the example](config/switchboard.example.yaml#tokens) and `node bench/run.ts -n 3`.',
      'Not src/prose.ts, not `mysrc/a.ts`, not [elsewhere](https://example.org/src/a.ts), `.ci/run` and `test/unit/*.ts`.',
    ].join('\n');
    assert.deepEqual(findPathsNamed(markdown), [
      'src/catalog/allow-list.ts',
      'config/switchboard.example.yaml',
      'bench/run.ts',
      '.ci/run',
      'test/unit/',
    ]);
  });
});
