// One request of the gateway's own to an upstream (probe, initialize, list), read whole. Calls of clients never come
// here: they stream through `data-plane/call-tool`.

import type { Dispatcher } from 'undici';
import type { Message } from '../protocol/jsonrpc.ts';
import { scanMessage } from '../protocol/jsonrpc.ts';
import { SseLines } from '../protocol/sse-lines.ts';
import { type FailureStage, UpstreamError } from './failure.ts';
import { classifyUpstreamError } from './pool.ts';

export interface ControlRequest {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly stage: FailureStage;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The JSON-RPC answer, if the body held one. */
  readonly message: Message | undefined;
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
    const isStream = String(response.headers['content-type'] ?? '').startsWith('text/event-stream');
    const message = await (isStream ? readStream(response.body, request) : readWhole(response.body, request));
    return { status: response.statusCode, headers: response.headers, message };
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    if (deadline.aborted) {
      throw new UpstreamError('timeout', request.stage, `it did not answer within ${request.timeoutMs} ms`, error);
    }
    const { reason, message } = classifyUpstreamError(error);
    throw new UpstreamError(reason, request.stage, message, error);
  }
}

async function readWhole(body: AsyncIterable<Buffer>, request: ControlRequest): Promise<Message | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > request.maxBytes) throw tooLarge(request);
    chunks.push(chunk);
  }
  return toAnswer(Buffer.concat(chunks));
}

/** Reads events until the answer has come; leaving the loop ends the stream. */
async function readStream(body: AsyncIterable<Buffer>, request: ControlRequest): Promise<Message | undefined> {
  let data: Buffer[] = [];
  let answer: Message | undefined;
  const lines = new SseLines(
    {
      onLine: (line) => {
        if (line.length > 0) {
          if (line.toString('latin1', 0, 5) === 'data:') data.push(line.subarray(5));
          return;
        }
        answer ??= toAnswer(Buffer.concat(data));
        data = [];
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

function toAnswer(bytes: Buffer): Message | undefined {
  const message = scanMessage(bytes);
  return message.kind === 'response' ? message : undefined;
}

function tooLarge(request: ControlRequest): UpstreamError {
  return new UpstreamError('broken_answer', request.stage, `its answer is larger than ${request.maxBytes} bytes`);
}
