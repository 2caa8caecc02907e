// The client: what a member can do, over one base address and one token.

import { CounterfoilError } from "./errors.js";
import { Cursor, Feed, type SubscribeOptions, type WebSocketLike } from "./feed.js";
import { Http, type TokenSource } from "./http.js";
import { browserStorage, type Intent, IntentStore, memberScope, memoryStorage, type StorageLike } from "./intents.js";
import { Redeemer, type RedeemOptions, type RedeemRequest, type ResumeOptions } from "./redeem.js";
import type { FeedEvent, LedgerRow, Page, Preview, Redemption, RedemptionStatus, Wallet } from "./wire.js";

export interface ClientOptions {
  /** Where the edge is, such as `https://codes.example.com`; in a browser a relative address will do. */
  baseUrl: string;
  /** The member's JWT, or a function that gives it; a function is asked again when a token has ended. */
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

/** Every method rejects with a `CounterfoilError`. */
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
  /** Delivers events in order, each once, over one connection for all subscribers. Returns the way to stop. */
  subscribe(listener: (event: FeedEvent) => void, options?: SubscribeOptions): () => void;
}

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
    async () => new IntentStore(await scope(), kept(), inMemory),
    (see) => feed.tap(see),
  );
  const read = async <T>(path: string, query: object | undefined, options: CallOptions | undefined): Promise<T> => {
    const parameters = query as Record<string, string | number | undefined> | undefined;
    return (await http.send<T>({ method: "GET", path, query: parameters, signal: options?.signal })).body;
  };

  return {
    async preview({ code, currency }, options) {
      const body = { code, currency };
      const path = "/v1/codes/preview";
      return (await http.send<Preview>({ method: "POST", path, body, signal: options?.signal })).body;
    },
    redeem: (request, options) => redeemer.redeem(request, options),
    pending: () => redeemer.pending(),
    resume: (options) => redeemer.resume(options),
    wallet: (options) => read("/v1/wallet", undefined, options),
    ledger: (query, options) => read("/v1/ledger", query, options),
    redemptions: (query, options) => read("/v1/redemptions", query, options),
    redemption: (id, options) => read(`/v1/redemptions/${encodeURIComponent(id)}`, undefined, options),
    subscribe: (listener, options) => feed.subscribe(listener, options),
  };
}
