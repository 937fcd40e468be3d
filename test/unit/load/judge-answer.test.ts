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

test('a result under the id that was asked with is good, wherever the id stands', () => {
  const large = `{"content":[{"type":"text","text":"${'x'.repeat(5_000)}"}]}`;
  for (const body of [
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
  ];
  for (const [body, status, problem] of cases) assert.equal(judge(body, status), problem);
});
