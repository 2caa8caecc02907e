// The chest of rewards: claim, start, watch it run, see it count; and what is late, said as it is.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { expectStatus, until } from "../http/client.mjs";
import { fulfillerForThisFile } from "./fulfiller.mjs";
import { faintTexts, sidewaysPx, smallTargets } from "./looks.mjs";
import { PHONE, POINTS, statusInConsole, storefrontForThisFile } from "./storefront.mjs";

const shop = storefrontForThisFile();
const fulfiller = fulfillerForThisFile();

const booster = (fields = {}) => ({
  reward_id: `boost-${randomUUID()}`,
  name: "Double points hour",
  type: "token_booster",
  value: { multiplier_permille: 2000 },
  duration_s: 3600,
  valid_for_s: 86_400,
  ...fields,
});

/** Gives a member a reward by its code, from somewhere else than the page, and answers its definition's id. */
async function give(member, reward) {
  const [code] = await shop.offer(reward);
  expectStatus(await shop.as(member).post("/v1/redemptions", { code }, { key: randomUUID() }), 201);
  return reward.reward_id;
}

/** A reward that the fulfiller delivers. */
async function delivered(fields = {}) {
  const made = expectStatus(await shop.admin.post("/v1/webhooks", { url: fulfiller.url, events: [] }), 201);
  const reward_id = `music-${randomUUID()}`;
  const mechanic = { kind: "webhook", endpoint_id: made.endpoint_id };
  return { reward_id, name: "3 months of music", type: "bonus", value: { reference: "music-3" }, mechanic, ...fields };
}

const seconds = (text) => text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
const countdown = async (card) => seconds(await card.locator(".reward-left .countdown").textContent());
const focused = (page) => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");

test("double points: from the code over claim and start to points that count double, in every tab", async () => {
  const [points] = await shop.mint(1, POINTS);
  await shop.inTab({ member: "ben" }, async (tab, visitor) => {
    const { page } = tab;
    const other = await visitor.tab("ben");
    // The tab behind is drawn rarely, and a click waits for that.
    await page.bringToFront();
    await tab.redeem(shop.codes.booster);
    await tab.ticket.getByText("It waits in your rewards: claim it there.").waitFor();
    await tab.entries.first().filter({ hasText: /2 hours of double points.*In your rewards/ }).waitFor();
    const card = tab.reward("double-points");
    await tab.ticket.getByRole("link", { name: "Show it" }).click();
    assert.ok(await card.evaluate((element) => element.matches(":target")));
    assert.match(await card.textContent(), /×2 points and tokens.*Claim within (29|30) days/);

    await card.getByRole("button", { name: "Claim" }).click();
    await tab.rewardIs("double-points", "pending_activation");
    await other.rewardIs("double-points", "pending_activation");
    assert.equal(await page.locator("[data-running]").count(), 0, "claimed is not started");

    await card.getByRole("button", { name: "Start…" }).click();
    const dialog = page.getByRole("dialog", { name: "Start “2 hours of double points” now?" });
    assert.match(await dialog.textContent(), /the points and tokens you earn count double.*It cannot be paused/);
    await dialog.getByRole("button", { name: "Start now" }).click();
    await tab.rewardIs("double-points", "granted");
    const left = await countdown(card);
    assert.ok(left > 7_190 && left <= 7_200, `${left} s of two hours are left`);
    await until(() => countdown(card), (now) => now < left);
    await page.locator('.wallet [data-booster="token_booster"]').getByText("×2 points and tokens").waitFor();
    await other.rewardIs("double-points", "granted");

    await page.getByRole("button", { name: "Redeem another code" }).click();
    const before = await tab.points();
    await tab.redeem(points);
    await tab.pointsBecome(before + 200);
    // The history says what was received, not what the code was worth.
    await tab.entries.first().filter({ hasText: /200 points.*Received/ }).waitFor();
    other.assertQuiet();
  });
});

test("a delivery that fails is said to be late, with its tries and the next one, and comes by itself", async () => {
  const [code] = await shop.offer(await delivered());
  fulfiller.answers(503);
  fulfiller.takeIds();
  await shop.inTab({ member: "cleo" }, async (tab) => {
    const { page } = tab;
    await tab.check(code);
    await tab.redeemButton.click();
    await tab.ticket.getByText("The code is used; its reward is late. We keep trying, there is nothing to do for you.").waitFor();
    const card = page.locator('.reward[data-state="failed"]');
    await card.waitFor();
    assert.match(await card.textContent(), /3 months of music.*has not delivered it yet\. We try again at \d\d:\d\d; nothing to do for you\./);
    assert.equal(await card.getByRole("button").count(), 0, "there is nothing to press");
    await card.getByText("Details").click();
    assert.match(await card.locator("dl").textContent(), /Tries\d+ of 10.*Next try.*Last answer.*503/);
    await tab.entries.first().filter({ hasText: "Delayed" }).waitFor();

    fulfiller.answers(200, { outcome: "granted" });
    await card.waitFor({ state: "detached", timeout: 30_000 });
    await page.locator(".reward-past summary").click();
    await page.locator('.finished[data-state="granted"]').getByText("3 months of music").waitFor();
    await tab.ticket.getByText("It is yours").waitFor();
    await tab.entries.first().filter({ hasText: "Received" }).waitFor();
    const ids = fulfiller.takeIds();
    assert.ok(ids.length >= 2);
    assert.equal(new Set(ids).size, 1, "every try names the same reward");
  });
});

