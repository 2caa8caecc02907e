// Hooks that follow the live feed.

import {
  type CounterfoilError,
  type FeedEvent,
  type FeedReset,
  type FeedState,
  initialSlice,
  type Redemption,
  type Resource,
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

export interface UseRedemptions {
  /** The latest first; empty before the first answer. */
  redemptions: Redemption[];
  loading: boolean;
  error: CounterfoilError | null;
  refresh(): void;
}

const NONE: Redemption[] = [];

/** The member's redemptions, live: the latest, and all that change while mounted. */
export function useRedemptions(): UseRedemptions {
  const resource = useHeld("useRedemptions").live?.redemptions;
  const { data, ...rest } = useResource(resource);
  return { redemptions: data ?? NONE, ...rest };
}

const nothing = () => {};
const noSubscription = () => nothing;

function useResource<T>(resource: Resource<T> | undefined): Slice<T> & { refresh(): void } {
  const slice = useSyncExternalStore<Slice<T>>(
    resource?.subscribe ?? noSubscription,
    resource?.get ?? initialSlice,
    initialSlice,
  );
  return { ...slice, refresh: resource?.reload ?? nothing };
}
