// Holds for a checkout.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { checkout } from "../dist/checkout.js";
import { CounterfoilError, createClient } from "../dist/node.js";
import { FakeServer, LOST, pageStorage, problem, stopClock, tokenFor, until } from "./support.mjs";

const PATH = "/v1/orders/o%2F1/holds";
const POST = `POST ${PATH}`;
const total = { currency: "EUR", amount_minor: 2000 };
const hold = (extra = {}) => ({ hold_id: "ho_1", order: "o/1", applied_minor: 500, remaining_minor: 1500, expires_at: "2026-05-01T12:15:00Z", state: "held", ...extra });

function page(storage = pageStorage()) {
  const server = new FakeServer();
  server.routes[POST] = () => ({ status: 201, json: hold() });
  const client = createClient({ baseUrl: "https://edge.test", token: tokenFor("anna"), storage, fetch: server.fetch });
  return { server, storage, order: checkout(client, "o/1", { storage }) };
}

describe("a checkout", () => {
  it("holds a code, credit or a discount, each under a key of its own", async () => {
    const { server, storage, order } = page();
    assert.equal((await order.hold({ code: "CODE", total })).remaining_minor, 1500);
    await order.hold({ creditMinor: 500, total: { ...total, extra: 1 } });
    await order.hold({ reward: "rw_1", total });
    assert.deepEqual(server.requests.map(({ body }) => body), [
      { code: "CODE", total },
      { credit_minor: 500, total },
      { reward: "rw_1", total },
    ]);
    assert.equal(new Set(server.requests.map(({ key }) => key)).size, 3);
    assert.equal(storage.length, 0);
  });

  it("holds credit once although the answer is lost and the page reloads", async (t) => {
    stopClock(t);
    const { server, storage, order } = page();
    server.routes[POST] = () => LOST;
    const left = new AbortController();
    await assert.rejects(order.hold({ creditMinor: 500, total }, { signal: left.signal, onRetry: () => left.abort() }), { code: "aborted" });
    const after = page(storage);
    let held;
    void after.order.hold({ creditMinor: 500, total }).then((answer) => (held = answer));
    await until("held", () => held);
    assert.equal(after.server.requests[0].key, server.requests[0].key);
    // Holding more credit after that is another intent.
    await after.order.hold({ creditMinor: 500, total });
    assert.notEqual(after.server.requests[1].key, server.requests[0].key);
  });

  it("lists and releases", async () => {
    const { server, order } = page();
    server.routes[`GET ${PATH}`] = () => ({ json: { items: [hold(), hold({ hold_id: "ho_2", state: "used" })] } });
    server.routes[`DELETE ${PATH}/ho_1`] = () => ({ status: 204, text: "" });
    server.routes[`DELETE ${PATH}/ho_2`] = () => problem(409, "illegal_move", { state: "used", legal_moves: [] });
    assert.deepEqual((await order.holds()).map(({ state }) => state), ["held", "used"]);
    assert.equal(await order.release("ho_1"), undefined);
    await assert.rejects(order.release("ho_2"), { code: "illegal_move" });
  });

  it("says what is wrong with what it was given, and why a hold is refused", async () => {
    const { server, order } = page();
    for (const request of [{ total }, { code: "A", creditMinor: 1, total }, { code: "A" }]) {
      await assert.rejects(order.hold(request), { code: "invalid_argument" });
    }
    assert.throws(() => checkout({}, ""), { code: "invalid_argument" });
    assert.equal(server.requests.length, 0);
    server.routes[POST] = () => problem(409, "code_held", { held_until: "2026-05-01T12:15:00Z" });
    await assert.rejects(order.hold({ code: "A", total }), (error) => error instanceof CounterfoilError && error.isRefusal && error.problem.held_until !== undefined);
  });
});
