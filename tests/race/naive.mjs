// The endpoint that most shops write first: look the code up, wait for the database, then mark it used. It speaks just enough
// of the API for the races, so that they can be seen to fail. With `careful` the wait is left out and nothing can go wrong.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as elapse } from "node:timers/promises";
import { AT_ONCE, WORTH } from "./scenarios.mjs";

// What a database on the same machine takes for a look-up, in milliseconds. This is the thing under test, not a wait
// for it: without a pause a quiet machine serves one request after the other, and nothing overlaps.
const LOOK_UP_MS = 3;
const lookUp = () => elapse(LOOK_UP_MS);

/** Starts it and answers an arena with the same needs met as the edge's, and `close`. */
export async function naiveArena({ careful = false } = {}) {
  const uses = new Map();
  const rules = new Map();
  const redemptions = new Map();
  const keys = new Map();
  const ledgers = new Map();

  async function redeem(member, key, code) {
    const { campaign } = rules.get(code);
    const seen = { before: keys.get(`${member} ${key}`), uses: uses.get(code) ?? [], all: [...campaign.uses] };
    if (!careful) await lookUp();
    if (seen.before) return { status: 201, body: seen.before, replayed: true };
    const earlier = seen.uses.find((use) => use.member === member);
    if (earlier) return { status: 409, body: { code: "already_redeemed_by_you", earlier_redemption_id: earlier.id } };
    const { uses_per_code, per_member = Infinity, total = Infinity } = campaign.limits;
    if (seen.uses.length >= uses_per_code) return { status: 409, body: { code: "already_redeemed" } };
    if (seen.all.filter((user) => user === member).length >= per_member) return { status: 409, body: { code: "member_limit_reached" } };
    if (seen.all.length >= total) return { status: 409, body: { code: "campaign_limit_reached" } };
    const redemption = { redemption_id: randomUUID(), status: "granted" };
    campaign.uses.push(member);
    uses.set(code, [...(uses.get(code) ?? []), { member, id: redemption.redemption_id }]);
    keys.set(`${member} ${key}`, redemption);
    redemptions.set(redemption.redemption_id, redemption);
    ledgers.set(member, [...(ledgers.get(member) ?? []), WORTH]);
    return { status: 201, body: redemption };
  }

  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const member = request.headers.authorization.slice("Bearer ".length);
    const { status, body, replayed } = await redeem(member, request.headers["idempotency-key"], JSON.parse(Buffer.concat(parts)).code);
    response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json", ...(replayed ? { "idempotent-replayed": "true" } : {}) });
    response.end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const issue = (count, limits) => {
    const campaign = { limits, uses: [] };
    const codes = Array.from({ length: count }, () => randomUUID());
    for (const code of codes) rules.set(code, { campaign });
    return codes;
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    members: Array.from({ length: AT_ONCE }, () => ({ token: randomUUID() })),
    uniqueCode: () => issue(1, { uses_per_code: 1 })[0],
    sharedCode: (total) => issue(1, { uses_per_code: Infinity, total })[0],
    codes: (count, limits) => issue(count, { uses_per_code: 1, ...limits }),
    settled: (_, id) => redemptions.get(id),
    holdings: ({ token }) => {
      const rows = ledgers.get(token) ?? [];
      const sum = rows.reduce((all, amount) => all + amount, 0);
      return { credit: sum, rows: rows.length, sum };
    },
    close: () => server.close(),
  };
}
