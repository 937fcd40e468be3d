// A string that must not be printed: an opened credential stays in this type until it is put on the wire.

import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/** Holds one secret value. Every way of printing it gives `[redacted]`; only `reveal()` gives the value. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
