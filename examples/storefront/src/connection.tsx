// How fresh what the page shows is, said as it is.

import { useEvents } from "@counterfoil/sdk/react";
import { useEffect, useState } from "react";

import { timeOfDay } from "./format";

type ConnectionKind = "connecting" | "live" | "reconnecting" | "polling" | "offline";

interface Connection {
  kind: ConnectionKind;
  /** When news last could arrive; null while it can, and before it ever could. */
  lostAt: Date | null;
}

const ignore = () => {};

function useConnection(): Connection {
  const state = useEvents(ignore);
  const arriving = state === "live" || state === "polling";
  const [seen, setSeen] = useState<{ up: boolean; lostAt: Date | null }>({ up: false, lostAt: null });
  useEffect(() => {
    if (arriving) setSeen({ up: true, lostAt: null });
    else setSeen((before) => (before.up && !before.lostAt ? { up: true, lostAt: new Date() } : before));
  }, [arriving]);
  const kind = state === "connecting" && seen.up ? "reconnecting" : state;
  return { kind, lostAt: arriving ? null : seen.lostAt };
}

const NAMES: Record<ConnectionKind, string> = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  polling: "Live, slower",
  offline: "Offline",
};

const MEANINGS: Record<ConnectionKind, string> = {
  connecting: "Asking the shop for the latest.",
  live: "Changes appear here at once.",
  reconnecting: "The connection was lost. Nothing is missed: what happens meanwhile is fetched afterwards.",
  polling: "A direct connection is blocked here; changes appear within seconds.",
  offline: "The shop cannot be reached. We keep trying.",
};

/** The small sign at the top of the page. */
export function ConnectionState() {
  const { kind } = useConnection();
  return (
    <p className="connection" data-connection={kind} role="status" title={MEANINGS[kind]}>
      <span className="connection-dot" aria-hidden="true" />
      <span className="hidden">Updates: </span>
      {NAMES[kind]}
    </p>
  );
}

/** Beside the balances, when they may be old. */
export function ConnectionNote() {
  const { kind, lostAt } = useConnection();
  if (kind !== "offline") return null;
  return (
    <p className="connection-note" role="status">
      <strong>You are offline.</strong>{" "}
      {lostAt ? `This is how things stood at ${timeOfDay(lostAt)}.` : "The shop cannot be reached."} We keep trying.
    </p>
  );
}
