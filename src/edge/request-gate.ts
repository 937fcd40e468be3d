// What stands between a parsed request and the application: refusals, `Expect`, and a net under what it throws.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { writeRefusal } from './refusal.ts';
import { findRequestProblem, SLASH, toOriginForm } from './request-problem.ts';

export type EdgeRequest = IncomingMessage | Http2ServerRequest;
export type EdgeResponse = ServerResponse | Http2ServerResponse;
export type OnRequest = (request: EdgeRequest, response: EdgeResponse) => void;

/** Handlers for the server events of the same names, of either HTTP version. */
export interface RequestGate {
  readonly request: OnRequest;
  readonly checkContinue: OnRequest;
  readonly checkExpectation: OnRequest;
}

/** `onError` hears what `onRequest` threw; the client only hears a 500, or a reset once the answer has begun. */
export function createRequestGate(onRequest: OnRequest, onError: (error: unknown) => void): RequestGate {
  const request: OnRequest = (request, response) => {
    const problem = findRequestProblem(request);
    if (problem !== undefined) {
      writeRefusal(response, problem.status, 'invalid_request', problem.message);
      return;
    }
    if (request.url !== undefined && request.url.charCodeAt(0) !== SLASH) request.url = toOriginForm(request.url);
    try {
      onRequest(request, response);
    } catch (error) {
      onError(error);
      if (response.headersSent) response.destroy();
      else writeRefusal(response, 500, 'internal', 'The gateway failed on this request. Its log says why.');
    }
  };
  const checkExpectation: OnRequest = (_request, response) => {
    writeRefusal(response, 417, 'invalid_request', 'The only Expect header understood here is "100-continue".');
  };
  return {
    request,
    checkContinue(incoming, response) {
      // Node looks for the word anywhere in the value.
      if (incoming.headers.expect?.toLowerCase() !== '100-continue') {
        checkExpectation(incoming, response);
        return;
      }
      continueWhenRead(incoming, response);
      request(incoming, response);
    },
    checkExpectation,
  };
}

/** The 100 is sent when the body is first asked for, so a request refused for its credentials never sends its body. */
function continueWhenRead(request: EdgeRequest, response: EdgeResponse): void {
  const onListen = (event: string): void => {
    if (event !== 'data' && event !== 'readable') return;
    request.off('newListener', onListen);
    if (!response.headersSent) response.writeContinue();
  };
  request.on('newListener', onListen);
}
