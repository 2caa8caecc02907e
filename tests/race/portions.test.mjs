// Limits that are spread over several shards, under simultaneous tries: exactly as many grants as the limit says, each round.
// PORTIONS names sizes of one large race besides, for a soak: PORTIONS=10000/20000.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { expectStatus, until } from "../http/client.mjs";
import { hold, letGo, liveHoldsOf } from "../http/checkout.mjs";
import { startEdge, unique } from "../http/env.mjs";
import { FIVE_SHARDS, calmZone, campaignNow } from "../http/rules.mjs";
import { openShop, redeem } from "../http/shop.mjs";
import { WORTH, race, scenarios, wrongs } from "./portions-scenarios.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, "ROUNDS is a whole number");
/** Rounds of each scenario here: each is a campaign of its own. */
const SMALL = Math.max(1, Math.ceil(ROUNDS / 10));
const LARGE = Math.max(1, Math.round(ROUNDS / 100));

const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-race-"));
const running = { edge: undefined };
/** What the edge logged of its own failures: an answer of 500 says only that there was one. */
const faults = [];
const FAULTS_KEPT = 20;

before(async () => {
  running.edge = await startEdge({ persist: folder, log: (line) => /"event":"internal_error"/.test(line) && faults.length < FAULTS_KEPT && faults.push(line) });
});
after(async () => {
  await running.edge?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A merchant, and what the scenarios ask of it. */
async function edgeArena() {
  const shop = openShop(running.edge);
  const { reward_id } = await shop.reward({ value: { currency: "EUR", amount_minor: WORTH } });
  // A participant that is out of reach for a moment makes it 202: the hold follows by itself.
  const heldBy = async (client, code) => {
    const order = unique("o-");
    const answer = await hold(client, order, { code });
    if (answer.status === 201) return answer.body;
    expectStatus(answer, 202);
    return until(() => liveHoldsOf(client, order), (holds) => holds.length === 1, 30_000).then(([one]) => one);
  };
  return {
    url: shop.url,
    members: (count) => Array.from({ length: count }, () => shop.member()),
    async campaign(count, { kind, ...fields }) {
      const opened = await shop.withCodes(kind === "shared" ? 1 : count, { reward_id, kind: kind ?? "unique", time_zone: calmZone(), expected_rate: FIVE_SHARDS, ...fields });
      return { campaign: opened.campaign, codes: kind === "shared" ? Array(count).fill(opened.code) : opened.codes };
    },
    change: (campaign, fields) => shop.change(campaign, fields),
    async settled(member, id) {
      const { body } = await until(() => member.get(`/v1/redemptions/${id}`), (answer) => ["granted", "refused", "grant_failed"].includes(answer.body.status), 30_000);
      return body;
    },
    hold: (members, codes) => Promise.all(members.map((member, at) => heldBy(member, codes[at]))),
    letGo: (members, holds) => Promise.all(members.map(async (member, at) => expectStatus(await letGo(member, holds[at]), 204))),
    eventually: (members, codes) => Promise.all(members.map((member, at) => until(() => redeem(member, codes[at]), ({ status }) => status === 201, 20_000))),
    async inspect(campaign, count) {
      const wrong = [];
      const { redeemed } = await until(() => campaignNow(shop, campaign), (now) => now.redeemed === count, 20_000).catch(() => campaignNow(shop, campaign));
      if (redeemed !== count) wrong.push(`the campaign counts ${redeemed} redeemed, not ${count}`);
      const { violations } = expectStatus(await shop.admin.post("/v1/verify", { campaign }), 200);
      return [...wrong, ...violations.map((one) => JSON.stringify(one)), ...faults.splice(0)];
    },
  };
}

for (const [name, run] of Object.entries(scenarios)) {
  describe(name, () => {
    test(`${SMALL} rounds`, { timeout: 60_000 + SMALL * 20_000 }, async () => {
      for (let round = 1; round <= SMALL; round += 1) assert.deepEqual(await run(await edgeArena()), [], `round ${round} of ${SMALL}`);
    });
  });
}

async function large(limit, tries, inFlight) {
  const arena = await edgeArena();
  const { campaign, codes } = await arena.campaign(tries, { limits: { total: limit } });
  return wrongs(arena, campaign, await race(arena, arena.members(tries), codes, inFlight), limit, "campaign_limit_reached");
}

test(`a limit of 500 under 1,000 tries, 250 in flight, ${LARGE} times`, { timeout: 60_000 + LARGE * 60_000 }, async () => {
  for (let round = 1; round <= LARGE; round += 1) assert.deepEqual(await large(500, 1000, 250), []);
});

if (process.env.PORTIONS) {
  const [limit, tries] = process.env.PORTIONS.split("/").map(Number);
  assert.ok(Number.isInteger(limit) && tries > limit, "PORTIONS is limit/tries");
  test(`a limit of ${limit} under ${tries} tries, 250 in flight`, { timeout: tries * 100 }, async () => assert.deepEqual(await large(limit, tries, 250), []));
}
