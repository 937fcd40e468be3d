// When requests were due for which there was no connection, in their order.

export class DueTimes {
  #times: number[] = [];
  #from = 0;

  get isEmpty(): boolean {
    return this.#times.length === 0;
  }

  push(dueMs: number): void {
    this.#times.push(dueMs);
  }

  shift(): number | undefined {
    const dueMs = this.#times[this.#from];
    if (dueMs === undefined) return undefined;
    this.#from++;
    // An array's own `shift` moves all of a long one each time.
    if (this.#from * 2 >= this.#times.length) {
      this.#times = this.#times.slice(this.#from);
      this.#from = 0;
    }
    return dueMs;
  }
}
