// A till's edge in hand: one member with a phone, two rewards, quotes and their confirmation.

import { CounterfoilError } from "../dist/node.js";
import { createTill } from "../dist/till.js";
import { FakeServer, pageStorage, problem, redemption, tokenFor } from "./support.mjs";

export const PHONE = "+4915112345678";
export const COFFEE = { reward_id: "coffee", name: "Coffee", type: "external", value: {}, points_cost: 80 };
export const QUOTE = { quote_id: "qu_1", reward_id: "coffee", reward_name: "Coffee", quantity: 1, points_cost: 80, points_after: 40, expires_at: "2026-05-01T12:02:00Z", state: "open" };

export const member = (points, extra = {}) => ({
  member_id: "ann",
  name: "Ann",
  points,
  rewards: points >= 80 ? [COFFEE] : [],
  next_reward: { reward_id: "mug", points_needed: 300 - points },
  ...extra,
});

export const sold = (extra = {}) => redemption("granted", { kind: "points", reward_id: "coffee", points_spent: 80, by: "staff:tom", ...extra });

export const CONFIRM = "POST /v1/till/quotes/qu_1/confirm";

/** A till with its edge; `storage` and `server` may be those of another page. */
export function till({ server = new FakeServer(), storage = pageStorage(), sub = "tom", role = "staff", token, routes = {} } = {}) {
  Object.assign(server.routes, {
    "GET /healthz": () => ({ json: { ok: true } }),
    "POST /v1/till/lookup": () => ({ json: member(120) }),
    "POST /v1/till/quotes": ({ body }) => ({ status: 201, json: { ...QUOTE, quantity: body.quantity ?? 1, points_cost: 80 * (body.quantity ?? 1) } }),
    "DELETE /v1/till/quotes/qu_1": () => ({ status: 204, text: "" }),
    [CONFIRM]: () => ({ status: 201, json: sold() }),
    ...routes,
  });
  return { server, storage, till: createTill({ baseUrl: "https://edge.test", token: token ?? tokenFor(sub, "acme", { role }), storage, fetch: server.fetch }) };
}

export { CounterfoilError, problem };
