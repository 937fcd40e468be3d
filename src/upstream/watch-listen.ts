// How a modern upstream tells of changes: `subscriptions/listen` (2026-07-28 basic/patterns/subscriptions). When the URIs
// change, a second listen is opened, and the first ends only when that is acknowledged: nothing is missed in between.

import { META_SUBSCRIPTION_ID } from '../protocol/era.ts';
import {
  findMember,
  isObjectAt,
  isStringAt,
  JsonScanner,
  type Member,
  type Span,
  stringAt,
} from '../protocol/json-scan.ts';
import { type Message, scanMessage } from '../protocol/jsonrpc.ts';
import { type Link, modernHeaders, modernMeta } from './handshake.ts';
import { findMembers, skipSpace } from './loose-json.ts';
import { MAX_URIS } from './wanted-uris.ts';
import { type Channel, type ChannelEnd, type ChannelOwner, isRefusedForGood, type WatchWire } from './watch-channel.ts';
import { type StreamEnd, WatchStream } from './watch-stream.ts';

const METHOD = 'subscriptions/listen';
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';
const ACKNOWLEDGEMENT_MS = 10_000;
/** The pause before a second listen that was refused is tried again. */
const REPLACEMENT_RETRY_MS = 10_000;
const MAX_KEYS = 64;
const METHOD_NOT_FOUND = '-32601';
const INVALID_PARAMS = '-32602';

/** One request `subscriptions/listen`, from its sending to its end. */
interface Listen {
  readonly id: string;
  /** Of the URIs that it asks for. */
  readonly version: number;
  readonly stream: WatchStream;
  readonly timer: NodeJS.Timeout;
  /** The URIs it was acknowledged for; `undefined` until then. */
  honoured: ReadonlySet<string> | undefined;
  /** Whether it was acknowledged for nothing at all. */
  isIdle: boolean;
}

export class ListenChannel implements Channel {
  readonly #wire: WatchWire;
  readonly #link: Link;
  readonly #owner: ChannelOwner;
  /** Acknowledged. */
  #current: Listen | undefined;
  /** Not acknowledged yet: the first, or one that is to take the place of the current one. */
  #next: Listen | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** The version of the URIs that a second listen asked for and was refused for good. */
  #refusedVersion: number | undefined;
  /** Whether something may have been missed that only the next listen would have told. */
  #isGap = false;

  constructor(wire: WatchWire, link: Link, owner: ChannelOwner) {
    this.#wire = wire;
    this.#link = link;
    this.#owner = owner;
  }

  start(): void {
    this.#open();
  }

