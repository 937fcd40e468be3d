// An HTTP/1.1 request whose headers cost less to read. Node makes a dictionary of them, name by name; nearly all that real
// clients send are known beforehand, and an object that has them from the start is read at fixed places.

import { IncomingMessage } from 'node:http';
import type { BodySource, BodyTaker } from '../data-plane/request-body.ts';

/** `undefined` until received. */
interface KnownHeaders {
  host: string | undefined;
  accept: string | undefined;
  origin: string | undefined;
  'mcp-name': string | undefined;
  connection: string | undefined;
  'user-agent': string | undefined;
  'mcp-method': string | undefined;
  'content-type': string | undefined;
  authorization: string | undefined;
  'content-length': string | undefined;
  'mcp-session-id': string | undefined;
  'sec-fetch-mode': string | undefined;
  'accept-encoding': string | undefined;
  'accept-language': string | undefined;
  'mcp-protocol-version': string | undefined;
}

/** Node's own way to add a header of any name, joining or dropping what is repeated. It has no other, and does not declare it. */
interface HeaderAdder {
  _addHeaderLine(name: string, value: string, headers: object): void;
}

/** What Node asks of a request whose response has been sent: whether its body was read. It does not declare it. */
interface ReadBody {
  _consumed: boolean;
}

/** `headers` are Node's, but that known ones which were not sent are there as `undefined`. */
export class Http1Request extends IncomingMessage implements BodySource {
  #headers: KnownHeaders | undefined;
  #taker: BodyTaker | undefined;
  #piece: Buffer | undefined;
  #isTaken = false;

  readHeaders(): KnownHeaders {
    this.#headers ??= this.#makeHeaders();
    return this.#headers;
  }

  /** Whether the body was handed to its taker, past the stream that this is. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Nearly all bodies come in one piece: read as a stream, that costs several turns of Node's queues. */
  takeBody(taker: BodyTaker): boolean {
    // Whoever waits for `100 Continue` is told so when somebody begins to read.
    if (this.complete || this.readableLength > 0 || this.headers.expect !== undefined) return false;
    this.#taker = taker;
    return true;
  }

  /** Node's parser pushes each piece as it comes, and `null` behind the last. */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    const taker = this.#taker;
    if (taker === undefined) return super.push(piece, encoding);
    const first = this.#piece;
    if (first === undefined && piece?.length === taker.bytes) {
      this.#piece = piece;
      return true;
    }
    this.#taker = undefined;
    this.#piece = undefined;
    if (first !== undefined && piece === null) {
      this.#isTaken = true;
      (this as unknown as ReadBody)._consumed = true;
      taker.onBody(first);
      return true;
    }
    taker.onPieces();
    if (first !== undefined) super.push(first);
    return super.push(piece, encoding);
  }

  #makeHeaders(): KnownHeaders {
    const { rawHeaders } = this;
    const headers: KnownHeaders = {
      host: undefined,
      accept: undefined,
      origin: undefined,
      'mcp-name': undefined,
      connection: undefined,
      'user-agent': undefined,
      'mcp-method': undefined,
      'content-type': undefined,
      authorization: undefined,
      'content-length': undefined,
      'mcp-session-id': undefined,
      'sec-fetch-mode': undefined,
      'accept-encoding': undefined,
      'accept-language': undefined,
      'mcp-protocol-version': undefined,
    };
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      const name = rawHeaders[index] as string;
      const value = rawHeaders[index + 1] as string;
      if (!setKnown(headers, name, value)) (this as unknown as HeaderAdder)._addHeaderLine(name, value, headers);
    }
    return headers;
  }
}

const { prototype: streamPrototype } = IncomingMessage;

// Node declares these as properties, which a class may not turn into accessors.
Object.defineProperties(Http1Request.prototype, {
  headers: {
    configurable: true,
    get(this: Http1Request) {
      return this.readHeaders();
    },
  },
  readableEnded: {
    configurable: true,
    get(this: Http1Request): boolean {
      return this.isTaken || Reflect.get(streamPrototype, 'readableEnded', this) === true;
    },
  },
});

/**
 * Sets a header that is known, in one of its two usual spellings, and has not been received yet. Length tells nearly all
 * apart, and each is set by a statement of its own: a store under a name that varies costs as much as the dictionary.
 */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one comparison per name, which a table would hide and make dearer
function setKnown(headers: KnownHeaders, name: string, value: string): boolean {
  switch (name.length) {
    case 4:
      if ((name === 'host' || name === 'Host') && headers.host === undefined) headers.host = value;
      else return false;
      return true;
    case 6:
      if ((name === 'accept' || name === 'Accept') && headers.accept === undefined) headers.accept = value;
      else if ((name === 'origin' || name === 'Origin') && headers.origin === undefined) headers.origin = value;
      else return false;
      return true;
    case 8:
      if ((name === 'mcp-name' || name === 'Mcp-Name') && headers['mcp-name'] === undefined)
        headers['mcp-name'] = value;
      else return false;
      return true;
    case 10:
      if ((name === 'connection' || name === 'Connection') && headers.connection === undefined)
        headers.connection = value;
      else if ((name === 'user-agent' || name === 'User-Agent') && headers['user-agent'] === undefined)
        headers['user-agent'] = value;
      else if ((name === 'mcp-method' || name === 'Mcp-Method') && headers['mcp-method'] === undefined)
        headers['mcp-method'] = value;
      else return false;
      return true;
    case 12:
      if ((name === 'content-type' || name === 'Content-Type') && headers['content-type'] === undefined)
        headers['content-type'] = value;
      else return false;
      return true;
    case 13:
      if ((name === 'authorization' || name === 'Authorization') && headers.authorization === undefined)
        headers.authorization = value;
      else return false;
      return true;
    case 14:
      if ((name === 'content-length' || name === 'Content-Length') && headers['content-length'] === undefined)
        headers['content-length'] = value;
      else if ((name === 'mcp-session-id' || name === 'Mcp-Session-Id') && headers['mcp-session-id'] === undefined)
        headers['mcp-session-id'] = value;
      else if ((name === 'sec-fetch-mode' || name === 'Sec-Fetch-Mode') && headers['sec-fetch-mode'] === undefined)
        headers['sec-fetch-mode'] = value;
      else return false;
      return true;
    case 15:
      if ((name === 'accept-encoding' || name === 'Accept-Encoding') && headers['accept-encoding'] === undefined)
        headers['accept-encoding'] = value;
      else if ((name === 'accept-language' || name === 'Accept-Language') && headers['accept-language'] === undefined)
        headers['accept-language'] = value;
      else return false;
      return true;
    case 20:
      if (
        (name === 'mcp-protocol-version' || name === 'Mcp-Protocol-Version') &&
        headers['mcp-protocol-version'] === undefined
      )
        headers['mcp-protocol-version'] = value;
      else return false;
      return true;
    default:
      return false;
  }
}
