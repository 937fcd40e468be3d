// What the MCP headers of a request say against what its body says, one case a line of test/corpus/header-body.jsonl,
// over both HTTP versions: a contradiction reaches no upstream, and what reaches one has headers of the gateway's making.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, suite, test } from 'node:test';
import { createLogger } from '../../src/telemetry/logger.ts';
import {
  assertNoCanary,
  CANARY,
  type CorpusCase,
  readCorpus,
  reportCounts,
  withoutStall,
  withoutUpstreamBytes,
} from '../support/corpus.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { BOTH, ENVELOPE, MODERN } from '../support/mcp-http.ts';
import { RawHttp1 } from '../support/raw-http1.ts';
import { answerOf } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

interface HeaderCase extends CorpusCase {
  /** `rec.plain` unless told. */
  readonly tool?: string;
  /** Raw JSON in place of the tool's name. */
  readonly nameJson?: string;
  /** Raw JSON; none unless told. */
  readonly args?: string;
  /** Raw JSON of `_meta`, empty for none; a modern envelope unless told. */
  readonly meta?: string;
  readonly method?: string;
  /** Well-formed headers that are not sent. */
  readonly without?: readonly string[];
  /** Sent in place of the well-formed one of the same name, or beside them. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** For what HTTP/2 has no way to say. */
  readonly wire?: 'h1';
  /** Of a refusal; `code` is null where the edge refuses what no JSON-RPC was read of. */
  readonly status?: number;
  readonly code?: number | null;
  /** The `Mcp-Param-*` headers of the upstream's request. */
  readonly params?: Readonly<Record<string, string>>;
}

const CASES = readCorpus<HeaderCase>('header-body.jsonl', {
  missing: 6,
  mismatch: 14,
  case: 5,
  'white space': 6,
  duplicate: 7,
  base64: 15,
  arguments: 35,
  'version and envelope': 13,
  'between eras': 11,
});

const SCHEMA =
  '{"type":"object","properties":{"text":{"type":"string","x-mcp-header":"Text"},"flag":{"type":"boolean","x-mcp-header":"Flag"},"in":{"type":"object","properties":{"count":{"type":"integer","x-mcp-header":"Count"}}}}}';
const NUMBER = '{"type":"object","properties":{"n":{"type":"number","x-mcp-header":"N"}}}';
const TOOLS = [
  '{"name":"plain","inputSchema":{"type":"object"}}',
  `{"name":"params","inputSchema":${SCHEMA}}`,
  `{"name":"number","inputSchema":${NUMBER}}`,
];

let rec: RecordingUpstream;
let old: RecordingUpstream;
let gateway: TestGateway;
let session: http2.ClientHttp2Session;
const logged: string[] = [];
before(async () => {
  rec = await startRecordingUpstream({ era: 'modern', tools: TOOLS });
  old = await startRecordingUpstream({ era: 'legacy', tools: TOOLS });
  gateway = await startGateway({
    configs: [
      { name: 'rec', url: rec.url, credential: CANARY },
      { name: 'old', url: old.url, credential: CANARY },
    ],
    log: createLogger({ level: 'debug', destination: { write: (line: string) => void logged.push(line) } }),
  });
  session = http2.connect(gateway.url);
  // Lists and handshakes are over before a case counts bytes.
  for (const tool of ['rec.plain', 'old.params']) {
    const warm: HeaderCase = { name: '', class: '', tool };
    assert.equal((await sendHttp1(warm)).status, 200);
  }
});
after(async () => {
  session.close();
  await gateway.close();
  await Promise.all([rec.close(), old.close()]);
});

interface Answer {
  readonly status: number;
  /** Head and body. */
  readonly text: string;
  readonly body: string;
}

function toRequest(each: HeaderCase): { headers: [string, string][]; body: string } {
  const { tool = 'rec.plain', nameJson = JSON.stringify(tool), args, meta = ENVELOPE, method = 'tools/call' } = each;
  const members = [
    ...(meta === '' ? [] : [`"_meta":${meta}`]),
    `"name":${nameJson}`,
    ...(args === undefined ? [] : [`"arguments":${args}`]),
  ];
  const body = `{"jsonrpc":"2.0","id":"c","method":"${method}","params":{${members.join()}}}`;
  const wellFormed: [string, string][] = [
    ['MCP-Protocol-Version', MODERN],
    ['Mcp-Method', 'tools/call'],
    ['Mcp-Name', tool],
  ];
  const { without = [], headers = [] } = each;
  const isReplaced = (name: string) => headers.some(([other]) => other.toLowerCase() === name.toLowerCase());
  const kept = wellFormed.filter(([name]) => !without.includes(name) && !isReplaced(name));
  const others: [string, string][] = [
    ['Authorization', `Bearer ${gateway.token()}`],
    ['Content-Type', 'application/json'],
    ['Content-Length', String(Buffer.byteLength(body))],
    ['Accept', BOTH],
  ];
  return { headers: [...others, ...kept, ...headers.map(([name, value]): [string, string] => [name, value])], body };
}

