// The shop that sells promo codes as most are first written: read the balance and the free codes, wait for the database, then
// take them. With `careful` the wait is left out and nothing can go wrong.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as elapse } from "node:timers/promises";
import { PRICE } from "./pool-scenarios.mjs";
import { AT_ONCE } from "./scenarios.mjs";

// What a database on the same machine takes for a look-up, in milliseconds: the thing under test, not a wait for it.
const LOOK_UP_MS = 3;

/** Starts it and answers an arena with the same needs met as the edge's, and `close`. */
export async function naiveShop({ careful = false } = {}) {
  const pools = new Map();
  const purses = new Map();
  const keys = new Map();
  const redemptions = new Map();

  async function sell(token, key, { reward_id, quantity }) {
    const pool = pools.get(reward_id);
    const purse = purses.get(token);
    const seen = { before: keys.get(`${token} ${key}`), points: purse.points, next: pool.next };
    if (!careful) await elapse(LOOK_UP_MS);
    if (seen.before) return { status: 201, body: seen.before };
    if (seen.points < quantity * PRICE) return { status: 409, body: { code: "insufficient_points" } };
    if (pool.codes.length - seen.next < quantity) return { status: 409, body: { code: "insufficient_codes" } };
    const ledger = pool.codes.slice(seen.next, seen.next + quantity).map((promo_code) => ({ promo_code }));
    pool.next = seen.next + quantity;
    purse.points = seen.points - quantity * PRICE;
    purse.rows.push(...ledger.map(() => -PRICE));
    const redemption = { redemption_id: randomUUID(), status: "granted", ledger };
    keys.set(`${token} ${key}`, redemption);
    redemptions.set(redemption.redemption_id, redemption);
    return { status: 201, body: redemption };
  }

  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const token = request.headers.authorization.slice("Bearer ".length);
    const { status, body } = await sell(token, request.headers["idempotency-key"], JSON.parse(Buffer.concat(parts)));
    response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
    response.end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const newcomer = (points) => {
    const buyer = { token: randomUUID() };
    purses.set(buyer.token, { points, rows: [points] });
    return buyer;
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    buyers: Array.from({ length: AT_ONCE }, () => newcomer(1_000_000)),
    newcomer,
    shelf(count) {
      const shelf = { reward: randomUUID(), codes: Array.from({ length: count }, () => randomUUID()) };
      pools.set(shelf.reward, { codes: shelf.codes, next: 0 });
      return shelf;
    },
    stock({ reward, codes }) {
      const { next } = pools.get(reward);
      return { free: codes.length - next, used: next };
    },
    settled: (_, id) => redemptions.get(id),
    purse({ token }) {
      const { points, rows } = purses.get(token);
      return { points, rows: rows.length, sum: rows.reduce((sum, amount) => sum + amount, 0) };
    },
    close: () => server.close(),
  };
}
