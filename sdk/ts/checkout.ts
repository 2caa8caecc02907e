// A member's side of a checkout: `@counterfoil/sdk/checkout`. Discounts and credit are held against an order's total until
// the shop's server commits or releases the order.

import type { CallOptions, Client } from "./client.js";
import { CounterfoilError } from "./errors.js";
import { exactlyOnce, type OnceOptions } from "./exactly-once.js";
import { browserStorage, IntentStore, type Kept, memoryStorage, type StorageLike } from "./intents.js";
import type { Hold, Money } from "./wire.js";

export type { Hold, HoldState, Money } from "./wire.js";

/** What is held: a code, an amount of the wallet's credit in the total's currency, or a discount of the chest, by its `id`. */
export type HoldWhat = { code: string } | { creditMinor: number } | { reward: string };

/** What to hold, against what. */
export type HoldRequest = HoldWhat & {
  /** What the order costs before anything is taken off. The last one given counts for all holds of the order. */
  total: Money;
};

/** The holds of one order. Every method rejects with a `CounterfoilError`. */
export interface Checkout {
  /**
   * Holds something for this order, for 15 minutes; `remaining_minor` says what is left to pay. A code that this member
   * holds already, for whichever order, is moved here. Makes one idempotency key per intent and keeps it over reloads, so
   * that credit is not held twice when an answer is lost. Refused with the code's own refusals, `code_held`,
   * `already_exists` (a second discount), `value_spent` (more credit than there is), `currency_not_allowed`.
   */
  hold(request: HoldRequest, options?: OnceOptions): Promise<Hold>;
  /** Every hold of this order, those that have ended too: see `state`. */
  holds(options?: CallOptions): Promise<Hold[]>;
  /** Gives one back. Safe to repeat; one that was used rejects with `illegal_move`. */
  release(holdId: string, options?: CallOptions): Promise<void>;
}

interface HoldIntent extends Kept {
  readonly order: string;
  readonly body: { code?: string; credit_minor?: number; reward?: string; total: Money };
}

/** Where keys stay that a full or forbidden storage does not take: as long as the page. */
const inMemory = memoryStorage();

/**
 * The holds of an order of the client's member.
 *
 * @param order the shop's own name of the order
 * @param options.storage where intents are kept; default: `localStorage`, else memory
 */
export function checkout(client: Client, order: string, { storage }: { storage?: StorageLike | undefined } = {}): Checkout {
  if (typeof order !== "string" || !order) throw new CounterfoilError("invalid_argument", "checkout() needs an order.");
  const path = `/v1/orders/${encodeURIComponent(order)}/holds`;
  const store = new IntentStore<HoldIntent>(
    "counterfoil:hold",
    // Another total is another command, which the server would not take under the same key.
    ({ order, body }) => JSON.stringify([order, body]),
    storage ?? browserStorage("localStorage") ?? inMemory,
    inMemory,
  );
  return {
    async hold(request, options = {}) {
      const intent = await store.keep({ order, body: bodyOf(request) });
      const send = async ({ key, body }: HoldIntent, signal: AbortSignal | undefined) => ({
        status: 201,
        body: await client.request<Hold>({ method: "POST", path, body, idempotencyKey: key, signal }),
        retryAfterMs: undefined,
      });
      // Undecided ones have no hold_id yet.
      return exactlyOnce(store, intent, send, ({ hold_id }) => hold_id !== undefined, options);
    },
    async holds({ signal } = {}) {
      return (await client.request<{ items: Hold[] }>({ method: "GET", path, signal })).items;
    },
    async release(holdId, { signal } = {}) {
      await client.request({ method: "DELETE", path: `${path}/${encodeURIComponent(holdId)}`, signal });
    },
  };
}

function bodyOf(request: HoldRequest): HoldIntent["body"] {
  const { code, creditMinor, reward, total } = request as Partial<{ code: string; creditMinor: number; reward: string }> &
    Pick<HoldRequest, "total">;
  if ([code, creditMinor, reward].filter((what) => what !== undefined).length !== 1 || !total) {
    throw new CounterfoilError("invalid_argument", "hold() needs {total} and one of {code}, {creditMinor}, {reward}.");
  }
  return {
    ...(code === undefined ? {} : { code }),
    ...(creditMinor === undefined ? {} : { credit_minor: creditMinor }),
    ...(reward === undefined ? {} : { reward }),
    total: { currency: total.currency, amount_minor: total.amount_minor },
  };
}
