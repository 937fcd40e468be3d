// The first line of every HTTP/1.1 answer has its second space, with or without a phrase behind it (RFC 9112 §4).

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createListener, type ListenerOptions } from '../../src/edge/listener.ts';
import { RawHttp1 } from '../support/raw-http1.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\n';
const STATUS_LINE = /^HTTP\/1\.1 \d{3} [A-Za-z -]*$/;

async function firstLine(bytes: string, options: Partial<ListenerOptions> = {}): Promise<string> {
  const listener = createListener({ host: '127.0.0.1', port: 0, ...options }, (request, response) => {
    const [, status, phrase] = request.url?.split('/') ?? [];
    if (status) response.statusCode = Number(status);
    if (phrase !== undefined) (response as ServerResponse).statusMessage = phrase;
    request.resume().on('end', () => response.end());
  });
  try {
    const client = await RawHttp1.connect(`http://127.0.0.1:${(await listener.listen()).port}`);
    client.write(bytes);
    const text = await client.until(/\r\n\r\n/);
    client.socket.destroy();
    return text.slice(0, text.indexOf('\r\n'));
  } finally {
    await listener.close();
  }
}

for (const [what, bytes, line, options] of [
  ['no request', 'nonsense\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
  ['one that is too slow', HEAD, 'HTTP/1.1 408 Request Timeout', { headersTimeoutMs: 40, checkIntervalMs: 10 }],
  [
    'long chunk extensions',
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}`,
    'HTTP/1.1 413 Payload Too Large',
  ],
  ['a large head', `${HEAD}x: ${'x'.repeat(20_000)}`, 'HTTP/1.1 431 Request Header Fields Too Large'],
  ['an old version', 'GET / HTTP/1.0\r\nHost: x\r\n\r\n', 'HTTP/1.1 505 HTTP Version Not Supported'],
  ['an expectation', `${HEAD}Expect: cake\r\nContent-Length: 1\r\n\r\n`, 'HTTP/1.1 417 Expectation Failed'],
  ['an answer without a phrase', 'GET /200/ HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP/1.1 200 OK'],
  ['a status that has no phrase', 'GET /599 HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP/1.1 599 unknown'],
] as const) {
  test(`the status line for ${what} is whole`, async () => {
    const first = await firstLine(bytes, options);
    assert.match(first, STATUS_LINE);
    assert.equal(first, line);
  });
}
