// A legacy upstream with sessions, each with a GET stream of its own, on which the test says what it likes.

import { eventually } from './eventually.ts';
import { type Asked, answer, beginStream, tell, WatchedUpstream } from './watched-upstream.ts';

export interface SessionUpstreamOptions {
  /** `false` for one that answers GET with 405. */
  readonly streams?: boolean;
}

export class SessionUpstream {
  readonly watched = new WatchedUpstream((asked) => this.#serve(asked));
  /** Calls that are not answered yet, in the order in which they came. */
  readonly calls: Asked[] = [];
  /** No session is opened before. */
  opening = Promise.resolve();
  readonly #hasStreams: boolean;
  #sessions = 0;

  private constructor({ streams = true }: SessionUpstreamOptions) {
    this.#hasStreams = streams;
  }

  static async start(options: SessionUpstreamOptions = {}): Promise<SessionUpstream> {
    const upstream = new SessionUpstream(options);
    await upstream.watched.listen();
    return upstream;
  }

  get url(): string {
    return this.watched.url;
  }

  close(): Promise<void> {
    return this.watched.close();
  }

  /** Resolves with the first so many calls. */
  async called(count = 1): Promise<Asked[]> {
    await eventually(() => this.calls.length >= count);
    return this.calls;
  }

  /** Says something on the GET stream of the session that the call is of. */
  say({ headers }: Asked, message: object): void {
    const { 'mcp-session-id': id } = headers;
    const stream = this.watched.of('GET').findLast((each) => each.headers['mcp-session-id'] === id && !each.isOver);
    if (stream === undefined) throw new Error('the session of this call has no stream');
    tell(stream, { jsonrpc: '2.0', ...message });
  }

  /** The response to a request of its own. */
  async responseTo(id: unknown): Promise<Record<string, unknown>> {
    const come = () => this.watched.asked.find(({ message }) => message?.method === undefined && message?.id === id);
    return (await eventually(come)).message;
  }

  finish(call: Asked, text = 'done'): void {
    answer(call, { result: { content: [{ type: 'text', text }] } });
  }

  #serve(asked: Asked): void {
    const { method, message, response } = asked;
    if (method === 'DELETE') response.writeHead(200).end();
    else if (method === 'GET' && this.#hasStreams) beginStream(asked);
    else if (method === 'GET') response.writeHead(405).end();
    else if (message.id === undefined || message.method === undefined) response.writeHead(202).end();
    else if (message.method === 'tools/call') this.calls.push(asked);
    else if (message.method === 'initialize') void this.#open(asked);
    else {
      const result = RESULTS[message.method];
      answer(asked, result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result });
    }
  }

  async #open(asked: Asked): Promise<void> {
    await this.opening;
    asked.response.setHeader('mcp-session-id', `session-${++this.#sessions}`);
    answer(asked, { result: INITIALIZED });
  }
}

const INITIALIZED = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {}, logging: {} },
  serverInfo: { name: 'session-upstream', version: '1' },
};
const RESULTS: Readonly<Record<string, object>> = {
  'tools/list': { tools: [{ name: 'ask', inputSchema: { type: 'object' } }] },
  'logging/setLevel': {},
};
