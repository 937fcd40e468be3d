// Answers the edge gives before any application code: one compact problem body for both HTTP versions.

import type { ServerResponse } from 'node:http';
import { constants, Http2ServerResponse } from 'node:http2';
import { type ErrorCode, toProblemBody } from '../domain/errors.ts';

/**
 * Answers a request whose headers have not been answered yet, and reads no more of its body: HTTP/1.1 ends the
 * connection, HTTP/2 resets the stream. Reading on would let a stranger push a body of any size through a refusal.
 */
export function writeRefusal(
  response: ServerResponse | Http2ServerResponse,
  status: number,
  code: ErrorCode,
  message: string,
): void {
  const body = toProblemBody(status, code, message);
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  if (!(response instanceof Http2ServerResponse)) {
    response.setHeader('connection', 'close');
    response.end(body);
    return;
  }
  response.end(body);
  // NO_ERROR waits for the answer to be sent (RFC 9113 §8.1).
  const { stream } = response;
  if (!stream.endAfterHeaders && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}
