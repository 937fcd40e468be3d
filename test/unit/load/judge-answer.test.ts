import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpAnswer } from '../../../src/load/http-answer.ts';
import { judgeAnswer } from '../../../src/load/judge-answer.ts';

const ID = 1_000_000_042;

function judge(body: string, status = 200): string | undefined {
  const answer = new HttpAnswer();
  answer.push(Buffer.from(`HTTP/1.1 ${status} X\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`));
  return judgeAnswer(answer, ID);
}

/** Too long to be kept whole. */
const FILL = 'x'.repeat(40_000);
const LOG = `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${'y'.repeat(900)}"}}\n\n`;

test('a result under the id that was asked with is good, wherever the id stands and however it is spaced', () => {
  const large = `{"content":[{"type":"text","text":"${FILL}"}]}`;
  const middling = `{"content":[{"type":"text","text":"${'x'.repeat(5_000)}"}]}`;
  const errorInside = '{"content":[],"structuredContent":{"error":{"code":7},"result":{"isError":true}}}';
  for (const body of [
    `{"jsonrpc": "2.0", "id": ${ID}, "result": {"content": []}}`,
    `{"jsonrpc": "2.0", "id": ${ID}, "result": ${large}}`,
    `{ "result" : ${large}, "jsonrpc": "2.0", "id": ${ID} }\n`,
    `{"result":${errorInside},"jsonrpc":"2.0","id":${ID}}`,
    `{"result":{"structuredContent":{"error":{"code":7}},"content":["${FILL}"]},"jsonrpc":"2.0","id":${ID}}`,
    `{"result":{"content":["${FILL}"],"structuredContent":{"isError":true,"id":7}},"jsonrpc":"2.0","id":${ID}}`,
    `${LOG}${LOG}event: message\ndata: {"result":${middling},"jsonrpc":"2.0","id":${ID}}\n\n`,
    `${LOG.repeat(30)}data:{"jsonrpc":"2.0","id":${ID},"result":{}}\n\n`,
    `data: {"jsonrpc":"2.0",\r\ndata: "id":${ID},"result":{}}\r\n\r\n: done\r\n\r\n`,
    `${LOG}data: {"result":${large},"jsonrpc":"2.0","id":${ID}}\n\n`,
    `${LOG.repeat(30)}data: {"result":${large},"jsonrpc":"2.0","id":${ID}}\n\n`,
    `{"result":{},"jsonrpc":"2.0","id":${ID}}`,
    `{"jsonrpc":"2.0","id":${ID},"result":${large}}`,
    `{"result":${large},"jsonrpc":"2.0","id":${ID}}`,
    `event: message\ndata: {"result":{},"jsonrpc":"2.0","id":${ID}}\n\n`,
  ]) {
    assert.equal(judge(body), undefined, body.slice(0, 80));
  }
});

test('everything else is counted by what it is', () => {
  const cases: [string, number, string][] = [
    [`{"result":{},"jsonrpc":"2.0","id":${ID + 1}}`, 200, 'answer under another id'],
    [`{"jsonrpc":"2.0","id":${ID}}`, 200, 'answer without a result'],
    [`{"result":{"isError":true},"jsonrpc":"2.0","id":${ID}}`, 200, 'result that is an error'],
    [`{"error":{"code":-32602,"message":"Unknown tool"},"jsonrpc":"2.0","id":${ID}}`, 200, 'error -32602'],
    [
      `{"jsonrpc":"2.0","id":${ID},"error":{"code":-32603,"message":"m","data":{"reason":"overloaded"}}}`,
      503,
      'error overloaded',
    ],
    ['{"message":"This is not a token"}', 401, 'HTTP 401'],
    ['<html>', 502, 'HTTP 502'],
    [`{"error":{"code":"\\u001b[2J","data":{"reason":"\\u001b[2J"}},"jsonrpc":"2.0","id":${ID}}`, 200, 'error'],
    ['<html>', 200, 'answer that is not JSON'],
    ['', 200, 'answer that is not JSON'],
    [`{"jsonrpc":"2.0","id":"${ID}","result":{}}`, 200, 'answer under another id'],
    [`{"result":{"content":["${FILL}"]},"jsonrpc":"2.0","id":${ID + 1}}`, 200, 'answer under another id'],
    [`{"result":{"content":["${FILL}"],"id":${ID}},"jsonrpc":"2.0","id":7}`, 200, 'answer under another id'],
    [`{"result":{"content":["${FILL}"],"isError":true},"jsonrpc":"2.0","id":${ID}}`, 200, 'result that is an error'],
    [`{"id":${ID},"result":{"isError": true, "content":["${FILL}"]}}`, 200, 'result that is an error'],
    [`{"error":{"code": -32000,"message":"${FILL}"},"jsonrpc":"2.0","id":${ID}}`, 200, 'error -32000'],
    [`${LOG}data: {"error":{"code":-32000},"jsonrpc":"2.0","id":${ID}}\n\n`, 200, 'error -32000'],
    [`data: {"result":{"content":[]},"jsonrpc":"2.0","id":7}\n\n`, 200, 'answer under another id'],
    [LOG, 200, 'answer without a result'],
    [`{"items":["${FILL}"],"id":${ID}}`, 200, 'answer without a result'],
  ];
  for (const [body, status, problem] of cases) assert.equal(judge(body, status), problem);
});
