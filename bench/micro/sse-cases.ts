// The relay of an event stream, from the upstream's bytes to the client's.

import { type RelayRewrite, SseRelay } from '../../src/protocol/sse-relay.ts';
import type { MicroCase } from './measure.ts';

const UPSTREAM_ID = 'upstream-id-of-22-byte';
const REWRITE: RelayRewrite = {
  upstreamId: UPSTREAM_ID,
  clientId: '7',
  clientEra: 'legacy',
  upstreamEra: 'legacy',
  addedMembers: '',
  stripsResultType: false,
  wrapsStructuredContent: false,
  progressToken: '"token"',
  logLevel: 'debug',
  framing: 'sse',
};
const SINK = { onNotification: () => undefined, onRequest: () => undefined, isSpecial: () => false };

const ANSWER = `event: message\ndata: {"result":{"content":[{"type":"text","text":"${'x'.repeat(200)}"}]},"jsonrpc":"2.0","id":"${UPSTREAM_ID}"}\n\n`;
const PROGRESS = `event: message\ndata: {"method":"notifications/progress","params":{"progressToken":"${UPSTREAM_ID}","progress":1,"total":20,"message":"a step"},"jsonrpc":"2.0"}\n\n`;
const LOG = `event: message\ndata: {"method":"notifications/message","params":{"level":"info","logger":"bench","data":"a line"},"jsonrpc":"2.0"}\n\n`;

export function sseCases(): MicroCase[] {
  return [
    sseCase('the answer alone', [ANSWER]),
    sseCase('20 progress events and the answer, in one chunk', [PROGRESS.repeat(20) + ANSWER]),
    sseCase('20 progress events and the answer, a chunk each', [...Array.from({ length: 20 }, () => PROGRESS), ANSWER]),
    sseCase('20 log messages and the answer, in one chunk', [LOG.repeat(20) + ANSWER]),
  ];
}

function sseCase(what: string, texts: readonly string[]): MicroCase {
  const chunks = texts.map((text) => Buffer.from(text));
  const run = (): string => {
    const relay = new SseRelay(REWRITE, SINK);
    for (let index = 0; index < chunks.length; index++) relay.push(chunks[index] as Buffer);
    return relay.state;
  };
  if (run() !== 'answered') throw new Error(`${what}: no answer`);
  return { name: `sse: ${what}`, bytes: chunks.reduce((sum, { length }) => sum + length, 0), run };
}
