// The member's ledger rows by redemption: what each one gave. Read again whenever something moved.

import type { LedgerRow } from "@counterfoil/sdk";
import { useClient, useEvents } from "@counterfoil/sdk/react";
import { useCallback, useEffect, useRef, useState } from "react";

const NONE: ReadonlyMap<string, LedgerRow[]> = new Map();
const ROWS = 200;

export function useLedger(): ReadonlyMap<string, LedgerRow[]> {
  const client = useClient();
  const [rows, setRows] = useState(NONE);
  const asked = useRef(0);

  const read = useCallback(() => {
    if (!client) return;
    const turn = ++asked.current;
    client.ledger({ limit: ROWS }).then(
      ({ items }) => {
        // An earlier question that is answered later knows less.
        if (turn === asked.current) setRows(byRedemption(items));
      },
      // The history stands without the amounts; the next event asks again.
      () => {},
    );
  }, [client]);

  useEffect(() => {
    read();
    return () => void (asked.current += 1);
  }, [read]);
  const state = useEvents(({ type }) => type === "redemption.updated" && read(), { onReset: read });
  useEffect(() => {
    if (state === "live" || state === "polling") read();
  }, [state, read]);
  return rows;
}

function byRedemption(items: LedgerRow[]): ReadonlyMap<string, LedgerRow[]> {
  const found = new Map<string, LedgerRow[]>();
  for (const row of items) {
    if (row.redemption_id === undefined) continue;
    found.set(row.redemption_id, [...(found.get(row.redemption_id) ?? []), row]);
  }
  return found;
}
