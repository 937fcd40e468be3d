import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { mintToken } from '../../../src/identity/tokens.ts';
import { type FileOutcome, readConfigFile } from '../../../src/settings/config-file.ts';
import { formatProblem } from '../../../src/settings/file-problem.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const TOKEN = 'token-of-thirty-two-characters-0123456789';
const EXAMPLE = new URL('../../../config/switchboard.example.yaml', import.meta.url).pathname;
const VARIABLES: Readonly<Record<string, string>> = {
  GITHUB_TOKEN: 'ghp_example',
  TRACKER_LOGIN: 'user:password',
  DEVBOX_CI_TOKEN: TOKEN,
  TRIAGE_BOT_TOKEN: `${TOKEN}-2`,
  SHORT: 'short',
  EMPTY: '',
  TWO_LINES: 'a\nb',
};
const lookup = (name: string) => VARIABLES[name];

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-settings-'));
});
after(() => rm(directory, { recursive: true }));

async function read(text: string | Buffer, name = 'config.yaml'): Promise<FileOutcome> {
  await writeFile(join(directory, name), text);
  return readConfigFile(join(directory, name), lookup);
}

function strip(line: string): string {
  return line.replace(`${directory}/`, '');
}

async function problemsOf(text: string | Buffer): Promise<string[]> {
  const outcome = await read(text);
  assert.ok(!outcome.ok, 'the file was accepted');
  return outcome.problems.map((problem) => strip(formatProblem(problem)));
}

async function warningsOf(text: string): Promise<string[]> {
  const outcome = await read(text);
  if (!outcome.ok) assert.fail(outcome.problems.map(formatProblem).join('\n'));
  return outcome.warnings.map((problem) => strip(formatProblem(problem)));
}

test('the example file is valid, without warnings, and names its schema in the first line', async () => {
  const outcome = await readConfigFile(EXAMPLE, lookup);
  if (!outcome.ok) assert.fail(outcome.problems.map(formatProblem).join('\n'));
  assert.deepEqual(outcome.warnings, []);
  assert.equal(outcome.secrets.get('GITHUB_TOKEN')?.reveal(), 'ghp_example');
  assert.equal(outcome.tokens.get('devbox-ci')?.reveal(), TOKEN);
  const text = await readFile(EXAMPLE, 'utf8');
  assert.ok(text.startsWith('# yaml-language-server: $schema=http://127.0.0.1:8080/schema/config.json\n'));
});

test('the example file spells out the defaults', async () => {
  const { admin: _admin, ...example } = parse(await readFile(EXAMPLE, 'utf8'));
  const [written, empty] = await Promise.all([readConfigFile(EXAMPLE, lookup), read('{}', 'empty.yaml')]);
  assert.ok(written.ok && empty.ok);
  for (const key of ['listen', 'store', 'upstreams', 'limits', 'log'] as const) {
    assert.deepEqual(written.document[key], empty.document[key]);
    assert.deepEqual(example[key], empty.document[key], `${key} is incomplete in the example`);
  }
});

test('the same settings may be written as JSON, with $schema', async () => {
  const outcome = await read('{"$schema": "http://127.0.0.1:8080/schema/config.json", "listen": {"port": 0}}');
  assert.ok(outcome.ok);
  assert.deepEqual(outcome.document.listen, { host: '127.0.0.1', port: 0 });
});

