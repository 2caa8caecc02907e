// What endpoints are told about a campaign's end: some days before, and when it comes, by the clock or by hand; once each.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { fulfillerOf, says } from "./fulfiller-double.mjs";
import { audited, passed, withFulfillers } from "./rewards.mjs";
import { openShop, redeem } from "./shop.mjs";
import { set } from "./till.mjs";

const edge = edgeForThisFile(withFulfillers);
const DAY = 86_400_000;
const MS = 20_000;
const inDays = (days) => new Date(Math.ceil((Date.now() + days * DAY) / 1000) * 1000).toISOString();
const soon = (seconds) => new Date(Math.ceil(Date.now() / 1000 + seconds) * 1000).toISOString();
const EVENTS = ["campaign.ending", "campaign.ended"];

/** A shop with an endpoint that asked for these events: `{shop, fulfiller, endpoint_id}`. */
async function listening(t, { events = EVENTS, settings } = {}) {
  const shop = openShop(edge);
  if (settings) await set(shop, settings);
  return { shop, ...(await fulfillerOf(t, shop, [says(200)], events)) };
}

const about = (fulfiller, campaign, type) => fulfiller.received.filter(({ body }) => body.data.campaign === campaign && (type === undefined || body.type === type));

/** Waits for so many events of a type about a campaign. */
const heard = (fulfiller, campaign, type, count = 1) =>
  until(
    async () => about(fulfiller, campaign, type),
    (all) => all.length >= count,
    MS,
  );

/** Ends a campaign by hand and waits until that was told: what would have come before it has come by then. */
async function endedByHand({ shop, fulfiller }, campaign) {
  await shop.move(campaign, "end");
  await heard(fulfiller, campaign, "campaign.ended");
}

const typesOf = (fulfiller, campaign) => about(fulfiller, campaign).map(({ body }) => body.type);

function assertEvent({ body, id }, type, campaign) {
  assert.deepEqual(Object.keys(body).sort(), ["data", "timestamp", "type"]);
  assert.deepEqual([body.type, body.data.campaign], [type, campaign]);
  assert.ok(Math.abs(Date.parse(body.timestamp) - Date.now()) < 60_000, body.timestamp);
  assert.ok(id.length > 0);
}

