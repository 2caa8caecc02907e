// Taking the last redemption back: asks why, and for a manager where staff may not.

import type { Sale } from "@counterfoil/sdk/till";
import type { UseTill } from "@counterfoil/sdk/till/react";
import { type FormEvent, useState } from "react";

import { explain } from "./explain";
import { points, times } from "./format";
import { Sheet } from "./frame";
import { ManagerChoice, Reason, useManager } from "./manager";
import { managersTill } from "./people";

const REASONS = ["Wrong reward", "Wrong customer", "Changed their mind"] as const;

export function Undo({ counter, sale, onClose }: { counter: UseTill; sale: Sale; onClose(): void }) {
  const [reason, setReason] = useState<string>(REASONS[0]);
  const [manager, setManager] = useManager();
  // What a manager gave only a manager takes back; and what staff have just been told that they may not.
  const refused = counter.error && explain(counter.error).help === "manager";
  const needsManager = refused || !sale.redemption.by?.startsWith("staff:");
  const ready = reason.trim() !== "" && (!needsManager || manager !== null) && !counter.busy;
  const undo = (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    void counter.undo(reason.trim(), manager ? managersTill(manager) : undefined);
    onClose();
  };
  return (
    <Sheet title="Take it back?" onClose={onClose}>
      <form className="undo" onSubmit={undo}>
        <p>
          {times(sale.quantity, sale.reward_name)}
          {sale.member.name ? ` for ${sale.member.name}` : ""}: {points(sale.redemption.points_spent ?? sale.points_cost)} go back to the
          customer. The reward stays with the shop.
        </p>
        <Reason legend="Why" reasons={REASONS} value={reason} onChange={setReason} />
        {needsManager && <ManagerChoice chosen={manager} onChoose={setManager} />}
        <div className="actions">
          <button type="submit" className="button button-bad button-large" aria-disabled={!ready}>
            Take it back
          </button>
          <button type="button" className="button button-quiet button-large" onClick={onClose}>
            Keep it
          </button>
        </div>
      </form>
    </Sheet>
  );
}