test('all problems are told at once, each at its line and column, with what to do', async () => {
  const problems = await problemsOf(`listen: { host: 127.0.0.1, prot: 8080 }
store:
  url: mysql://x
limits:
  body_bytes: "4"
  call_timeout_ms: 99999999
log:
  level: debgu
admin:
nonsense: 1
secrets:
  - { name: GITHUB_TOKEN, value_from: { env: GITHUB_TOKEN } }
  - { name: GITHUB_TOKEN, value_from: { evn: GITHUB_TOKEN } }
mcp_configs:
  - name: github-readonly
    endpoint: https://user:password@example.com/
    allowed_tools:
      - get_*
      - a(b)
      - 3
    auth_mechanism: { type: beare }
  - endpiont: https://example.com/
    name: tracker
    allowed_tools:
    auth_mechanism: { type: bearer, key: x }
    custom_headers:
      - { name: host, value: x }
      - { name: x-a }
tokens:
  - name: devbox
    value_from: { env: SHORT }
    names: bare
    expires_at: tomorrow
    grants:
      - { mcp_config: github-readonli, secret: GITHUB_TOKEM }
      - { mcp_config: tracker }
`);
  assert.deepEqual(problems, [
    'config.yaml:1:28 listen.prot is not a known key (did you mean port?)',
    'config.yaml:3:8 store.url is not a store: write sqlite:PATH or postgres://USER@HOST:5432/DATABASE',
    'config.yaml:5:15 limits.body_bytes must be a whole number, found text',
    'config.yaml:6:20 limits.call_timeout_ms must be at most 1800000',
    'config.yaml:8:10 log.level must be one of debug, info, warn, error, silent (did you mean debug?)',
    'config.yaml:9:1 admin must be a mapping (key: value), found nothing',
    'config.yaml:10:1 nonsense is not a known key; known here: $schema, listen, admin, workers, public_url, trusted_proxies, allowed_hosts, allowed_origins, store, upstreams, limits, log, audit, secrets, mcp_configs, tokens',
    'config.yaml:13:13 secrets[1].name is the name of secrets[0] as well: names are unique',
    'config.yaml:13:41 secrets[1].value_from.evn is not a known key (did you mean env?)',
    'config.yaml:16:15 mcp_configs[0].endpoint holds a user name or password: store it as a secret and grant it with the config',
    'config.yaml:19:9 mcp_configs[0].allowed_tools[1] `(` cannot be used, there are no groups or repetitions: write alternatives as {a,b} (character 2)',
    'config.yaml:20:9 mcp_configs[0].allowed_tools[2] must be text, found a number: put it in quotes',
    'config.yaml:21:29 mcp_configs[0].auth_mechanism.type must be one of bearer, basic, header (did you mean bearer?)',
    'config.yaml:22:5 mcp_configs[1].endpiont is not a known key (did you mean endpoint?)',
    'config.yaml:24:5 mcp_configs[1].allowed_tools must be a list, found nothing',
    'config.yaml:25:37 mcp_configs[1].auth_mechanism.key is only for type header: remove it, or write type: header',
    'config.yaml:27:17 mcp_configs[1].custom_headers[0].name is a header the gateway sets itself: remove it',
    'config.yaml:28:9 mcp_configs[1].custom_headers[1] needs either value or secret, and only one of them',
    'config.yaml:31:24 tokens[0].value_from.env the value must be 32 to 256 visible ASCII characters, without blanks: make one with `openssl rand -hex 32`',
    'config.yaml:32:12 tokens[0].names bare needs a token of one service; this one has github, tracker: write dot or underscore',
    'config.yaml:33:17 tokens[0].expires_at is not a date: write 2027-01-31 (00:00 UTC of that day) or 2027-01-31T18:00:00Z',
    'config.yaml:35:23 tokens[0].grants[0].mcp_config names no McpConfig of this file (did you mean github-readonly?)',
    'config.yaml:35:48 tokens[0].grants[0].secret names no secret of this file (did you mean GITHUB_TOKEN?)',
  ]);
});

test('a missing key is told at its parent, with what it is for', async () => {
  assert.deepEqual(await problemsOf('mcp_configs:\n  - name: a\n    allowed_tools: []\n'), [
    'config.yaml:2:5 mcp_configs[0].endpoint is missing: URL of the upstream MCP server. For one that is a command, write stdio',
  ]);
  assert.deepEqual(
    await problemsOf(
      'mcp_configs:\n  - name: a\n    endpoint: https://a/\n    allowed_tools: []\n    auth_mechanism: { type: header }\n',
    ),
    ['config.yaml:5:5 mcp_configs[0].auth_mechanism.key is missing: The header that carries the secret.'],
  );
});

