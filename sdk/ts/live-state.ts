// Wallet, redemptions and rewards, read once and kept up to date by the live feed: an external store for any framework.

import type { Client } from "./client.js";
import { CounterfoilError } from "./errors.js";
import type { Page, Redemption, Reward, Wallet } from "./wire.js";

/** A part of the state at one moment; a new object at every change. */
export interface Slice<T> {
  /** Null before the first answer. */
  data: T | null;
  error: CounterfoilError | null;
  loading: boolean;
}

/** A list as far as it has been read, the latest first. */
export interface Listed<T> {
  items: T[];
  /** Where what follows begins: empty where nothing does, undefined before the first answer. */
  next?: string | undefined;
}

/** What a member may do with a reward. */
export type RewardAction = "claim" | "activate" | "decline";

/** Which rewards' moves are being asked for, and why the last ones asked for were not made; by id. */
export interface RewardMoves {
  pending: Record<string, RewardAction>;
  errors: Record<string, CounterfoilError>;
}

/** Rewards in one reading: as many as will hardly ever hide one that can still be claimed. */
const PAGE = 100;

const LOADING: Slice<never> = { data: null, error: null, loading: true };

/** What a server renders, and what a browser shows before the first answer. */
export const initialSlice = <T>(): Slice<T> => LOADING;

/** The live state of one client's member. Follows the feed only while something is subscribed. */
export class LiveState {
  readonly wallet: Resource<Wallet>;
  readonly redemptions: List<Redemption>;
  readonly rewards: Rewards;
  readonly #client: Client;
  #users = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client) {
    this.#client = client;
    const retain = () => this.#retain();
    // The answer counts only when no event came meanwhile: what an event brings is never older.
    this.wallet = new Resource(() => client.wallet(), (held, answer, stale) => (stale && held) || answer, retain);
    this.redemptions = new List(
      (cursor) => client.redemptions({ cursor }),
      ({ redemption_id, updated_at, created_at }) => [redemption_id, updated_at, created_at],
      retain,
    );
    this.rewards = new Rewards(client, retain);
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
    const { wallet, redemptions, rewards } = this;
    let followed = false;
    this.#unsubscribe = this.#client.subscribe(
      ({ type, data }) => {
        if (type === "wallet.updated") wallet.set(() => data as Wallet);
        if (type === "redemption.updated") redemptions.put(data as Redemption);
        if (type === "reward.updated") rewards.put(data as Reward);
      },
      {
        onReset: (reset) => {
          wallet.set(() => reset.wallet);
          redemptions.replace(reset.redemptions);
          rewards.replace(reset.rewards);
        },
        onState: (state) => {
          if (followed || (state !== "live" && state !== "polling")) return;
          // What changed between the first reading and the feed's beginning is in neither: read again.
          followed = true;
          for (const resource of [wallet, redemptions, rewards]) resource.reload();
        },
      },
    );
  }
}

/** One part of the state, in the form that `useSyncExternalStore` and its like take. */
export class Resource<T> {
  readonly #read: (cursor?: string) => Promise<T>;
  readonly #accept: (held: T | null, answer: T, stale: boolean, more: boolean) => T;
  readonly #retain: () => () => void;
  readonly #listeners = new Set<() => void>();
  #slice: Slice<T> = initialSlice();
  /** Counts what events brought. */
  #changes = 0;
  /** The latest reading; an earlier one that ends later is ignored. */
  #reading: Promise<T> | undefined;

