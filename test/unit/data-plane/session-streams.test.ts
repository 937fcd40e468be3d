import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { Catalogs } from '../../../src/catalog/catalogs.ts';
import type { Exchange } from '../../../src/data-plane/exchange.ts';
import { OpenStreams } from '../../../src/data-plane/open-streams.ts';
import { SessionStreams } from '../../../src/data-plane/session-streams.ts';
import type { Session } from '../../../src/data-plane/sessions.ts';
import { UpstreamWatches } from '../../../src/data-plane/upstream-watches.ts';
import type { Logger } from '../../../src/telemetry/logger.ts';
import { eventually } from '../../support/eventually.ts';
import { closeServer, listenLocally } from '../../support/local-server.ts';

const NOTHING_GRANTED = { current: () => undefined, snapshot: () => undefined } as unknown as Catalogs;

function sessionOf(nonce: string): Session {
  return { nonce, revision: '2025-11-25', expiresAtMs: Infinity } as Session;
}

test('the stream of a session outlasts any number of sessions that others open', async (t) => {
  const requested = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
  const server = createServer((...both) => requested.resolve(both));
  const client = request({ port: await listenLocally(server), host: '127.0.0.1' }).end();
  client.on('error', () => undefined);
  const [http, response] = await requested.promise;
  const options = { catalogs: NOTHING_GRANTED, limits: { streamsPerToken: 1 }, log: {} as Logger, now: Date.now };
  const streams = new OpenStreams(options, () => undefined);
  t.after(() => {
    streams.close();
    client.destroy();
    return closeServer(server);
  });
  const watches = new UpstreamWatches({ onListChanged: () => undefined, onFault: assert.ifError });
  const sessions = new SessionStreams({ catalogs: NOTHING_GRANTED, streams, watches, now: Date.now });
  const exchange = {
    request: http,
    response,
    principal: { token: { id: 't' } },
    view: undefined,
  } as unknown as Exchange;
  assert.equal(sessions.open(exchange, sessionOf('first'), undefined), undefined);
  const [received] = await once(client, 'response');
  received.resume();
  for (let count = 0; count < 20_001; count++) sessions.nonceOf(sessionOf(`${count}`), exchange);
  assert.ok(sessions.sendRequest(sessionOf('first'), Buffer.from('{}')));
  assert.equal(streams.count, 1);
  sessions.endSession(sessionOf('first'));
  await eventually(() => response.writableFinished);
  assert.equal(streams.count, 0);
});
