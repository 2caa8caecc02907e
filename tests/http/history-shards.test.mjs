// What administrators and members are told of a code whose campaign has several shards: explanations, previews, inspections and
// searches look everywhere, and take nothing. And that a refused try is found by its code's batch, as one that was redeemed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { explained } from "./explain.mjs";
import { preview } from "./guard.mjs";
import { LAG_MS, idsOf, listed } from "./search.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile();
const EIGHT_SHARDS = 1500;
const MEMBERS = 12;
const TOTAL = 6;

const inspected = async (shop, code) => expectStatus(await shop.admin.post("/v1/codes/inspect", { code }), 200);

describe("a campaign of several shards", () => {
  for (const kind of ["unique", "shared"]) {
    test(`of ${kind} codes is told as a whole`, async () => {
      const shop = openShop(edge);
      const { campaign } = await shop.campaign({ kind, expected_rate: EIGHT_SHARDS, limits: { total: TOTAL } });
      const rows = await shop.codes(campaign, kind === "unique" ? MEMBERS : 1);
      const members = Array.from({ length: MEMBERS }, () => shop.member());
      const code = (at) => rows[at % rows.length].code;
      const would = async (at) => {
        const { refusal, would: verdict } = await explained(shop, { code: code(at), member_id: members[at].sub });
        const seen = expectStatus(await preview(members[at], code(at)), 200);
        assert.deepEqual([seen.would, seen.refusal?.code], [verdict, refusal?.code]);
        return refusal?.code;
      };
      for (let at = 0; at < TOTAL; at += 1) {
        assert.equal(await would(at), undefined, `use ${at}`);
        await redeemed(members[at], code(at));
      }
      for (let at = TOTAL; at < MEMBERS; at += 1) assert.equal(await would(at), "campaign_limit_reached", `member ${at}`);
      assert.equal(await would(0), "already_redeemed_by_you");
      expectProblem(await redeem(members[TOTAL], code(TOTAL)), 409, "campaign_limit_reached");
      // All members' uses of a shared code, wherever they are kept.
      assert.equal((await inspected(shop, code(0))).uses.length, kind === "unique" ? 1 : TOTAL);
      await until(() => listed(shop), (items) => items.length === TOTAL + 1, LAG_MS);
      assert.equal((await listed(shop, `code=${code(0)}`)).length, kind === "unique" ? 1 : TOTAL + 1);
    });
  }
});

test("a refused try is found by its code, its batch and that batch's reference", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.campaign();
  const [{ code }] = await shop.codes(campaign, 1, { reference: "mail-9" });
  const [{ batch_id }] = expectStatus(await shop.admin.get(`/v1/campaigns/${campaign}/batches`), 200).items;
  const [ann, bob] = [shop.member(), shop.member()];
  const { redemption_id } = await redeemed(ann, code);
  expectProblem(await redeem(bob, code), 409, "already_redeemed");
  const both = await until(() => listed(shop), (items) => items.length === 2, LAG_MS);
  assert.deepEqual(both.map((item) => [item.status, item.batch_id, item.reference]), [["refused", batch_id, "mail-9"], ["granted", batch_id, "mail-9"]]);
  for (const query of [`code=${code}`, `batch_id=${batch_id}`, "reference=mail-9"]) {
    assert.deepEqual(idsOf(await listed(shop, query)), idsOf(both), query);
    assert.deepEqual(idsOf(await listed(shop, `${query}&status=refused&member_id=${bob.sub}`)), [both[0].redemption_id], query);
    assert.deepEqual(idsOf(await listed(shop, `${query}&status=granted`)), [redemption_id], query);
  }
});
