// A shop whose history has something of everything, with what is known of each redemption from outside: the suites of search and
// export compare what they find with it.
import assert from "node:assert/strict";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { hold } from "./checkout.mjs";
import { unique } from "./env.mjs";
import { fails, fulfillerOf } from "./fulfiller-double.mjs";
import { define, gift, inStatus } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { record, sold, tillOf } from "./till.mjs";
import { bought, earn, forSale } from "./trade.mjs";

/** Reports lag by seconds. */
export const LAG_MS = 20_000;
export const idsOf = (items) => items.map(({ redemption_id }) => redemption_id);
export const listed = (shop, query = "", limit) => everyItem(shop.admin, `/v1/redemptions?all=1${query && `&${query}`}`, limit);

/** Texts that a spreadsheet would take for formulas, or that need quoting. */
export const ODD_ORDERS = ["=1+1", "+49 151", "-2", "@SUM(A1)", 'a "quoted", order', "two, parts", "plain-7"];

/** A shop with members, campaigns, batches, words, tills and a broken fulfiller: `{shop, facts, ann, bob, …}`. */
export async function busyShop(t, edge) {
  const shop = openShop(edge);
  const [ann, bob, tess] = [shop.member(), shop.member(), shop.member()];
  const phones = { ann: "+4915112345671", bob: "+4915112345672" };
  await record(shop, ann, { phone: phones.ann, name: "Ann Example" });
  await record(shop, bob, { phone: phones.bob, name: "Bob Example" });
  await record(shop, tess, { tester: true });
  const { mechanic } = await fulfillerOf(t, shop, [fails()]);
  const first = await shop.campaign({ name: "First" });
  const mailed = await shop.codes(first.campaign, 8, { label: "Mailing", reference: "mail-7" });
  const loose = await shop.codes(first.campaign, 4);
  const batches = (await everyItem(shop.admin, `/v1/campaigns/${first.campaign}/batches`)).sort((a, b) => a.from_seq - b.from_seq);
  const failing = await shop.withCodes(2, { name: "Failing", reward_id: await define(shop, "bonus", { mechanic, attempts_max: 1 }) });
  const words = await shop.campaign({ name: "Words", kind: "shared", aliases: ["SPRING2026"] });
  const till = tillOf(shop);
  const coffee = await forSale(shop, 10);
  for (const member of [ann, bob]) await earn(shop, member, 100);

  const facts = [];
  /** Notes one redemption with what it is known by; `member` is the client. */
  const note = async (member, redemption_id, known = {}) => {
    const body = expectStatus(await member.get(`/v1/redemptions/${redemption_id}`), 200);
    const phone = member === ann ? phones.ann : member === bob ? phones.bob : undefined;
    facts.push({ member_id: member.sub, phone, ...known, tester: member === tess, redemption: body, id: redemption_id, campaign: body.campaign, status: body.status, at: body.created_at });
  };
  const inBatch = (place, row) => ({ code: row.code, batch_id: batches[place].batch_id, reference: batches[place].reference });
  const orders = [...ODD_ORDERS];
  for (const [at, row] of mailed.slice(0, 6).entries()) {
    const member = at % 2 === 0 ? ann : bob;
    const order = orders.shift();
    await note(member, (await redeemed(member, row.code, { order })).redemption_id, { ...inBatch(0, row), order });
  }
  const order = orders.shift();
  await note(ann, (await redeemed(ann, loose[0].code, { order })).redemption_id, { ...inBatch(1, loose[0]), order });
  await note(tess, (await redeemed(tess, loose[1].code)).redemption_id, inBatch(1, loose[1]));
  expectProblem(await redeem(bob, loose[0].code), 409, "already_redeemed");
  await note(bob, (await everyItem(bob, "/v1/redemptions?status=refused"))[0].redemption_id, inBatch(1, loose[0]));
  for (const [at, member] of [ann, bob].entries()) {
    const { redemption_id } = expectStatus(await redeem(member, failing.codes[at]), 201);
    await inStatus(member, redemption_id, "grant_failed");
    const [batch] = await everyItem(shop.admin, `/v1/campaigns/${failing.campaign}/batches`);
    await note(member, redemption_id, { code: failing.codes[at], batch_id: batch.batch_id });
  }
  for (const member of [ann, bob]) await note(member, (await redeemed(member, "spring 2026")).redemption_id, { code: "SPRING2026" });
  await note(ann, (await bought(ann, coffee)).redemption_id);
  for (const member of [ann, bob]) await note(member, (await sold(till, member, coffee, { again: true })).redemption_id, { staff: till.sub });
  const given = expectStatus(await gift(shop, bob, { reward_id: await define(shop, "xp"), reference: "ticket-9" }), 201);
  await note(bob, given.redemption_id);
  const held = expectStatus(await hold(ann, "cart-1", { code: mailed[6].code }), 201);
  await note(ann, held.redemption_id, { ...inBatch(0, mailed[6]), order: "cart-1" });
  assert.equal(new Set(facts.map(({ id }) => id)).size, facts.length);
  // Everything is in the reports as it stands.
  await until(
    () => listed(shop, "testers=1"),
    (items) => facts.every(({ id, status }) => items.some((item) => item.redemption_id === id && item.status === status)),
    LAG_MS,
  );
  return { shop, ann, bob, tess, phones, facts, first, failing, words, till, batches, mailed, loose };
}

export const nobody = () => unique("nobody-");
