// Redeeming exactly once: one idempotency key per intent, kept before the first request and used on
// every try, until the server has given its final answer.

import { CounterfoilError, guarded } from "./errors.js";
import type { Http } from "./http.js";
import type { Intent, IntentStore, Kept } from "./intents.js";
import { abortedError, backoffMs, sleep } from "./timing.js";
import type { FeedEvent, Redemption } from "./wire.js";

/** A code to redeem. */
export interface CodeRequest {
  /** As typed or canonical; a code that needs repair is refused (`malformed_code`). */
  code: string;
  /** ISO 4217; needed where the campaign restricts currencies. */
  currency?: string | undefined;
  /** The shop's order that this redemption belongs to. */
  order?: string | undefined;
}

/** A reward to buy with points. */
export interface PointsRequest {
  /** Of the reward's definition, as the catalogue lists it. */
  rewardId: string;
  /** 1–100, default 1. */
  quantity?: number | undefined;
}

/** What `redeem` takes. */
export type RedeemRequest = CodeRequest | PointsRequest;

export interface RedeemOptions {
  /** Stops waiting. The intent stays kept: the request may have been acted on. */
  signal?: AbortSignal | undefined;
  /** Each state of the redemption that is seen on the way. */
  onUpdate?: ((redemption: Redemption) => void) | undefined;
}

export interface ResumeOptions extends RedeemOptions {
  /** An intent that ended in a refusal, or could not be continued now. */
  onError?: ((error: CounterfoilError, intent: Intent) => void) | undefined;
}

/** Lets the caller see every event of the live feed while it runs; returns the way to stop. */
export type FeedTap = (see: (event: FeedEvent) => void) => () => void;

interface Run {
  result: Promise<Redemption>;
  controller: AbortController;
  waiting: number;
  onUpdate: Set<(redemption: Redemption) => void>;
}

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 30_000;
const POLL_BASE_MS = 1_000;
const POLL_CAP_MS = 10_000;

export class Redeemer {
  readonly #http: Http;
  readonly #store: () => Promise<IntentStore<Intent>>;
  readonly #tap: FeedTap;
  /** By idempotency key: callers that redeem the same code in one page share one run. */
  readonly #runs = new Map<string, Run>();

  constructor(http: Http, store: () => Promise<IntentStore<Intent>>, tap: FeedTap) {
    this.#http = http;
    this.#store = store;
    this.#tap = tap;
  }

  async redeem(request: RedeemRequest, options: RedeemOptions = {}): Promise<Redemption> {
    // Of what was given only what can be sent is kept.
    const { code, currency, order, rewardId: reward_id, quantity } = (request ?? {}) as Partial<CodeRequest & PointsRequest>;
    const command: Omit<Intent, keyof Kept> = code === undefined ? { reward_id, quantity } : { code, currency, order };
    const what: unknown = code ?? reward_id;
    if (typeof what !== "string" || !what.trim()) {
      throw new CounterfoilError("invalid_argument", "redeem() needs {code} or {rewardId}.");
    }
    if (options.signal?.aborted) throw abortedError(options.signal);
    const store = await this.#store();
    return this.#join(await store.keep(command), store, options);
  }

