// The resources of one upstream that updates are wanted of, and which version of that set the upstream has been told of.
// Bounded, because a modern upstream is sent all of them in one request.

export const MAX_URIS = 1_000;
/** Of all URIs together. */
const MAX_CHARACTERS = 1024 * 1024;

export class WantedUris {
  readonly #uris = new Set<string>();
  #characters = 0;
  #version = 1;
  #settledVersion = 0;
  #waiters: { readonly version: number; readonly resolve: () => void }[] = [];

  get all(): ReadonlySet<string> {
    return this.#uris;
  }

  /** Goes up with every change of the set. */
  get version(): number {
    return this.#version;
  }

  /** Returns `false` for one that is wanted already, and for one that there is no room for. */
  add(uri: string): boolean {
    if (this.#uris.has(uri)) return false;
    if (this.#uris.size === MAX_URIS || this.#characters + uri.length > MAX_CHARACTERS) return false;
    this.#characters += uri.length;
    this.#uris.add(uri);
    this.#version++;
    return true;
  }

  /** Returns whether it was wanted. */
  delete(uri: string): boolean {
    if (!this.#uris.delete(uri)) return false;
    this.#characters -= uri.length;
    this.#version++;
    return true;
  }

  /** The upstream has been told of the set as it was at `version`. */
  settle(version: number): void {
    this.#settledVersion = Math.max(this.#settledVersion, version);
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.version > this.#settledVersion);
    for (const waiter of waiters) if (waiter.version <= this.#settledVersion) waiter.resolve();
  }

  /** Resolves when the upstream has been told of the set as it is now, or with `stopWaiting`. */
  settled(): Promise<void> {
    const version = this.#version;
    if (this.#settledVersion >= version) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ version, resolve }));
  }

  /** Resolves everything that `settled` has returned. */
  stopWaiting(): void {
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters = [];
  }

  /** The stream has ended: the upstream knows of nothing any more, and nobody waits. */
  unsettle(): void {
    this.#settledVersion = 0;
    this.stopWaiting();
  }
}
