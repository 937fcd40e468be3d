// What an upstream can do to the event stream of a client: nothing that is not an event of the gateway's making.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const TOOLS = ['crs', 'crs_large', 'dies', 'other'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);
const LARGE = 'x'.repeat(200_000);
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
      const isJson = params.name.startsWith('crs');
      response.writeHead(200, { 'content-type': isJson ? 'application/json' : 'text/event-stream' });
      if (params.name === 'crs') response.end(`{"result":{"content":[]},${INJECTED}"jsonrpc":"2.0",\r\n"id":"${id}"}`);
      else if (isJson) response.end(`{"result":{"a":"${LARGE}"},${INJECTED}"jsonrpc":"2.0",\r\n"id":"${id}"}`);
      else {
        const begun = `data: {"result":{"a":"${LARGE}`;
        if (params.name === 'dies') response.write(begun, () => response.destroy());
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

function call(name: string, accept: string): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(`up.${name}`, { accept, id: '"é"' }), token: gateway.token() });
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

suite('an answer that ends half way through its event', () => {
  for (const name of ['dies', 'other']) {
    test(`of the tool ${name} is followed by an error in an event of its own`, async () => {
      const answer = await call(name, BOTH);
      assert.equal(answer.kind, 'sse');
      assert.equal(answer.datas.length, 2);
      assert.throws(() => JSON.parse(answer.datas[0] ?? ''), 'nobody takes half an answer for one');
      assert.deepEqual([answer.message.id, answer.message.error?.code], ['é', -32603]);
      assert.equal(answer.message.error?.data?.reason, 'broken_answer');
    });
  }
});