/** As bytes on a socket: an HTTP client would mend what the case is about. */
async function sendHttp1(each: HeaderCase): Promise<Answer> {
  const { host } = new URL(gateway.url);
  const { headers, body } = toRequest(each);
  const lines = [['Host', host], ['Connection', 'close'], ...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const client = await RawHttp1.connect(gateway.url);
  client.write(Buffer.from(`POST /mcp HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), body);
  const text = await client.ended();
  const split = text.indexOf('\r\n\r\n');
  return { status: Number(text.slice(9, 12)), text, body: text.slice(split + 4) };
}

async function sendHttp2(each: HeaderCase): Promise<Answer> {
  const { headers, body } = toRequest(each);
  const pseudo = [':method', 'POST', ':path', '/mcp', ':scheme', 'http', ':authority', new URL(gateway.url).host];
  const fields = headers.flatMap(([name, value]) => [name.toLowerCase(), value]);
  const stream = session.request([...pseudo, ...fields], { endStream: false });
  stream.on('error', () => undefined);
  stream.end(body);
  const { status, headers: head, text } = await answerOf(stream);
  return { status, text: JSON.stringify(head) + text, body: text };
}

function assertRefused({ status, body, text }: Answer, each: HeaderCase): void {
  assert.equal(status, each.status, text);
  const said = JSON.parse(body);
  if (each.code === null) assert.deepEqual([said.status, said.code], [each.status, 'invalid_request']);
  else assert.deepEqual([said.error?.code, said.id], [each.code, 'c'], text);
}

/** One call at the tool's upstream, with the headers its era has and no others. */
function assertForwarded({ status, body, text }: Answer, each: HeaderCase): void {
  assert.equal(status, 200, text);
  assert.deepEqual([JSON.parse(body).error, JSON.parse(body).id], [undefined, 'c']);
  const isOld = each.tool?.startsWith('old.') === true;
  const [calls, others] = isOld ? [old.calls, rec.calls] : [rec.calls, old.calls];
  assert.deepEqual([calls.length, others.length], [1, 0]);
  const { headers, name, body: sent } = calls[0]!;
  assert.equal(name, (each.tool ?? 'rec.plain').slice(4));
  const mcp = Object.entries(headers).filter(([header]) => /^(?:mcp-|last-event)/.test(header));
  const expected = isOld
    ? { 'mcp-protocol-version': '2025-11-25' }
    : { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': name, ...each.params };
  assert.deepEqual(Object.fromEntries(mcp), expected);
  if (each.args !== undefined) assert.ok(sent.includes(`"arguments":${each.args}`), 'the arguments are other bytes');
}

const WIRES = [
  ['HTTP/1.1', sendHttp1],
  ['HTTP/2', sendHttp2],
] as const;

let runs = 0;
for (const [wire, sendCase] of WIRES) {
  for (const name of new Set(CASES.map((each) => each.class))) {
    suite(`headers against body over ${wire}, ${name}:`, () => {
      for (const each of CASES) {
        if (each.class !== name || (wire === 'HTTP/2' && each.wire === 'h1')) continue;
        const isRefused = each.status !== undefined;
        test(`${each.name} ${isRefused ? `is ${each.status} ${each.code ?? ''}` : 'is accepted'}`, async () => {
          for (const { calls } of [rec, old]) calls.length = 0;
          const answer = isRefused
            ? await withoutUpstreamBytes([rec, old], () => withoutStall(() => sendCase(each)))
            : await sendCase(each);
          if (isRefused) assertRefused(answer, each);
          else assertForwarded(answer, each);
          assertNoCanary(answer.text);
          runs++;
        });
      }
    });
  }
}

test('every case ran, and no log line holds the credential', (t) => {
  assertNoCanary(logged.join(''));
  reportCounts(t, 'header-body.jsonl', CASES, runs);
});
