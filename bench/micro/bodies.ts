// Request bodies of several shapes, as clients write them.

import { MODERN_REVISION } from '../../src/protocol/era.ts';

/** 1 MiB: what a large argument is. */
export const LARGE_BYTES = 1024 * 1024;

const RECORD = '{"id":1234567,"name":"a record","tags":["a","b"],"ok":true,"ratio":0.25}';

/** Arguments of about `bytes` bytes by their shape, as raw JSON. */
export const SHAPES: Readonly<Record<string, (bytes: number) => string>> = {
  'one long string': (bytes) => `{"text":"${'x'.repeat(bytes)}"}`,
  'short strings': (bytes) => `{"words":[${repeat('"some text of a few words, and a comma"', bytes)}]}`,
  'records with short keys': (bytes) => `{"records":[${repeat(RECORD, bytes)}]}`,
  numbers: (bytes) => `{"points":[${repeat('[12.5,-7,3e2,1234567]', bytes)}]}`,
  'escapes in a string': (bytes) => `{"text":"${'a \\"word\\"\\n'.repeat(bytes / 12)}"}`,
  'text beyond ASCII in a string': (bytes) => `{"text":"${'größer 東京 '.repeat(bytes / 16)}"}`,
  'white space': (bytes) => `{"points":[${repeat('\n    {\n      "x": 1\n    }', bytes)}\n]}`,
};

function repeat(item: string, bytes: number): string {
  return Array.from({ length: Math.ceil(bytes / (item.length + 1)) }, () => item).join();
}

export function legacyCall(args: string): Buffer {
  return Buffer.from(
    `{"method":"tools/call","params":{"name":"bench.echo","arguments":${args}},"jsonrpc":"2.0","id":7}`,
  );
}

export function modernCall(args: string): Buffer {
  const meta = JSON.stringify({
    'io.modelcontextprotocol/protocolVersion': MODERN_REVISION,
    'io.modelcontextprotocol/clientInfo': { name: 'switchboard-bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  });
  return Buffer.from(
    `{"method":"tools/call","params":{"name":"bench.echo","arguments":${args},"_meta":${meta}},"jsonrpc":"2.0","id":7}`,
  );
}

export const SMALL_ARGS = '{"text":"hello"}';
