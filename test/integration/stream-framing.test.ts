// What an upstream can do to the event stream of a client: nothing that is not an event of the gateway's making.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { createParser } from 'eventsource-parser';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const LARGE = 'x'.repeat(200_000);
/** Second ids behind the one at the head: plain and escaped, whole, in an event, and in answers that stream. */
const SECOND_IDS: Readonly<Record<string, (id: string) => string>> = {
  second: (id) => `{"jsonrpc":"2.0","id":"${id}","result":{"content":[]},"id":99}`,
  second_escaped: (id) => `{"jsonrpc":"2.0","id":"${id}","result":{"content":[]},"\\u0069d":99}`,
  second_large: (id) => `{"id":"${id}","result":{"a":"${LARGE}"},"id":99,"jsonrpc":"2.0"}`,
  second_large_escaped: (id) => `{"jsonrpc":"2.0","id":"${id}","result":{"a":"${LARGE}"},"\\u0069\\u0064":99}  \n`,
};
/** Whole answers to somebody else in a line so long that it has been passed on before its end shows what it is. */
const FORGED: Readonly<Record<string, (id: string) => string>> = {
  forged: () => `{"jsonrpc":"2.0","result":{"a":"${LARGE}"},"id":99}`,
  forged_behind_id: (id) => `{"jsonrpc":"2.0","id":"${id}","result":{"a":"${LARGE}"},"\\u0069d":99}`,
};
const NAMES = ['crs', 'crs_large', 'dies', 'other', 'ends_early', ...Object.keys(SECOND_IDS), ...Object.keys(FORGED)];
const TOOLS = NAMES.map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);
/** What would be fields and a whole event if a carriage return reached the client. */
const INJECTED =
  '\rid: 666\rretry: 1\r\rdata: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}\r\r';

let upstream: RecordingUpstream;
let gateway: TestGateway;
before(async () => {
  upstream = await startRecordingUpstream({
    era: 'legacy',
    tools: TOOLS,
    intercept: ({ body }, response) => {
      const { id, method, params } = JSON.parse(body.toString() || '{}');
      if (method !== 'tools/call') return false;
      const { name, arguments: args } = params;
      const second = SECOND_IDS[name]?.(id);
      const forged = FORGED[name]?.(id);
      const isJson = name.startsWith('crs') || args?.reply === 'json';
      response.writeHead(200, { 'content-type': isJson ? 'application/json' : 'text/event-stream' });
      if (second !== undefined) response.end(isJson ? second : `data: ${second.trim()}\n\n`);
      else if (forged !== undefined) response.end(`data: ${forged}${' '.repeat(100_000)}\n\n`);
      else if (name === 'ends_early') response.end(`data: ${FORGED.forged?.(id)}${' '.repeat(100_000)}`);
      else if (name === 'crs') response.end(`{"result":{"content":[]},${INJECTED}"jsonrpc":"2.0",\r\n"id":"${id}"}`);
      else if (isJson) response.end(`{"result":{"a":"${LARGE}"},${INJECTED}"jsonrpc":"2.0",\r\n"id":"${id}"}`);
      else {
        const begun = `data: {"result":{"a":"${LARGE}`;
        if (name === 'dies') response.write(begun, () => response.destroy());
        else response.end(`${begun}"},"jsonrpc":"2.0","id":"another"}\n\n`);
      }
      return true;
    },
  });
  gateway = await startGateway({ configs: [{ name: 'up', url: upstream.url }] });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

function call(name: string, accept: string, params = ''): Promise<Answer> {
  const request = toolCall(`up.${name}`, { accept, id: '"é"', ...(params === '' ? {} : { params }) });
  return send(gateway.mcpUrl, { ...request, token: gateway.token() });
}

/** What the parser of the SDK clients makes of a stream: those of its events that are JSON. */
function readMessages(text: string): { id?: unknown; error?: { data?: { reason?: unknown } } }[] {
  const datas: string[] = [];
  createParser({ onEvent: ({ data }) => datas.push(data) }).feed(text);
  return datas.flatMap((data) => {
    try {
      return [JSON.parse(data)];
    } catch {
      return [];
    }
  });
}

suite('carriage returns in an answer', () => {
  for (const name of ['crs', 'crs_large']) {
    test(`of the tool ${name} begin no line of the client's stream`, async () => {
      const answer = await call(name, 'text/event-stream');
      assert.equal(answer.kind, 'sse');
      assert.doesNotMatch(answer.text, /\r/);
      for (const line of answer.text.split('\n')) assert.match(line, /^(?:event: message|data: .*)?$/s);
      assert.equal(answer.datas.length, 1);
    });
  }
});

test('an answer that is one event leaves whole, one in parts leaves as it comes', async () => {
  const whole = await call('second', BOTH);
  assert.equal(whole.kind, 'sse');
  assert.equal(whole.headers['content-length'], String(whole.bytes.length));
  const parts = await call('second_large', BOTH);
  assert.equal(parts.kind, 'sse');
  assert.equal(parts.headers['transfer-encoding'], 'chunked');
  assert.equal(parts.headers['cache-control'], 'no-cache');
});

suite('an answer that ends half way through its event', () => {
  for (const name of ['dies', 'other']) {
    test(`of the tool ${name} is followed by an error in an event of its own`, async () => {
      const answer = await call(name, BOTH);
      assert.equal(answer.kind, 'sse');
      assert.equal(answer.datas.length, 2);
      assert.ok(answer.datas[0]?.endsWith('\n(cut off)'));
      assert.throws(() => JSON.parse(answer.datas[0] ?? ''), 'nobody takes half an answer for one');
      assert.deepEqual([answer.message.id, answer.message.error?.code], ['é', -32603]);
      assert.equal(answer.message.error?.data?.reason, 'broken_answer');
    });
  }
});

suite('an id of the upstream’s own behind ours', () => {
  for (const name of Object.keys(SECOND_IDS)) {
    for (const reply of ['json', 'sse']) {
      test(`is not the one a client reads: ${name}, ${reply}`, async () => {
        for (const accept of [BOTH, 'application/json', 'text/event-stream']) {
          const answer = await call(name, accept, `"arguments":{"reply":"${reply}"}`);
          assert.equal(answer.datas.length, 1);
          assert.equal(answer.message.id, 'é');
          assert.ok(answer.message.result);
        }
      });
    }
  }
});

suite('a whole answer to somebody else in a long line', () => {
  for (const name of [...Object.keys(FORGED), 'ends_early']) {
    test(`is read by no client: ${name}`, async () => {
      const answer = await call(name, BOTH);
      assert.equal(answer.kind, 'sse');
      const messages = readMessages(answer.text);
      assert.deepEqual(
        messages.map(({ id, error }) => [id, error?.data?.reason]),
        [['é', 'broken_answer']],
      );
    });
  }
});
