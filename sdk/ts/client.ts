// The client: what a member can do, over one base address and one token.

import { CounterfoilError } from "./errors.js";
import { Cursor, Feed, type SubscribeOptions, type WebSocketLike } from "./feed.js";
import { Http, type Request, type TokenSource } from "./http.js";
import { browserStorage, identity, type Intent, IntentStore, memberScope, memoryStorage, type StorageLike } from "./intents.js";
import { Redeemer, type RedeemOptions, type RedeemRequest, type ResumeOptions } from "./redeem.js";
import { backoffMs, sleep } from "./timing.js";
import type { FeedEvent, LedgerRow, Page, Preview, Redemption, RedemptionStatus, Reward, RewardState, Wallet } from "./wire.js";

export interface ClientOptions {
  /** Where the edge is, such as `https://codes.example.com`; in a browser a relative address will do. */
  baseUrl: string;
  /**
   * The member's JWT, or a function that gives it; a function is asked again when a token has ended, and is told which
   * one was refused.
   */
  token: TokenSource;
  /** Where intents are kept. Default: `localStorage`, else memory. */
  storage?: StorageLike | undefined;
  /** Default: the environment's own. */
  fetch?: typeof fetch | undefined;
  /** Default: the environment's own; without one the feed uses the long poll. */
  WebSocket?: WebSocketLike | undefined;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Ask again with `cursor: next_cursor` for what follows. */
export interface PageQuery {
  cursor?: string | undefined;
  /** 1–200. */
  limit?: number | undefined;
}

export interface RedemptionQuery extends PageQuery {
  status?: RedemptionStatus | undefined;
  campaign?: number | undefined;
  /** RFC 3339. */
  from?: string | undefined;
  /** RFC 3339. */
  to?: string | undefined;
}

export interface RewardQuery extends PageQuery {
  state?: RewardState | undefined;
}

/**
 * Moves answer with the reward as it stands then. They are safe to repeat: a move already made changes nothing. One that
 * the reward's state forbids rejects with `illegal_move`; `problem` holds its `state` and the `legal_moves` from there.
 */
export interface RewardCalls {
  list(query?: RewardQuery, options?: CallOptions): Promise<Page<Reward>>;
  /** Takes what was given. */
  claim(id: string, options?: CallOptions): Promise<Reward>;
  /** Uses it: a booster starts to run, a delivery begins. */
  activate(id: string, options?: CallOptions): Promise<Reward>;
  /** Does not want it, for good. */
  decline(id: string, options?: CallOptions): Promise<Reward>;
}

/** Every method but `now` and `subscribe` rejects with a `CounterfoilError`. */
export interface Client {
  /** What a code would do, with the rules that pass and fail. Consumes nothing. */
  preview(request: { code: string; currency?: string | undefined }, options?: CallOptions): Promise<Preview>;
  /**
   * Redeems exactly once, however often the network fails and the page reloads. Resolves when the use is
   * consumed; rejects with the refusal's code. Asking again for a code whose intent is kept continues it.
   */
  redeem(request: RedeemRequest, options?: RedeemOptions): Promise<Redemption>;
  /** The intents without a final answer yet. */
  pending(): Promise<Intent[]>;
  /** Continues every kept intent, after a reload for example; resolves with those that were redeemed. */
  resume(options?: ResumeOptions): Promise<Redemption[]>;
  wallet(options?: CallOptions): Promise<Wallet>;
  ledger(query?: PageQuery, options?: CallOptions): Promise<Page<LedgerRow>>;
  redemptions(query?: RedemptionQuery, options?: CallOptions): Promise<Page<Redemption>>;
  redemption(id: string, options?: CallOptions): Promise<Redemption>;
  rewards: RewardCalls;
  /** Sends a request as this member and resolves with the answer's body. For calls that have no method here; makes one try. */
  request<T>(request: Request): Promise<T>;
  /** The server's time in milliseconds, as far as it is known: to count down by, where the device's clock may be wrong. */
  now(): number;
  /** Delivers events in order, each once, over one connection for all subscribers. Returns the way to stop. */
  subscribe(listener: (event: FeedEvent) => void, options?: SubscribeOptions): () => void;
}

const MOVE_TRIES_MAX = 4;
const MOVE_AGAIN_BASE_MS = 500;
const MOVE_AGAIN_CAP_MS = 4_000;
/** A server that wants more time than this is not waited for: the person decides. */
const MOVE_PATIENCE_MS = 5_000;

/** Makes a client. Touches nothing until it is used, so a module may do it while rendering on a server. */
export function createClient(options: ClientOptions): Client {
  if (!options?.token) throw new CounterfoilError("invalid_argument", "createClient() needs {baseUrl, token}.");
  const http = new Http(options.baseUrl, options.token, options.fetch);
  const inMemory = memoryStorage();
  const kept = () => options.storage ?? browserStorage("localStorage") ?? inMemory;
  // Where this page stands in the feed is a fact of this tab, not of all tabs.
  const ofThisTab = () => options.storage ?? browserStorage("sessionStorage") ?? inMemory;
  const scope = async () => memberScope(http.base, await http.token());

  const feed = new Feed(
    http,
    () => options.WebSocket ?? (globalThis.WebSocket as WebSocketLike | undefined),
    async () => new Cursor(await scope(), ofThisTab()),
  );
  const redeemer = new Redeemer(
    http,
    async () => new IntentStore(`${await scope()}:intent`, identity, kept(), inMemory),
    (see) => feed.tap(see),
  );
  const request = async <T>(request: Request): Promise<T> => (await http.send<T>(request)).body;
  const read = <T>(path: string, query: object | undefined, options: CallOptions | undefined): Promise<T> => {
    const parameters = query as Record<string, string | number | undefined> | undefined;
    return request<T>({ method: "GET", path, query: parameters, signal: options?.signal });
  };
  const move =
    (verb: string) =>
    async (id: string, { signal }: CallOptions = {}): Promise<Reward> => {
      const path = `/v1/rewards/${encodeURIComponent(id)}/${verb}`;
      for (let tries = 1; ; tries++) {
        try {
          return await request<Reward>({ method: "POST", path, signal });
        } catch (thrown) {
          const { retryable, status, retryAfterMs = 0 } = CounterfoilError.from(thrown);
          const hopeless = !retryable || status === 401 || retryAfterMs > MOVE_PATIENCE_MS;
          if (hopeless || tries === MOVE_TRIES_MAX || signal?.aborted) throw thrown;
          await sleep(retryAfterMs + backoffMs(tries, MOVE_AGAIN_BASE_MS, MOVE_AGAIN_CAP_MS), signal);
        }
      }
    };

  return {
    preview: async ({ code, currency }, options) =>
      request<Preview>({ method: "POST", path: "/v1/codes/preview", body: { code, currency }, signal: options?.signal }),
    redeem: (request, options) => redeemer.redeem(request, options),
    pending: () => redeemer.pending(),
    resume: (options) => redeemer.resume(options),
    wallet: (options) => read("/v1/wallet", undefined, options),
    ledger: (query, options) => read("/v1/ledger", query, options),
    redemptions: (query, options) => read("/v1/redemptions", query, options),
    redemption: (id, options) => read(`/v1/redemptions/${encodeURIComponent(id)}`, undefined, options),
    rewards: {
      list: (query, options) => read("/v1/rewards", query, options),
      claim: move("claim"),
      activate: move("activate"),
      decline: move("decline"),
    },
    request,
    now: () => http.now(),
    subscribe: (listener, options) => feed.subscribe(listener, options),
  };
}
