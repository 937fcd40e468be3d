// Bytes are sacred (design §3.7): what the upstream receives as arguments is what the client wrote, and what the client
// receives as a result is what the upstream wrote, in all four pairs of eras and both kinds of reply.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ENVELOPE, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const REPLIES = ['json', 'sse'] as const;
const TOOL = '{"name":"echo","inputSchema":{"type":"object"}}';

/** Values that a parse and a stringify would change, by what they are. */
const PAYLOADS: Readonly<Record<string, string>> = {
  'integers over 2^53': '{"n":9007199254740993,"m":-9223372036854775808,"l":123456789012345678901234567890}',
  'numbers out of range': '{"big":1e400,"small":1E-400,"minus":-1e+999}',
  'trailing zeros and negative zero': '{"a":1.0,"b":-0,"c":-0.0,"d":1.50,"e":1e0}',
  'escapes that need not be': '{"\\u0061":"\\u0061\\/\\u00e9\\ud83d\\ude00","b":"é😀 \\u2028 \u2028"}',
  'lone surrogates': '{"a":"\\ud800","b":"\\uDC00x"}',
  'duplicate keys': '{"a":1,"a":2,"\\u0061":3,"name":"x","name":"y"}',
  'the order of keys': '{"z":1,"10":2,"a":3,"2":4,"__proto__":5,"constructor":6}',
  'white space': '{ "a" :\t[ 1 ,\r\n 2\n] , "b":{ } }',
  'what looks like the envelope':
    '{"id":"x","method":"tools/list","jsonrpc":"1.0","params":{"_meta":{"progressToken":7}},"result":{}}',
  'an empty object': '{}',
  'a string longer than any buffer': `{"text":"${'x\\"\\\\'.repeat(60_000)}"}`,
  'many small values': `{"list":[${'{"k":1.0,"\\u0061":[]},'.repeat(8_000)}null]}`,
};

let gateway: TestGateway;
/** By service. */
const upstreams = new Map<string, RecordingUpstream>();
/** What each of them answers. */
let result = '{}';

before(async () => {
  for (const era of ERAS) {
    for (const reply of REPLIES) {
      const upstream = await startRecordingUpstream({ era, reply, tools: [TOOL], onCall: () => result });
      upstreams.set(`${era}${reply}`, upstream);
    }
  }
  gateway = await startGateway({ configs: [...upstreams].map(([name, { url }]) => ({ name, url })) });
});
after(async () => {
  await gateway.close();
  for (const upstream of upstreams.values()) await upstream.close();
});

