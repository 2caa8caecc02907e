// What every environment exports; the entry files add how the WebAssembly is loaded.

export { type Client, type ClientOptions, type CallOptions, createClient } from "./client.js";
export type { PageQuery, RedemptionQuery, RewardCalls, RewardQuery } from "./client.js";
export { checkCode, type CodeCheck, formatCode, type FormattedCode, isReady, ready, type Suggestion } from "./code.js";
export { type ClientErrorCode, CounterfoilError } from "./errors.js";
export type { FeedState, SubscribeOptions, WebSocketLike } from "./feed.js";
export type { TokenSource } from "./http.js";
export type { Intent, StorageLike } from "./intents.js";
export { initialSlice, type List, LiveState, type Listed, type Resource, type RewardAction, type RewardMoves, type Slice } from "./live-state.js";
export type { RedeemOptions, RedeemRequest, ResumeOptions } from "./redeem.js";
export type * from "./wire.js";
