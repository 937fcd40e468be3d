import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, it } from 'node:test';
import { createControlReader, type Found } from '../../../src/upstream/control-reader.ts';
import { heldMemoryBytes } from '../../support/held-memory.ts';

const MINE = '{"jsonrpc":"2.0","id":"mine","result":{"tools":[]}}';
const FOREIGN = '{"jsonrpc":"2.0","id":"other","result":{"tools":[{"name":"forged"}]}}';
const STREAM = { 'content-type': 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };

function lengthOf(text: string): IncomingHttpHeaders {
  return { ...JSON_TYPE, 'content-length': String(Buffer.byteLength(text)) };
}

function kindOf(found: Found): string {
  return found === undefined || found === 'misdirected' ? String(found) : 'answer';
}

/** What is found at each chunk, and at the end. */
function read(headers: IncomingHttpHeaders, ...chunks: string[]): { found: string[]; isOverrun: boolean } {
  const reader = createControlReader(headers, 'mine', 200);
  const found = chunks.map((chunk) => kindOf(reader.push(Buffer.from(chunk))));
  return { found: [...found, kindOf(reader.end())], isOverrun: reader.isOverrun };
}

describe('an answer to a request of the gateway’s own', () => {
  it('with a length is read with its last byte', () => {
    assert.deepEqual(read(lengthOf(MINE), MINE.slice(0, 9), MINE.slice(9)).found, ['undefined', 'answer', 'answer']);
    assert.deepEqual(read(lengthOf(FOREIGN), FOREIGN).found, ['misdirected', 'misdirected']);
  });

  it('without a length is read when it is whole, whatever white space follows', () => {
    for (const end of ['', '\n', ' \r\n\t']) {
      assert.deepEqual(read(JSON_TYPE, FOREIGN + end).found, ['misdirected', 'misdirected']);
      assert.deepEqual(read(JSON_TYPE, MINE.slice(0, 9), MINE.slice(9) + end).found, ['undefined', 'answer', 'answer']);
    }
  });

  it('that is cut off at a brace is no answer yet', () => {
    const cut = MINE.slice(0, MINE.lastIndexOf('}'));
    assert.deepEqual(read(JSON_TYPE, cut).found, ['undefined', 'undefined']);
  });

  it('of white space or nothing is no answer', () => {
    assert.deepEqual(read(JSON_TYPE, ' \n').found, ['undefined', 'undefined']);
    assert.deepEqual(read(JSON_TYPE, '').found, ['undefined', 'undefined']);
  });

  it('in a stream is read with the end of its event, and what follows is an overrun', () => {
    const event = `data: ${MINE}\n\n`;
    assert.deepEqual(read(STREAM, ': hello\n\n', event), {
      found: ['undefined', 'answer', 'answer'],
      isOverrun: false,
    });
    assert.deepEqual(read(STREAM, event, ': bye\n\n').isOverrun, false);
    assert.deepEqual(read(STREAM, `${event}data: ${FOREIGN}\n\n`).isOverrun, true);
    assert.deepEqual(read(STREAM, event, `data: ${FOREIGN}\n\n`).isOverrun, true);
    assert.deepEqual(read(STREAM, event.slice(0, -1)).found, ['undefined', 'undefined']);
  });
});

describe('an answer in pieces of one byte', () => {
  const PIECES = 1_000_000;

  it('that could each be its last holds nobody up', () => {
    const reader = createControlReader(JSON_TYPE, 'mine', 200);
    reader.push(Buffer.from('{"a":"'));
    const startedMs = performance.now();
    for (let count = 0; count < PIECES; count++) assert.equal(reader.push(Buffer.from('}')), undefined);
    // Read again with each of them it would be minutes.
    assert.ok(performance.now() - startedMs < 3_000);
  });

  for (const [what, headers, piece] of [
    ['chunks', JSON_TYPE, 'x'],
    ['lines', STREAM, 'data:\n'],
  ] as const) {
    it(`takes little more memory than its bytes (${what})`, () => {
      const reader = createControlReader(headers, 'mine', 200);
      const bytes = Buffer.from(piece);
      const before = heldMemoryBytes();
      for (let count = 0; count < PIECES; count++) reader.push(bytes.subarray(0));
      // Two hundred megabytes if each were kept as it came.
      assert.ok(heldMemoryBytes() - before < 10e6);
      reader.push(Buffer.from('\n\n'));
      assert.equal(reader.end(), undefined);
    });
  }
});
