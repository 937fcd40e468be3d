// Keeps a thousand upstreams that are asked at once from answering at once: so many answers in one turn of the event loop
// would hold up every call.

/** So many may be asked before the first has answered. */
const MAX_INSIDE = 32;
/** One that has not answered by then makes room: it would delay others, whose lists are as good (design §3.10). */
const PATIENCE_MS = 50;

export class Turnstile {
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is one's turn, in the order of the calls; `work` has its place until it ends, or has taken long. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside >= MAX_INSIDE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#inside++;
    let isInside = true;
    const leave = (): void => {
      if (isInside) this.#leave();
      isInside = false;
    };
    const timer = setTimeout(leave, PATIENCE_MS).unref();
    try {
      return await work();
    } finally {
      clearTimeout(timer);
      leave();
    }
  }

  /** The place goes to who has waited longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inside--;
    else next();
  }
}