  constructor(
    read: (cursor?: string) => Promise<T>,
    accept: (held: T | null, answer: T, stale: boolean, more: boolean) => T,
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
    this.publish({ data: change(this.#slice.data), error: null, loading: false });
  }

  readonly reload = (): void => {
    if (this.#listeners.size > 0) this.load();
  };

  protected load(cursor?: string): void {
    const before = this.#changes;
    const reading = (this.#reading = this.#read(cursor));
    const settle = (then: () => Partial<Slice<T>>) => {
      if (this.#reading === reading) this.publish({ error: null, ...then(), loading: false });
    };
    reading.then(
      (answer) => settle(() => ({ data: this.#accept(this.#slice.data, answer, before !== this.#changes, Boolean(cursor)) })),
      (thrown) => settle(() => ({ error: CounterfoilError.from(thrown) })),
    );
  }

  protected publish(change: Partial<Slice<T>>): void {
    this.#slice = { ...this.#slice, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** What tells one item from another, its version, and when it came to be. */
type Key = readonly [id: string, version: string | number, born: string];

/** A list that is read page by page, while events change it and add to it. */
export class List<T, L extends Listed<T> = Listed<T>> extends Resource<L> {
  readonly #key: (item: T) => Key;

  constructor(read: (cursor?: string) => Promise<Page<T>>, key: (item: T) => Key, retain: () => () => void) {
    super(
      async (cursor) => {
        const { items, next_cursor = "" } = await read(cursor);
        return { items, next: next_cursor } as L;
      },
      (held, { items, next }, stale, more) => ({
        ...held,
        ...this.#merged(held, items, stale),
        // The first page read again says nothing of where the last one read ended.
        next: more ? next : (held?.next ?? next),
      }),
      retain,
    );
    this.#key = key;
  }

  put(item: T): void {
    this.set((held) => this.#merged(held, [item]));
  }

  /** All that was read before is in doubt; the next reading says what follows. */
  replace(items: T[]): void {
    this.set((held) => ({ ...held, items, next: undefined }) as L);
    this.reload();
  }

  readonly more = (): void => {
    const { data, loading } = this.get();
    if (!data?.next || loading) return;
    this.publish({ loading: true });
    this.load(data.next);
  };

  /** Of two versions of one item the later counts; of two that look alike the one that came by event. */
  #merged(held: L | null, arrived: T[], stale = false): L {
    const key = this.#key;
    const byId = new Map(held?.items.map((item) => [key(item)[0], item]));
    for (const item of arrived) {
      const [id, version] = key(item);
      const known = byId.get(id);
      const knownVersion = known && key(known)[1];
      if (knownVersion === undefined || knownVersion < version || (knownVersion === version && !stale)) byId.set(id, item);
    }
    const items = [...byId.values()].sort((a, b) => (key(a)[2] < key(b)[2] ? 1 : key(a)[2] > key(b)[2] ? -1 : 0));
    return { ...held, items } as L;
  }
}

/** The member's rewards, and their moves. A reward's state is what the server said last; only asking for it shows at once. */
export class Rewards extends List<Reward, Listed<Reward> & Partial<RewardMoves>> {
  readonly #client: Client;

  constructor(client: Client, retain: () => () => void) {
    super(
      (cursor) => client.rewards.list({ cursor, limit: PAGE }),
      // Every change of a reward is one of its moves, or comes by event.
      ({ id, moves }) => [id, moves.length, moves[0]?.at ?? ""],
      retain,
    );
    this.#client = client;
  }

  readonly claim = (id: string): Promise<boolean> => this.#move(id, "claim");
  readonly activate = (id: string): Promise<boolean> => this.#move(id, "activate");
  readonly decline = (id: string): Promise<boolean> => this.#move(id, "decline");

  async #move(id: string, action: RewardAction): Promise<boolean> {
    if (this.get().data?.pending?.[id]) return false;
    this.#note(id, action);
    try {
      this.put(await this.#client.rewards[action](id));
      this.#note(id);
      return true;
    } catch (thrown) {
      const error = CounterfoilError.from(thrown);
      this.#note(id, undefined, error);
      // It stands elsewhere than this page thought.
      if (error.isRefusal) this.reload();
      return false;
    }
  }

  #note(id: string, action?: RewardAction, error?: CounterfoilError): void {
    const data = this.get().data ?? { items: [] };
    const pending = { ...data.pending };
    const errors = { ...data.errors };
    delete pending[id];
    delete errors[id];
    if (action) pending[id] = action;
    if (error) errors[id] = error;
    this.publish({ data: { ...data, pending, errors } });
  }
}
