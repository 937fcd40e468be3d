// Who may call from a browser and under which name: one request a line of test/corpus/host-origin.jsonl, sent to every kind
// of endpoint, as HTTP/1.1 bytes and over HTTP/2.

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
import { mcpRequest, send } from '../support/mcp-http.ts';
import { exchangeRaw } from '../support/raw-http1.ts';
import { answerOf } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

type GatewayName = keyof typeof SETTINGS;
type Target = keyof typeof SERVED;

interface HostOriginCase extends CorpusCase {
  /** Of `SETTINGS`. */
  readonly gateway: GatewayName;
  /** The Host header or `:authority`, with the words of `fill`; the gateway's own unless told, null for none. */
  readonly host?: string | readonly string[] | null;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Otherwise that of the endpoint. */
  readonly method?: string;
  /** What stands before the path. */
  readonly target?: string;
  readonly version?: string;
  /** The only version of HTTP in which the case can be said. */
  readonly wire?: 'h1' | 'h2';
  /** The answer may be read by the page, where the endpoint is one for pages. */
  readonly cors?: true;
  /** Served; or refused, by every endpoint for a reason of syntax and by all but probes otherwise; or by endpoint. */
  readonly expected: 'served' | number | Readonly<Partial<Record<Target, number>>>;
}

/** All are bound to 127.0.0.1. */
const SETTINGS = {
  default: {},
  allowed: {
    allowed_hosts: ['named.example.com', 'ported.example.com:8443'],
    allowed_origins: ['https://app.example.com', 'https://xn--bcher-kva.example'],
  },
  public_url: { public_url: 'https://mcp.example.com:8443/gateway' },
  trusted: { public_url: 'https://mcp.example.com:8443', trusted_proxies: ['127.0.0.1'] },
} as const;

/** The answer of each endpoint to whom it serves. */
const SERVED = {
  '/mcp': 200,
  '/v1/explain': 200,
  '/metrics': 200,
  '/readyz?detail': 200,
  '/livez': 200,
  '/nothing': 404,
};
const TARGETS = Object.keys(SERVED) as Target[];
const FOR_PAGES: readonly Target[] = ['/mcp', '/v1/explain'];

const COUNTS = {
  host: 33,
  origin: 26,
  'allowed-origin': 16,
  'allowed-host': 10,
  'public-url': 10,
  'trusted-proxy': 12,
  'fetch-site': 12,
  'form-and-preflight': 8,
};
const CASES = readCorpus<HostOriginCase>('host-origin.jsonl', COUNTS);
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

let upstream: RecordingUpstream;
const gateways = new Map<GatewayName, TestGateway>();
const sessions = new Map<GatewayName, http2.ClientHttp2Session>();
const logged: string[] = [];
let runs = 0;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'legacy' });
  const log = createLogger({ level: 'debug', destination: { write: (line) => void logged.push(line) } });
  for (const [name, settings] of Object.entries(SETTINGS) as [GatewayName, object][]) {
    const configs = [{ name: 'rec', url: upstream.url, credential: CANARY }];
    const gateway = await startGateway({ configs, settings: { ...settings }, log });
    await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
    gateways.set(name, gateway);
    sessions.set(name, http2.connect(gateway.url));
  }
});
after(async () => {
  for (const session of sessions.values()) session.close();
  for (const gateway of gateways.values()) await gateway.close();
  await upstream.close();
  assertNoCanary(logged.join(''));
});

/** A request of the case, well-formed and with credentials in all else. */
interface Ask {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly hosts: readonly string[];
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly body: string;
}

interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function toAsk(each: HostOriginCase, target: Target, gateway: TestGateway): Ask {
  const { host: self, port } = new URL(gateway.url);
  const fill = (text: string): string => text.replaceAll('$SELF', self).replaceAll('$PORT', port);
  const { host = self, headers = {}, method = target === '/mcp' ? 'POST' : 'GET' } = each;
  const body = method === 'POST' ? PING : '';
  const own = {
    authorization: `Bearer ${target === '/mcp' ? gateway.token() : gateway.apiKey}`,
    ...(body === '' ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }),
  };
  return {
    method,
    path: target === '/v1/explain' ? `${target}?tool=rec.echo&token=agent` : target,
    hosts: [host ?? []].flat().map(fill),
    headers: Object.fromEntries(
      Object.entries({ ...own, ...headers }).map(([name, values]) => [name, [values].flat().map(fill)]),
    ),
    body,
  };
}

async function askHttp1(ask: Ask, each: HostOriginCase, { url }: TestGateway): Promise<Told> {
  const target = (each.target ?? '').replace('$SELF', new URL(url).host);
  const lines = [
    `${ask.method} ${target}${ask.path} ${each.version ?? 'HTTP/1.1'}`,
    ...ask.hosts.map((host) => `Host: ${host}`),
    ...Object.entries(ask.headers).flatMap(([name, values]) => values.map((value) => `${name}: ${value}`)),
  ];
  const { answers } = await exchangeRaw(url, Buffer.from(`${lines.join('\r\n')}\r\n\r\n${ask.body}`));
  const [{ status, headers, body }] = answers as [(typeof answers)[0]];
  return { status, headers, text: body };
}

async function askHttp2(ask: Ask, session: http2.ClientHttp2Session): Promise<Told> {
  const [authority] = ask.hosts;
  const pseudo = {
    ':method': ask.method,
    ':path': ask.path,
    ...(authority === undefined ? {} : { ':authority': authority }),
  };
  const headers = Object.entries(ask.headers).map(([name, [first = '', ...more]]) => [
    name,
    more.length === 0 ? first : [first, ...more],
  ]);
  const stream = session.request({ ...pseudo, ...Object.fromEntries(headers) }, { endStream: ask.body === '' });
  stream.on('error', () => undefined);
  if (ask.body !== '') stream.end(ask.body);
  return answerOf(stream);
}

function statusOf({ expected }: HostOriginCase, target: Target): number {
  if (expected === 'served') return SERVED[target];
  if (typeof expected !== 'number') return expected[target] ?? SERVED[target];
  return expected === 403 && target === '/livez' ? 200 : expected;
}

function assertAnswer(told: Told, each: HostOriginCase, target: Target): void {
  const { status, headers, text } = told;
  assert.equal(status, statusOf(each, target), text);
  const isForPage = each.cors === true && FOR_PAGES.includes(target);
  const origin = isForPage ? each.headers?.origin : undefined;
  assert.equal(headers['access-control-allow-origin'], origin);
  if (!isForPage)
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
    );
  if (status >= 400) assert.match(text, /"message":"[^"]{20,}/);
  assertNoCanary(text);
}

async function run(each: HostOriginCase): Promise<void> {
  const gateway = gateways.get(each.gateway)!;
  for (const target of TARGETS) {
    const ask = toAsk(each, target, gateway);
    for (const wire of ['h1', 'h2'] as const) {
      if (each.wire !== undefined && each.wire !== wire) continue;
      const told = await (wire === 'h1' ? askHttp1(ask, each, gateway) : askHttp2(ask, sessions.get(each.gateway)!));
      try {
        assertAnswer(told, each, target);
      } catch (error) {
        throw new Error(`${target} over ${wire}`, { cause: error });
      }
      if (wire === 'h1' && told.status === 403) assert.equal(told.headers.connection, 'close');
      runs++;
    }
  }
}

for (const name of Object.keys(COUNTS)) {
  suite(name, () => {
    for (const each of CASES.filter((each) => each.class === name)) {
      test(each.name, () => withoutUpstreamBytes([upstream], () => withoutStall(() => run(each))));
    }
  });
}

test('every class has its cases', (t) => reportCounts(t, 'host-origin.jsonl', CASES, runs));
