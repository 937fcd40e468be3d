// The lists of tools, prompts, resources and templates: the bytes serialised once per catalog and spelling, whole or in
// pages, with the client's id set in front.

import { LRUCache } from 'lru-cache';
import { type Catalog, troubledUpstreams, type UpstreamState } from '../catalog/catalog.ts';
import type { ListArray } from '../catalog/list-array.ts';
import { IMPLEMENTATION } from '../domain/version.ts';
import { META_SERVER_INFO } from '../protocol/era.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import { LISTS, type ListKind } from '../protocol/list-kind.ts';
import { toText } from '../protocol/splice.ts';
import type { Sealer } from '../vault/sealer.ts';
import type { Refusal, RpcRequest } from './exchange.ts';

/** A client follows its cursors at once; what is older belongs to one that has stopped. */
const CURSOR_LIFETIME_MS = 15 * 60 * 1000;
const MAX_REMEMBERED = 1_000;
const MAX_REMEMBERED_BYTES = 64 * 1024 * 1024;

export interface ListPagesOptions {
  readonly sealer: Sealer;
  /** Objects on a page; 0 puts all on one, because many clients never ask for a second. */
  readonly pageSize: number;
  readonly now: () => number;
}

/** A list that somebody is reading page by page, and the configuration it was made under. */
interface Reading {
  readonly array: ListArray;
  readonly epoch: number;
}

interface Place {
  readonly digest: string;
  readonly from: number;
}

export class ListPages {
  readonly #options: ListPagesOptions;
  /** By principal, list, era, spelling, view and digest. A catalog may change under a reader, its upstreams' lists being what they are. */
  readonly #readings = new LRUCache<string, Reading>({
    max: MAX_REMEMBERED,
    maxSize: MAX_REMEMBERED_BYTES,
    sizeCalculation: ({ array }) => array.byteLength,
    ttl: CURSOR_LIFETIME_MS,
  });

  constructor(options: ListPagesOptions) {
    this.#options = options;
  }

  /**
   * The whole JSON-RPC answer in parts: the page that `params.cursor` names, or the first. `ttlMs` is how long it may be kept.
   * A cursor that was not made for this principal, list, era, spelling and view is answered like one that was never made.
   */
  answer(kind: ListKind, request: RpcRequest, catalog: Catalog, ttlMs: number): readonly Buffer[] | Refusal {
    const { message, id, era, style } = request;
    const cursor = findMember(message.params, 'cursor');
    let array = catalog.list(kind, era, style);
    let from = 0;
    if (cursor !== undefined) {
      const text = stringAt(message.bytes, cursor);
      if (text === undefined) return { code: 'invalid_params', message: 'params.cursor must be a string.' };
      const context = contextOf(kind, request);
      const place = this.#open(text, context);
      if (place === undefined) return UNKNOWN_CURSOR;
      const read = place.digest === array.digest ? array : this.#recall(place, context, catalog.epoch);
      if (read === undefined) return CHANGED_LIST;
      array = read;
      from = place.from;
    }
    const to = from + (this.#options.pageSize || array.count);
    const next = to < array.count ? this.#turn({ array, epoch: catalog.epoch }, to, contextOf(kind, request)) : '';
    const tail = toTail(request, troubledUpstreams(catalog), ttlMs, next);
    const idText = toText(message.bytes, id.start, id.end);
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${idText},"result":{"${LISTS[kind].key}":`, 'latin1');
    return [head, ...array.slice(from, to), Buffer.from(tail)];
  }

  /** A cursor for what is from index `from` on, as a member of the result. */
  #turn(reading: Reading, from: number, context: string): string {
    const { digest } = reading.array;
    this.#readings.set(keyOf(context, digest), reading);
    const record = JSON.stringify([digest, from, this.#options.now() + CURSOR_LIFETIME_MS]);
    return `,"nextCursor":"${this.#options.sealer.seal(Buffer.from(record), context)}"`;
  }

  #open(cursor: string, context: string): Place | undefined {
    const bytes = this.#options.sealer.open(cursor, context);
    if (bytes === undefined) return undefined;
    const [digest, from, expiresAtMs]: [string, number, number] = JSON.parse(bytes.toString('utf8'));
    return expiresAtMs <= this.#options.now() ? undefined : { digest, from };
  }

  /** Never across an edit of the configuration: what was taken from a token would be shown to it for minutes. */
  #recall({ digest }: Place, context: string, epoch: number): ListArray | undefined {
    const reading = this.#readings.get(keyOf(context, digest));
    return reading?.epoch === epoch ? reading.array : undefined;
  }
}

function contextOf(kind: ListKind, { exchange, era, style }: RpcRequest): string {
  return JSON.stringify([LISTS[kind].method, exchange.principal.token.id, era, style, exchange.view ?? null]);
}

function keyOf(context: string, digest: string): string {
  return `${context}\n${digest}`;
}

/** What follows the array. */
function toTail({ era }: RpcRequest, troubled: readonly UpstreamState[], ttlMs: number, next: string): string {
  const isModern = era === 'modern';
  const meta: string[] = [];
  if (isModern) meta.push(`"${META_SERVER_INFO}":${IMPLEMENTATION}`);
  if (troubled.length > 0) meta.push(`"mcp-switchboard/upstreams":${JSON.stringify(troubled)}`);
  // Private always: every list is filtered for its token.
  const modern = isModern ? `,"resultType":"complete","ttlMs":${ttlMs},"cacheScope":"private"` : '';
  return `${next}${modern}${meta.length > 0 ? `,"_meta":{${meta.join(',')}}` : ''}}}`;
}

const UNKNOWN_CURSOR: Refusal = {
  code: 'unknown_cursor',
  message: 'params.cursor is unknown, or has expired. Ask again without a cursor.',
};
const CHANGED_LIST: Refusal = {
  code: 'unknown_cursor',
  message: 'The list has changed since this cursor was given. Ask again without a cursor.',
};
