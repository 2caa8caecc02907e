// The balance does not cover it: how much is missing, and a manager who may let it go.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { type FormEvent, useState } from "react";

import { explain } from "./explain";
import { points, times } from "./format";
import { Heading, Note, useKeys } from "./frame";
import { ManagerChoice, Reason, useManager } from "./manager";
import { managersTill } from "./people";

const REASONS = ["A regular customer", "We made a mistake", "Points were not credited"] as const;

export function ShortageScreen({ counter, reachable }: { counter: UseTill; reachable: boolean }) {
  const { shortage, member, choice, error, busy } = counter;
  const [manager, setManager] = useManager();
  const [reason, setReason] = useState("");
  useKeys(({ key }) => key === "Escape" && counter.back());
  if (!shortage || !member || !choice) return null;

  const ready = manager !== null && reason.trim() !== "" && reachable && !busy;
  const approve = (event: FormEvent) => {
    event.preventDefault();
    if (ready) void counter.override(managersTill(manager), reason.trim());
  };
  const failed = error && error.code !== "insufficient_points" ? explain(error) : null;
  const what = times(choice.quantity, choice.name ?? choice.reward_id);
  return (
    <form className="confirm" onSubmit={approve}>
      <Heading>{points(shortage.points_needed)} missing</Heading>
      <p className="lead">
        {member.name ?? "This customer"} has {points(member.points)}. For {what} {points(shortage.points_needed)} more are needed. A manager
        may let them go.
      </p>
      {failed && (
        <Note title={failed.title}>
          <p>{failed.text}</p>
        </Note>
      )}
      <div className="offer">
        <ManagerChoice chosen={manager} onChoose={setManager} />
        <Reason legend="Why" reasons={REASONS} value={reason} onChange={setReason} />
      </div>
      {!reachable && (
        <Note title="Offline: nothing can be confirmed" icon="offline">
          <p>No points are taken.</p>
        </Note>
      )}
      <div className="actions">
        <button type="submit" className="button button-main button-large" aria-disabled={!ready}>
          {member.points > 0 ? `Give it: take ${points(member.points)}, let ${points(shortage.points_needed)} go` : `Give it: let ${points(shortage.points_needed)} go`}
        </button>
        <button type="button" className="button button-quiet button-large" onClick={counter.back}>
          Cancel
        </button>
      </div>
    </form>
  );
}
