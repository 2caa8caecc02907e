// The last redemption of this till, within reach: its receipt, and its undo.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { useState } from "react";

import { explain } from "./explain";
import { points, timeOfDay, times } from "./format";
import { Icon } from "./icons";
import { Undo } from "./undo";

export function LastSale({ counter, reachable }: { counter: UseTill; reachable: boolean }) {
  const { sale, busy, error } = counter;
  const [undoing, setUndoing] = useState(false);
  const [asked, setAsked] = useState(false);
  if (!sale) return null;
  const failed = asked && error && counter.step === "idle" && counter.phone === null ? explain(error) : null;
  return (
    <section className="last" aria-labelledby="last-title">
      <div className="last-words">
        <h2 id="last-title">Last redemption</h2>
        <p role="status">
          {sale.reversed && <strong>Taken back: </strong>}
          {times(sale.quantity, sale.reward_name)}
          {sale.member.name ? ` for ${sale.member.name}` : ""}, {points(sale.redemption.points_spent ?? sale.points_cost)},{" "}
          {timeOfDay(sale.redemption.created_at)}
          {failed && <span className="last-failed"> {failed.title}.</span>}
        </p>
      </div>
      <div className="last-actions">
        <button type="button" className="button button-quiet" onClick={() => print()}>
          <Icon name="print" size={22} />
          Receipt
        </button>
        {!sale.reversed && (
          <button
            type="button"
            className="button button-quiet"
            aria-disabled={!reachable || busy !== null}
            onClick={() => {
              if (!reachable || busy) return;
              setAsked(true);
              setUndoing(true);
            }}
          >
            <Icon name="undo" size={22} />
            {busy === "undoing" ? "Taking back…" : "Undo"}
          </button>
        )}
      </div>
      {undoing && <Undo counter={counter} sale={sale} onClose={() => setUndoing(false)} />}
    </section>
  );
}
