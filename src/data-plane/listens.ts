// `subscriptions/listen` of modern clients (2026-07-28 basic/patterns/subscriptions): acknowledged first, with what is
// honoured; then told of changes under the id of the request; ended with its result.

import { performance } from 'node:perf_hooks';
import type { Catalog } from '../catalog/catalog.ts';
import { IMPLEMENTATION } from '../domain/version.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { META_SERVER_INFO, META_SUBSCRIPTION_ID } from '../protocol/era.ts';
import { findMember, isObjectAt, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { EventStream } from './event-stream.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import { type ListenFilter, readListenFilter, toFilterText } from './listen-filter.ts';
import { Listener, type ListeningDeps, methodOf, SUBSCRIBE_WAIT_MS, toNotification } from './listener.ts';
import type { OpenStream } from './open-streams.ts';
import { Outbox } from './outbox.ts';
import { acceptsStream, type HttpResponse, isGone, toEvent } from './reply.ts';
import type { UpstreamWatches } from './upstream-watches.ts';

const NOTHING: ListenFilter = { tools: false, prompts: false, resources: false, uris: [] };
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';

const NO_EVENTS: Refusal = {
  code: 'invalid_request',
  message: 'The answer to subscriptions/listen is an event stream: send Accept: application/json, text/event-stream.',
};

/** One listen, from its request to its end. */
class Listen implements OpenStream {
  readonly listener: Listener;
  readonly endsAlone = false;
  readonly #response: HttpResponse;
  /** Kept instead of the request, whose bytes may be many and would be held as long as the stream. */
  readonly #idText: string;
  #stream: EventStream | undefined;

  constructor(request: RpcRequest, filter: ListenFilter, catalog: Catalog, deps: ListeningDeps) {
    this.#response = request.exchange.response;
    this.#idText = request.idText;
    const outbox = new Outbox({ keepsRead: false });
    const owner = { era: 'modern', outbox, wake: () => this.#stream?.wake(performance.now()) } as const;
    this.listener = new Listener(request.exchange, owner, deps);
    for (const uri of filter.uris) this.listener.uris.add(uri);
    this.noteLists(filter, catalog);
  }

  get principal(): TokenPrincipal {
    return this.listener.principal;
  }

  get view(): string | undefined {
    return this.listener.view;
  }

  /** The lists as they are now are taken for known: it is told of changes since. */
  noteLists(filter: ListenFilter, catalog: Catalog): void {
    const { listener } = this;
    if (filter.tools) listener.noteGiven('tools', catalog);
    if (filter.prompts) listener.noteGiven('prompts', catalog);
    if (!filter.resources) return;
    listener.noteGiven('resources', catalog);
    listener.noteGiven('templates', catalog);
    listener.outbox.delete('resources');
  }

  /** Says what is honoured, and goes on with what has changed since. */
  acknowledge(filter: ListenFilter): void {
    const params = this.#stamp(Buffer.from(`{"notifications":${toFilterText(filter)}}`));
    const first = toEvent(toNotification(ACKNOWLEDGED, params));
    this.#stream = new EventStream({ response: this.#response, first, next: () => this.#next() }, performance.now());
  }

  look(): Promise<void> | void {
    return this.listener.look();
  }

  tend(nowMs: number): void {
    this.#stream?.tend(nowMs);
  }

  /** In order: its result says that nothing broke. */
  end(): void {
    if (this.#stream === undefined) this.acknowledge(NOTHING);
    const id = this.#idText;
    const meta = `{"${META_SUBSCRIPTION_ID}":${id},"${META_SERVER_INFO}":${IMPLEMENTATION}}`;
    const result = `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","_meta":${meta}}}`;
    this.#stream?.end(toEvent(Buffer.from(result)));
  }

  #next(): Buffer | undefined {
    const events: Buffer[] = [];
    this.listener.readOn((key, params) => {
      events.push(toEvent(toNotification(methodOf(key), this.#stamp(params))));
    });
    return events.length === 0 ? undefined : Buffer.concat(events);
  }

  #stamp(params: Buffer): Buffer {
    return withMeta(params, `"${META_SUBSCRIPTION_ID}":${this.#idText}`);
  }
}

export class Listens {
  readonly #deps: ListeningDeps;

  constructor(deps: ListeningDeps) {
    this.#deps = deps;
  }

  /** Answers a listen with its stream, once what it asks for is subscribed to upstream or has had its time. */
  async listen(request: RpcRequest, catalog: Catalog): Promise<void> {
    const { streams, watches } = this.#deps;
    const { principal, response, accept } = request.exchange;
    // It may have left while its catalog was waited for, before anybody listened.
    if (isGone(response)) return;
    const asked = readListenFilter(request.message);
    if (typeof asked === 'string') {
      request.refuse({ code: 'invalid_params', message: asked });
      return;
    }
    const refusal = acceptsStream(accept) ? streams.findRefusal(principal) : NO_EVENTS;
    if (refusal !== undefined) {
      request.refuse(refusal);
      return;
    }
    const served = toServed(asked, catalog);
    const listen = new Listen(request, served, catalog, this.#deps);
    const { listener } = listen;
    streams.add(listen);
    const leave = (): void => {
      watches.unfollow(listener);
      streams.remove(listen);
    };
    response.once('close', leave);
    listener.follow(catalog);
    await watches.ready(listener, SUBSCRIBE_WAIT_MS);
    // It may have left, or lost its token, while it waited.
    if (isGone(response) || response.headersSent) return;
    const now = listener.catalog ?? catalog;
    const honoured = toHonoured(served, now, watches);
    for (const uri of served.uris) if (!honoured.uris.includes(uri)) listener.uris.delete(uri);
    listen.noteLists(honoured, now);
    listener.follow(now);
    listen.acknowledge(honoured);
    if (isEmpty(honoured) && streams.remove(listen)) listen.end();
  }
}

/** What the view of the client can be told of at all. */
function toServed(asked: ListenFilter, catalog: Catalog): ListenFilter {
  const { tools, prompts, resources, subscriptions } = catalog.serves;
  return {
    tools: asked.tools && tools,
    prompts: asked.prompts && prompts,
    resources: asked.resources && resources,
    uris: subscriptions ? asked.uris.filter((uri) => catalog.resource(uri) !== undefined) : [],
  };
}

/** Without the URIs that their servers will not tell of. */
function toHonoured(served: ListenFilter, catalog: Catalog, watches: UpstreamWatches): ListenFilter {
  const isTold = (uri: string): boolean => {
    const route = catalog.resource(uri);
    return route !== undefined && !watches.isRefused(route);
  };
  return { ...served, uris: served.uris.filter(isTold) };
}

function isEmpty({ tools, prompts, resources, uris }: ListenFilter): boolean {
  return !tools && !prompts && !resources && uris.length === 0;
}

/** Adds a member to the `_meta` of the params, without changing any other byte. */
function withMeta(params: Buffer, member: string): Buffer {
  const members: Member[] = [];
  if (params.length === 0 || new JsonScanner(params).readMembers(0, 0, members) < 0) {
    return Buffer.from(`{"_meta":{${member}}}`);
  }
  const meta = findMember(members, '_meta');
  if (meta === undefined || !isObjectAt(params, meta.start)) {
    return insert(params, 1, `"_meta":{${member}}${members.length > 0 ? ',' : ''}`);
  }
  const inside: Member[] = [];
  new JsonScanner(params).readMembers(meta.start, 0, inside);
  return insert(params, meta.start + 1, inside.length > 0 ? `${member},` : member);
}

function insert(bytes: Buffer, at: number, text: string): Buffer {
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(text), bytes.subarray(at)]);
}
