// Limits by calendar day, week and month of the campaign's own zone: for one member and in all, exact at once, counting what
// was before they were set, and ending when the zone's own calendar says so.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { held, hold, letGo } from "./checkout.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertVerified, define, redeemedAgain } from "./rewards.mjs";
import { WORTH, assertTally, attempts, calmZone, calmZones, campaignNow, crowd, money, preview, windowEnd } from "./rules.mjs";
import { INSTANT, creditOf, openShop, redeem, redeemed } from "./shop.mjs";
import { reversed } from "./till.mjs";

const edge = edgeForThisFile();
const PERS = ["day", "week", "month"];

/** A refusal by a window, which ends when the calendar says. */
function refusedUntil(answer, code, zone, per) {
  const { window_ends_at } = expectProblem(answer, 409, code);
  if (code === "campaign_limit_reached" && window_ends_at === undefined) return;
  assert.match(window_ends_at, INSTANT, answer.text);
  assert.equal(new Date(window_ends_at).toISOString(), new Date(windowEnd(zone, per)).toISOString(), `${per} in ${zone}`);
}

/** A dry run by an administrator at some instant. */
const explain = (shop, client, code, at) => shop.admin.post("/v1/explain", { code, member_id: client.sub, at: new Date(at).toISOString() });

describe("a member's window", () => {
  test(`ends with the zone's own day, week or month, in ${calmZones().length} zones`, async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    for (const time_zone of calmZones()) {
      for (const per of PERS) {
        const { codes } = await shop.withCodes(3, { reward_id, time_zone, limits: { windows: [{ per, per_member: 1 }] } });
        const [ann, bob] = [shop.member(), shop.member()];
        await redeemed(ann, codes[0]);
        refusedUntil(await redeem(ann, codes[1]), "member_limit_reached", time_zone, per);
        const dry = expectStatus(await preview(ann, codes[1]), 200);
        assert.equal(dry.refusal.code, "member_limit_reached");
        await redeemed(bob, codes[1]);
        refusedUntil(await redeem(bob, codes[2]), "member_limit_reached", time_zone, per);
      }
    }
  });

  test("of two and of three lets in two and three", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    for (const [per_member, per] of [[2, "day"], [3, "week"], [2, "month"]]) {
      const { codes } = await shop.withCodes(per_member + 1, { time_zone, limits: { windows: [{ per, per_member }] } });
      const ann = shop.member();
      for (const code of codes.slice(0, per_member)) await redeemed(ann, code);
      refusedUntil(await redeem(ann, codes[per_member]), "member_limit_reached", time_zone, per);
      assert.equal(await creditOf(ann), per_member * WORTH);
    }
  });

  test("applies beside the member's whole limit, which has no end", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    const { campaign, codes } = await shop.withCodes(4, { time_zone, limits: { per_member: 3, windows: [{ per: "day", per_member: 2 }] } });
    const ann = shop.member();
    for (const code of codes.slice(0, 2)) await redeemed(ann, code);
    refusedUntil(await redeem(ann, codes[2]), "member_limit_reached", time_zone, "day");
    await shop.change(campaign, { limits: { windows: null } });
    await redeemed(ann, codes[2]);
    assert.equal(expectProblem(await redeem(ann, codes[3]), 409, "member_limit_reached").window_ends_at, undefined);
  });

  test("of several the one that is full refuses, with its own end", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    for (const full of PERS) {
      const windows = PERS.map((per) => ({ per, per_member: per === full ? 1 : 5 }));
      const { codes } = await shop.withCodes(2, { time_zone, limits: { windows } });
      const ann = shop.member();
      await redeemed(ann, codes[0]);
      refusedUntil(await redeem(ann, codes[1]), "member_limit_reached", time_zone, full);
    }
  });

  test("of a shared campaign counts the one code's uses", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    const { code } = await shop.withCodes(1, { kind: "shared", time_zone, limits: { per_member: 5, windows: [{ per: "week", per_member: 2 }] } });
    const [ann, bob] = [shop.member(), shop.member()];
    for (const member of [ann, ann, bob, bob]) await redeemed(member, code);
    refusedUntil(await redeem(ann, code), "member_limit_reached", time_zone, "week");
    assert.equal(await creditOf(ann), 2 * WORTH);
  });

  test("is exact for twelve codes at once", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(12, { time_zone: calmZone(), limits: { windows: [{ per: "day", per_member: 4 }, { per: "month", per_member: 9 }] } });
    const ann = shop.member();
    assertTally(await attempts(codes.map(() => ann), codes), 4, "member_limit_reached");
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("is not used up by what was refused", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2, { time_zone: calmZone(), currencies: ["EUR"], limits: { windows: [{ per: "day", per_member: 1, total: 1 }] } });
    const ann = shop.member();
    for (let times = 0; times < 3; times += 1) expectProblem(await redeem(ann, codes[0]), 403, "currency_not_allowed");
    await redeemed(ann, codes[0], { currency: "EUR" });
    expectProblem(await redeem(ann, codes[1], { currency: "EUR" }), 409, "member_limit_reached");
  });
});