  async pending(): Promise<Intent[]> {
    return (await this.#store()).all();
  }

  async resume(options: ResumeOptions = {}): Promise<Redemption[]> {
    const store = await this.#store();
    const ended = await Promise.all(
      store.all().map((intent) =>
        this.#join(intent, store, options).catch((error: CounterfoilError) => {
          if (options.onError) guarded(options.onError)(error, intent);
          return undefined;
        }),
      ),
    );
    return ended.filter((redemption) => redemption !== undefined);
  }

  #join(intent: Intent, store: IntentStore<Intent>, { signal, onUpdate }: RedeemOptions): Promise<Redemption> {
    const run = this.#runs.get(intent.key) ?? this.#start(intent, store);
    // One wrapper per caller, so that two callers may pass the same function.
    const see = onUpdate && guarded(onUpdate);
    if (see) run.onUpdate.add(see);
    run.waiting += 1;
    return new Promise<Redemption>((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener("abort", onAbort);
        if (see) run.onUpdate.delete(see);
        run.waiting -= 1;
      };
      const onAbort = () => {
        leave();
        if (run.waiting === 0) run.controller.abort();
        reject(abortedError(signal));
      };
      if (signal?.aborted) return onAbort();
      signal?.addEventListener("abort", onAbort);
      run.result.finally(leave).then(resolve, reject);
    });
  }

  #start(intent: Intent, store: IntentStore<Intent>): Run {
    const controller = new AbortController();
    const onUpdate: Run["onUpdate"] = new Set();
    const tell = (redemption: Redemption) => onUpdate.forEach((see) => see(redemption));
    // Begins in a later microtask, when the caller that started it has joined.
    const result = Promise.resolve()
      .then(() => this.#drive(intent, store, controller.signal, tell))
      .finally(() => this.#runs.get(intent.key) === run && this.#runs.delete(intent.key));
    const run: Run = { result, controller, waiting: 0, onUpdate };
    this.#runs.set(intent.key, run);
    result.catch(() => {}); // everyone may have left
    controller.signal.addEventListener("abort", () => this.#runs.delete(intent.key));
    return run;
  }

  async #drive(
    started: Intent,
    store: IntentStore<Intent>,
    signal: AbortSignal,
    tell: (redemption: Redemption) => void,
  ): Promise<Redemption> {
    let intent = started;
    let wake: () => void = () => {};
    const untap = this.#tap((event) => {
      if (event.type === "redemption.updated" && (event.data as Redemption).redemption_id === intent.redemption_id) {
        wake();
      }
    });
    try {
      for (let tries = 0; ; tries++) {
        // Made before the request: an event that arrives during it must not be slept over.
        const woken = new Promise<void>((resolve) => (wake = resolve));
        let waitMs: number;
        const answer = await this.#ask(intent, signal).catch(CounterfoilError.from);
        if (answer instanceof CounterfoilError) {
          const meaning = verdict(answer, intent);
          if (meaning === "final") store.drop(intent);
          if (meaning === "final" || meaning === "keep") throw answer;
          if (meaning === "ask_anew") intent = store.update(intent, { redemption_id: undefined });
          if (meaning === "uncertain" && !intent.uncertain) intent = store.update(intent, { uncertain: true });
          // Never earlier than asked, and not all at the same instant after it.
          waitMs = (answer.retryAfterMs ?? 0) + backoffMs(tries, RETRY_BASE_MS, RETRY_CAP_MS);
        } else {
          const redemption = answer.body;
          if (isDecided(redemption)) {
            store.drop(intent);
            tell(redemption);
            if (redemption.status === "refused") throw CounterfoilError.refused(redemption.refusal);
            return redemption;
          }
          if (intent.redemption_id !== redemption.redemption_id) {
            intent = store.update(intent, { redemption_id: redemption.redemption_id });
            tries = 0;
          }
          tell(redemption);
          waitMs = (answer.retryAfterMs ?? 0) + backoffMs(tries, POLL_BASE_MS, POLL_CAP_MS);
        }
        await sleep(waitMs, signal, woken);
      }
    } finally {
      untap();
    }
  }

  #ask(intent: Intent, signal: AbortSignal) {
    if (intent.redemption_id !== undefined) {
      const path = `/v1/redemptions/${encodeURIComponent(intent.redemption_id)}`;
      return this.#http.send<Redemption>({ method: "GET", path, signal });
    }
    const { code, currency, order, reward_id, quantity } = intent;
    return this.#http.send<Redemption>({
      method: "POST",
      path: "/v1/redemptions",
      body: { code, currency, order, reward_id, quantity },
      idempotencyKey: intent.key,
      signal,
    });
  }
}

/**
 * What a failure means for the intent.
 * `final`: the server has answered, the intent is over. `keep`: no use in trying now, the intent stays.
 * `uncertain`: the server may have acted; only the same key may be sent again. `retry`: it has not acted.
 * `ask_anew`: the id is not known (any more), the key is.
 */
function verdict(error: CounterfoilError, intent: Intent): "final" | "keep" | "uncertain" | "retry" | "ask_anew" {
  const { code, status } = error;
  if (code === "aborted" || code === "invalid_token" || status === 401) return "keep";
  if (status === undefined || status >= 500 || status === 408 || status < 300) return "uncertain";
  if (code === "rate_limited" || code === "idempotency_key_in_use") return "retry";
  // Given before the server looks whether an earlier try is still under way; that one may yet succeed.
  if (code === "too_many_attempts" && intent.uncertain) return "keep";
  if (code === "unexpected_answer") return "keep";
  if (status === 404 && intent.redemption_id !== undefined) return "ask_anew";
  return "final";
}

/** Whether the use has been consumed or refused; what follows (granting, reversal) goes on without us. */
function isDecided(redemption: Redemption): boolean {
  return redemption.status !== "redeeming" && redemption.status !== "redeem_failed";
}
