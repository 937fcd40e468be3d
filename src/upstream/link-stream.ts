// The GET stream of one client's session with a legacy upstream: servers ask and tell on it what they do not tie to a
// call (2025-11-25 basic/transports#listening-for-messages-from-the-server).

import type { Dispatcher } from 'undici';
import { type Message, scanMessage } from '../protocol/jsonrpc.ts';
import type { Link } from './handshake.ts';
import { type StreamEnd, WatchStream } from './watch-stream.ts';

export interface LinkStream {
  /** Its headers are here, or it is known that there are none now. Never rejects. */
  readonly opened: Promise<void>;
  close(): void;
}

export interface LinkStreamOptions {
  /** Apart from that of the calls. */
  readonly pool: Dispatcher;
  readonly path: string;
  readonly link: Link;
  /** Told of requests and notifications. */
  readonly onMessage: (message: Message) => void;
  /** Told once. */
  readonly onClose: () => void;
}

/** In the place of one that there cannot be. */
export const NO_STREAM: LinkStream = { opened: Promise.resolve(), close: () => undefined };

/** A stream that has ids may be ended on purpose; the pause before it is taken up again, if it names none. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** Opens the stream, and again when it breaks, until it is closed or the upstream says that there is none. */
export function openLinkStream({ pool, path, link, onMessage, onClose }: LinkStreamOptions): LinkStream {
  const opened = Promise.withResolvers<void>();
  let stream: WatchStream | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastEventId: string | undefined;
  let failures = 0;
  let isClosed = false;

  const onEnd = ({ status }: StreamEnd): void => {
    opened.resolve();
    // It may only have forgotten the event; another refusal says that it has no such stream, or no such session.
    if (status !== undefined && status < 500 && lastEventId === undefined) return;
    lastEventId = status === undefined ? (stream?.events.lastEventId ?? lastEventId) : undefined;
    const ownMs = stream?.events.retryMs ?? RETRY_MS;
    timer = setTimeout(open, Math.min(Math.max(ownMs, RETRY_MS * 2 ** failures++), LONGEST_RETRY_MS)).unref();
  };
  const open = (): void => {
    const opening = new WatchStream({
      onOpen: () => opened.resolve(),
      onData: (data) => {
        failures = 0;
        const message = scanMessage(data);
        if (message.kind === 'request' || message.kind === 'notification') onMessage(message);
      },
      onEnd,
    });
    stream = opening;
    const resumption = lastEventId === undefined ? [] : ['last-event-id', lastEventId];
    if (!isClosed) pool.dispatch({ path, method: 'GET', headers: [...link.headers, ...resumption] }, opening);
  };
  open();
  return {
    opened: opened.promise,
    close: () => {
      if (isClosed) return;
      isClosed = true;
      onClose();
      clearTimeout(timer);
      stream?.abort();
      opened.resolve();
    },
  };
}