test('a secret written into the file is refused with the way to do it right, and is not repeated', async () => {
  const problems = await problemsOf(
    'secrets:\n  - name: A\n    value: ghp_123456\n    value_from: { env: GITHUB_TOKEN }\n',
  );
  assert.deepEqual(problems, [
    'config.yaml:3:5 secrets[0].value is a secret written into the file: take it out, write value_from: { env: NAME } or { file: PATH }, and rotate it',
  ]);
});

test('a value that stands where a name should is never repeated', async () => {
  const leak = 'ghp_0123456789abcdef';
  const problems = await problemsOf(`secrets:
  - { name: A, value_from: ${leak} }
  - { name: B, value_from: { env: ${leak} } }
  - { name: C, value_from: { file: ${leak} } }
log: { level: ${leak} }
mcp_configs:
  - { name: a, endpoint: "https://${leak}@x/", allowed_tools: [], auth_mechanism: { type: ${leak} } }
tokens:
  - { name: t, value_from: { env: SHORT }, names: ${leak}, grants: [{ mcp_config: a, secret: ${leak} }] }
`);
  assert.equal(problems.length, 9);
  assert.deepEqual(
    problems.filter((line) => line.includes(leak)),
    [],
  );
});

test('secrets that tls and proxy name are those of the file, and a proxy is told user:password', async () => {
  const problems = await problemsOf(`secrets:
  - { name: GITHUB_TOKEN, value_from: { env: GITHUB_TOKEN } }
mcp_configs:
  - name: a
    endpoint: https://a.example/
    allowed_tools: ["*"]
    tls: { client_key: GITHUB_TOKEM, client_certificate_file: absent.pem }
    proxy: http://10.0.0.9:3128
    proxy_secret: GITHUB_TOKEN
  - name: b
    endpoint: https://b.example/
    allowed_tools: ["*"]
    tls: text
    proxy: http://10.0.0.9:3128
    proxy_secret: NONE
`);
  assert.deepEqual(problems, [
    'config.yaml:7:24 mcp_configs[0].tls.client_key names no secret of this file (did you mean GITHUB_TOKEN?)',
    'config.yaml:7:63 mcp_configs[0].tls.client_certificate_file the file is not there',
    'config.yaml:9:19 mcp_configs[0].proxy_secret names a secret without a colon: a proxy needs user:password',
    'config.yaml:13:10 mcp_configs[1].tls must be a mapping (key: value), found text',
    'config.yaml:15:19 mcp_configs[1].proxy_secret names no secret of this file',
  ]);
});

test('values come from the environment and from files, without the line break that ends a file', async () => {
  await writeFile(join(directory, 'token'), `${TOKEN}\n`);
  const outcome = await read('tokens: [{ name: t, value_from: { file: token }, grants: [] }]');
  assert.ok(outcome.ok);
  assert.equal(outcome.tokens.get('t')?.reveal(), TOKEN);
});

