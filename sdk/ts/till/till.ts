// The till: what a member of staff can do, over one base address and one token.

import type { CallOptions, PageQuery } from "../client.js";
import { CounterfoilError } from "../errors.js";
import { exactlyOnce, type OnceOptions } from "../exactly-once.js";
import { Http, type TokenSource } from "../http.js";
import { browserStorage, IntentStore, type Kept, memberScope, memoryStorage, type StorageLike } from "../intents.js";
import type { LedgerRow, Page, Quote, Redemption, TillMember } from "../wire.js";
import { Line } from "./line.js";
import type { Sale } from "./sale.js";

/** What `createTill` takes. */
export interface TillOptions {
  /** Where the edge is, such as `https://codes.example.com`; in a browser a relative address will do. */
  baseUrl: string;
  /**
   * The JWT of somebody with the role `staff`, `manager` or `admin`, or a function that gives it; a function is asked
   * before every request, and is told which token was refused.
   */
  token: TokenSource;
  /** Where intents are kept. Default: `localStorage`, else memory. */
  storage?: StorageLike | undefined;
  /** Default: the environment's own. */
  fetch?: typeof fetch | undefined;
}

/** One reward for one member. */
export interface QuoteRequest {
  /** Of the look-up's answer. */
  memberId: string;
  /** Of the reward's definition. */
  rewardId: string;
  /** 1–100, default 1. */
  quantity?: number | undefined;
  /** The same reward once more within ten seconds is meant; without it that is refused with `just_redeemed`. */
  again?: boolean | undefined;
}

/** How a quote is confirmed. */
export interface ConfirmOptions extends OnceOptions {
  /** A manager's goodwill: takes what there is of the points and lets the rest go, with this reason on record. */
  override?: { reason: string } | undefined;
  /** Whose it is. Not sent; kept with the intent, for a receipt after a reload. */
  member?: Sale["member"] | undefined;
}

/** Taking a redemption back. */
export interface ReverseRequest {
  /** On the member's ledger and in the audit log. */
  reason: string;
  /** Gives the use of a code back as well, so that it can be redeemed again. Default false. */
  giveBack?: boolean | undefined;
}

/** A confirmation or a reversal that was asked for and has no final answer yet. */
export interface TillIntent extends Kept {
  readonly confirm?: { readonly quote: Quote; readonly override?: { readonly reason: string } | undefined; readonly member?: Sale["member"] | undefined } | undefined;
  readonly reverse?: { readonly redemption_id: string; readonly reason: string; readonly give_back: boolean } | undefined;
}

/** Every method but `now` and `watch` rejects with a `CounterfoilError`; `code` says why. */
export interface Till {
  /**
   * The member with this phone number: live balance, the rewards it pays for, and the next one. Rejects with
   * `member_not_found` where nobody has that number.
   *
   * @param phone E.164 (`+4915112345678`), or national where the merchant's settings name a country
   */
  lookup(phone: string, options?: CallOptions): Promise<TillMember>;
  /**
   * Offers a reward: the price is fixed for two minutes, nothing is taken. A newer quote of the same reward for the same
   * member replaces an older one. When the balance does not cover it, rejects with `insufficient_points`; the error's
   * `problem` holds `points_needed`, and a `quote_id` that a manager's override can confirm.
   */
  quote(request: QuoteRequest, options?: CallOptions): Promise<Quote>;
  /**
   * Takes the points and gives the reward, exactly once: the idempotency key is kept before the first request and sent
   * on every try, until there is a final answer; `onRetry` says that one is still awaited. A quote is confirmed once,
   * whatever the key. Refused with `quote_expired` (its `reason`: `time`, `replaced`, `confirmed`, `cancelled`),
   * `insufficient_points`, `insufficient_codes`, `just_redeemed`, or `forbidden` (an override by staff).
   */
  confirm(quote: Quote, options?: ConfirmOptions): Promise<Redemption>;
  /** Withdraws a quote. Safe to repeat; one that was confirmed rejects with `illegal_move`. */
  cancel(quoteId: string, options?: CallOptions): Promise<void>;
  /**
   * Takes a redemption back, exactly once: points return, rewards are deleted, promo codes go to quarantine. Staff may do
   * so with their own and within the merchant's window (else `forbidden`, `reversal_window_over`), a manager with any.
   * Also refused with `already_reversed`, `value_spent`, `illegal_move`.
   */
  reverse(redemptionId: string, request: ReverseRequest, options?: OnceOptions): Promise<Redemption>;
  /** A member's ledger, the latest row first; for tokens that may read members (`admin`). */
  ledger(memberId: string, query?: PageQuery, options?: CallOptions): Promise<Page<LedgerRow>>;
  /** What was asked for by this token's owner and has no final answer yet. */
  pending(): Promise<TillIntent[]>;
  /** Continues one of those, with its own key. */
  resume(intent: TillIntent, options?: OnceOptions): Promise<Redemption>;
  /** The server's time in milliseconds, as far as it is known: to count a quote's time down by. */
  now(): number;
  /**
   * Tells whether the edge can be reached, at once and at every change, until the returned function is called. While
   * watched, it is asked every ten seconds, and every two while it does not answer.
   */
  watch(listener: (reachable: boolean) => void): () => void;
}