describe("a window's total", () => {
  test("lets in so many of all members, the last one too", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    for (const [per, total] of [["day", 1], ["week", 2], ["month", 3]]) {
      const { codes } = await shop.withCodes(total + 1, { time_zone, limits: { windows: [{ per, total }] } });
      for (const code of codes.slice(0, total)) await redeemed(shop.member(), code);
      refusedUntil(await redeem(shop.member(), codes[total]), "campaign_limit_reached", time_zone, per);
    }
  });

  test("comes after the member's own, and both are kept", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(4, { time_zone: calmZone(), limits: { windows: [{ per: "week", per_member: 1, total: 2 }] } });
    const [ann, bob, eve] = crowd(shop, 3);
    await redeemed(ann, codes[0]);
    expectProblem(await redeem(ann, codes[1]), 409, "member_limit_reached");
    await redeemed(bob, codes[1]);
    expectProblem(await redeem(bob, codes[2]), 409, "member_limit_reached");
    expectProblem(await redeem(eve, codes[2]), 409, "campaign_limit_reached");
  });

  test("of three windows with the whole total besides: the least counts", async () => {
    const shop = openShop(edge);
    const windows = [{ per: "day", total: 6 }, { per: "week", total: 3 }, { per: "month", total: 8 }];
    const { campaign, codes } = await shop.withCodes(20, { time_zone: calmZone(), limits: { total: 5, windows } });
    assertTally(await attempts(crowd(shop, 7), codes.slice(0, 7)), 3, "campaign_limit_reached");
    await shop.change(campaign, { limits: { windows: [{ per: "day", total: 4 }] } });
    assertTally(await attempts(crowd(shop, 6), codes.slice(7, 13)), 1, "campaign_limit_reached");
    await shop.change(campaign, { limits: { windows: null } });
    assertTally(await attempts(crowd(shop, 6), codes.slice(13, 19)), 1, "campaign_limit_reached");
    assert.equal((await campaignNow(shop, campaign)).redeemed, 5);
    await assertVerified(shop, { campaign });
  });
});

