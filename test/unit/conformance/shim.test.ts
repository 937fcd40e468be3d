import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { startShim } from '../../conformance/shim.ts';
import { closeServer, listenLocally } from '../../support/local-server.ts';

/** A gateway that answers with `serve`, behind a shim. */
async function shimBefore(serve: RequestListener, prefix?: string) {
  const server = createServer(serve);
  const url = `http://127.0.0.1:${await listenLocally(server)}/mcp/conf`;
  const shim = await startShim({ url, token: 'the-token', ...(prefix === undefined ? {} : { prefix }) });
  return {
    url: shim.url,
    [Symbol.asyncDispose]: async () => {
      await shim.close();
      await closeServer(server);
    },
  };
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<IncomingMessage> {
  const outgoing = request(url, { method: 'POST', headers });
  outgoing.end(body);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  return answer;
}

test('the token is added, and path, Host, Origin and body are those the gateway would have got', async () => {
  await using shim = await shimBefore((incoming, outgoing) => {
    const { host, origin, authorization } = incoming.headers;
    text(incoming).then((body) =>
      outgoing.end(JSON.stringify({ url: incoming.url, host, origin, authorization, body })),
    );
  });
  const answer = await post(shim.url, { host: 'evil.example', origin: 'http://evil.example' }, '{"a":1.0}');
  assert.deepEqual(JSON.parse(await text(answer)), {
    url: '/mcp/conf',
    host: 'evil.example',
    origin: 'http://evil.example',
    authorization: 'Bearer the-token',
    body: '{"a":1.0}',
  });
});

test('names are changed on the way in and out, and the lengths with them', async () => {
  await using shim = await shimBefore((incoming, outgoing) => {
    const { 'mcp-name': name } = incoming.headers;
    text(incoming).then((body) => {
      const answer = JSON.stringify({ result: { tools: [{ name }], body } });
      outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
    });
  }, 'conf.');
  const call = { method: 'tools/call', params: { name: 'x' } };
  const answer = await post(shim.url, { 'mcp-method': 'tools/call', 'mcp-name': 'x' }, JSON.stringify(call));
  assert.deepEqual(JSON.parse(await text(answer)), {
    result: { tools: [{ name: 'x' }], body: '{"method":"tools/call","params":{"name":"conf.x"}}' },
  });
});

test('events come one by one, and leaving ends the request to the gateway', async () => {
  const left = Promise.withResolvers<void>();
  await using shim = await shimBefore((_incoming, outgoing) => {
    outgoing.on('close', left.resolve);
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    outgoing.write('data: {"result":{"prompts":[{"name":"conf.p"}]}}\n\n');
  }, 'conf.');
  const answer = await post(shim.url, {}, '{}');
  const [chunk] = (await once(answer, 'data')) as [Buffer];
  assert.equal(String(chunk), 'data: {"result":{"prompts":[{"name":"p"}]}}\n\n');
  answer.destroy();
  await left.promise;
});
