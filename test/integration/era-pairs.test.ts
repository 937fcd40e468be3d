// Every client line against every kind of upstream, through one gateway: real SDK clients, real SDK servers.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { CLIENT_KINDS, connectClient, type SdkClient } from '../support/sdk-clients.ts';
import { type SdkServer, type SdkServerKind, startSdkServer } from '../support/sdk-servers.ts';

interface UpstreamCase {
  readonly service: string;
  readonly kind: SdkServerKind;
  readonly reply: 'json' | 'sse';
}

const UPSTREAMS: readonly UpstreamCase[] = (['stateful', 'stateless', 'modern'] as const).flatMap((kind) =>
  (['json', 'sse'] as const).map((reply) => ({ service: `${kind}_${reply}`, kind, reply })),
);
const REVISIONS = { v1: '2025-11-25', 'v2 legacy': '2025-11-25', 'v2 auto': '2026-07-28', 'v2 pinned': '2026-07-28' };

let gateway: TestGateway;
let servers: SdkServer[];

before(async () => {
  servers = await Promise.all(UPSTREAMS.map(({ kind, reply }) => startSdkServer(kind, reply)));
  gateway = await startGateway({
    configs: UPSTREAMS.map(({ service }, index) => ({ name: `${service}-test`, url: servers[index]!.url })),
  });
});
after(async () => {
  await gateway.close();
  await Promise.all(servers.map((server) => server.close()));
});

for (const clientKind of CLIENT_KINDS) {
  suite(`SDK client ${clientKind}`, () => {
    let client: SdkClient;
    before(async () => {
      client = await connectClient(clientKind, gateway.mcpUrl, gateway.token());
    });
    after(() => client.close());

    test('negotiates its newest revision', () => {
      assert.equal(client.revision, REVISIONS[clientKind]);
    });

    test('lists the tools of every upstream in the order of grants', async () => {
      const expected = UPSTREAMS.flatMap(({ service }) => [`${service}.echo`, `${service}.count`]);
      assert.deepEqual(await client.toolNames(), expected);
    });

    for (const { service, kind, reply } of UPSTREAMS) {
      test(`calls a tool of a ${kind} upstream that replies in ${reply}`, async () => {
        assert.deepEqual(await client.call(`${service}.echo`, { text: `to ${service} é😀` }), {
          text: `to ${service} é😀`,
          progress: [],
        });
      });

      test(`gets the progress of a ${kind} upstream that replies in ${reply}`, async () => {
        const progress = reply === 'sse' ? [1, 2, 3] : [];
        // Two at once: each gets its own progress, under its own token.
        const both = await Promise.all([client.call(`${service}.count`), client.call(`${service}.count`)]);
        assert.deepEqual(both, [
          { text: 'done', progress },
          { text: 'done', progress },
        ]);
      });
    }

    test('is told of a tool that does not exist as the protocol has it', async () => {
      await assert.rejects(client.call('stateful_json.missing'), /Unknown tool: stateful_json\.missing/);
    });

    test('is told of arguments that the tool refuses by the tool itself', async () => {
      for (const { service } of UPSTREAMS) await assert.rejects(client.call(`${service}.echo`, { text: 7 }), /text/);
    });
  });
}