  update(): void {
    clearTimeout(this.#retry);
    // One that is not acknowledged yet is left alone: when it is, and the URIs are others by then, another follows.
    if (this.#next === undefined) this.#open();
  }

  isRefused(uri: string): boolean {
    if (this.#current?.honoured?.has(uri) !== false) return false;
    // Not honoured, but perhaps not asked for either: then it is among those of the next listen.
    return [this.#current.version, this.#refusedVersion].includes(this.#owner.version);
  }

  end(): void {
    clearTimeout(this.#retry);
    for (const listen of [this.#current, this.#next]) if (listen !== undefined) this.#abort(listen);
    this.#current = undefined;
    this.#next = undefined;
  }

  #open(): void {
    const { pool, path, clientInfo } = this.#wire;
    const id = this.#wire.mintId();
    const stream = new WatchStream({
      onOpen: () => {},
      onData: (data) => this.#onData(listen, data),
      onEnd: (end) => this.#onEnd(listen, toChannelEnd(end)),
    });
    const onLate = (): void => this.#giveUp(listen, { why: 'ended', message: 'it did not acknowledge in time' });
    const timer = setTimeout(onLate, ACKNOWLEDGEMENT_MS).unref();
    const listen: Listen = { id, version: this.#owner.version, stream, timer, honoured: undefined, isIdle: false };
    const params = `"_meta":${modernMeta(clientInfo)},"notifications":${this.#filter()}`;
    const body = `{"jsonrpc":"2.0","id":"${id}","method":"${METHOD}","params":{${params}}}`;
    const headers = [...this.#link.headers, ...modernHeaders(METHOD)];
    this.#next = listen;
    pool.dispatch({ path, method: 'POST', headers, body }, stream);
  }

  /** What the upstream does not declare is not asked for. */
  #filter(): string {
    const about = this.#wire.about();
    const members: string[] = [];
    for (const kind of ['tools', 'prompts', 'resources'] as const) {
      if (about?.[kind] !== false) members.push(`"${kind}ListChanged":true`);
    }
    const uris = [...this.#owner.uris];
    if (uris.length > 0 && about?.subscribes !== false) members.push(`"resourceSubscriptions":${JSON.stringify(uris)}`);
    return `{${members.join()}}`;
  }

  #onData(listen: Listen, data: Buffer): void {
    const message = scanMessage(data);
    if (message.kind === 'response') this.#onResponse(listen, message);
    else if (message.kind === 'notification') {
      const at = findMember(message.meta, META_SUBSCRIPTION_ID);
      // Of another subscription: not for us, whatever it says.
      if (at === undefined || !isStringAt(data, at, listen.id)) return;
      if (listen.honoured !== undefined) this.#owner.onNotification(message);
      else if (message.method === ACKNOWLEDGED) this.#onAcknowledged(listen, message);
      else this.#giveUp(listen, { why: 'ended', message: 'it told of something before it acknowledged' });
    }
  }

  #onAcknowledged(listen: Listen, { bytes, params }: Message): void {
    clearTimeout(listen.timer);
    const filter = findMember(params, 'notifications');
    const members: Member[] = [];
    if (filter !== undefined) new JsonScanner(bytes, undefined, MAX_KEYS).readMembers(filter.start, 0, members);
    listen.honoured = readUris(bytes, findMember(members, 'resourceSubscriptions'));
    listen.isIdle = listen.honoured.size === 0 && !members.some(({ start }) => bytes[start] === LETTER_T);
    // There is none where this is the first, or where the upstream has ended it meanwhile.
    const before = this.#current;
    this.#current = listen;
    this.#next = undefined;
    if (before !== undefined) this.#abort(before);
    if (this.#isGap) this.#owner.onGap();
    else if (before === undefined) this.#owner.onOpen(false);
    this.#isGap = false;
    this.#owner.onSettled(listen.version);
    if (this.#owner.version !== listen.version) this.update();
  }

  #onResponse(listen: Listen, { bytes, id }: Message): void {
    if (id === undefined || !isStringAt(bytes, id, listen.id)) {
      this.#giveUp(listen, { why: 'ended', message: 'it answered another request on the stream of a listen' });
      return;
    }
    const code = readErrorCode(bytes);
    const isFinal = listen.isIdle || code === METHOD_NOT_FOUND || code === INVALID_PARAMS;
    const message = code === undefined ? 'it ended the listen' : 'it refused to be listened to';
    this.#giveUp(listen, { why: isFinal ? 'unsupported' : 'ended', message });
  }

  #giveUp(listen: Listen, end: ChannelEnd): void {
    const retryMs = listen.stream.events.retryMs;
    this.#abort(listen);
    this.#onEnd(listen, { ...end, retryMs });
  }

  #onEnd(listen: Listen, end: ChannelEnd): void {
    clearTimeout(listen.timer);
    const isNext = listen === this.#next;
    if (isNext) this.#next = undefined;
    else this.#current = undefined;
    if (this.#current === undefined && this.#next === undefined) {
      clearTimeout(this.#retry);
      this.#owner.onEnd(end);
      return;
    }
    this.#isGap = true;
    if (isNext) this.#onRefusedBesideCurrent(listen, end);
  }

  /** The current listen goes on with the URIs it was acknowledged for; updates of others are missed until there is another. */
  #onRefusedBesideCurrent({ version }: Listen, { why }: ChannelEnd): void {
    if (why === 'unsupported') this.#refusedVersion = version;
    else this.#retry = setTimeout(() => this.update(), REPLACEMENT_RETRY_MS).unref();
    this.#owner.onSettled(version);
    if (this.#owner.version !== version) this.update();
  }

  #abort(listen: Listen): void {
    clearTimeout(listen.timer);
    listen.stream.abort();
  }
}

/** The first byte of `true`. */
const LETTER_T = 0x74;

/** The stream of a listen is over; where the answer was none, it says whether to ask again. */
function toChannelEnd({ status, body, message }: StreamEnd): ChannelEnd {
  const code = status === 200 ? readErrorCode(body) : undefined;
  const isFinal = isRefusedForGood(status) || code === METHOD_NOT_FOUND || code === INVALID_PARAMS;
  return { why: isFinal ? 'unsupported' : 'ended', message };
}

/** Reads no more than were asked for: an upstream that names a million must not have them all looked at. */
function readUris(bytes: Buffer, at: Member | undefined): Set<string> {
  const spans: Span[] = [];
  if (at !== undefined) new JsonScanner(bytes).readElements(at.start, 0, spans, MAX_URIS);
  return new Set(spans.map((span) => stringAt(bytes, span) ?? ''));
}

/** `error.code` as raw JSON; empty for an error without one, `undefined` for what is no error. */
function readErrorCode(bytes: Buffer): string | undefined {
  const error = findMember(findMembers(bytes, skipSpace(bytes, 0)) ?? [], 'error');
  if (error === undefined || !isObjectAt(bytes, error.start)) return undefined;
  const code = findMember(findMembers(bytes, error.start) ?? [], 'code');
  return code === undefined ? '' : bytes.toString('latin1', code.start, Math.min(code.end, code.start + 12));
}
