import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { Http1Request } from '../../../src/edge/http1-request.ts';

/** Sends `pieces` one after the other, each when the one before has been read; returns what is answered until the end. */
async function exchange(
  onRequest: (request: Http1Request, answer: (text: string) => void) => void,
  ...pieces: string[]
): Promise<string> {
  const server = createServer({ IncomingMessage: Http1Request }, (request, response) =>
    onRequest(request, (text) => response.end(text)),
  );
  server.on('checkContinue', (request, response) => {
    request.once('newListener', () => response.writeContinue());
    onRequest(request as Http1Request, (text) => response.end(text));
  });
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let sent = 0;
  const [socket] = await accepted;
  for (const piece of pieces) {
    client.write(piece, 'latin1');
    sent += Buffer.byteLength(piece, 'latin1');
    while (socket.bytesRead < sent) await new Promise(setImmediate);
  }
  client.end();
  let answer = '';
  for await (const chunk of client.setEncoding('latin1')) answer += chunk;
  server.close();
  return answer;
}

const HEAD = 'POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n';

const NAMES = [
  ...['Host', 'accept', 'Accept', 'ORIGIN', 'mcp-name', 'Mcp-Name', 'connection', 'User-Agent', 'mcp-method'],
  ...['Content-Type', 'authorization', 'mcp-session-id', 'sec-fetch-mode', 'accept-encoding', 'Accept-Language'],
  ...['mcp-protocol-version', 'MCP-Protocol-Version', 'cookie', 'set-cookie', 'x-other', '__proto__', 'constructor'],
];

test('headers are those that Node makes of the same lines', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom('a', 'b', '')), { maxLength: 20 }),
      (lines) => {
        const [ours, plain] = [Http1Request, Object.getPrototypeOf(Http1Request) as typeof IncomingMessage].map(
          (Class) => {
            const request = new Class(undefined as unknown as Socket);
            request.rawHeaders = lines.flat();
            // What its parser would say: how many of them count.
            const count = Object.getOwnPropertySymbols(request).find(
              (symbol) => symbol.description === 'kHeadersCount',
            );
            Object.assign(request, { [count as symbol]: request.rawHeaders.length });
            return request.headers;
          },
        );
        const sent = Object.entries(ours ?? {}).filter(([, value]) => value !== undefined);
        assert.deepEqual(new Map(sent), new Map(Object.entries(plain ?? {})));
      },
    ),
  );
});

/** Takes the body, or reads it as the stream; says which it was. */
function read(request: Http1Request, answer: (text: string) => void): void {
  const onPieces = (): void => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1');
    });
    request.on('end', () => answer(`pieces ${body} ${request.readableEnded}`));
  };
  const bytes = Number(request.headers['content-length']);
  const onBody = (body: Buffer): void => answer(`whole ${body.toString('latin1')} ${request.readableEnded}`);
  if (!request.takeBody({ bytes, onBody, onPieces })) onPieces();
}

for (const [what, expected, ...pieces] of [
  ['with its head', 'whole hello true', `${HEAD}Content-Length: 5\r\n\r\nhello`],
  ['in one piece behind its head', 'whole hello true', `${HEAD}Content-Length: 5\r\n\r\n`, 'hello'],
  ['in two pieces', 'pieces hello true', `${HEAD}Content-Length: 5\r\n\r\nhe`, 'llo'],
  ['byte by byte', 'pieces hey true', `${HEAD}Content-Length: 3\r\n\r\n`, 'h', 'e', 'y'],
  ['chunked', 'pieces hello true', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  ['of no bytes', 'pieces  true', `${HEAD}Content-Length: 0\r\n\r\n`],
] as const) {
  test(`a body that comes ${what} is read once and whole`, async () => {
    const answer = await exchange(read, ...pieces);
    assert.equal(answer.split('\r\n\r\n')[1], expected);
  });
}

test('a client that waits for 100 Continue is told to go on', async () => {
  const head = `${HEAD}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const answer = await exchange(read, head, 'hello');
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*pieces hello true$/);
});

test('requests that come together on one connection are each answered with their own body', async () => {
  const request = (body: string): string => `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n${body}`;
  const answer = await exchange(read, request('a') + request('b') + request('c'));
  assert.deepEqual(answer.match(/whole . true/g), ['whole a true', 'whole b true', 'whole c true']);
});
