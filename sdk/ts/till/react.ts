// One customer after the other at a till, in React: `@counterfoil/sdk/till/react`.

import { CounterfoilError, type Problem } from "@counterfoil/sdk";
import { type Quote, type Sale, saleOf, type Till, type TillIntent, type TillMember } from "@counterfoil/sdk/till";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

/** Where the till stands. `short`: the balance does not cover it; a manager may let it go. */
export type TillStep = "idle" | "member" | "quoted" | "short" | "confirming" | "done";

/** What is chosen for a member. */
export interface Choice {
  reward_id: string;
  /** Shown while no quote names it. */
  name?: string | undefined;
  quantity: number;
}

/** How many points are missing, and the quote that only an override confirms. */
export interface Shortage {
  points_needed: number;
  quote_id: string;
}

/** All that a till's page shows. */
export interface TillState {
  step: TillStep;
  /** The number that was looked up. */
  phone: string | null;
  member: TillMember | null;
  choice: Choice | null;
  /** In "quoted", "confirming" and "done". */
  quote: Quote | null;
  /** In "short". */
  shortage: Shortage | null;
  /** The last redemption of this till: what a receipt shows, and what `undo` takes back. Outlives the customer. */
  sale: Sale | null;
  /** A request is under way. */
  busy: "looking" | "quoting" | "confirming" | "undoing" | null;
  /** A confirmation or reversal was sent and no answer came: it may have been done, or not. It goes on by itself. */
  uncertain: boolean;
  /** Why the last thing asked for was not done. */
  error: CounterfoilError | null;
}

/** The state, and what can be done. */
export interface UseTill extends TillState {
  /** Finds a member; leads to "member". */
  lookup(phone: string): Promise<void>;
  /** Looks the same member up again, where nothing is under way. */
  refresh(): Promise<void>;
  /** Asks for a quote; leads to "quoted" or "short". Again, with another quantity, it replaces the quote. */
  choose(choice: { reward_id: string; name?: string | undefined; quantity?: number | undefined }, options?: { again?: boolean }): Promise<void>;
  /**
   * Confirms the quote; leads to "done", or back to "member" with an error. Where it ends in "confirming" with an error,
   * nobody knows whether it was done (a sign-in that ended, after an answer was lost): once more continues it.
   */
  confirm(): Promise<void>;
  /** Confirms as a manager, for a reason: with that manager's own till. A shortage, or a quote whose points ran out. */
  override(manager: Till, reason: string): Promise<void>;
  /** Withdraws the quote; back to "member". Nothing was taken. */
  back(): void;
  /** Takes the last redemption back; as a manager where a manager made it, or where staff may not any more. */
  undo(reason: string, manager?: Till): Promise<void>;
  /** Ready for the next customer. */
  finish(): void;
}

/** Settings of `useTill`. */
export interface UseTillOptions {
  /** The last redemption of this till, from before a reload. */
  initialSale?: Sale | null | undefined;
  /** Continue what was asked for before a reload and has no final answer yet. Default true. */
  resume?: boolean | undefined;
}

const NOBODY: Omit<TillState, "sale"> = {
  step: "idle",
  phone: null,
  member: null,
  choice: null,
  quote: null,
  shortage: null,
  busy: null,
  uncertain: false,
  error: null,
};

