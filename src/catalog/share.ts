// What grants serve of one kind, each name by one of them.

import type { ListPart } from './list-array.ts';
import type { Offered } from './route.ts';
import { serialize } from './serialize.ts';
import { SpelledNames } from './spelled-names.ts';

export class Share {
  /** Of each of its grants, in their order, what it serves; in the order of its upstream's list. */
  readonly parts: readonly (readonly Offered[])[];
  readonly #arrays = new Map<number, ListPart>();
  #names: SpelledNames | undefined;
  #onlyNames: SpelledNames | undefined;
  #byName: ReadonlyMap<string, Offered> | undefined;

  constructor(parts: readonly (readonly Offered[])[]) {
    this.parts = parts;
  }

  /** By canonical name. */
  find(canonicalName: string): Offered | undefined {
    this.#byName ??= new Map(this.parts.flat().map((each) => [each.canonicalName, each]));
    return this.#byName.get(canonicalName);
  }

  /** How what it serves is spelled, where it is of one service that no other could be spelled like. */
  get names(): SpelledNames {
    this.#names ??= new SpelledNames(this.parts, 'one of many');
    return this.#names;
  }

  /** The same where there is no other service. */
  get onlyNames(): SpelledNames {
    this.#onlyNames ??= new SpelledNames(this.parts, 'only');
    return this.#onlyNames;
  }

  /** What one of its grants shows of resources or templates, which are not spelled. */
  array(part: number): ListPart {
    let array = this.#arrays.get(part);
    if (array === undefined) {
      array = serialize(this.parts[part] ?? []);
      this.#arrays.set(part, array);
    }
    return array;
  }
}
