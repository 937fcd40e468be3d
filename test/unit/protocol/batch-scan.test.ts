import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isBatch, MAX_BATCH_MESSAGES, scanBatch } from '../../../src/protocol/batch-scan.ts';
import { rawText } from '../../../src/protocol/jsonrpc.ts';

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

/** What each message is read as: `kind id`, or the id and the error of a fault. */
function read(text: string | Buffer): string[] | string {
  const messages = scanBatch(Buffer.from(text));
  if ('kind' in messages) return `${messages.code}: ${messages.message}`;
  return messages.map((message) =>
    message.kind === 'fault'
      ? `${message.id ?? '-'} ${message.code}: ${message.message}`
      : `${message.kind} ${message.id === undefined ? '-' : rawText(message.bytes, message.id)}`,
  );
}

suite('a batch', () => {
  test('is a body that is an array, whatever space is around it', () => {
    for (const text of ['[', '[]', ' \r\n\t[1]', `[${PING}]`]) assert.equal(isBatch(Buffer.from(text)), true, text);
    for (const text of ['', ' ', '{}', ' {"a":[]}', '"["', '\ufeff[]']) {
      assert.equal(isBatch(Buffer.from(text)), false, text);
    }
  });

  test('is cut into its messages in their order, each read on its own bytes', () => {
    const text = ` [ ${PING} ,\n{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":"1","result":{}}, ${PING.replace('1', '"]"')} ] `;
    assert.deepEqual(read(text), ['request 1', 'notification -', 'response "1"', 'request "]"']);
  });

  test('is refused as a whole where it is no JSON, empty or too long', () => {
    assert.match(String(read(`[${PING},`)), /^parse_error: .*where a value was expected, at byte 42/);
    assert.match(String(read(`[${PING} ${PING}]`)), /^parse_error: .*expected ',' or '\]'/);
    assert.match(String(read(`[${PING}`)), /^parse_error: .*expected ',' or '\]'/);
    assert.match(String(read(`[${PING},]`)), /^parse_error/);
    assert.match(String(read(`[${PING}] x`)), /^parse_error: .*goes on behind the batch, at byte 43/);
    assert.match(String(read(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]))), /^parse_error: .*UTF-8/);
    assert.match(String(read('[ ]')), /^invalid_request: The batch is empty/);
    const most = Array.from({ length: MAX_BATCH_MESSAGES }, (_, id) => PING.replace('1', String(id)));
    assert.equal(read(`[${most}]`).length, MAX_BATCH_MESSAGES);
    assert.match(String(read(`[${most},1]`)), /^invalid_request: The batch holds more than 100 messages/);
    assert.match(String(read(`[${'1,'.repeat(2_000_000)}1]`)), /more than 100/);
  });

  test('answers what is no message in its place, and serves the others', () => {
    const faults = read(
      `[1,"a",null,[${PING}],{"jsonrpc":"2.0","id":null,"method":"x"},{"id":7,"method":"x"},${PING}]`,
    );
    assert.deepEqual(
      (faults as string[]).map((line) => line.split(':')[0]),
      [
        '- invalid_request',
        '- invalid_request',
        '- invalid_request',
        '- invalid_request',
        '- invalid_request',
        '7 invalid_request',
        'request 1',
      ],
    );
  });

  test('may nest a message as deeply as one that comes alone, and no deeper', () => {
    const nested = (levels: number) =>
      `[{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}]`;
    assert.deepEqual(read(nested(62)), ['request 1']);
    assert.match(String(read(nested(63))), /^parse_error: .*nested deeper/);
  });

  test('serves no initialize and no message with an envelope', () => {
    const initialize = '{"jsonrpc":"2.0","id":2,"method":"initialize","params":{}}';
    const modern =
      '{"jsonrpc":"2.0","id":3,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}';
    const [first, second, third] = read(`[${PING},${initialize},${modern}]`) as string[];
    assert.equal(first, 'request 1');
    assert.match(second!, /^2 invalid_request: initialize is not served in a batch/);
    assert.match(third!, /^3 invalid_request: .*envelope/);
  });

  test('serves none of several requests with one id, however it is written', () => {
    const withId = (id: string) => PING.replace('1', id);
    const ids = ['"a"', '"\\u0061"', '1', '"1"', '-1', '1'];
    const lines = read(`[${ids.map(withId)},{"id":-1},{"jsonrpc":"2.0","id":"1","result":1}]`) as string[];
    assert.deepEqual(
      lines.map((line) => line.split(':')[0]),
      [
        '"a" invalid_request',
        '"\\u0061" invalid_request',
        '1 invalid_request',
        'request "1"',
        '-1 invalid_request',
        '1 invalid_request',
        '-1 invalid_request',
        'response "1"',
      ],
    );
  });
});
