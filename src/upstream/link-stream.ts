// The GET stream of one client's session with a legacy upstream, on which servers send requests and notifications that
// belong to no call (2025-11-25 basic/transports#listening-for-messages-from-the-server).

import type { Dispatcher } from 'undici';
import { type Message, scanMessage } from '../protocol/jsonrpc.ts';
import type { Link } from './handshake.ts';
import { type StreamEnd, WatchStream } from './watch-stream.ts';

export interface LinkStream {
  /** Resolves when the stream has begun, or has failed to. Never rejects. */
  readonly opened: Promise<void>;
  close(): void;
}

export interface LinkStreamOptions {
  /** Not the pool of the calls: a stream keeps its socket for as long as it lasts. */
  readonly pool: Dispatcher;
  readonly path: string;
  readonly link: Link;
  /** Told of requests and notifications. */
  readonly onMessage: (message: Message) => void;
  /** Told once. */
  readonly onClose: () => void;
}

/** Stands for a stream that is not opened. */
export const NO_STREAM: LinkStream = { opened: Promise.resolve(), close: () => undefined };

/** Servers may end a stream on purpose and expect it to be resumed: after this pause, unless they ask for a longer one. */
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
    // A refusal is final: there is no such stream, or no such session. But of a resumption it may only mean the event.
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
    pool.dispatch({ path, method: 'GET', headers: [...link.headers, ...resumption] }, opening);
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
