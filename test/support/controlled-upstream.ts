// An upstream whose tools answer when the test says so, in pieces, or with more than their client takes.

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { toolNamed } from './listing-upstream.ts';
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.ts';
import { type Era, toMessage } from './sdk-server-replies.ts';

export const LARGE_BYTES = 64 * 1024 * 1024;
export const PIECE = 'x'.repeat(64 * 1024);

/** The clock of the machine, whatever a test makes of `performance.now`. */
export const realNow = performance.now.bind(performance);

/** What tests and the tools of all their upstreams share. */
export class Control {
  /** While it is pending, `hang` is unanswered, and `parts` and `events` are answered by half. */
  gate = Promise.withResolvers<void>();
  /** Bytes that `large` and `flood` have got rid of, and when they last did, by `realNow`. */
  pushed = { bytes: 0, atMs: 0 };
  /** Answer the calls of `ordered`, in the order in which they came. */
  ordered: (() => void)[] = [];

  /** For the next test; the tools of upstreams keep this object. */
  reset(): void {
    Object.assign(this, new Control());
  }
}

/** `quick` answers with its arguments, `short` with 60 KB; the rest is as `Control` says. */
export function startControlledUpstream(era: Era, control: Control): Promise<RecordingUpstream> {
  const tools = ['quick', 'short', 'hang', 'parts', 'events', 'large', 'flood', 'ordered'];
  return startRecordingUpstream({
    era,
    tools: tools.map((name) => toolNamed(name)),
    sessions: era === 'legacy',
    onCall: ({ name, body }) => {
      const result = `{"got":${JSON.stringify(JSON.parse(body.toString()).params.arguments ?? null)}}`;
      if (name === 'quick') return result;
      if (name === 'short') return `{"a":"${PIECE.slice(0, 60_000)}"}`;
      if (name === 'hang') return control.gate.promise.then(() => result);
      return new Promise((resolve) => control.ordered.push(() => resolve(result)));
    },
    intercept: ({ body, signal }, response) => {
      const { id, method, params } = JSON.parse(body.toString() || '{}');
      const tool = method === 'tools/call' ? STREAMED[params.name] : undefined;
      if (tool === undefined) return false;
      void tool({ response, idText: JSON.stringify(id), left: signal, control });
      return true;
    },
  });
}

interface Streaming {
  readonly response: ServerResponse;
  readonly idText: string;
  /** Aborted when the caller has left; then the tool ends early. */
  readonly left: AbortSignal;
  readonly control: Control;
}

const STREAMED: Readonly<Record<string, (streaming: Streaming) => Promise<void>>> = {
  async parts({ response, idText, control }) {
    const [begin = '', end = ''] = toMessage(idText, `{"a":"${PIECE}${PIECE}|"}`).split('|');
    const headers = { 'content-type': 'application/json', 'content-length': begin.length + end.length };
    response.writeHead(200, headers).write(begin);
    await control.gate.promise;
    response.end(end);
  },
  async events({ response, idText, control }) {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${progress(idText, '')}\n\n`);
    await control.gate.promise;
    response.end(`data: ${toMessage(idText, '{"got":null}')}\n\n`);
  },
  async large(streaming) {
    const [begin = '', end = ''] = toMessage(streaming.idText, '{"a":"|"}').split('|');
    streaming.response.writeHead(200, { 'content-type': 'application/json' });
    await push(streaming, begin);
    await pushAll(streaming, PIECE);
    streaming.response.end(end);
  },
  async flood(streaming) {
    const { response, idText } = streaming;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    await pushAll(streaming, `data: ${progress(idText, PIECE)}\n\n`);
    response.end(`data: ${toMessage(idText, '{}')}\n\n`);
  },
};

function progress(tokenText: string, text: string): string {
  const params = `{"progressToken":${tokenText},"progress":1,"message":"${text}"}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
}

async function pushAll(streaming: Streaming, text: string): Promise<void> {
  for (let sent = 0; sent < LARGE_BYTES && !streaming.left.aborted; sent += PIECE.length) await push(streaming, text);
}

async function push({ response, left, control }: Streaming, text: string): Promise<void> {
  if (!response.write(text) && !left.aborted) {
    await Promise.race([once(response, 'drain'), once(left, 'abort')]).catch(() => undefined);
  }
  control.pushed = { bytes: control.pushed.bytes + text.length, atMs: realNow() };
}
