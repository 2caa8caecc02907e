// Who works at the till. A real shop signs its staff in with a badge or a PIN; this one lets you be any of them, with tokens
// from the edge's `POST /dev/token`, which exists in local development alone.

import { createTill, type Till } from "@counterfoil/sdk/till";

/** Somebody who works here. */
export interface Person {
  id: string;
  name: string;
}

export const staff: readonly [Person, ...Person[]] = [
  { id: "tom", name: "Tom" },
  { id: "tina", name: "Tina" },
];

/** Those who may let missing points go, and take back what staff may not any more. */
export const managers: readonly [Person, ...Person[]] = [
  { id: "mia", name: "Mia" },
  { id: "noor", name: "Noor" },
];

const edgeUrl: string = import.meta.env["VITE_COUNTERFOIL_URL"] || "http://127.0.0.1:8787";
const merchant = "demo";

/** The till of somebody who works at it all day: the token is renewed shortly before its end. */
export function tillOf(person: Person): Till {
  return createTill({ baseUrl: edgeUrl, token: tokenSource(person.id, "staff") });
}

/** A till for one deed of a manager's: what it holds of their sign-in goes with it. */
export function managersTill(manager: Person): Till {
  return createTill({ baseUrl: edgeUrl, token: tokenSource(manager.id, "manager") });
}

/** The name to an actor as redemptions carry it, such as `staff:tom`. */
export function nameOf(actor: string): string {
  const id = actor.slice(actor.indexOf(":") + 1);
  return [...staff, ...managers].find((person) => person.id === id)?.name ?? id;
}

const RENEW_BEFORE_END_MS = 5 * 60_000;

/** Keeps the token until shortly before its end, or until the edge refuses it; calls at the same time share one request. */
function tokenSource(sub: string, role: string): (refused?: string) => Promise<string> {
  let held: { token: string; endsAtMs: number } | undefined;
  let asking: Promise<string> | undefined;
  return async (refused) => {
    if (held && held.token !== refused && Date.now() < held.endsAtMs - RENEW_BEFORE_END_MS) return held.token;
    asking ??= requestToken(sub, role)
      .then((token) => {
        held = { token, endsAtMs: endOf(token) };
        return token;
      })
      .finally(() => (asking = undefined));
    return asking;
  };
}

async function requestToken(sub: string, role: string): Promise<string> {
  const response = await fetch(`${edgeUrl}/dev/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sub, role, merchant }),
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

/** Who is named in the page's address, so that a reload keeps the choice. */
export function personFromAddress(): Person {
  const id = new URLSearchParams(location.search).get("staff");
  return staff.find((person) => person.id === id) ?? staff[0];
}

export function writePersonToAddress(person: Person): void {
  const address = new URL(location.href);
  address.searchParams.set("staff", person.id);
  history.replaceState(history.state, "", address);
}
