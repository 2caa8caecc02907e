// What a code is worth, as a ticket: to be confirmed, on its way, and stamped when it has been redeemed.

import type { Redemption, Reward } from "@counterfoil/sdk";
import { useRedemptions, useRewards, type UseRedemption } from "@counterfoil/sdk/react";
import { type ReactNode, type RefObject, useEffect, useState } from "react";

import { lastMoment } from "./format";
import { Busy, Icon } from "./icons";
import { useLedger } from "./ledger";
import { explainError } from "./refusals";
import { restsFor, waitsFor, type Worth, worthOfReward, worthOfRow } from "./reward";

interface TicketProps {
  redemption: UseRedemption;
  heading: RefObject<HTMLHeadingElement | null>;
  onConfirm(): void;
  onCancel(): void;
  onAnother(): void;
}

export function Ticket({ redemption, heading, onConfirm, onCancel, onAnother }: TicketProps) {
  const { state, previewed, code, error } = redemption;
  const latest = useLatest(redemption.redemption);
  const ledger = useLedger();
  const rows = latest ? ledger.get(latest.redemption_id) : undefined;
  const { rewards } = useRewards();
  const given = rewards.find(({ redemption_id }) => redemption_id !== undefined && redemption_id === latest?.redemption_id);
  const subject = previewed?.reward ?? given;
  const worth = subject ? worthOfReward(subject) : rows?.[0] && worthOfRow(rows[0]);
  const next = given ? waitsFor(given) : previewed && restsFor(previewed.reward.type);
  return (
    <div className="ticket" data-state={state}>
      <div className="ticket-face">
        <p className="ticket-lead">{lead(redemption)}</p>
        <h2 ref={heading} tabIndex={-1} className="ticket-worth">
          <WorthText worth={worth} fallback="Your code" />
        </h2>
        <dl className="ticket-facts">
          {previewed && <Fact name="Offer">{previewed.campaign.name}</Fact>}
          {previewed && state === "confirming" && (
            <Fact name="Redeem by">{previewed.campaign.ends_at ? lastMoment(previewed.campaign.ends_at) : "No end date"}</Fact>
          )}
          <Fact name="Code">
            <code>{code}</code>
          </Fact>
          {latest?.ledger[0] && <Fact name="Receipt">{latest.ledger[0].number}</Fact>}
        </dl>
      </div>
      <div className="ticket-stub">
        {state === "confirming" && (
          <>
            <button type="button" className="button button-main" onClick={onConfirm}>
              Redeem now
            </button>
            <button type="button" className="button button-quiet" onClick={onCancel}>
              Not now
            </button>
          </>
        )}
        {state === "redeeming" && <Progress />}
        {state === "done" && latest && <Done redemption={latest} given={given} next={next || undefined} onAnother={onAnother} />}
        {state === "error" && error && (
          <div role="alert">
            <p>
              <strong>{explainError(error).title}.</strong> {explainError(error).text} It will count once, however often you try.
            </p>
            <button type="button" className="button button-main" onClick={onConfirm}>
              Try again
            </button>
            <button type="button" className="button button-quiet" onClick={onCancel}>
              Later
            </button>
          </div>
        )}
      </div>
    </div>
  );
}

/** The redemption as the live feed last told of it, which may be later than the answer. */
function useLatest(answered: Redemption | null): Redemption | null {
  const { redemptions } = useRedemptions();
  const told = redemptions.find((one) => one.redemption_id === answered?.redemption_id);
  return told && answered && told.updated_at >= answered.updated_at ? told : answered;
}

function lead({ state, previewed }: UseRedemption): string {
  switch (state) {
    case "confirming":
      return "This code is worth";
    case "redeeming":
      return previewed ? "You are redeeming" : "Being redeemed";
    case "error":
      return "Not finished yet";
    default:
      return "Redeemed";
  }
}

function WorthText({ worth, fallback }: { worth: Worth | undefined; fallback: string }): ReactNode {
  if (!worth) return fallback;
  return (
    <>
      <span data-long={worth.headline.length > 14 || undefined}>{worth.headline}</span> <small>{worth.kind}</small>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const SLOW_MS = 4_000;

function Progress() {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status">
      <p className="ticket-progress">
        <Busy>Redeeming…</Busy>
      </p>
      {slow && <p className="hint">This takes longer than usual. You may close this page: it goes on when you are back, and counts once.</p>}
    </div>
  );
}

interface DoneProps {
  redemption: Redemption;
  /** The reward that came of it, once it is known. */
  given: Reward | undefined;
  /** Where it waits, if it does. */
  next: string | undefined;
  onAnother(): void;
}

function Done({ redemption, given, next, onAnother }: DoneProps) {
  const { status } = redemption;
  return (
    <>
      <div className="ticket-done" role="status" data-status={status}>
        <Icon name={status === "granted" ? "check" : "clock"} size={22} />
        <p>
          {status === "granted" && next ? next : doneText(redemption)}{" "}
          {given && (next || status !== "granted") && <a href={`#reward-${given.id}`}>Show it</a>}
        </p>
      </div>
      <button type="button" className="button button-quiet" onClick={onAnother}>
        Redeem another code
      </button>
    </>
  );
}

function doneText({ status, next_attempt_at }: Redemption): string {
  switch (status) {
    case "granted":
      return "It is yours: look in your wallet.";
    case "grant_failed":
      return next_attempt_at
        ? "The code is used; its reward is late. We keep trying, there is nothing to do for you."
        : "The code is used, but its reward could not be given. We have been told and will see to it.";
    case "reversed":
      return "It has been taken back.";
    case "cancelled":
      return "It was cancelled; the code is unused again.";
    default:
      return "The code is used; its reward is on its way.";
  }
}
