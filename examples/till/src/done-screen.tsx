// Done: the receipt, and what can be done with it.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { useEffect, useRef, useState } from "react";

import { explain } from "./explain";
import { times } from "./format";
import { Heading, Note, useKeys } from "./frame";
import { Icon } from "./icons";
import { Receipt } from "./receipt";
import { Undo } from "./undo";

export function DoneScreen({ counter, reachable }: { counter: UseTill; reachable: boolean }) {
  const { sale, error, busy } = counter;
  const [undoing, setUndoing] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  // The words first, for whoever listens; Enter goes on from there.
  useKeys(({ key, target }) => {
    if (key === "Escape" || (key === "Enter" && !(target as Element).closest("button"))) counter.finish();
  });
  useEffect(() => {
    if (sale?.reversed) button.current?.focus();
  }, [sale?.reversed]);
  if (!sale) return null;

  const { reversed } = sale;
  const failed = error && explain(error);
  return (
    <div className="done" data-reversed={reversed}>
      <div className="done-head">
        <span className="done-sign" aria-hidden="true">
          <Icon name={reversed ? "undo" : "check"} size={44} />
        </span>
        <Heading>{reversed ? "Taken back" : `${times(sale.quantity, sale.reward_name)} given`}</Heading>
        <p className="lead" role="status">
          {reversed ? "The points are back. Please keep the reward." : "The points are taken. You can hand it over."}
        </p>
      </div>
      {counter.uncertain && busy === "undoing" && (
        <Note title="No answer yet" kind="warm">
          <p>It may be taken back, or not. The till asks again by itself.</p>
        </Note>
      )}
      {failed && (
        <Note title={failed.title}>
          <p>{failed.text}</p>
        </Note>
      )}
      <Receipt sale={sale} phone={counter.phone} />
      <div className={reversed ? "actions" : "actions actions-three"}>
        <button ref={button} type="button" className="button button-main button-large" onClick={counter.finish}>
          Next customer
          <Icon name="arrow" />
        </button>
        <button type="button" className="button button-quiet button-large" onClick={() => print()}>
          <Icon name="print" />
          Print receipt
        </button>
        {!reversed && (
          <button
            type="button"
            className="button button-quiet button-large"
            aria-disabled={!reachable || busy !== null}
            onClick={() => reachable && !busy && setUndoing(true)}
          >
            <Icon name="undo" />
            {busy === "undoing" ? "Taking back…" : "Undo"}
          </button>
        )}
      </div>
      {undoing && <Undo counter={counter} sale={sale} onClose={() => setUndoing(false)} />}
    </div>
  );
}
