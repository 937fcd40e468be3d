// The stream of a call, taken up again by GET after its connection broke: what the client has missed, then what comes.

import { performance } from 'node:perf_hooks';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { COMMENT } from '../protocol/sse.ts';
import type { CallEvents, Taker } from './event-buffer.ts';
import { EventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import type { OpenStream, OpenStreams } from './open-streams.ts';
import type { Session } from './sessions.ts';

class ResumedStream implements OpenStream, Taker {
  readonly principal: TokenPrincipal;
  readonly view: string | undefined;
  readonly expiresAtMs: number;
  readonly endsAlone = true;
  readonly #events: CallEvents;
  readonly #stream: EventStream;
  /** The number of the event that was sent last. */
  #sent: number;

  constructor({ principal, view, response }: Exchange, session: Session, events: CallEvents, after: number) {
    this.principal = principal;
    this.view = view;
    this.expiresAtMs = session.expiresAtMs;
    this.#events = events;
    this.#sent = after;
    this.#stream = new EventStream({ response, first: COMMENT, next: () => this.#next() }, performance.now());
  }

  onEvent(): void {
    this.#stream.wake(performance.now());
  }

  onEnd(): void {
    this.#stream.finish(performance.now());
  }

  onLost(): void {
    this.#stream.breakOff();
  }

  look(): void {}

  tend(nowMs: number): void {
    this.#stream.tend(nowMs);
  }

  end(): void {
    this.#stream.end();
  }

  #next(): Buffer | undefined {
    const bytes = this.#events.after(this.#sent);
    this.#sent = this.#events.last;
    return bytes === undefined || bytes.length === 0 ? undefined : bytes;
  }
}

/** Answers a GET with what follows the event `after`, which must be one of `events`. */
export function resumeStream(
  exchange: Exchange,
  session: Session,
  { events, after, streams }: { readonly events: CallEvents; readonly after: number; readonly streams: OpenStreams },
): void {
  const resumed = new ResumedStream(exchange, session, events, after);
  streams.add(resumed);
  exchange.response.once('close', () => {
    events.leave(resumed);
    streams.remove(resumed);
  });
  events.takeUp(resumed);
  if (events.isEnded) resumed.onEnd();
}