test("a delivery that the partner completes later is on its way until then", async () => {
  const [code] = await shop.offer(await delivered({ name: "A parcel" }));
  fulfiller.answers(202);
  await shop.inTab({ member: "cleo" }, async (tab) => {
    await tab.check(code);
    await tab.redeemButton.click();
    const card = tab.page.locator('.reward[data-state="in_progress"]').filter({ hasText: "A parcel" });
    await card.getByText("Being delivered. Nothing to do for you.").waitFor();
    await tab.ticket.getByText("The code is used; its reward is on its way.").waitFor();
  });
});

test("by keyboard: claimed, asked, started, and the focus is never lost", async () => {
  const id = await give("ann", booster());
  await shop.inTab({ member: "ann" }, async (tab) => {
    const { page } = tab;
    const { keyboard } = page;
    const focusIs = (text) => page.waitForFunction((wanted) => document.activeElement?.textContent === wanted, text);
    const card = tab.reward(id);
    await card.getByRole("button", { name: "Claim" }).focus();
    await keyboard.press("Enter");
    await tab.rewardIs(id, "pending_activation");
    await focusIs("Double points hour");
    await keyboard.press("Tab");
    assert.equal(await focused(page), "Start…");
    // The feed may tell of the claim before its answer is there; the button waits for that.
    await card.locator('button[aria-disabled="false"]', { hasText: "Start…" }).waitFor();
    await keyboard.press("Enter");
    await focusIs("Start now");
    await keyboard.press("Escape");
    // Out of the page, not only closed: until the page has heard that it is closed, it takes no second question.
    await page.locator("dialog").waitFor({ state: "detached" });
    assert.equal(await focused(page), "Start…", "back where it was, and nothing has happened");
    assert.equal(await card.getAttribute("data-state"), "pending_activation");
    await keyboard.press("Enter");
    await focusIs("Start now");
    await keyboard.press("Enter");
    await tab.rewardIs(id, "granted");
    await focusIs("Double points hour");
    // Told to a screen reader as well.
    await page.locator(".rewards > [role=status]").filter({ hasText: "Double points hour is running." }).waitFor();
  });
});

test("declining asks first, with the harmless answer in front, and folds the reward away", async () => {
  const id = await give("ann", booster({ name: "Unwanted" }));
  await shop.inTab({ member: "ann" }, async (tab) => {
    const { page } = tab;
    const card = tab.reward(id);
    await card.getByRole("button", { name: "No thanks" }).click();
    const dialog = page.getByRole("dialog", { name: "Decline “Unwanted”?" });
    await dialog.waitFor();
    assert.equal(await focused(page), "Keep it");
    await page.keyboard.press("Enter");
    await page.locator("dialog").waitFor({ state: "detached" });
    assert.equal(await card.getAttribute("data-state"), "unclaimed");
    await card.getByRole("button", { name: "No thanks" }).click();
    await dialog.getByRole("button", { name: "Decline it" }).click();
    await card.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement?.textContent === "Your rewards");
    await page.locator(".reward-past summary").click();
    await page.locator('.finished[data-state="declined"]').getByText("Unwanted").waitFor();
  });
});

test("a discount waits for the checkout, and cannot be used up by mistake", async () => {
  const id = await give("ben", { reward_id: `off-${randomUUID()}`, name: "Spring sale", type: "discount", value: { percent: 15 } });
  await shop.inTab({ member: "ben" }, async (tab) => {
    const card = tab.reward(id);
    assert.match(await card.textContent(), /15% off your next order\. Taken off at the checkout\./);
    assert.deepEqual(await card.getByRole("button").allTextContents(), ["No thanks"]);
  });
});

test("a move that is refused says why where it was asked for", async () => {
  const id = await give("ben", booster({ name: "Too late" }));
  await shop.inTab({ member: "ben", expects: [statusInConsole(409)] }, async (tab) => {
    const problem = { type: "about:blank", title: "No", status: 409, code: "illegal_move", state: "expired", legal_moves: [] };
    const headers = { "access-control-allow-origin": "*", "content-type": "application/problem+json" };
    await tab.page.route(/\/claim$/, (route) => route.fulfill({ status: 409, headers, body: JSON.stringify(problem) }));
    await tab.reward(id).getByRole("button", { name: "Claim" }).click();
    await tab.reward(id).getByRole("alert").getByText("Its time is over.").waitFor();
    assert.equal(await tab.reward(id).getAttribute("data-state"), "unclaimed", "the page does not invent a state");
  });
});