test('a value that cannot be had is told where it is named', async () => {
  await writeFile(join(directory, 'blank'), '\n');
  await writeFile(join(directory, 'latin1'), Buffer.from([0xe9]));
  await writeFile(join(directory, 'large'), Buffer.alloc(65_537, 'a'));
  const problems = await problemsOf(`secrets:
  - { name: A, value_from: { env: ABSENT } }
  - { name: B, value_from: { env: EMPTY } }
  - { name: C, value_from: { env: TWO_LINES } }
  - { name: D, value_from: { env: $HOME } }
  - { name: E, value_from: { file: absent } }
  - { name: F, value_from: { file: . } }
  - { name: G, value_from: { file: blank } }
  - { name: H, value_from: { file: latin1 } }
  - { name: I, value_from: { file: large } }
  - { name: J, value_from: { env: GITHUB_TOKEN, file: blank } }
`);
  assert.deepEqual(
    problems.map((line) => line.replace(/^config.yaml:\d+:\d+ secrets/, '')),
    [
      '[0].value_from.env the environment variable ABSENT is not set: export it before starting',
      '[1].value_from.env the environment variable EMPTY is set but empty',
      '[2].value_from.env the value holds a line break: a credential is one line, but for a private key in PEM that stands alone',
      '[3].value_from.env is not the name of an environment variable: write the bare name, without $ or braces',
      '[4].value_from.file the file is not there',
      '[5].value_from.file the file is a directory, not a file',
      '[6].value_from.file the file is empty',
      '[7].value_from.file the file is not UTF-8 text',
      '[8].value_from.file the file is larger than 65536 bytes',
      '[9].value_from needs either env or file, and only one of them',
    ],
  );
});

test('a token that authentication would turn away is refused when it is declared', async () => {
  await writeFile(join(directory, 'key'), mintToken('key').text);
  await writeFile(join(directory, 'cut'), mintToken('agt').text.slice(0, -1));
  await writeFile(join(directory, 'variable'), '{{a-variable-that-nothing-has-filled-in}}');
  await writeFile(join(directory, 'good'), mintToken('agt').text);
  const tokens = ['key', 'cut', 'variable', 'good'].map(
    (file) => `{ name: ${file}, value_from: { file: ${file} }, grants: [] }`,
  );
  const problems = await problemsOf(`tokens: [${tokens.join(', ')}]`);
  assert.deepEqual(
    problems.map((line) => line.split(' tokens')[1]),
    [
      '[0].value_from.file the value is an API key of the control plane: use a token of its own',
      '[1].value_from.file the value begins like a token of this gateway but is cut short or mistyped: copy it again',
      '[2].value_from.file the value is a variable that nothing filled in: set the value itself',
    ],
  );
});

test('two tokens of one value are refused', async () => {
  const problems = await problemsOf(
    'tokens:\n  - { name: a, value_from: { env: DEVBOX_CI_TOKEN }, grants: [] }\n  - { name: b, value_from: { env: DEVBOX_CI_TOKEN }, grants: [] }\n',
  );
  assert.deepEqual(problems, [
    'config.yaml:3:28 tokens[1].value_from has the same value as the token a: the gateway could not tell them apart',
  ]);
});

test('what is valid but probably not meant is a warning', async () => {
  assert.deepEqual(
    await warningsOf(`mcp_configs:
  - name: github-readonly
    endpoint: https://example.com/
    allowed_tools: ["github.get_*", "githb.*"]
  - { name: tracker, endpoint: https://example.com/, allowed_tools: [] }
  - { name: docs, endpoint: https://example.com/, allowed_tools: [], allowed_prompts: ["doc.*"], allowed_resources: [a] }
tokens:
  - { name: t, value_from: { env: DEVBOX_CI_TOKEN }, grants: [] }
  - name: u
    value_from: { env: TRIAGE_BOT_TOKEN }
    expires_at: 2001-01-01
    grants: [{ mcp_config: docs }, { mcp_config: tracker }, { mcp_config: docs, allowed_tools: [a] }]
`),
    [
      "config.yaml:4:37 mcp_configs[0].allowed_tools[1] `githb.*` admits nothing: it names the service `githb` and this is `github`; write `github.*`, or `github.githb.*` if the dot is part of the tool's own name",
      'config.yaml:5:69 mcp_configs[1].allowed_tools is empty: no tool of this upstream is listed or can be called',
      "config.yaml:6:88 mcp_configs[2].allowed_prompts[0] `doc.*` admits nothing: it names the service `doc` and this is `docs`; write `docs.*`, or `docs.doc.*` if the dot is part of the prompt's own name",
      'config.yaml:8:62 tokens[0].grants is empty: the token may use nothing',
      'config.yaml:11:17 tokens[1].expires_at is past: the token is refused',
      'config.yaml:12:61 tokens[1].grants[2] is the same as grants[0], of one McpConfig and secret: make them one',
    ],
  );
});

