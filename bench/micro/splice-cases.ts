// Rewriting: a client's call into its upstream's, and the upstream's answer into the client's, whole and in parts.

import { toMockResult } from '../../src/load/mock-result.ts';
import { type AnswerRewrite, AnswerStream, rewriteAnswer } from '../../src/protocol/answer-splice.ts';
import { type CallRewrite, rewriteCall } from '../../src/protocol/call-rewrite.ts';
import { findMember } from '../../src/protocol/json-scan.ts';
import type { Message } from '../../src/protocol/jsonrpc.ts';
import { lengthOf } from '../../src/protocol/splice.ts';
import { LARGE_BYTES, legacyCall, modernCall, SHAPES, SMALL_ARGS } from './bodies.ts';
import { toMessage } from './classify-cases.ts';
import type { MicroCase } from './measure.ts';

const UPSTREAM_ID = 'upstream-id-of-22-byte';
/** What a socket is read in. */
const CHUNK_BYTES = 64 * 1024;

export function spliceCases(): MicroCase[] {
  const large = SHAPES['one long string']?.(LARGE_BYTES) ?? '';
  return [
    callCase('small legacy call', toMessage(legacyCall(SMALL_ARGS)), 'legacy', 'legacy'),
    callCase('small modern call', toMessage(modernCall(SMALL_ARGS)), 'modern', 'modern'),
    callCase('small legacy call for a modern upstream', toMessage(legacyCall(SMALL_ARGS)), 'legacy', 'modern'),
    callCase('small modern call for a legacy upstream', toMessage(modernCall(SMALL_ARGS)), 'modern', 'legacy'),
    callCase('call of 1 MB', toMessage(legacyCall(large)), 'legacy', 'legacy'),
    answerCase('small', 200, ANSWER),
    answerCase('16 KB', 16 * 1024 - 200, ANSWER),
    answerCase('60 KB', 60 * 1024, ANSWER),
    answerCase('60 KB, a modern client before a legacy upstream', 60 * 1024, ADDED),
    partsCase('1 MB', LARGE_BYTES),
  ];
}

function callCase(
  what: string,
  message: Message,
  clientEra: 'legacy' | 'modern',
  upstreamEra: 'legacy' | 'modern',
): MicroCase {
  const name = findMember(message.params, 'name');
  if (name === undefined) throw new Error(`${what} names no tool`);
  const rewrite: CallRewrite = {
    clientEra,
    upstreamEra,
    upstreamId: UPSTREAM_ID,
    rename: { start: name.start, end: name.end, text: '"echo"' },
    state: undefined,
    clientInfo: '{"name":"switchboard","version":"1"}',
    capabilities: '{}',
    logLevel: undefined,
  };
  return { name: `splice: ${what}`, bytes: message.bytes.length, run: () => rewriteCall(message, rewrite) };
}

const ANSWER: AnswerRewrite = {
  upstreamId: UPSTREAM_ID,
  clientId: '7',
  clientEra: 'legacy',
  upstreamEra: 'legacy',
  addedMembers: '',
  stripsResultType: false,
  wrapsStructuredContent: false,
};
const ADDED: AnswerRewrite = { ...ANSWER, clientEra: 'modern', addedMembers: '"resultType":"complete"' };

function toAnswer(bytes: number): Buffer {
  return Buffer.from(`{"result":${toMockResult('legacy', bytes, 'dense')},"jsonrpc":"2.0","id":"${UPSTREAM_ID}"}`);
}

function answerCase(what: string, bytes: number, rewrite: AnswerRewrite): MicroCase {
  const answer = toAnswer(bytes);
  if (rewriteAnswer(answer, rewrite) === undefined) throw new Error(`${what} is no answer`);
  return { name: `splice: answer, ${what}`, bytes: answer.length, run: () => rewriteAnswer(answer, rewrite) };
}

function partsCase(what: string, bytes: number): MicroCase {
  const answer = toAnswer(bytes);
  const chunks: Buffer[] = [];
  for (let at = 0; at < answer.length; at += CHUNK_BYTES) chunks.push(answer.subarray(at, at + CHUNK_BYTES));
  const run = (): number => {
    const stream = new AnswerStream(ANSWER);
    let sent = 0;
    for (let index = 0; index < chunks.length; index++) sent += lengthOf(stream.push(chunks[index] as Buffer));
    const rest = stream.end();
    return rest === undefined ? Number.NaN : sent + lengthOf(rest);
  };
  if (Number.isNaN(run())) throw new Error(`${what} in parts is no answer`);
  return { name: `splice: answer in parts, ${what}`, bytes: answer.length, run };
}
