// The confirm page: what is given, what it costs, and what is left; nothing happens before the button is pressed.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { useEffect, useRef, useState } from "react";

import { explain } from "./explain";
import { count, minutes, points, times } from "./format";
import { Heading, Note, useKeys } from "./frame";
import { Busy, Icon } from "./icons";

const QUANTITY_MAX = 100;

/** How long the quote still holds, by the server's clock, a second at a time. */
function useLeftMs(expiresAt: string, now: () => number): number {
  const [leftMs, setLeftMs] = useState(() => Date.parse(expiresAt) - now());
  useEffect(() => {
    const look = () => setLeftMs(Date.parse(expiresAt) - now());
    look();
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [expiresAt, now]);
  return Math.max(0, leftMs);
}

export function ConfirmScreen({ counter, reachable, now }: { counter: UseTill; reachable: boolean; now: () => number }) {
  const { quote, member, choice, busy } = counter;
  const leftMs = useLeftMs(quote?.expires_at ?? "", now);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => button.current?.focus(), []);
  useKeys(({ key }) => key === "Escape" && counter.back());
  if (!quote || !member || !choice) return null;

  const over = leftMs === 0;
  const { quantity } = quote;
  const unit = quote.points_cost / quantity;
  const most = unit > 0 ? Math.min(QUANTITY_MAX, Math.floor(member.points / unit)) : QUANTITY_MAX;
  const change = (wanted: number) => {
    if (!busy && reachable && wanted >= 1 && wanted <= most) void counter.choose({ ...choice, quantity: wanted });
  };
  const confirm = () => {
    if (!reachable || busy) return;
    if (over) void counter.choose(choice);
    else void counter.confirm();
  };
  return (
    <div className="confirm" aria-busy={busy !== null}>
      <Heading focus={false}>Give this reward?</Heading>
      <div className="offer">
        <p className="offer-name">{times(quantity, quote.reward_name)}</p>
        <p className="offer-cost">{points(quote.points_cost)}</p>
        <div className="quantity" role="group" aria-label="How many">
          <button type="button" className="step" aria-label="One less" aria-disabled={quantity <= 1 || busy !== null} onClick={() => change(quantity - 1)}>
            −
          </button>
          <output aria-live="polite">{quantity}</output>
          <button type="button" className="step" aria-label="One more" aria-disabled={quantity >= most || busy !== null} onClick={() => change(quantity + 1)}>
            +
          </button>
        </div>
        <dl className="offer-facts">
          <div>
            <dt>For</dt>
            <dd>{member.name ?? "this customer"}</dd>
          </div>
          <div>
            <dt>Balance now</dt>
            <dd>{count(member.points)}</dd>
          </div>
          <div>
            <dt>Balance after</dt>
            <dd>{count(quote.points_after)}</dd>
          </div>
        </dl>
        <p className="offer-time" data-over={over}>
          <Icon name="clock" size={20} />
          {over ? "This offer has run out. Nothing was taken." : <>Holds for {minutes(leftMs)}</>}
        </p>
      </div>
      {!reachable && (
        <Note title="Offline: nothing can be confirmed" icon="offline">
          <p>No points are taken. Please do not hand the reward over yet.</p>
        </Note>
      )}
      <div className="actions">
        <button ref={button} type="button" className="button button-main button-large" aria-disabled={!reachable || busy !== null} onClick={confirm}>
          {busy === "quoting" ? <Busy>One moment…</Busy> : over ? "Make a new offer" : `Confirm and take ${points(quote.points_cost)}`}
        </button>
        <button type="button" className="button button-quiet button-large" onClick={counter.back}>
          Cancel
        </button>
      </div>
    </div>
  );
}

/** Sent, and not answered yet. */
export function ConfirmingScreen({ counter }: { counter: UseTill }) {
  const { quote, uncertain, busy, error } = counter;
  const stopped = busy === null && error ? explain(error) : null;
  return (
    <div className="waiting" aria-busy={busy !== null}>
      {!stopped && <span className="busy busy-large" aria-hidden="true" />}
      <Heading>{uncertain ? "No answer yet" : "Booking…"}</Heading>
      {quote && <p className="quiet">{times(quote.quantity, quote.reward_name)}</p>}
      {uncertain && (
        <Note title="Please do not hand it over yet" kind="warm">
          <p>The line broke while this was on its way: it may be booked, or not. The till asks again and books it once at most.</p>
          {stopped && (
            <p>
              <strong>{stopped.title}.</strong>
            </p>
          )}
        </Note>
      )}
      {stopped && (
        <button type="button" className="button button-main button-large" onClick={() => void counter.confirm()}>
          Ask again
        </button>
      )}
    </div>
  );
}
