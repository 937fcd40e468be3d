// HTTP/1.1 as raw bytes, one request a line of test/corpus/http-framing.jsonl: each has one exact answer, and a call
// pipelined behind it is made only where the two cannot have been read as anything else.

import assert from 'node:assert/strict';
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
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RawAnswer, RawHttp1 } from '../support/raw-http1.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

type Piece = string | { readonly repeat: string; readonly times: number };

interface FramingCase extends CorpusCase {
  /** As latin1, with the words of `WORDS`. */
  readonly send: readonly Piece[];
  /** Of the answer, of each in their order, or none before the connection is closed. */
  readonly status: number | readonly number[] | 'none';
  /** What becomes of the call behind it: made and answered, or never made as the connection is closed. */
  readonly behind: 'served' | 'closed';
  /** The call is sent only when the case has its answer: Node drops what is pipelined behind an offered upgrade. */
  readonly waits?: true;
}

const COUNTS = {
  'content-length': 17,
  'transfer-encoding': 23,
  chunks: 27,
  'request-line': 13,
  version: 13,
  target: 32,
  method: 19,
  host: 24,
  'header-syntax': 34,
  'header-size': 7,
  'upgrade-and-expect': 11,
  encoding: 9,
  'media-type': 12,
  pipelining: 11,
};
const CASES = readCorpus<FramingCase>('http-framing.jsonl', COUNTS);

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const CALL = toolCall('rec.echo', { id: '"behind"' }).body;

let upstream: RecordingUpstream;
let gateway: TestGateway;
let words: readonly (readonly [word: string, meaning: string])[];
const logged: string[] = [];

before(async () => {
  upstream = await startRecordingUpstream({ era: 'legacy' });
  const log = createLogger({ level: 'debug', destination: { write: (line) => void logged.push(line) } });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url, credential: CANARY }], log });
  await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
  const { host } = new URL(gateway.url);
  words = [
    ['$HEAD', '$POST$REST'],
    ['$REST', '$HOST$AUTH$TYPE'],
    ['$POST', 'POST /mcp HTTP/1.1\r\n'],
    ['$HOST', 'Host: $SELF\r\n'],
    ['$AUTH', 'Authorization: Bearer $TOKEN\r\n'],
    ['$TYPE', 'Content-Type: application/json\r\n'],
    ['$LENGTH', `Content-Length: ${PING.length}\r\n`],
    ['$CHUNKED', `${PING.length.toString(16)}\r\n$PING\r\n0\r\n\r\n`],
    ['$PING', PING],
    ['$SELF', host],
    ['$TOKEN', gateway.token()],
  ];
});
after(async () => {
  await gateway.close();
  await upstream.close();
  assertNoCanary(logged.join(''));
});

function toText(pieces: readonly Piece[]): string {
  return pieces.map((piece) => (typeof piece === 'string' ? piece : piece.repeat.repeat(piece.times))).join('');
}

function toBytes(pieces: readonly Piece[]): Buffer {
  const text = words.reduce((text, [word, meaning]) => text.replaceAll(word, meaning), toText(pieces));
  return Buffer.from(text, 'latin1');
}

/** A whole and well-formed call of the same agent. */
function callBehind(): Buffer {
  return toBytes([`$HEADContent-Length: ${CALL.length}\r\n\r\n${CALL}`]);
}

const SENDERS = {
  'in one piece': (bytes: Buffer) => [bytes],
  'in pieces': (bytes: Buffer) => {
    const size = Math.max(7, Math.ceil(bytes.length / 60));
    return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));
  },
} as const;

interface Outcome {
  readonly statuses: readonly number[];
  readonly behind: 'served' | 'closed';
  readonly text: string;
}

async function run(each: FramingCase, how: keyof typeof SENDERS): Promise<Outcome> {
  const request = toBytes(each.send);
  const client = await RawHttp1.connect(gateway.url);
  try {
    for (const bytes of each.waits ? [request, callBehind()] : [Buffer.concat([request, callBehind()])]) {
      for (const piece of SENDERS[how](bytes)) {
        client.write(piece);
        await new Promise(setImmediate);
      }
      if (each.waits) await client.answers((answers) => answers.length > 0);
    }
    const heads = request.indexOf('HEAD ') === 0 ? 1 : 0;
    const answers = await client.answers((answers) => answers.some(isCallAnswer), { heads });
    const last = answers.at(-1);
    const isServed = last !== undefined && isCallAnswer(last);
    const own = isServed ? answers.slice(0, -1) : answers;
    if (!isServed) assertClosing(own);
    return {
      statuses: own.map(({ status }) => status),
      behind: isServed ? 'served' : 'closed',
      text: client.text,
    };
  } finally {
    client.socket.destroy();
  }
}

function isCallAnswer({ status, body }: RawAnswer): boolean {
  return status === 200 && body.includes('"id":"behind"');
}

/** Who is refused hears why, and that the connection ends. */
function assertClosing(answers: readonly RawAnswer[]): void {
  const last = answers.at(-1);
  if (last === undefined) return;
  assert.equal(last.headers.connection, 'close');
  assert.ok(last.status === 200 || last.body.includes('"message":'), `${last.status} without a message: ${last.body}`);
}

function statusesOf({ status }: FramingCase): readonly number[] {
  if (status === 'none') return [];
  return typeof status === 'number' ? [status] : status;
}

for (const name of Object.keys(COUNTS)) {
  suite(name, () => {
    for (const each of CASES.filter((each) => each.class === name)) {
      test(each.name, async () => {
        for (const how of Object.keys(SENDERS) as (keyof typeof SENDERS)[]) {
          const callsBefore = upstream.calls.length;
          const exchange = () => withoutStall(() => run(each, how));
          const isServed = each.behind === 'served';
          const { statuses, behind, text } = await (isServed ? exchange() : withoutUpstreamBytes([upstream], exchange));
          assert.deepEqual({ how, statuses, behind }, { how, statuses: statusesOf(each), behind: each.behind });
          assertNoCanary(text);
          if (!isServed) assert.equal(upstream.calls.length, callsBefore);
        }
      });
    }
  });
}

test('every class has its cases', (t) => reportCounts(t, 'http-framing.jsonl', CASES, CASES.length * 2));