describe("a coming end", { concurrency: true }, () => {
  const rows = [
    ["in three days, with seven of notice", { days: 3 }, {}, 1],
    ["in eight days, with seven of notice", { days: 8 }, {}, 0],
    ["in eight days, with nine of notice", { days: 8, notify: 9 }, {}, 1],
    ["in three days, with none of notice", { days: 3, notify: 0 }, {}, 0],
    ["in three days, with two of notice", { days: 3, notify: 2 }, {}, 0],
    ["in a year less an hour, with a year of notice", { days: 365 - 1 / 24, notify: 365 }, {}, 1],
    ["a draft's", { days: 3, draft: true }, {}, 0],
    ["a paused campaign's", { days: 8, then: async (shop, campaign) => {
      await shop.move(campaign, "pause");
      await shop.change(campaign, { ends_at: inDays(3) });
    } }, {}, 0],
    ["without an end", { days: undefined }, {}, 0],
  ];
  for (const [name, { days, notify, draft, then }, fields, told] of rows) {
    test(`${name}: ${told === 1 ? "told once" : "not told"}`, async (t) => {
      const open = await listening(t, { settings: notify === undefined ? undefined : { notify_days_before: notify } });
      const { shop, fulfiller } = open;
      const ends_at = days && inDays(days);
      const { campaign } = await shop.campaign({ name: "Spring", ends_at, ...fields }, { draft });
      if (then) await then(shop, campaign);
      if (told === 1) {
        const [event] = await heard(fulfiller, campaign, "campaign.ending");
        assertEvent(event, "campaign.ending", campaign);
        assert.equal(Date.parse(event.body.data.ends_at), Date.parse(ends_at));
        assert.equal(event.body.data.name, "Spring");
      }
      await endedByHand(open, campaign);
      assert.deepEqual(typesOf(fulfiller, campaign), [...Array.from({ length: told }, () => "campaign.ending"), "campaign.ended"]);
      fulfiller.assertProper();
    });
  }

  test("is told when the settings come to include it, and not again", async (t) => {
    const open = await listening(t);
    const { shop, fulfiller } = open;
    const { campaign } = await shop.campaign({ ends_at: inDays(20) });
    const { campaign: near } = await shop.campaign({ ends_at: inDays(2) });
    await heard(fulfiller, near, "campaign.ending");
    assert.deepEqual(typesOf(fulfiller, campaign), []);
    await set(shop, { notify_days_before: 30 });
    await heard(fulfiller, campaign, "campaign.ending");
    await set(shop, { notify_days_before: 7 });
    await set(shop, { notify_days_before: 40 });
    await shop.change(campaign, { name: "Later spring" });
    for (const one of [campaign, near]) {
      await endedByHand(open, one);
      assert.deepEqual(typesOf(fulfiller, one), EVENTS);
    }
  });

  test("is told again for another end, not for the same one written otherwise", async (t) => {
    const open = await listening(t);
    const { shop, fulfiller } = open;
    const ends_at = inDays(4);
    const { campaign } = await shop.campaign({ ends_at });
    await heard(fulfiller, campaign, "campaign.ending");
    await shop.change(campaign, { ends_at: ends_at.replace(".000Z", "+00:00"), name: "Spring" });
    const moved = inDays(5);
    await shop.change(campaign, { ends_at: moved });
    const both = await heard(fulfiller, campaign, "campaign.ending", 2);
    assert.deepEqual(both.map(({ body }) => Date.parse(body.data.ends_at)), [Date.parse(ends_at), Date.parse(moved)]);
    assert.notEqual(both[0].id, both[1].id);
    await shop.change(campaign, { ends_at: inDays(50) });
    await endedByHand(open, campaign);
    assert.equal(about(fulfiller, campaign, "campaign.ending").length, 2);
  });

  test("is told once a draft or a paused campaign is active", async (t) => {
    const open = await listening(t);
    const { shop, fulfiller } = open;
    const { campaign } = await shop.campaign({ ends_at: inDays(2) }, { draft: true });
    await shop.move(campaign, "activate");
    await heard(fulfiller, campaign, "campaign.ending");
    await shop.move(campaign, "pause");
    await shop.move(campaign, "activate");
    await endedByHand(open, campaign);
    assert.deepEqual(typesOf(fulfiller, campaign), EVENTS);
  });

  test("is that of the campaign's last day in its own zone", async (t) => {
    const { shop, fulfiller } = await listening(t);
    const ends_on = inDays(3).slice(0, 10);
    const { campaign } = await shop.campaign({ time_zone: "Pacific/Kiritimati", ends_on });
    const [event] = await heard(fulfiller, campaign, "campaign.ending");
    const { ends_at } = await shop.inForce(campaign);
    assert.equal(event.body.data.ends_at, ends_at);
  });
});

