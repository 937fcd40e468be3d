// The resources of one upstream that updates are wanted of, counted by who wants them, and up to which change of them
// the upstream has been told. Bounded, because they are all sent in one request.

export const MAX_URIS = 1_000;
/** All together. */
const MAX_CHARACTERS = 1024 * 1024;

export class WantedUris {
  readonly #counts = new Map<string, number>();
  #characters = 0;
  #version = 1;
  #settledVersion = 0;
  #waiters: { readonly version: number; readonly resolve: () => void }[] = [];

  get all(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Counts the changes. */
  get version(): number {
    return this.#version;
  }

  /** `full` when there is no room for it; `known` when somebody wants it already. */
  add(uri: string): 'new' | 'known' | 'full' {
    const count = this.#counts.get(uri);
    if (count !== undefined) {
      this.#counts.set(uri, count + 1);
      return 'known';
    }
    if (this.#counts.size === MAX_URIS || this.#characters + uri.length > MAX_CHARACTERS) return 'full';
    this.#characters += uri.length;
    this.#counts.set(uri, 1);
    this.#version++;
    return 'new';
  }

  /** Returns whether nobody wants it any more. */
  remove(uri: string): boolean {
    const count = this.#counts.get(uri);
    if (count === undefined) return false;
    if (count > 1) {
      this.#counts.set(uri, count - 1);
      return false;
    }
    this.#counts.delete(uri);
    this.#characters -= uri.length;
    this.#version++;
    return true;
  }

  /** What was wanted as of `version` has been told upstream. */
  settle(version: number): void {
    this.#settledVersion = Math.max(this.#settledVersion, version);
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.version > this.#settledVersion);
    for (const waiter of waiters) if (waiter.version <= this.#settledVersion) waiter.resolve();
  }

  /** Resolves when what is wanted by now has been told upstream, or nobody is to wait for it any longer. */
  settled(): Promise<void> {
    const version = this.#version;
    if (this.#settledVersion >= version) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ version, resolve }));
  }

  /** Lets go of all who wait. */
  stopWaiting(): void {
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters = [];
  }

  /** Nothing has been told upstream any more. */
  unsettle(): void {
    this.#settledVersion = 0;
    this.stopWaiting();
  }
}
