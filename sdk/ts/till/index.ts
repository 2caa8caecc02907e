// Staff at a till: `@counterfoil/sdk/till`. Needs nothing of the member's client and loads no WebAssembly.

export type { CallOptions, PageQuery } from "../client.js";
export type { OnceOptions } from "../exactly-once.js";
export type { TokenSource } from "../http.js";
export type { StorageLike } from "../intents.js";
export type { CatalogueItem, NextReward, Quote, Redemption, TillMember } from "../wire.js";
export { type Sale, saleOf } from "./sale.js";
export { type ConfirmOptions, createTill, type QuoteRequest, type ReverseRequest, type Till, type TillIntent, type TillOptions } from "./till.js";