test("time is counted by the shop's clock, whatever the device believes", async () => {
  const id = await give("cleo", booster({ player_should_claim: false, automatic_activation: true }));
  for (const wrongByMs of [3_600_000, -3_600_000]) {
    const visitor = await shop.visitor();
    try {
      await visitor.context.addInitScript((offset) => {
        const now = Date.now.bind(Date);
        Date.now = () => now() + offset;
      }, wrongByMs);
      const tab = await visitor.tab("cleo");
      await tab.rewardIs(id, "granted");
      const card = tab.reward(id);
      await until(() => countdown(card), (left) => left > 3_500 && left <= 3_600);
    } finally {
      await visitor.close();
    }
  }
});

test("the clock rests while nobody looks, and is right at once when somebody does", async () => {
  const id = await give("cleo", booster({ name: "Resting", player_should_claim: false, automatic_activation: true }));
  const visitor = await shop.visitor();
  try {
    await visitor.context.clock.install();
    const tab = await visitor.tab("cleo");
    const { page } = tab;
    await tab.rewardIs(id, "granted");
    const card = tab.reward(id);
    const hide = (hidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { configurable: true, value });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await hide(true);
    const shown = await countdown(card);
    await page.clock.runFor(5_000);
    assert.equal(await countdown(card), shown);
    await hide(false);
    assert.ok((await countdown(card)) <= shown - 5);
  } finally {
    await visitor.close();
  }
});

test("a booster whose time is over leaves the wallet and is folded away by itself", async () => {
  const id = await give("ben", booster({ name: "Short", duration_s: 3, player_should_claim: false }));
  await shop.inTab({ member: "ben" }, async (tab) => {
    const { page } = tab;
    await tab.reward(id).getByRole("button", { name: "Start…" }).click();
    await page.getByRole("button", { name: "Start now" }).click();
    await tab.rewardIs(id, "granted");
    const running = page.locator(".wallet [data-booster]");
    // It may be over before this is looked at; what counts is what is left.
    await tab.reward(id).waitFor({ state: "detached", timeout: 30_000 });
    const { boosters } = expectStatus(await shop.as("ben").get("/v1/wallet"), 200);
    await until(() => running.count(), (count) => count === boosters.length);
    await page.locator(".reward-past summary").click();
    await page.locator('.finished[data-state="complete"]').getByText("Short").waitFor();
  });
});

test("with less motion asked for, time is told by the minute", async () => {
  const id = await give("cleo", booster({ name: "Calm", player_should_claim: false, automatic_activation: true }));
  await shop.inTab({ member: "cleo", reducedMotion: "reduce" }, async (tab) => {
    await tab.rewardIs(id, "granted");
    assert.match(await tab.reward(id).locator(".reward-left .countdown").textContent(), /^(59 min|1 h 0 min)$/);
  });
});

for (const colorScheme of ["light", "dark"]) {
  test(`every text of the chest can be read in ${colorScheme}`, async () => {
    const waiting = await give("ann", booster({ name: `Waiting in ${colorScheme}` }));
    const running = await give("ann", booster({ name: `Running in ${colorScheme}`, player_should_claim: false, automatic_activation: true }));
    fulfiller.answers(503);
    const late = await give("ann", await delivered({ name: `Late in ${colorScheme}` }));
    await shop.inTab({ member: "ann", colorScheme }, async (tab) => {
      await tab.reward(waiting).waitFor();
      await tab.rewardIs(running, "granted");
      await tab.rewardIs(late, "failed");
      await tab.reward(late).getByText("Details").click();
      await tab.page.locator(".reward-past summary").click();
      assert.deepEqual(await faintTexts(tab.page), []);
      await tab.reward(waiting).getByRole("button", { name: "No thanks" }).click();
      await tab.page.getByRole("dialog").waitFor();
      assert.deepEqual(await faintTexts(tab.page), []);
    });
  });
}

test("on a phone: everything fits, with targets for thumbs, in the chest and in what it asks", async () => {
  const long = "Double points for everybody who has ever bought anything at Northlight, online or in one of our shops";
  const id = await give("ann", booster({ name: long }));
  fulfiller.answers(503);
  const late = await give("ann", await delivered({ name: "Late" }));
  await shop.inTab({ member: "ann", viewport: PHONE, hasTouch: true, isMobile: true }, async (tab) => {
    const { page } = tab;
    const fits = async (where) => {
      assert.equal(await sidewaysPx(page), 0, where);
      assert.deepEqual(await smallTargets(page), [], where);
    };
    await tab.rewardIs(late, "failed");
    await tab.reward(late).getByText("Details").tap();
    await fits("the chest");
    const card = tab.reward(id);
    await card.getByRole("button", { name: "Claim" }).tap();
    await tab.rewardIs(id, "pending_activation");
    await card.getByRole("button", { name: "Start…" }).tap();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await fits("the question");
    // It slides in, and stands on the screen then.
    const fitsScreen = ({ x, y, width, height }) => x >= 0 && x + width <= PHONE.width && y >= 0 && y + height <= PHONE.height;
    await until(() => dialog.boundingBox(), fitsScreen);
    await dialog.getByRole("button", { name: "Start now" }).tap();
    await tab.rewardIs(id, "granted");
    await fits("running");
  });
});
