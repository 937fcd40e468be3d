// The other gateway processes on the same port, as the data plane sees them, where there are others.

import type { HttpRequest, HttpResponse } from './reply.ts';

/** Where what belongs to another process is handed to it. */
export interface SiblingDoor {
  /** Of this process, from 0. */
  readonly index: number;
  /** Whether sessions of this id are served by this process. */
  owns(sessionId: string): boolean;
  /**
   * Has the process of that index serve a request whose body was read. `false` when it is not there, or this is the one, or
   * the request was handed to this one.
   */
  handOver(index: number, request: HttpRequest, response: HttpResponse, body: Buffer): boolean;
}

/** A call that a client without a session no longer wants: where it runs only its own process knows. */
export interface CallNamed {
  readonly conversation: string;
  /** The client's id, as raw JSON. */
  readonly idText: string;
}

export interface Siblings extends SiblingDoor {
  /** How many such calls run in all the others together. */
  countCalls(call: CallNamed): Promise<number>;
  /** Has the others cancel it. */
  cancelCall(call: CallNamed): void;
}