describe("an end", { concurrency: true }, () => {
  test("by the clock is told at its time, once, and codes are refused by then", async (t) => {
    const { shop, fulfiller } = await listening(t);
    const ends_at = soon(2);
    const { campaign, code } = await shop.withCodes(1, { ends_at });
    const [event] = await heard(fulfiller, campaign, "campaign.ended");
    assertEvent(event, "campaign.ended", campaign);
    assert.ok(event.at >= Date.parse(ends_at), `not before ${ends_at}`);
    expectProblem(await redeem(shop.member(), code), 410, "campaign_ended");
    await shop.move(campaign, "end");
    // A second campaign's end is told after whatever else was to be told of the first.
    const { campaign: other } = await shop.campaign();
    await endedByHand({ shop, fulfiller }, other);
    assert.equal(about(fulfiller, campaign, "campaign.ended").length, 1);
    fulfiller.assertProper();
  });

  test("by hand is told once, also when it is repeated, and not again by the clock", async (t) => {
    const { shop, fulfiller } = await listening(t);
    const ends_at = soon(2);
    const { campaign } = await shop.campaign({ ends_at });
    await shop.move(campaign, "end");
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/end`), 200, 202);
    const [event] = await heard(fulfiller, campaign, "campaign.ended");
    assertEvent(event, "campaign.ended", campaign);
    await passed(ends_at);
    const { campaign: other } = await shop.campaign({ ends_at: soon(1) });
    await heard(fulfiller, other, "campaign.ended");
    assert.equal(about(fulfiller, campaign, "campaign.ended").length, 1);
    await audited(shop, { object: `campaign/${campaign}`, action: "campaign.ended", actor: "admin:admin-1" });
  });

  test("that was put off in time is told when it comes", async (t) => {
    const open = await listening(t);
    const { shop, fulfiller } = open;
    const first = soon(2);
    const { campaign } = await shop.campaign({ ends_at: first });
    const second = soon(4);
    await shop.change(campaign, { ends_at: second });
    const [event] = await heard(fulfiller, campaign, "campaign.ended");
    // Unless the first end had come before it was put off.
    assert.ok(event.at >= Date.parse(second) || Date.parse(event.body.timestamp) < Date.parse(second), event.body.timestamp);
    assert.ok(event.at >= Date.parse(first));
  });

  test("in the past is told of a campaign that is activated after it, or of none: never twice", async (t) => {
    const { shop, fulfiller } = await listening(t);
    const { campaign } = await shop.campaign({ ends_at: inDays(-1) });
    await shop.move(campaign, "end");
    await heard(fulfiller, campaign, "campaign.ended");
    const { campaign: other } = await shop.campaign();
    await endedByHand({ shop, fulfiller }, other);
    assert.deepEqual(typesOf(fulfiller, campaign), ["campaign.ended"]);
  });
});

describe("the delivery of such an event", { concurrency: true }, () => {
  test("is listed, and sent again under its id", async (t) => {
    const { shop, fulfiller, endpoint_id } = await listening(t);
    const { campaign } = await shop.campaign({ ends_at: inDays(3) });
    const [event] = await heard(fulfiller, campaign, "campaign.ending");
    const path = `/v1/webhooks/${endpoint_id}/deliveries`;
    const items = await until(() => everyItem(shop.admin, path), (all) => all.some(({ state }) => state === "delivered"), MS);
    assert.equal(items.length, 1);
    assert.ok(JSON.stringify(items[0]).includes(event.id));
    expectStatus(await shop.admin.post(`${path}/${items[0].delivery_id}/resend`), 200, 202);
    const [, again] = await fulfiller.deliveries(2, { id: event.id, ms: MS });
    assert.deepEqual([again.id, again.body], [event.id, event.body]);
    fulfiller.assertProper();
  });

  test("comes to every endpoint that asked for it, and to no other", async (t) => {
    const { shop, fulfiller } = await listening(t, { events: ["campaign.ended"] });
    const all = await fulfillerOf(t, shop, [says(200)], ["*"]);
    const none = await fulfillerOf(t, shop, [says(200)], ["redemption.*"]);
    const { campaign } = await shop.campaign({ ends_at: inDays(3) });
    await heard(all.fulfiller, campaign, "campaign.ending");
    await shop.move(campaign, "end");
    for (const one of [fulfiller, all.fulfiller]) await heard(one, campaign, "campaign.ended");
    assert.deepEqual([typesOf(fulfiller, campaign), typesOf(none.fulfiller, campaign)], [["campaign.ended"], []]);
    assert.deepEqual(await everyItem(openShop(edge).admin, "/v1/webhooks"), []);
  });

  test("is tried again until it is taken", async (t) => {
    const { shop, fulfiller } = await listening(t, { events: ["campaign.ended"] });
    fulfiller.behave(says(500), says(200));
    const { campaign } = await shop.campaign();
    await shop.move(campaign, "end");
    const [first, second] = await heard(fulfiller, campaign, "campaign.ended", 2);
    assert.deepEqual([second.id, second.body], [first.id, first.body]);
  });
});