test('a file that cannot be read at all gives one line that says what to do', async () => {
  const absent = await readConfigFile(join(directory, 'absent.yaml'), lookup);
  const folder = join(directory, 'folder.yaml');
  await mkdir(folder);
  const inFolder = await readConfigFile(folder, lookup);
  assert.ok(!absent.ok && !inFolder.ok);
  assert.deepEqual([...absent.problems, ...inFolder.problems].map(formatProblem).map(strip), [
    'absent.yaml:1:1 is not there: give the path of a config file',
    'folder.yaml:1:1 is a directory, not a file: give the path of a config file',
  ]);
  const empty = 'config.yaml:1:1 is empty: declare mcp_configs and tokens, or write {} for the defaults';
  assert.deepEqual(await problemsOf(''), [empty]);
  assert.deepEqual(await problemsOf('# only a comment\n'), [empty]);
  assert.deepEqual(await problemsOf('hello'), ['config.yaml:1:1 must be a mapping (key: value), found text']);
  assert.deepEqual(await problemsOf(Buffer.from('a: 1\nbc\xff', 'latin1')), [
    'config.yaml:2:3 is not UTF-8 text: save the file as UTF-8',
  ]);
  assert.deepEqual(await problemsOf(Buffer.alloc(10_000_001, '#')), [
    'config.yaml:1:1 is larger than 10000000 bytes: give the path of a config file',
  ]);
});

