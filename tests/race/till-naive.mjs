// The till that most shops write first: read the quote and the balance, wait for the database, then write. It speaks just enough
// of the API for the races, so that they can be seen to fail. With `careful` the wait is left out and nothing can go wrong.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as elapse } from "node:timers/promises";
import { COST, TILLS, WORTH } from "./till-scenarios.mjs";

// What a database on the same machine takes for a look-up, in milliseconds: the thing under test, not a wait for it.
const LOOK_UP_MS = 3;

/** Starts it and answers an arena with the same needs met as the edge's, and `close`. */
export async function naiveArena({ careful = false } = {}) {
  const quotes = new Map();
  const redemptions = new Map();
  const keys = new Map();
  const accounts = new Map();
  const lookUp = () => elapse(LOOK_UP_MS);

  async function ask({ member_id, reward_id }) {
    const open = [...quotes.values()].filter((one) => one.member_id === member_id && one.reward_id === reward_id && one.state === "open");
    if (!careful) await lookUp();
    for (const one of open) one.state = "replaced";
    const quote = { quote_id: randomUUID(), member_id, reward_id, state: "open" };
    quotes.set(quote.quote_id, quote);
    return { status: 201, body: { quote_id: quote.quote_id } };
  }

  /** Takes the points of a member for a reward, from what was seen before the wait. */
  async function sell(member, seen, key) {
    const account = accounts.get(member);
    const points = account.points;
    const known = keys.get(key);
    if (!careful) await lookUp();
    if (known) return { status: 201, body: known };
    if (seen?.state === "confirmed" || seen?.state === "replaced") return { status: 410, body: { code: "quote_expired" } };
    if (points < COST) return { status: 409, body: { code: "insufficient_points" } };
    const redemption = { redemption_id: randomUUID(), member, state: "granted" };
    account.points -= COST;
    account.rows.push(-COST);
    account.rewards += 1;
    redemption.worth = seen?.reward_id.startsWith("credit") ? WORTH : 0;
    account.credit += redemption.worth;
    if (seen) quotes.get(seen.quote_id).state = "confirmed";
    keys.set(key, redemption);
    redemptions.set(redemption.redemption_id, redemption);
    return { status: 201, body: redemption };
  }

  async function reverse(id) {
    const redemption = redemptions.get(id);
    const account = accounts.get(redemption.member);
    const { state } = redemption;
    const { credit } = account;
    if (!careful) await lookUp();
    if (state === "reversed") return { status: 409, body: { code: "already_reversed" } };
    if (credit < redemption.worth) return { status: 409, body: { code: "value_spent" } };
    redemption.state = "reversed";
    account.credit -= redemption.worth;
    account.points += COST;
    account.rows.push(COST);
    account.rewards -= 1;
    return { status: 200, body: redemption };
  }

  async function spend(member, amount) {
    const account = accounts.get(member);
    const { credit } = account;
    if (!careful) await lookUp();
    if (credit < amount) return { status: 409, body: { code: "value_spent" } };
    account.credit -= amount;
    return { status: 201, body: {} };
  }

  function answer(path, token, key, body) {
    const [, , what, id, verb, last] = path.split("/");
    if (what === "members") return spend(id, -body.amount_minor);
    if (what === "till" && last === undefined && verb === undefined) return ask(body);
    if (what === "till") {
      const quote = quotes.get(verb);
      return sell(quote.member_id, { ...quote }, `${verb} ${key}`);
    }
    return verb === "reversal" ? reverse(id) : sell(token, undefined, key);
  }

  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const token = request.headers.authorization.slice("Bearer ".length);
    const { status, body } = await answer(request.url, token, request.headers["idempotency-key"], JSON.parse(Buffer.concat(parts)));
    response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
    response.end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    staff: Array.from({ length: Math.max(...TILLS) }, () => ({ token: randomUUID() })),
    member(points) {
      const sub = randomUUID();
      accounts.set(sub, { points, rows: [points], rewards: 0, credit: 0 });
      return { sub, token: sub };
    },
    service: { token: randomUUID() },
    reward: () => randomUUID(),
    pooledReward: () => randomUUID(),
    creditReward: () => `credit ${randomUUID()}`,
    holdings({ sub }) {
      const { points, rows, rewards, credit } = accounts.get(sub);
      return { points, rewards, credit, sum: rows.reduce((all, amount) => all + amount, 0) };
    },
    close: () => server.close(),
  };
}
