// What a client accepts decides the form of its answer, never whether it gets one: every form of `Accept` that real
// clients send, against upstreams that reply in JSON and in events.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

type Kind = 'json' | 'sse';

interface Form {
  readonly accept: string | null;
  /** The kind of an answer that the gateway makes itself. */
  readonly own: Kind;
  /** The kind of an answer that the upstream streams. */
  readonly streamed: Kind;
}

const FORMS: readonly Form[] = [
  { accept: 'application/json', own: 'json', streamed: 'json' },
  { accept: 'application/json; charset=utf-8', own: 'json', streamed: 'json' },
  { accept: 'text/event-stream', own: 'sse', streamed: 'sse' },
  { accept: 'application/json, text/event-stream', own: 'json', streamed: 'sse' },
  { accept: 'text/event-stream, application/json', own: 'json', streamed: 'sse' },
  { accept: 'application/json;q=0.9,text/event-stream;q=0.8,*/*;q=0.1', own: 'json', streamed: 'sse' },
  { accept: 'text/event-stream, */*', own: 'json', streamed: 'sse' },
  { accept: '*/*', own: 'json', streamed: 'sse' },
  { accept: null, own: 'json', streamed: 'sse' },
];
const ERAS = ['legacy', 'modern'] as const;
const PROGRESS =
  '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"progress":1,"message":"half"}}';
const LONG = `{"content":[{"type":"text","text":"${'long '.repeat(40_000)}"}],\n\n "x" : 1.0}`;

let json: RecordingUpstream;
let sse: RecordingUpstream;
let gateway: TestGateway;

before(async () => {
  const tools = ['ok', 'fail', 'long', 'progress', 'dead'].map(
    (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
  );
  const start = (reply: Kind): Promise<RecordingUpstream> =>
    startRecordingUpstream({
      era: 'modern',
      reply,
      tools,
      onCall: ({ name, idText }) => {
        if (name === 'fail') return { error: '{"code":-32050,"message":"no","data":{"n":1.0}}' };
        if (name === 'long') return LONG;
        if (name === 'progress') return { sse: [PROGRESS.replace('TOKEN', idText)], result: '{"done":true}' };
        return '{"content":[{"type":"text","text":"ok"}]}';
      },
      intercept: ({ headers }, response) => {
        if (headers['mcp-name'] !== 'dead') return false;
        response.writeHead(502).end();
        return true;
      },
    });
  json = await start('json');
  sse = await start('sse');
  gateway = await startGateway({
    configs: [
      { name: 'json', url: json.url },
      { name: 'sse', url: sse.url },
    ],
  });
});
after(async () => {
  await gateway.close();
  await json.close();
  await sse.close();
});

function ask(method: string, options: CallOptions): Promise<Answer> {
  return send(gateway.mcpUrl, { ...mcpRequest(method, options), token: gateway.token() });
}

function call(name: string, options: CallOptions): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(name, options), token: gateway.token() });
}

for (const { accept, own, streamed } of FORMS) {
  suite(`Accept: ${accept ?? '(none)'}`, () => {
    for (const era of ERAS) {
      const options = { era, accept, id: '"q"' };
      const methods = era === 'legacy' ? ['tools/list', 'ping'] : ['tools/list', 'server/discover'];

      test(`the gateway's own answers are ${own} (${era})`, async () => {
        for (const method of methods) {
          const answer = await ask(method, options);
          assert.deepEqual([answer.status, answer.kind, answer.message.id], [200, own, 'q'], method);
          assert.equal(typeof answer.message.result, 'object');
        }
      });

      test(`the gateway's own errors are ${own}, or plain JSON with an HTTP error (${era})`, async () => {
        const unknown = await call('json.missing', options);
        assert.deepEqual([unknown.status, unknown.kind], [200, own]);
        assert.equal(unknown.message.error!.code, -32602);
        const dead = await call('json.dead', options);
        assert.deepEqual([dead.status, dead.kind], [200, own]);
        assert.equal(dead.message.error!.data!.reason, 'bad_status');
        const malformed = await send(gateway.mcpUrl, {
          ...mcpRequest('tools/call', options),
          body: '{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"a","name":"b"}}',
          token: gateway.token(),
        });
        assert.deepEqual([malformed.status, malformed.kind], [400, 'json']);
        assert.equal(malformed.message.error!.code, -32600);
      });

      for (const [reply, kind] of [
        ['json', own],
        ['sse', streamed],
      ] as const) {
        test(`the answer of an upstream that replies in ${reply} is ${kind} (${era})`, async () => {
          const answer = await call(`${reply}.ok`, options);
          assert.deepEqual([answer.status, answer.kind, answer.message.id], [200, kind, 'q']);
          assert.equal(answer.message.result.content[0].text, 'ok');
          const failed = await call(`${reply}.fail`, options);
          assert.deepEqual([failed.status, failed.kind], [200, kind]);
          assert.ok(failed.datas.at(-1)!.includes('"error":{"code":-32050,"message":"no","data":{"n":1.0}}'));
        });

        test(`a long answer with line breaks in ${reply} is ${kind}, whole (${era})`, async () => {
          const { kind: got, datas } = await call(`${reply}.long`, options);
          assert.equal(got, kind);
          assert.ok(datas.at(-1)! === `{"result":${LONG},"jsonrpc":"2.0","id":"q"}`);
        });
      }

      test(`progress ${streamed === 'sse' ? 'is passed on' : 'stays behind'} (${era})`, async () => {
        const { kind, datas } = await call('json.progress', { ...options, meta: '"progressToken":1.0e1' });
        assert.equal(kind, streamed);
        const progress = streamed === 'sse' ? [PROGRESS.replace('TOKEN', '1.0e1')] : [];
        assert.deepEqual(datas, [...progress, '{"result":{"done":true},"jsonrpc":"2.0","id":"q"}']);
      });
    }
  });
}
