// Wallet and redemptions, read once and kept up to date by the live feed: an external store for any framework.

import type { Client } from "./client.js";
import { CounterfoilError } from "./errors.js";
import type { Redemption, Wallet } from "./wire.js";

/** A part of the state at one moment; a new object at every change. */
export interface Slice<T> {
  /** Null before the first answer. */
  data: T | null;
  error: CounterfoilError | null;
  loading: boolean;
}

const LOADING: Slice<never> = { data: null, error: null, loading: true };

/** What a server renders, and what a browser shows before the first answer. */
export const initialSlice = <T>(): Slice<T> => LOADING;

/** The live state of one client's member. Follows the feed only while something is subscribed. */
export class LiveState {
  readonly wallet: Resource<Wallet>;
  readonly redemptions: Resource<Redemption[]>;
  readonly #client: Client;
  #users = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client) {
    this.#client = client;
    const retain = () => this.#retain();
    // The answer counts only when no event came meanwhile: what an event brings is never older.
    this.wallet = new Resource(() => client.wallet(), (_held, answer, stale) => (stale ? undefined : answer), retain);
    this.redemptions = new Resource(async () => (await client.redemptions()).items, (held, answer) => merge(held, answer), retain);
  }

  /** Follows the feed as long as anything is mounted that shows some of it. */
  #retain(): () => void {
    this.#users += 1;
    if (this.#users === 1) this.#follow();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
    };
  }

  #follow(): void {
    let followed = false;
    this.#unsubscribe = this.#client.subscribe(
      ({ type, data }) => {
        if (type === "wallet.updated") this.wallet.set(() => data as Wallet);
        if (type === "redemption.updated") this.redemptions.set((held) => merge(held, [data as Redemption]));
      },
      {
        onReset: ({ wallet, redemptions }) => {
          this.wallet.set(() => wallet);
          this.redemptions.set(() => redemptions);
        },
        onState: (state) => {
          if (followed || (state !== "live" && state !== "polling")) return;
          // What changed between the first reading and the feed's beginning is in neither: read again.
          followed = true;
          this.wallet.reload();
          this.redemptions.reload();
        },
      },
    );
  }
}

/** One part of the state, in the form that `useSyncExternalStore` and its like take. */
export class Resource<T> {
  readonly #read: () => Promise<T>;
  readonly #accept: (held: T | null, answer: T, stale: boolean) => T | undefined;
  readonly #retain: () => () => void;
  readonly #listeners = new Set<() => void>();
  #slice: Slice<T> = initialSlice();
  /** Counts what events brought. */
  #changes = 0;
  /** The latest reading; an earlier one that ends later is ignored. */
  #reading: Promise<T> | undefined;

  constructor(
    read: () => Promise<T>,
    accept: (held: T | null, answer: T, stale: boolean) => T | undefined,
    retain: () => () => void,
  ) {
    this.#read = read;
    this.#accept = accept;
    this.#retain = retain;
  }

  readonly get = (): Slice<T> => this.#slice;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    const release = this.#retain();
    if (this.#listeners.size === 1) this.reload();
    return () => {
      this.#listeners.delete(listener);
      release();
    };
  };

  set(change: (held: T | null) => T): void {
    this.#changes += 1;
    this.#publish({ data: change(this.#slice.data), error: null, loading: false });
  }

  readonly reload = (): void => {
    if (this.#listeners.size === 0) return;
    const before = this.#changes;
    const reading = (this.#reading = this.#read());
    reading.then(
      (answer) => {
        if (this.#reading !== reading) return;
        const { data } = this.#slice;
        this.#publish({ data: this.#accept(data, answer, before !== this.#changes) ?? data, error: null, loading: false });
      },
      (thrown) => {
        if (this.#reading !== reading) return;
        this.#publish({ ...this.#slice, error: CounterfoilError.from(thrown), loading: false });
      },
    );
  };

  #publish(slice: Slice<T>): void {
    this.#slice = slice;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Newest first; of two versions of one redemption the later counts. */
function merge(held: Redemption[] | null, arrived: Redemption[]): Redemption[] {
  const byId = new Map(held?.map((redemption) => [redemption.redemption_id, redemption]));
  for (const redemption of arrived) {
    const known = byId.get(redemption.redemption_id);
    if (!known || known.updated_at <= redemption.updated_at) byId.set(redemption.redemption_id, redemption);
  }
  return [...byId.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
}