for (const clientEra of ERAS) {
  for (const upstreamEra of ERAS) {
    for (const reply of REPLIES) {
      suite(`${clientEra} client, ${upstreamEra} upstream, ${reply}`, () => {
        const service = `${upstreamEra}${reply}`;
        const name = `${service}.echo`;

        const lastBody = () => upstreams.get(service)!.calls.at(-1)!.body.toString();

        /** Calls the tool; resolves with the message the client got and the body the upstream got, as text. */
        async function call(params?: string, id = '7'): Promise<{ answer: string; body: string; sent: string }> {
          const request = toolCall(name, { era: clientEra, id, ...(params === undefined ? {} : { params }) });
          const answer = await send(gateway.mcpUrl, { ...request, token: gateway.token() });
          assert.equal(answer.status, 200, answer.text);
          assert.equal(answer.kind, reply);
          assert.equal(answer.datas.length, 1);
          return {
            answer: answer.datas[0]!,
            body: lastBody(),
            sent: request.body,
          };
        }

        for (const [what, payload] of Object.entries(PAYLOADS)) {
          test(`arguments arrive byte for byte: ${what}`, async () => {
            result = '{"content":[]}';
            const { body, sent } = await call(`"arguments":${payload},"x-vendor" : 1.0`);
            const tail = `"name":"echo","arguments":${payload},"x-vendor" : 1.0}}`;
            assertSame(body.slice(-tail.length), tail);
            if (clientEra === upstreamEra) assertSame(body, asUpstreamGetsIt(sent, body, name));
          });

          test(`results arrive byte for byte: ${what}`, async () => {
            // An event stream cannot carry CR: the line breaks of its data are LF, whoever writes it.
            result = toResult(reply === 'sse' ? payload.replaceAll('\r', '') : payload, upstreamEra);
            const { answer } = await call('"arguments":{}', '"c-\\u0041-1"');
            const expected = asClientGetsIt(result, clientEra, upstreamEra);
            assertSame(answer, `{"result":${expected},"jsonrpc":"2.0","id":"c-\\u0041-1"}`);
          });
        }

        test('absent arguments stay absent', async () => {
          const { body } = await call();
          assert.ok(body.endsWith('"name":"echo"}}'), body);
          assert.equal(body.includes('"arguments"'), false);
        });

        test('an id of more than 53 bits comes back as it was sent', async () => {
          result = '{}';
          const { answer } = await call(undefined, '9007199254740993');
          assert.match(answer, /"id":9007199254740993\}$/);
        });

        test('an error of the tool arrives byte for byte', async () => {
          result = '{"isError":true,"content":[{"type":"text","text":"\\u0061 1e400"}],"structuredContent":{"n":1.0}}';
          const { answer } = await call();
          assert.ok(answer.includes(result.slice(1, -1)), answer);
        });

        test('the _meta members that are not of this hop arrive byte for byte', async () => {
          const meta = '"traceparent":"00-\\u0061","com.example/n":9007199254740993,"com.example/o" : { "x" : 1.0 }';
          const request = toolCall(name, { era: clientEra, meta });
          await send(gateway.mcpUrl, { ...request, token: gateway.token() });
          const body = lastBody();
          for (const member of [
            '"traceparent":"00-\\u0061"',
            '"com.example/n":9007199254740993',
            '"com.example/o" : { "x" : 1.0 }',
          ])
            assert.ok(body.includes(member), body);
          assert.equal(body.includes(ENVELOPE.slice(1, 40)), upstreamEra === 'modern');
        });
      });
    }
  }
}

/** The client's message with the two things that every hop rewrites: the id, which is the upstream's to read, and the name. */
function asUpstreamGetsIt(sent: string, body: string, name: string): string {
  const [, id = ''] = /^\{"jsonrpc":"2\.0","id":("[\w-]{22}"),/.exec(body) ?? [];
  return sent.replace('"id":7,', `"id":${id},`).replace(`"name":"${name}"`, '"name":"echo"');
}

/** Equality of texts that may be too long to be printed. */
function assertSame(actual: string, expected: string): void {
  if (actual === expected) return;
  const at = [...expected].findIndex((character, index) => actual[index] !== character);
  const around = (text: string): string => text.slice(Math.max(0, at - 40), at + 160);
  assert.fail(`differs at ${at}: …${around(actual)}… instead of …${around(expected)}…`);
}

/** A result that holds the payload twice, as structured content and among members nobody knows. */
function toResult(payload: string, era: 'legacy' | 'modern'): string {
  const members = `"x-unknown":${payload},"content":[ ] ,"structuredContent":${payload}`;
  return era === 'modern' ? `{${members},"resultType":"complete"}` : `{${members}}`;
}

/** Longer answers are passed on in parts, which nobody walks through. */
const PARTS_BYTES = 64 * 1024;

/** The one change the gateway makes: `resultType` is for modern clients, who need to be told that a legacy upstream's result is complete. */
function asClientGetsIt(result: string, clientEra: string, upstreamEra: string): string {
  if (clientEra === upstreamEra) return result;
  if (clientEra === 'modern') return `{"resultType":"complete",${result.slice(1)}`;
  return result.length > PARTS_BYTES ? result : result.replace(',"resultType":"complete"}', '}');
}
