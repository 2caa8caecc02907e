// The catalogue in React: `@counterfoil/sdk/points/react`.

import { CounterfoilError, type Redemption } from "@counterfoil/sdk";
import { type CatalogueItem, catalogue } from "@counterfoil/sdk/points";
import { useClient, useWallet } from "@counterfoil/sdk/react";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";


export interface UseCatalogue {
  /** What is for sale to this member; empty before the first answer. */
  items: CatalogueItem[];
  loading: boolean;
  /** Why it could not be read. */
  error: CounterfoilError | null;
  /** Reads it again; it is read again by itself when the member's points change. */
  refresh(): void;
  /** What is being bought, by reward_id. */
  buying: Record<string, true>;
  /** Why the last purchase of each was not made, by reward_id. */
  refused: Record<string, CounterfoilError>;
  /** Buys exactly once; resolves with the redemption, or with null where `refused` says why not. */
  buy(rewardId: string, quantity?: number): Promise<Redemption | null>;
}

interface Purchases {
  buying: Record<string, true>;
  refused: Record<string, CounterfoilError>;
}

/** The rewards that points buy, and buying them; continues purchases kept from before a reload. Needs a `<CounterfoilProvider>`. */
export function useCatalogue(): UseCatalogue {
  const client = useClient();
  const points = useWallet().wallet?.points;
  const [read, setRead] = useState<{ items: CatalogueItem[]; error: CounterfoilError | null; loading: boolean }>({
    items: [],
    error: null,
    loading: true,
  });
  const [asked, refresh] = useReducer((times: number) => times + 1, 0);
  const [purchases, setPurchases] = useState<Purchases>({ buying: {}, refused: {} });
  const running = useRef(new Set<string>());

  useEffect(() => {
    if (!client) return;
    const left = new AbortController();
    setRead((before) => ({ ...before, loading: true }));
    catalogue(client, { signal: left.signal }).then(
      (items) => left.signal.aborted || setRead({ items, error: null, loading: false }),
      (thrown) => left.signal.aborted || setRead((before) => ({ ...before, error: CounterfoilError.from(thrown), loading: false })),
    );
    return () => left.abort();
    // Another balance affords other rewards.
  }, [client, points, asked]);

  const buy = useCallback(
    async (rewardId: string, quantity?: number): Promise<Redemption | null> => {
      // A second press of the same button is not a second purchase.
      if (!client || running.current.has(rewardId)) return null;
      running.current.add(rewardId);
      setPurchases(({ buying, refused }) => ({ buying: { ...buying, [rewardId]: true }, refused: without(refused, rewardId) }));
      try {
        return await client.redeem({ rewardId, quantity });
      } catch (thrown) {
        const error = CounterfoilError.from(thrown);
        setPurchases((before) => ({ ...before, refused: { ...before.refused, [rewardId]: error } }));
        if (error.isRefusal) refresh();
        return null;
      } finally {
        running.current.delete(rewardId);
        setPurchases((before) => ({ ...before, buying: without(before.buying, rewardId) }));
      }
    },
    [client],
  );

  useEffect(() => {
    // What a reload interrupted goes on, with its own key.
    client?.pending().then(
      (intents) => intents.forEach(({ reward_id, quantity }) => reward_id !== undefined && void buy(reward_id, quantity)),
      () => {},
    );
  }, [client, buy]);

  return { ...read, refresh, ...purchases, buy };
}

function without<T>(record: Record<string, T>, name: string): Record<string, T> {
  const { [name]: _, ...rest } = record;
  return rest;
}