test('broken YAML gives one line, not the echoes of the first mistake', async () => {
  const golden: readonly (readonly [string, string])[] = [
    [
      'listen: [',
      '1:10 cannot be read as YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['listen: {}\n\tlog: {}', '2:1 cannot be read as YAML: Tabs are not allowed as indentation'],
    ['listen: {}\n---\nlog: {}', '2:1 a second document begins here (---): a config file holds one'],
    ['log: {}\nsecrets: [a] "ghp_1234"\n', '2:14 cannot be read as YAML: Unexpected double-quoted-scalar at node end'],
    ['log: |ghp_1234\n  x', '1:7 cannot be read as YAML: Block scalar header includes extra characters'],
    ['listen: !local {}', '1:9 a tag (!name) means nothing here: put the text in quotes if it is none'],
    [
      'listen: *nowhere',
      '1:9 this alias (*name) has no anchor (&name) before it: put the text in quotes if it is none',
    ],
    ['['.repeat(5000), ' this is nested too deeply to be read'],
  ];
  for (const [text, expected] of golden) {
    const problems = await problemsOf(text);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.ok(problems[0]!.endsWith(expected), `${problems[0]} ≠ ${expected}`);
  }
});

test('a key written twice is refused beside the other problems', async () => {
  assert.deepEqual(await problemsOf('listen: {}\nlog: { level: loud }\nlisten: {}\n'), [
    'config.yaml:2:15 log.level must be one of debug, info, warn, error, silent',
    'config.yaml:3:1 the same key is written twice here: keep one',
  ]);
});

test('aliases work, within bounds: an alias bomb is refused', async () => {
  const shared = await read(
    'mcp_configs:\n  - { name: a, endpoint: https://a/, allowed_tools: &read [get_*] }\n  - { name: b, endpoint: https://b/, allowed_tools: *read }\n',
  );
  assert.ok(shared.ok);
  assert.deepEqual(shared.document.mcp_configs[1]?.allowed_tools, ['get_*']);
  const levels = ['a', 'b', 'c', 'd'].map((name, level, all) => {
    const inner = level === 0 ? '"x"' : `*${all[level - 1]}`;
    return `${name}: &${name} [${Array.from({ length: 9 }, () => inner).join(', ')}]`;
  });
  assert.deepEqual(await problemsOf(levels.join('\n')), [
    'config.yaml:1:1 aliases of aliases multiply beyond reason: write the values out',
  ]);
  const many = await problemsOf(`a: &a 1\nb: [${Array.from({ length: 101 }, () => '*a').join(', ')}]`);
  assert.deepEqual(many, ['config.yaml:2:405 more than 100 aliases (*name): write the values out']);
  assert.ok((await problemsOf('a: &a [*a]')).length > 0);
});

test('a YAML 1.1 directive brings back neither merges nor yes as a boolean', async () => {
  const problems = await problemsOf('%YAML 1.1\n---\nupstreams: { allow_http: yes }\n<<: { listen: {} }\n');
  assert.deepEqual(
    problems.map((line) => line.split(';')[0]),
    [
      'config.yaml:3:26 upstreams.allow_http must be true or false, found text',
      'config.yaml:4:1 << is not a known key',
    ],
  );
});

test('keys of the object prototype are unknown keys like any other', async () => {
  for (const key of ['__proto__', 'constructor', 'toString']) {
    const problems = await problemsOf(`${key}: { listen: { port: 1 } }\nlog: { ${key}: 1 }\n`);
    assert.deepEqual(
      problems.map((line) => line.split(';')[0]),
      [`config.yaml:1:1 ${key} is not a known key`, `config.yaml:2:8 log.${key} is not a known key`],
    );
  }
});

/** A broken flow collection with a document marker glued to its end. */
const LINE_END_MISSED_BY_THE_PARSER = '[\ta: 1\nb:\n  - { c: 1, d: ["e*"]---\n\n      - { c: 2, c: 3 }\n';

test('no mutation of a file crashes the reader, and every position lies inside the file', async () => {
  const example = await readFile(EXAMPLE, 'utf8');
  const cut = fc.nat({ max: example.length }).map((end) => example.slice(0, end));
  const snippet = fc.oneof(
    fc.constantFrom(
      '\t',
      '[',
      '{',
      ']',
      '}',
      ': ',
      '\n- ',
      '&a ',
      '*a',
      '"',
      "'",
      '|\n',
      '? ',
      '!!x ',
      '---\n',
      '\r\n',
      '\0',
    ),
    fc.string({ unit: CODE_POINT, maxLength: 8 }),
  );
  const spliced = fc
    .array(fc.tuple(fc.nat({ max: example.length }), fc.nat({ max: 12 }), snippet), { minLength: 1, maxLength: 4 })
    .map((edits) =>
      edits.reduce((text, [at, gone, added]) => text.slice(0, at) + added + text.slice(at + gone), example),
    );
  const words = fc.array(
    fc.oneof(snippet, fc.constantFrom('tokens', 'name', 'grants', 'secrets', 'mcp_configs', '  ', '\n')),
  );
  const soup = words.map((each) => each.join(''));
  await fc.assert(
    fc.asyncProperty(fc.oneof(cut, spliced, soup), async (text) => {
      const outcome = await read(text, 'fuzzed.yaml');
      const lines = Buffer.from(text)
        .toString('utf8')
        .replace(/^\ufeff/, '')
        .split('\n');
      for (const problem of outcome.ok ? outcome.warnings : outcome.problems) {
        const line = lines[problem.line - 1];
        assert.ok(line !== undefined, `line ${problem.line} of ${lines.length}: ${problem.message}`);
        assert.ok(
          problem.column >= 1 && problem.column <= line.length + 1,
          `${formatProblem(problem)} in ${line.length}`,
        );
      }
      if (!outcome.ok) assert.ok(outcome.problems.length > 0);
    }),
    { numRuns: 300, interruptAfterTimeLimit: 15_000, examples: [[LINE_END_MISSED_BY_THE_PARSER]] },
  );
});
