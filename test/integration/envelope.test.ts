// The corpus of JSON-RPC envelopes through the whole gateway: what the scanner refuses reaches no upstream.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import {
  assertNoCanary,
  CANARY,
  readCorpus,
  reportCounts,
  withoutStall,
  withoutUpstreamBytes,
} from '../support/corpus.ts';
import { bytesOf, ENVELOPE_COUNTS, type EnvelopeCase } from '../support/envelope-corpus.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const refused = readCorpus<EnvelopeCase>('envelope.jsonl', ENVELOPE_COUNTS).filter(({ code }) => code !== undefined);

suite('an envelope that is refused', () => {
  let upstream: RecordingUpstream;
  let gateway: TestGateway;

  before(async () => {
    upstream = await startRecordingUpstream({ era: 'legacy' });
    gateway = await startGateway({ configs: [{ name: 'up', url: upstream.url, credential: CANARY }] });
    const list = await post(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/list"}'));
    assert.equal(list.message.result.tools.length, 1);
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
  });

  function post(body: Buffer): Promise<Answer> {
    return send(gateway.mcpUrl, { token: gateway.token(), headers: { accept: BOTH }, body });
  }

  for (const each of refused) {
    test(`${each.name}: ${each.code}`, async () => {
      const answer = await withoutStall(() => withoutUpstreamBytes([upstream], () => post(bytesOf(each))));
      assert.equal(answer.status, 400);
      assert.equal(answer.message.error?.code, each.code);
      assert.equal(answer.text.includes(`"id":${each.id}`), each.id !== null);
      assertNoCanary(answer.text);
    });
  }

  test('has its counts printed', (t) => reportCounts(t, 'envelope.jsonl', refused));
});
