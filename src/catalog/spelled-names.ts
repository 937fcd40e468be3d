// The tools, or the prompts, of services whose spellings could meet, by the names that clients may use for them.

import type { NameStyle } from '../domain/principal.ts';
import type { Era } from '../protocol/era.ts';
import type { ListPart } from './list-array.ts';
import { spellNames } from './naming.ts';
import type { Offered } from './route.ts';
import { serialize } from './serialize.ts';

/**
 * `only`: there is no other service, and bare names are understood. `view`: what is seen by itself is called what its
 * upstream calls it, and nothing else.
 */
export type Naming = 'one of many' | 'only' | 'view';

/** Of several services, a hidden `github.x` must not reach another upstream's `x`: there no name is bare. */
export function styleIn(naming: Naming, style: NameStyle): NameStyle {
  return naming === 'one of many' && style === 'bare' ? 'dot' : style;
}

export class SpelledNames {
  readonly #parts: readonly (readonly Offered[])[];
  readonly #all: readonly Offered[];
  readonly #naming: Naming;
  readonly #byName = new Map<NameStyle, ReadonlyMap<string, Offered>>();
  readonly #spellings = new Map<NameStyle, readonly string[]>();
  readonly #arrays = new Map<string, ListPart>();

  /** What each grant serves. */
  constructor(parts: readonly (readonly Offered[])[], naming: Naming) {
    this.#parts = parts;
    this.#all = parts.flat();
    this.#naming = naming;
  }

  /** By its spelling, or by its bare name where that is understood; canonical names come before these. */
  find(name: string, style: NameStyle): Offered | undefined {
    let names = this.#byName.get(style);
    if (names === undefined) {
      names = this.#collect(style);
      this.#byName.set(style, names);
    }
    return names.get(name);
  }

  /** Of what one grant serves, in its order. */
  spellings(part: number, style: NameStyle): readonly string[] {
    const start = this.#startOf(part);
    return this.#spell(style).slice(start, start + (this.#parts[part]?.length ?? 0));
  }

  /** What one grant shows. */
  array(part: number, era: Era, style: NameStyle): ListPart {
    const key = `${part} ${era} ${style}`;
    let array = this.#arrays.get(key);
    if (array === undefined) {
      const [spellings, start] = [this.#spell(style), this.#startOf(part)];
      array = serialize(this.#parts[part] ?? [], era, (index) => spellings[start + index]);
      this.#arrays.set(key, array);
    }
    return array;
  }

  #startOf(part: number): number {
    return this.#parts.slice(0, part).reduce((sum, { length }) => sum + length, 0);
  }

  #spell(style: NameStyle): readonly string[] {
    let spellings = this.#spellings.get(style);
    if (spellings === undefined) {
      const isView = this.#naming === 'view';
      const known = styleIn(this.#naming, style);
      spellings = isView ? this.#all.map(({ upstreamName }) => upstreamName) : spellNames(this.#all, known);
      this.#spellings.set(style, spellings);
    }
    return spellings;
  }

  #collect(style: NameStyle): ReadonlyMap<string, Offered> {
    const names = new Map<string, Offered>();
    this.#spell(style).forEach((spelling, index) => {
      const offered = this.#all[index];
      if (offered !== undefined && !names.has(spelling)) names.set(spelling, offered);
    });
    if (this.#naming !== 'only') return names;
    for (const offered of this.#all) {
      const { service, upstreamName } = offered;
      // `github.x` as a bare name would read as the canonical name of the tool `x`, which may be hidden.
      if (!upstreamName.startsWith(`${service}.`) && !names.has(upstreamName)) names.set(upstreamName, offered);
    }
    return names;
  }
}
