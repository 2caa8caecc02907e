// What became of every code, live.

import type { LedgerRow, Redemption, RedemptionStatus, Reward } from "@counterfoil/sdk";
import { useRedemptions, useRewards } from "@counterfoil/sdk/react";
import { useState } from "react";

import { count, moment, readable } from "./format";
import { Icon, type IconName } from "./icons";
import { useLedger } from "./ledger";
import { explain, explainError } from "./refusals";
import { worthOfRow } from "./reward";

const AT_FIRST = 6;

export function History() {
  const { redemptions, loading, error, refresh, hasMore, loadMore } = useRedemptions();
  const { rewards } = useRewards();
  const ledger = useLedger();
  const [all, setAll] = useState(false);
  const shown = all ? redemptions : redemptions.slice(0, AT_FIRST);
  return (
    <section className="card history" aria-labelledby="history-title" aria-busy={loading && redemptions.length === 0}>
      <h2 id="history-title">History</h2>
      {redemptions.length > 0 ? (
        <ol>
          {shown.map((redemption) => (
            <Entry
              key={redemption.redemption_id}
              redemption={redemption}
              rows={ledger.get(redemption.redemption_id) ?? []}
              rewards={rewards.filter(({ redemption_id }) => redemption_id === redemption.redemption_id)}
            />
          ))}
        </ol>
      ) : error ? (
        <div className="missing">
          <p>{explainError(error).text}</p>
          <button type="button" className="button button-quiet" onClick={refresh}>
            Load again
          </button>
        </div>
      ) : loading ? (
        <div className="bones" aria-hidden="true">
          <span />
          <span />
        </div>
      ) : (
        <p className="empty">Codes you redeem appear here, each with its receipt.</p>
      )}
      <div className="history-more">
        {redemptions.length > AT_FIRST && (
          <button type="button" className="button button-quiet" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show ${redemptions.length - AT_FIRST} more`}
          </button>
        )}
        {all && hasMore && (
          <button type="button" className="button button-quiet" aria-disabled={loading} onClick={loadMore}>
            Show older ones
          </button>
        )}
      </div>
    </section>
  );
}

const STATUS: Record<RedemptionStatus, { name: string; icon: IconName; tone: "good" | "wait" | "bad" | "past" }> = {
  redeeming: { name: "In progress", icon: "clock", tone: "wait" },
  redeem_failed: { name: "In progress", icon: "clock", tone: "wait" },
  held: { name: "Reserved", icon: "clock", tone: "wait" },
  redeemed: { name: "On its way", icon: "clock", tone: "wait" },
  granting: { name: "On its way", icon: "clock", tone: "wait" },
  grant_failed: { name: "Delayed", icon: "alert", tone: "wait" },
  granted: { name: "Received", icon: "check", tone: "good" },
  refused: { name: "Refused", icon: "close", tone: "bad" },
  cancelled: { name: "Cancelled", icon: "undo", tone: "past" },
  reversed: { name: "Taken back", icon: "undo", tone: "past" },
};

/** Given, and its owner has yet to do something with it. */
const WAITS = { name: "In your rewards", icon: "gift", tone: "good" } as const;

function Entry({ redemption, rows, rewards }: { redemption: Redemption; rows: LedgerRow[]; rewards: Reward[] }) {
  const { redemption_id, status, refusal, created_at, ledger, order } = redemption;
  const waits = status === "granted" && rewards.some(({ state }) => state === "unclaimed" || state === "pending_activation");
  const { name, icon, tone } = waits ? WAITS : STATUS[status];
  const why = refusal && explain(refusal);
  const codes = ledger.flatMap(({ promo_code }) => promo_code ?? []);
  return (
    <li className="entry" id={`redemption-${redemption_id}`} tabIndex={-1} data-status={status}>
      <p className="entry-title">{why ? why.title : received(redemption, rows, rewards)}</p>
      <p className="status" data-tone={tone}>
        <Icon name={icon} size={16} /> {name}
      </p>
      {why && <p className="entry-why">{why.text}</p>}
      {status === "grant_failed" && (
        <p className="entry-why">
          {redemption.next_attempt_at ? `We try again at ${moment(redemption.next_attempt_at)}.` : "We have been told and will see to it."}
        </p>
      )}
      {codes.length > 0 && (
        <p className="entry-codes">
          {codes.map((code) => (
            <code key={code}>{code}</code>
          ))}
        </p>
      )}
      <p className="entry-when">
        <time dateTime={created_at}>{moment(created_at)}</time>
        {ledger[0] && <span>Receipt {ledger[0].number}</span>}
        {order && <span>Order {order}</span>}
        {redemption.points_spent !== undefined && <span>{count(redemption.points_spent)} points spent</span>}
      </p>
    </li>
  );
}

/** What it gave, from the ledger, or which rewards; until those are read, the reward's own key. */
function received({ reward_id, quantity, kind }: Redemption, rows: LedgerRow[], rewards: Reward[]): string {
  // Points that were spent are no gift.
  const paid = kind === "points" ? rows.filter(({ asset }) => asset === "points") : [];
  const given = rows.filter((row) => (row.kind === "redemption" || row.kind === "reward") && !paid.includes(row)).map(worthOfRow);
  const gave = given.filter((worth) => worth !== undefined);
  if (gave.length > 0) return gave.map(({ headline, kind }) => `${headline} ${kind}`).join(", ");
  const name = rewards[0]?.name ?? (reward_id ? readable(reward_id) : "Code");
  return quantity > 1 ? `${quantity} × ${name}` : name;
}