/** Makes a till. Touches nothing until it is used. */
export function createTill(options: TillOptions): Till {
  if (!options?.token) throw new CounterfoilError("invalid_argument", "createTill() needs {baseUrl, token}.");
  const fetchNow: typeof fetch = (input, init) => (options.fetch ?? globalThis.fetch)(input, init);
  const line = new Line((signal) => fetchNow(`${http.base}/healthz`, { cache: "no-store", signal }));
  const http = new Http(options.baseUrl, options.token, line.listening(fetchNow));
  const inMemory = memoryStorage();

  const store = async () => {
    const scope = memberScope(http.base, await http.token());
    return new IntentStore<TillIntent>(`${scope}:till`, identity, options.storage ?? browserStorage("localStorage") ?? inMemory, inMemory);
  };
  const begin = async (command: Omit<TillIntent, keyof Kept>, once: OnceOptions): Promise<Redemption> => {
    const kept = await store();
    return drive(kept, await kept.keep(command), once);
  };
  const drive = async (kept: IntentStore<TillIntent>, intent: TillIntent, once: OnceOptions): Promise<Redemption> => {
    const redemption = await exactlyOnce(kept, intent, send, isDecided, once);
    // One that was accepted first and refused then.
    if (redemption.status === "refused") throw CounterfoilError.refused(redemption.refusal);
    return redemption;
  };
  const send = ({ key, confirm, reverse }: TillIntent, signal: AbortSignal | undefined) => {
    const [path, body] = confirm
      ? [`/v1/till/quotes/${encodeURIComponent(confirm.quote.quote_id)}/confirm`, confirm.override ? { override: confirm.override } : {}]
      : [
          `/v1/redemptions/${encodeURIComponent(reverse?.redemption_id ?? "")}/reversal`,
          { reason: reverse?.reason, ...(reverse?.give_back ? { give_back: true } : {}) },
        ];
    return http.send<Redemption>({ method: "POST", path, body, idempotencyKey: key, signal, timeoutMs: TRY_TIMEOUT_MS });
  };

  return {
    async lookup(phone, { signal } = {}) {
      return (await http.send<TillMember>({ method: "POST", path: "/v1/till/lookup", body: { phone }, signal })).body;
    },
    async quote({ memberId, rewardId, quantity, again }, { signal } = {}) {
      const body = { member_id: memberId, reward_id: rewardId, quantity, again };
      return (await http.send<Quote>({ method: "POST", path: "/v1/till/quotes", body, signal })).body;
    },
    confirm: (quote, { override, member, ...once } = {}) => begin({ confirm: { quote, override, member } }, once),
    async cancel(quoteId, { signal } = {}) {
      await http.send({ method: "DELETE", path: `/v1/till/quotes/${encodeURIComponent(quoteId)}`, signal });
    },
    reverse: (redemption_id, { reason, giveBack = false }, once = {}) =>
      begin({ reverse: { redemption_id, reason, give_back: giveBack } }, once),
    async ledger(memberId, query = {}, { signal } = {}) {
      const path = `/v1/members/${encodeURIComponent(memberId)}/ledger`;
      return (await http.send<Page<LedgerRow>>({ method: "GET", path, query: { ...query }, signal })).body;
    },
    pending: async () => (await store()).all(),
    resume: async (intent, once = {}) => drive(await store(), intent, once),
    now: () => http.now(),
    watch: (listener) => line.watch(listener),
  };
}

/** A person stands and waits: a try that hangs is better made anew, with the same key. */
const TRY_TIMEOUT_MS = 6_000;

/** Whether the use has been consumed or refused, or given back. */
function isDecided({ status }: Redemption): boolean {
  return status !== "redeeming" && status !== "redeem_failed";
}

function identity({ confirm, reverse }: Omit<TillIntent, keyof Kept>): string {
  // An override is another command, which the server would not take under the same key; so is another reason.
  return JSON.stringify(confirm ? [confirm.quote.quote_id, confirm.override?.reason] : [reverse?.redemption_id, reverse?.reason, reverse?.give_back]);
}