describe("a window set later", () => {
  test("counts what the member used before", async () => {
    const shop = openShop(edge);
    const time_zone = calmZone();
    const { campaign, codes } = await shop.withCodes(5, { time_zone });
    const [ann, bob] = [shop.member(), shop.member()];
    await redeemed(ann, codes[0]);
    await redeemed(ann, codes[1]);
    for (const per of PERS) {
      await shop.change(campaign, { limits: { windows: [{ per, per_member: 2 }] } });
      refusedUntil(await redeem(ann, codes[2]), "member_limit_reached", time_zone, per);
    }
    await shop.change(campaign, { limits: { windows: [{ per: "month", per_member: 3 }] } });
    await redeemed(ann, codes[2]);
    refusedUntil(await redeem(ann, codes[3]), "member_limit_reached", time_zone, "month");
    await redeemed(bob, codes[3]);
    await shop.change(campaign, { limits: { windows: [{ per: "month", per_member: 1 }] } });
    refusedUntil(await redeem(bob, codes[4]), "member_limit_reached", time_zone, "month");
  });

  test("counts what all used before", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(6, { time_zone: calmZone() });
    for (const code of codes.slice(0, 3)) await redeemed(shop.member(), code);
    for (const per of PERS) {
      await shop.change(campaign, { limits: { windows: [{ per, total: 3 }] } });
      expectProblem(await redeem(shop.member(), codes[3]), 409, "campaign_limit_reached");
      await shop.change(campaign, { limits: { windows: [{ per, total: 2 }] } });
      expectProblem(await redeem(shop.member(), codes[3]), 409, "campaign_limit_reached");
    }
    await shop.change(campaign, { limits: { windows: PERS.map((per) => ({ per, total: 4 })) } });
    await redeemed(shop.member(), codes[3]);
    expectProblem(await redeem(shop.member(), codes[4]), 409, "campaign_limit_reached");
  });

  test("does not count what was given back before", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(3, { time_zone: calmZone() });
    const ann = shop.member();
    const { redemption_id } = await redeemed(ann, codes[0]);
    await reversed(shop.as("manager"), redemption_id, { give_back: true });
    await shop.change(campaign, { limits: { windows: [{ per: "day", per_member: 1, total: 1 }] } });
    await redeemedAgain(ann, codes[1]);
    expectProblem(await redeem(ann, codes[2]), 409, "member_limit_reached");
    expectProblem(await redeem(shop.member(), codes[2]), 409, "campaign_limit_reached");
  });
});

describe("what is held", () => {
  test("counts in every window until it is let go, and once it is paid for good", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "discount", { value: money(WORTH) });
    const { campaign, codes } = await shop.withCodes(4, { reward_id, time_zone: calmZone(), limits: { windows: [{ per: "day", per_member: 1 }, { per: "week", total: 1 }] } });
    const [ann, bob] = [shop.member(), shop.member()];
    const mine = await held(ann, "o", { code: codes[0] });
    expectProblem(await hold(ann, "p", { code: codes[1] }), 409, "member_limit_reached");
    expectProblem(await hold(bob, "p", { code: codes[1] }), 409, "campaign_limit_reached");
    expectStatus(await letGo(ann, mine), 204);
    await until(() => hold(bob, "p", { code: codes[1] }), ({ status }) => status === 201);
    expectProblem(await hold(ann, "o", { code: codes[0] }), 409, "campaign_limit_reached");
    expectStatus(await shop.service.post("/v1/orders/p/commit", { member_id: bob.sub }), 200);
    expectProblem(await redeem(bob, codes[2]), 409, "member_limit_reached");
    expectProblem(await redeem(ann, codes[2]), 409, "campaign_limit_reached");
    await assertVerified(shop, { campaign });
  });

  test("and moved to another order counts once", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "discount", { value: money(WORTH) });
    const { codes } = await shop.withCodes(2, { reward_id, time_zone: calmZone(), limits: { windows: [{ per: "month", per_member: 1, total: 1 }] } });
    const ann = shop.member();
    await held(ann, "o", { code: codes[0] });
    await held(ann, "p", { code: codes[0] });
    expectProblem(await hold(ann, "q", { code: codes[1] }), 409, "member_limit_reached");
    expectProblem(await hold(shop.member(), "q", { code: codes[1] }), 409, "campaign_limit_reached");
  });
});

describe("at other instants, by a dry run", () => {
  test("a full window is free from its end on, to the second", async () => {
    const shop = openShop(edge);
    for (const time_zone of calmZones().slice(0, 4)) {
      for (const per of PERS) {
        const { codes } = await shop.withCodes(2, { time_zone, limits: { windows: [{ per, per_member: 1, total: 1 }] } });
        const ann = shop.member();
        await redeemed(ann, codes[0]);
        const end = windowEnd(time_zone, per);
        for (const [at, would] of [[end - 1000, "refuse"], [end, "redeem"]]) {
          const says = `${per} in ${time_zone} at ${new Date(at).toISOString()}`;
          for (const [client, code] of [[ann, "member_limit_reached"], [shop.member(), "campaign_limit_reached"]]) {
            const body = expectStatus(await explain(shop, client, codes[1], at), 200);
            assert.deepEqual([body.would, body.refusal?.code], [would, would === "refuse" ? code : undefined], says);
          }
        }
      }
    }
  });
});
