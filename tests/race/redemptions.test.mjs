// Simultaneous redemptions over HTTP against the edge: exactly as many grants as there are uses, each round.
import assert from "node:assert/strict";
import { mkdtempSync, existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { everyItem, expectStatus, until } from "../http/client.mjs";
import { startEdge } from "../http/env.mjs";
import { openShop } from "../http/shop.mjs";
import { AT_ONCE, WORTH, scenarios } from "./scenarios.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, "ROUNDS is a whole number");

// On memory where the system has some to give: the races are about order, not about a disk's speed.
const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-race-"));
const running = { edge: undefined };

before(async () => {
  running.edge = await startEdge({ persist: folder });
});
after(async () => {
  await running.edge?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A merchant with 64 members and as many codes as there will be rounds. */
async function edgeArena() {
  const shop = openShop(running.edge);
  const { reward_id } = await shop.reward({ value: { currency: "EUR", amount_minor: WORTH } });
  const { campaign } = await shop.campaign({ reward_id });
  const codes = (await shop.codes(campaign, ROUNDS)).map(({ code }) => code);
  return {
    url: shop.url,
    members: Array.from({ length: AT_ONCE }, () => shop.member()),
    uniqueCode: () => codes.pop(),
    async sharedCode(total) {
      const shared = await shop.campaign({ kind: "shared", reward_id, limits: { total } });
      return shop.code(shared.campaign);
    },
    async codes(count, limits) {
      const { codes: issued } = await shop.withCodes(count, { reward_id, limits });
      return issued;
    },
    async settled(member, id) {
      const { body } = await until(() => member.get(`/v1/redemptions/${id}`), (answer) => ["granted", "refused", "grant_failed"].includes(answer.body.status));
      return body;
    },
    async holdings(member) {
      const [wallet, items] = await Promise.all([member.get("/v1/wallet"), everyItem(member, "/v1/ledger")]);
      const credit = expectStatus(wallet, 200).credit.find(({ currency }) => currency === "EUR")?.amount_minor ?? 0;
      return { credit, rows: items.length, sum: items.reduce((all, { amount }) => all + amount, 0) };
    },
  };
}

for (const [name, run] of Object.entries(scenarios)) {
  describe(name, () => {
    test(`${ROUNDS} rounds`, { timeout: 60_000 + ROUNDS * 10_000 }, async () => {
      const arena = await edgeArena();
      for (let round = 1; round <= ROUNDS; round += 1) {
        assert.deepEqual(await run(arena), [], `round ${round} of ${ROUNDS}`);
      }
    });
  });
}
