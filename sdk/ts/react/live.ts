// Hooks that follow the live feed.

import {
  type CounterfoilError,
  type FeedEvent,
  type FeedReset,
  type FeedState,
  initialSlice,
  type List,
  type Listed,
  type Redemption,
  type Resource,
  type Reward,
  type RewardMoves,
  type Slice,
  type Wallet,
} from "@counterfoil/sdk";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";

import { useHeld } from "./provider.js";

export interface UseEventsOptions {
  since?: number | undefined;
  onReset?: ((reset: FeedReset) => void) | undefined;
}

/** Calls the listener with every event while mounted; answers how the feed is connected. */
export function useEvents(listener: (event: FeedEvent) => void, options: UseEventsOptions = {}): FeedState {
  const { client } = useHeld("useEvents");
  const [state, setState] = useState<FeedState>("connecting");
  const latest = useRef({ listener, options });
  useEffect(() => {
    latest.current = { listener, options };
  });
  const { since } = options;
  useEffect(
    () =>
      client?.subscribe((event) => latest.current.listener(event), {
        since,
        onState: setState,
        onReset: (reset) => latest.current.options.onReset?.(reset),
      }),
    [client, since],
  );
  return state;
}

export interface UseWallet {
  /** Null before the first answer. */
  wallet: Wallet | null;
  loading: boolean;
  error: CounterfoilError | null;
  refresh(): void;
}

/** The member's wallet, live. */
export function useWallet(): UseWallet {
  const resource = useHeld("useWallet").live?.wallet;
  const { data, ...rest } = useResource(resource);
  return { wallet: data, ...rest };
}

interface UseList {
  loading: boolean;
  error: CounterfoilError | null;
  refresh(): void;
  /** Whether there are older ones that have not been read. */
  hasMore: boolean;
  /** Reads the next page of older ones. */
  loadMore(): void;
}

export interface UseRedemptions extends UseList {
  /** The latest first; empty before the first answer. */
  redemptions: Redemption[];
}

/** The member's redemptions, live: the latest, older ones as they are asked for, and all that change while mounted. */
export function useRedemptions(): UseRedemptions {
  const { items, ...rest } = useList<Redemption>(useHeld("useRedemptions").live?.redemptions);
  return { redemptions: items, ...rest };
}

export interface UseRewards extends UseList, RewardMoves {
  /** The latest first; empty before the first answer. Their states are the server's word. */
  rewards: Reward[];
  /** Asks for the move; `pending[id]` says so meanwhile, and `errors[id]` why not. Resolves with whether it was made. */
  claim(id: string): Promise<boolean>;
  activate(id: string): Promise<boolean>;
  decline(id: string): Promise<boolean>;
}

/** The member's rewards, live, and what can be done with them. */
export function useRewards(): UseRewards {
  const resource = useHeld("useRewards").live?.rewards;
  const { items, pending = EMPTY, errors = EMPTY, ...rest } = useList<Reward, Partial<RewardMoves>>(resource);
  const { claim = notNow, activate = notNow, decline = notNow } = resource ?? {};
  return { rewards: items, pending, errors, claim, activate, decline, ...rest };
}

const NONE: never[] = [];
const EMPTY = {};
const nothing = () => {};
const noSubscription = () => nothing;
const notNow = async () => false;

function useResource<T>(resource: Resource<T> | undefined): Slice<T> & { refresh(): void } {
  const slice = useSyncExternalStore<Slice<T>>(
    resource?.subscribe ?? noSubscription,
    resource?.get ?? initialSlice,
    initialSlice,
  );
  return { ...slice, refresh: resource?.reload ?? nothing };
}

function useList<T, More = unknown>(list: List<T, Listed<T> & More> | undefined) {
  const { data, ...rest } = useResource(list);
  const { items = NONE as T[], next, ...more } = data ?? ({} as Partial<Listed<T>> & More);
  return { items, hasMore: Boolean(next), loadMore: list?.more ?? nothing, ...more, ...rest };
}
