// Whether the edge can be reached: from every request's own end, and by asking where there is none.

const ASK_EVERY_MS = 10_000;
/** Somebody waits for it. */
const ASK_AGAIN_MS = 2_000;
const ANSWER_WITHIN_MS = 4_000;

/** The line between a till and the edge. */
export class Line {
  readonly #ask: (signal: AbortSignal) => Promise<Response>;
  readonly #listeners = new Set<(reachable: boolean) => void>();
  #reachable = true;
  #next: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | undefined;

  /** @param ask one request that any healthy edge answers */
  constructor(ask: (signal: AbortSignal) => Promise<Response>) {
    this.#ask = ask;
  }

  /** The same `fetch`, whose ends are noticed here. */
  listening(fetchNow: typeof fetch): typeof fetch {
    return async (input, init) => {
      try {
        const response = await fetchNow(input, init);
        this.#enter(true);
        return response;
      } catch (thrown) {
        // One that the caller gave up says nothing of the line.
        if (!init?.signal?.aborted) this.#enter(false);
        else this.#look();
        throw thrown;
      }
    };
  }

  watch(listener: (reachable: boolean) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#reachable);
    if (this.#listeners.size === 1) {
      globalThis.addEventListener?.("online", this.#look);
      globalThis.addEventListener?.("offline", this.#lost);
      this.#look();
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      globalThis.removeEventListener?.("online", this.#look);
      globalThis.removeEventListener?.("offline", this.#lost);
      clearTimeout(this.#next);
      this.#asking?.abort();
      this.#asking = undefined;
    };
  }

  readonly #lost = (): void => this.#enter(false);

  /** Asks now, and again later while somebody watches. */
  readonly #look = (): void => {
    if (this.#asking || this.#listeners.size === 0) return;
    clearTimeout(this.#next);
    const asking = (this.#asking = new AbortController());
    const late = setTimeout(() => asking.abort(), ANSWER_WITHIN_MS);
    this.#ask(asking.signal)
      .then(
        // A proxy's or a portal's page is no edge; what the edge itself says of its health is its own affair.
        (response) => response.ok || response.status === 503,
        () => false,
      )
      .then((reachable) => {
        clearTimeout(late);
        if (this.#asking !== asking) return;
        this.#asking = undefined;
        this.#enter(reachable);
      });
  };

  #enter(reachable: boolean): void {
    if (this.#listeners.size > 0) {
      clearTimeout(this.#next);
      this.#next = setTimeout(this.#look, reachable ? ASK_EVERY_MS : ASK_AGAIN_MS);
    }
    if (this.#reachable === reachable) return;
    this.#reachable = reachable;
    for (const listener of [...this.#listeners]) listener(reachable);
  }
}
