// Who is shopping. A real shop has a signed-in customer; this one lets you be any of three, with tokens
// from the edge's `POST /dev/token`, which exists in local development alone.

import { type Client, createClient } from "@counterfoil/sdk";

export interface Member {
  id: string;
  name: string;
}

export const members: readonly [Member, ...Member[]] = [
  { id: "ann", name: "Ann" },
  { id: "ben", name: "Ben" },
  { id: "cleo", name: "Cleo" },
];

const edgeUrl: string = import.meta.env["VITE_COUNTERFOIL_URL"] || "http://127.0.0.1:8787";
const merchant = "demo";

/** A client for one member; asks for nothing until it is used. */
export function clientOf(member: Member): Client {
  return createClient({ baseUrl: edgeUrl, token: tokenSource(member.id) });
}

const RENEW_BEFORE_END_MS = 5 * 60_000;

/** Keeps the token until shortly before its end, or until the edge refuses it; calls at the same time share one request. */
function tokenSource(sub: string): (refused?: string) => Promise<string> {
  let held: { token: string; endsAtMs: number } | undefined;
  let asking: Promise<string> | undefined;
  return async (refused) => {
    if (held && held.token !== refused && Date.now() < held.endsAtMs - RENEW_BEFORE_END_MS) return held.token;
    asking ??= requestToken(sub)
      .then((token) => {
        held = { token, endsAtMs: endOf(token) };
        return token;
      })
      .finally(() => (asking = undefined));
    return asking;
  };
}

async function requestToken(sub: string): Promise<string> {
  const response = await fetch(`${edgeUrl}/dev/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sub, merchant }),
  });
  if (!response.ok) throw new Error(`The demo sign-in answered ${response.status}.`);
  const { token } = (await response.json()) as { token: string };
  return token;
}

function endOf(token: string): number {
  const payload = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
  const { exp } = JSON.parse(atob(payload)) as { exp: number };
  return exp * 1000;
}

/** The member named in the page's address, so that a reload and a second tab keep the choice. */
export function memberFromAddress(): Member {
  const id = new URLSearchParams(location.search).get("member");
  return members.find((member) => member.id === id) ?? members[0];
}

export function writeMemberToAddress(member: Member): void {
  const address = new URL(location.href);
  address.searchParams.set("member", member.id);
  history.replaceState(history.state, "", address);
}
