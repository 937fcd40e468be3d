// One request of the gateway's own to an upstream (probe, initialize, list), read whole. Calls of clients never come
// here: they stream through `data-plane/call-tool`.

import type { Dispatcher } from 'undici';
import { SseLines } from '../protocol/sse-lines.ts';
import { type RpcAnswer, readAnswer } from './control-answer.ts';
import { type FailureStage, UpstreamError } from './failure.ts';
import { classifyUpstreamError } from './pool.ts';

export interface ControlRequest {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
  /** The id in the body; a notification has none, and its answer is not read. */
  readonly id: string | undefined;
  readonly stage: FailureStage;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The JSON-RPC answer, if the body held one. */
  readonly answer: RpcAnswer | undefined;
}

/** Sends one message and reads the answer, be it JSON or an event stream. Throws `UpstreamError`. */
export async function sendControlRequest(pool: Dispatcher, request: ControlRequest): Promise<ControlAnswer> {
  const deadline = AbortSignal.timeout(request.timeoutMs);
  try {
    const response = await pool.request({
      path: request.path,
      method: 'POST',
      headers: request.headers as string[],
      body: request.body,
      signal: deadline,
    });
    const { statusCode: status, headers, body } = response;
    if (request.id === undefined) {
      await body.dump();
      return { status, headers, answer: undefined };
    }
    const isStream = mediaType(headers['content-type']) === 'text/event-stream';
    const read = (bytes: Buffer) => toAnswer(bytes, request.id ?? '', status, request.stage);
    const answer = await (isStream ? readStream(body, request, read) : readWhole(body, request, read));
    return { status, headers, answer };
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    if (deadline.aborted) {
      throw new UpstreamError('timeout', request.stage, `it did not answer within ${request.timeoutMs} ms`, {
        cause: error,
      });
    }
    const { reason, message } = classifyUpstreamError(error);
    throw new UpstreamError(reason, request.stage, message, { cause: error });
  }
}

/** RFC 9110 §8.3.1: case-insensitive, and parameters may follow. Of several headers the first counts. */
function mediaType(header: string | string[] | undefined): string {
  const [first = ''] = [header].flat();
  return (first.split(';', 1)[0] ?? '').trim().toLowerCase();
}

type ReadAnswer = (bytes: Buffer) => RpcAnswer | undefined;

function toAnswer(bytes: Buffer, id: string, status: number, stage: FailureStage): RpcAnswer | undefined {
  const answer = readAnswer(bytes, id, status);
  if (answer === 'misdirected') throw new UpstreamError('broken_answer', stage, 'it answered another request');
  return answer;
}

async function readWhole(
  body: AsyncIterable<Buffer>,
  request: ControlRequest,
  read: ReadAnswer,
): Promise<RpcAnswer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > request.maxBytes) throw tooLarge(request);
    chunks.push(chunk);
  }
  return read(Buffer.concat(chunks));
}

const DATA = 'data:';
const SPACE = 0x20;
const NEWLINE = Buffer.from('\n');

/** Reads events until the answer has come; leaving the loop ends the stream. */
async function readStream(
  body: AsyncIterable<Buffer>,
  request: ControlRequest,
  read: ReadAnswer,
): Promise<RpcAnswer | undefined> {
  let data: Buffer[] = [];
  let answer: RpcAnswer | undefined;
  const lines = new SseLines(
    {
      onLine: (line) => {
        if (line.length === 0) {
          if (data.length > 0) answer ??= read(Buffer.concat(data));
          data = [];
        } else if (line.toString('latin1', 0, DATA.length) === DATA) {
          if (data.length > 0) data.push(NEWLINE);
          data.push(line.subarray(line[DATA.length] === SPACE ? DATA.length + 1 : DATA.length));
        }
      },
      onLongLine: () => false,
      onPart: () => {},
    },
    request.maxBytes,
  );
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > request.maxBytes) throw tooLarge(request);
    lines.push(chunk);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function tooLarge(request: ControlRequest): UpstreamError {
  return new UpstreamError('broken_answer', request.stage, `its answer is larger than ${request.maxBytes} bytes`);
}
