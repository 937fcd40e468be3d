// Any mixture of messages in a batch gets exactly one answer per request and per broken message, in their order and with
// their ids as they were written, and none for a notification or a response.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { JsonScanner, type Span } from '../../src/protocol/json-scan.ts';
import { CODE_POINT } from '../support/code-points.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

let upstream: RecordingUpstream;
let gateway: TestGateway;
let session: string;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'legacy', reply: 'sse' });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
  const params = '"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
  const { headers } = await send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token: gateway.token() });
  session = String(headers['mcp-session-id']);
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

/** A message, and the raw id of its answer: `null` for one without, `undefined` where nothing answers. */
interface Sample {
  readonly text: string;
  readonly answerId: string | null | undefined;
}

const rawId = fc.oneof(
  fc.integer({ min: -3, max: 3 }).map(String),
  fc.bigInt().map(String),
  fc.string({ unit: CODE_POINT, maxLength: 4 }).map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\u0031"', '"1"', '"\\/"', '9007199254740993'),
);
const sample: fc.Arbitrary<Sample> = fc.oneof(
  fc
    .tuple(
      rawId,
      fc.constantFrom(
        '"method":"ping"',
        '"method":"tools/list","params":{}',
        '"method":"tools/call","params":{"name":"rec.echo","arguments":{}}',
        '"method":"tools/call","params":{"name":"rec.none"}',
        '"method":"tools/call"',
        '"method":"no/such"',
        '"method":"initialize","params":{"protocolVersion":"2025-03-26"}',
        '"method":7',
        '"Method":"ping"',
        '"method":"ping","result":{}',
        '"method":"ping","params":[]',
      ),
    )
    .map(([id, rest]) => ({
      text: `{"jsonrpc":"2.0","id":${id},${rest}}`,
      answerId: rest.startsWith('"Method') ? null : id,
    })),
  fc
    .constantFrom('1', 'null', '"[]"', '[]', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', '{}')
    .map((text) => ({ text, answerId: null })),
  fc
    .constantFrom(
      '"method":"notifications/initialized"',
      '"method":"ping"',
      '"id":1,"result":{}',
      '"id":"1","error":{"code":1,"message":""}',
    )
    .map((rest) => ({ text: `{"jsonrpc":"2.0",${rest}}`, answerId: undefined })),
);
const space = fc.constantFrom('', ' ', '\r\n\t');

test('any mixture of messages is answered once each, and only what asks', async () => {
  const samples = fc.array(fc.tuple(sample, space), { minLength: 1, maxLength: 40 });
  await fc.assert(fc.asyncProperty(samples, answersEach), { numRuns: 60, interruptAfterTimeLimit: 3_000 });
});

async function answersEach(samples: readonly [Sample, string][]): Promise<void> {
  const body = `[${samples.map(([{ text }, around]) => `${around}${text}${around}`)}]`;
  const headers = { accept: 'application/json', 'mcp-session-id': session };
  const { status, bytes } = await send(gateway.mcpUrl, { token: gateway.token(), headers, body });
  const expected = samples.map(([{ answerId }]) => answerId).filter((id) => id !== undefined);
  assert.equal(status, expected.length === 0 ? 202 : 200);
  assert.deepEqual(status === 202 ? [] : idsOf(bytes), expected);
}

/** The raw ids of an array of answers; `null` for one that has none. */
function idsOf(bytes: Buffer): (string | null)[] {
  const elements: Span[] = [];
  assert.equal(new JsonScanner(bytes).readElements(0, 0, elements), bytes.length);
  return elements.map(({ start, end }) => {
    const answer = bytes.subarray(start, end);
    const id = JSON.parse(answer.toString(), (key, value, context?: { source?: string }) =>
      key === 'id' ? (context?.source ?? value) : value,
    ).id;
    return id ?? null;
  });
}