/** Leads one customer after the other from phone number to receipt. Confirms and takes back exactly once. */
export function useTill(till: Till, { initialSale = null, resume = true }: UseTillOptions = {}): UseTill {
  const [state, setState] = useState<TillState>({ ...NOBODY, sale: initialSale });
  // The same at once, for calls that follow each other without a rendering between them.
  const now = useRef(state);
  /** What an answer must still belong to when it arrives. */
  const turn = useRef(0);

  const change = useCallback((next: Partial<TillState>) => {
    now.current = { ...now.current, ...next };
    setState(now.current);
  }, []);
  /** Begins something that makes earlier answers pointless; says whether an answer is still wanted. */
  const begin = useCallback(
    (next: Partial<TillState>) => {
      const mine = ++turn.current;
      change({ error: null, uncertain: false, ...next });
      return () => turn.current === mine;
    },
    [change],
  );

  const doing = useMemo(() => {
    const fail = (thrown: unknown, next: Partial<TillState> = {}) =>
      change({ busy: null, uncertain: false, error: CounterfoilError.from(thrown), ...next });
    /** What has been sent to be done cannot be called back; its answer must be seen. */
    const isSent = () => now.current.busy === "confirming" || now.current.busy === "undoing";
    const onRetry = (wanted: () => boolean) => () => wanted() && change({ uncertain: true });

    /** The balance as it is after something changed it; what the customer is told stays if nobody answers. */
    const lookAgain = async (wanted: () => boolean) => {
      const { phone, sale } = now.current;
      if (phone === null) return;
      const member = await till.lookup(phone).catch(() => null);
      if (!member || !wanted()) return;
      change({ member });
      if (sale && sale.member.member_id === member.member_id) change({ sale: { ...sale, points_after: member.points } });
    };

    const lookup = async (phone: string) => {
      if (isSent()) return;
      const wanted = begin({ ...NOBODY, phone, busy: "looking" });
      try {
        const member = await till.lookup(phone);
        if (wanted()) change({ step: "member", member, busy: null });
      } catch (thrown) {
        if (wanted()) fail(thrown);
      }
    };

    const refresh = async () => {
      const { step, busy } = now.current;
      if (step !== "member" || busy) return;
      const mine = turn.current;
      await lookAgain(() => turn.current === mine);
    };

    const choose: UseTill["choose"] = async ({ reward_id, name, quantity = 1 }, { again } = {}) => {
      const { member } = now.current;
      if (!member || isSent()) return;
      const wanted = begin({ choice: { reward_id, name, quantity }, busy: "quoting" });
      try {
        const quote = await till.quote({ memberId: member.member_id, rewardId: reward_id, quantity, again });
        if (wanted()) change({ step: "quoted", quote, shortage: null, busy: null });
        // Somebody went on meanwhile: what nobody looks at is withdrawn. A newer quote has replaced it anyway.
        else void till.cancel(quote.quote_id).catch(() => {});
      } catch (thrown) {
        if (!wanted()) return;
        const error = CounterfoilError.from(thrown);
        const { points_needed, quote_id }: Partial<Problem> = error.problem ?? {};
        const isShort = error.code === "insufficient_points" && typeof points_needed === "number" && typeof quote_id === "string";
        if (isShort) change({ step: "short", quote: null, shortage: { points_needed, quote_id }, busy: null, error });
        else {
          fail(error, { step: "member", quote: null, shortage: null });
          if (error.isRefusal) await lookAgain(wanted);
        }
      }
    };

    const book = async (by: Till, quote: Quote, member: TillMember, override?: { reason: string }) => {
      const { shortage } = now.current;
      const wanted = begin({ step: "confirming", quote, busy: "confirming" });
      const { member_id, name } = member;
      try {
        const redemption = await by.confirm(quote, { override, member: { member_id, name }, onRetry: onRetry(wanted) });
        if (!wanted()) return;
        change({ step: "done", busy: null, uncertain: false, sale: saleOf(redemption, quote, member) });
        await lookAgain(wanted);
      } catch (thrown) {
        if (!wanted()) return;
        const error = CounterfoilError.from(thrown);
        const { code, status, isRefusal } = error;
        // The manager's sign-in failed, not the offer: it is still there.
        if (override && (status === 401 || code === "invalid_token" || code === "forbidden")) {
          return fail(error, { step: shortage ? "short" : "quoted" });
        }
        // No answer of the edge's to this very question: what an earlier try did is not known, and the intent is kept.
        const { uncertain } = now.current;
        if (uncertain && !isRefusal && code !== "not_found") return change({ busy: null, error });
        fail(error, { step: "member", quote: null, shortage: null });
        if (isRefusal) await lookAgain(wanted);
      }
    };

    const confirm = async () => {
      const { step, quote, member, busy, uncertain } = now.current;
      // Again with the key of the first time, where that had no answer.
      const asked = step === "quoted" || (step === "confirming" && uncertain);
      if (asked && quote && member && !busy) await book(till, quote, member);
    };

    const override = async (manager: Till, reason: string) => {
      const { member, choice, quote, shortage, busy } = now.current;
      if (!member || !choice || busy) return;
      const { reward_id, name = reward_id, quantity } = choice;
      // What a quote would say of itself, for the receipt; only its id goes back to the edge.
      const offered: Quote | null = shortage
        ? {
            quote_id: shortage.quote_id,
            reward_id,
            reward_name: name,
            quantity,
            points_cost: member.points + shortage.points_needed,
            points_after: 0,
            expires_at: "",
            state: "open",
          }
        : quote;
      if (offered) await book(manager, offered, member, { reason });
    };

    const back = () => {
      const { quote, shortage } = now.current;
      if (isSent()) return;
      begin({ step: now.current.member ? "member" : "idle", choice: null, quote: null, shortage: null, busy: null });
      const id = quote?.quote_id ?? shortage?.quote_id;
      // Kind, not needed: it takes nothing, and ends by itself.
      if (id !== undefined) void till.cancel(id).catch(() => {});
    };

    const undo = async (reason: string, manager?: Till) => {
      const { sale, busy } = now.current;
      if (!sale || sale.reversed || busy) return;
      const wanted = begin({ busy: "undoing" });
      try {
        const redemption = await (manager ?? till).reverse(sale.redemption.redemption_id, { reason, giveBack: false }, { onRetry: onRetry(wanted) });
        if (!wanted()) return;
        change({ busy: null, uncertain: false, sale: { ...sale, redemption, reversed: true, points_after: undefined } });
        await lookAgain(wanted);
      } catch (thrown) {
        if (!wanted()) return;
        const error = CounterfoilError.from(thrown);
        fail(error, error.code === "already_reversed" ? { sale: { ...sale, reversed: true } } : {});
      }
    };

    const finish = () => {
      if (isSent()) return;
      begin(NOBODY);
    };

    /** Sees to its end what a reload interrupted. */
    const settle = async (intent: TillIntent) => {
      const wanted = begin({ step: intent.confirm ? "confirming" : now.current.step, busy: intent.confirm ? "confirming" : "undoing", uncertain: true });
      try {
        const redemption = await till.resume(intent, { onRetry: onRetry(wanted) });
        if (!wanted()) return;
        const { sale } = now.current;
        if (intent.confirm) {
          const { quote, member = { member_id: "" } } = intent.confirm;
          change({ step: "done", busy: null, uncertain: false, quote, sale: saleOf(redemption, quote, member) });
        } else change({ busy: null, uncertain: false, ...(sale ? { sale: { ...sale, redemption, reversed: true } } : {}) });
      } catch (thrown) {
        if (wanted()) fail(thrown, { step: "idle" });
      }
    };

    return { lookup, refresh, choose, confirm, override, back, undo, finish, settle };
  }, [till, begin, change]);

  useEffect(() => {
    if (!resume) return;
    let current = true;
    till.pending().then(
      ([intent]) => {
        if (intent && current && now.current.step === "idle") void doing.settle(intent);
      },
      () => {},
    );
    return () => {
      current = false;
    };
  }, [till, resume, doing]);

  const { settle: _, ...actions } = doing;
  return { ...state, ...actions };
}

/** Whether the edge can be reached; nothing can be confirmed while it cannot. */
export function useReachable(till: Till): boolean {
  const seen = useRef(true);
  const subscribe = useCallback(
    (changed: () => void) =>
      till.watch((reachable) => {
        seen.current = reachable;
        changed();
      }),
    [till],
  );
  return useSyncExternalStore(subscribe, () => seen.current, () => true);
}
