// The alternatives of many patterns, found by what they begin with: of a thousand patterns hardly any is tried on a name.

import { toRegExp } from './glob-syntax.ts';

const WILD = /[*?[]/;

class Alternative {
  /** Of the pattern that it is of; the first decides. */
  readonly order: number;
  readonly head: string;
  readonly #text: string;
  readonly #tail: string;
  /** `none`: stands for itself. `star`: anything may be between head and tail. */
  readonly #wildcards: 'none' | 'star' | 'others';
  readonly #translate: (part: string) => string;
  readonly #flags: string | undefined;
  #regExp: RegExp | undefined;

  constructor(order: number, text: string, translate: (part: string) => string, flags: string | undefined) {
    const wild = text.search(WILD);
    this.order = order;
    this.#text = text;
    this.head = wild < 0 ? text : text.slice(0, wild);
    this.#tail = wild < 0 ? '' : (/[^*?\]]*$/.exec(text)?.[0] ?? '');
    const isStar = /^\*+$/.test(text.slice(this.head.length, text.length - this.#tail.length));
    this.#wildcards = wild < 0 ? 'none' : isStar ? 'star' : 'others';
    this.#translate = translate;
    this.#flags = flags;
  }

  /** Of a name that begins with its head. */
  fits(name: string): boolean {
    if (this.#wildcards === 'none') return name.length === this.#text.length;
    if (name.length < this.head.length + this.#tail.length || !name.endsWith(this.#tail)) return false;
    if (this.#wildcards === 'star') return true;
    this.#regExp ??= toRegExp(this.#text, this.#translate, this.#flags);
    return this.#regExp.test(name);
  }
}

export class GlobIndex {
  readonly #translate: (part: string) => string;
  readonly #flags: string | undefined;
  /** Each in the order of the patterns. */
  readonly #byHead = new Map<string, Alternative[]>();
  readonly #headLengths = new Set<number>();
  #size = 0;

  /** `translate` makes a regular expression of the text between stars. */
  constructor(translate: (part: string) => string, flags?: string) {
    this.#translate = translate;
    this.#flags = flags;
  }

  get size(): number {
    return this.#size;
  }

  /** Of a pattern that is behind all that were added before it. */
  add(order: number, text: string): void {
    const alternative = new Alternative(order, text, this.#translate, this.#flags);
    const { head } = alternative;
    const others = this.#byHead.get(head);
    if (others === undefined) this.#byHead.set(head, [alternative]);
    else others.push(alternative);
    this.#headLengths.add(head.length);
    this.#size++;
  }

  /** The order of the first pattern that stands for this name; `Infinity` when none does. */
  find(name: string): number {
    let first = Number.POSITIVE_INFINITY;
    for (const length of this.#headLengths) {
      if (length > name.length) continue;
      for (const alternative of this.#byHead.get(name.slice(0, length)) ?? []) {
        if (alternative.order >= first) break;
        if (alternative.fits(name)) first = alternative.order;
      }
    }
    return first;
  }
}
