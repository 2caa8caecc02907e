// From a code to its result: preview, confirm, redeem.

import { CounterfoilError, type Preview, type Redemption } from "@counterfoil/sdk";
import { useCallback, useEffect, useRef, useState } from "react";

import { useHeld } from "./provider.js";

export type RedemptionStep = "idle" | "previewing" | "confirming" | "redeeming" | "done" | "refused" | "error";

export interface UseRedemptionOptions {
  currency?: string | undefined;
  order?: string | undefined;
  /** Continue intents kept from before a reload. Default true. */
  resume?: boolean | undefined;
}

export interface UseRedemption {
  state: RedemptionStep;
  /** What the code would do; from "confirming" on. */
  previewed: Preview | null;
  /** The code in question. */
  code: string | null;
  /** The redemption as last seen, in "redeeming" and "done". */
  redemption: Redemption | null;
  /** The request to redeem has left; after an "error", confirm() continues it with the same key. */
  sent: boolean;
  /** It was begun before this page was loaded, and is, or has been, continued. */
  resumed: boolean;
  /** Why, in "refused" (an answer: `code` says which) and "error" (no answer). */
  error: CounterfoilError | null;
  /** Asks what a code would do; leads to "confirming", "refused" or "error". */
  preview(code: string): Promise<void>;
  /** Redeems the previewed code; after an "error" tries again, with the same idempotency key. */
  confirm(): Promise<void>;
  /** Back to "idle". Does nothing while redeeming: what has been sent cannot be called back. */
  cancel(): void;
}

type Held = Omit<UseRedemption, "preview" | "confirm" | "cancel">;

const IDLE: Held = { state: "idle", previewed: null, code: null, redemption: null, error: null, sent: false, resumed: false };

export function useRedemption({ currency, order, resume = true }: UseRedemptionOptions = {}): UseRedemption {
  const { client } = useHeld("useRedemption");
  const [held, setHeld] = useState(IDLE);
  // The same at once, for calls that follow each other without a rendering between them.
  const now = useRef(IDLE);
  /** What an answer must still belong to when it arrives. */
  const turn = useRef<AbortController>(undefined);

  const change = useCallback((next: Partial<Held>) => {
    now.current = { ...now.current, ...next };
    setHeld(now.current);
  }, []);

  const fail = useCallback(
    (thrown: unknown) => {
      const error = CounterfoilError.from(thrown);
      change({ state: error.isRefusal ? "refused" : "error", error });
    },
    [change],
  );

  /** Begins something that makes earlier answers pointless. */
  const begin = useCallback(() => {
    turn.current?.abort();
    return (turn.current = new AbortController());
  }, []);

  useEffect(() => {
    const mine = begin();
    change(IDLE);
    if (client && resume) {
      const current = () => turn.current === mine;
      // Nobody can be told of a failure to look; confirm() meets it again.
      void client.pending().then(
        ([intent]) => {
          if (!intent || !current()) return;
          change({ ...IDLE, state: "redeeming", code: intent.code ?? null, sent: true, resumed: true });
          const onUpdate = (redemption: Redemption) => current() && change({ redemption });
          let failure: CounterfoilError | undefined;
          client.resume({ onUpdate, onError: (error) => (failure ??= error) }).then(([redemption]) => {
            if (!current()) return;
            if (redemption) change({ state: "done", redemption });
            else if (failure) fail(failure);
            else change(IDLE);
          }, (thrown) => current() && fail(thrown));
        },
        () => {},
      );
    }
    // The request itself goes on: it has been sent, and its intent is kept.
    return () => void begin();
  }, [client, resume, begin, change, fail]);

  const preview = useCallback(
    async (code: string) => {
      if (now.current.state === "redeeming") return;
      const mine = begin();
      change({ ...IDLE, state: "previewing", code });
      try {
        if (!client) throw noClient();
        const previewed = await client.preview({ code, currency }, { signal: mine.signal });
        if (turn.current !== mine) return;
        if (previewed.would === "redeem") change({ state: "confirming", previewed });
        else change({ state: "refused", previewed, error: CounterfoilError.refused(previewed.refusal) });
      } catch (thrown) {
        if (turn.current === mine) fail(thrown);
      }
    },
    [client, currency, begin, change, fail],
  );

  const confirm = useCallback(async () => {
    const { state, code, sent } = now.current;
    if (code === null || !(state === "confirming" || (state === "error" && sent))) return;
    const mine = begin();
    const current = () => turn.current === mine;
    change({ state: "redeeming", sent: true, error: null });
    try {
      if (!client) throw noClient();
      const onUpdate = (redemption: Redemption) => current() && change({ redemption });
      const redemption = await client.redeem({ code, currency, order }, { onUpdate });
      if (current()) change({ state: "done", redemption });
    } catch (thrown) {
      if (current()) fail(thrown);
    }
  }, [client, currency, order, begin, change, fail]);

  const cancel = useCallback(() => {
    if (now.current.state === "redeeming") return;
    begin();
    change(IDLE);
  }, [begin, change]);

  return { ...held, preview, confirm, cancel };
}

function noClient(): CounterfoilError {
  return new CounterfoilError("not_ready", "There is no client yet.", { retryable: true });
}
