// A page that goes away in the middle of a redemption: finished after the reload, with the same key, once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { historyOf } from "../http/shop.mjs";
import { storefrontForThisFile } from "./storefront.mjs";

const shop = storefrontForThisFile();
const TEN_EUROS = 1000;
const REDEMPTIONS = /\/v1\/redemptions$/;

/** The idempotency keys that the page sends, request by request. */
function recordKeys(page) {
  const keys = [];
  page.on("request", async (request) => {
    if (request.method() === "POST" && REDEMPTIONS.test(request.url())) keys.push(request.headers()["idempotency-key"]);
  });
  return keys;
}

/**
 * Holds the next POST's answer for ever, and resolves when it is held. `acted` says whether the edge sees that request;
 * POSTs after it go on when `others` has resolved.
 */
function holdNextAnswer(page, { acted, others }) {
  return new Promise((resolve) => {
    let held = false;
    void page.route(REDEMPTIONS, async (route) => {
      if (route.request().method() !== "POST") return route.fallback();
      if (held) {
        await others;
        return route.fallback();
      }
      held = true;
      if (acted) await route.fetch();
      resolve();
    });
  });
}

for (const acted of [true, false]) {
  test(`a reload in mid-request, which the edge ${acted ? "has acted on" : "has never seen"}: the same key, one grant`, async () => {
    const [code] = await shop.mint();
    const member = acted ? "ann" : "ben";
    await shop.inTab({ member }, async (tab) => {
      const { page } = tab;
      const before = await tab.credit();
      const keys = recordKeys(page);
      const held = holdNextAnswer(page, { acted });
      await tab.check(code);
      await tab.redeemButton.click();
      await held;
      await page.getByText("Redeeming…").waitFor();
      assert.equal(keys.length, 1);

      await page.reload();
      await page.getByText("still being redeemed when this page opened").waitFor();
      await page.locator('.ticket-done[data-status="granted"]').waitFor();
      await tab.ticket.filter({ hasText: code }).filter({ hasText: "€10.00" }).waitFor();
      await tab.creditBecomes(before + TEN_EUROS);

      assert.deepEqual(keys, [keys[0], keys[0]]);
      assert.match(keys[0], /^[\x21-\x7e]{16,255}$/);
      const used = (await historyOf(shop.as(member))).filter(({ status }) => status === "granted");
      assert.equal(used.length, 1, "exactly one grant");

      // Its answer has been given: another reload has nothing left to finish.
      await page.reload();
      await tab.live();
      assert.equal(await tab.ticket.count(), 0);
      assert.equal(keys.length, 2);
    });
  });
}

test("while it is being finished the page says so, and the code keeps its place", async () => {
  const [code] = await shop.mint();
  await shop.inTab({ member: "cleo" }, async (tab, visitor) => {
    const { page } = tab;
    const before = await tab.credit();
    let release;
    const others = new Promise((resolve) => (release = resolve));
    const held = holdNextAnswer(page, { acted: false, others });
    await tab.check(code);
    await tab.redeemButton.click();
    await held;
    await page.reload();
    const note = page.getByText("We are finishing that now; it counts once.");
    await note.waitFor();
    assert.ok((await tab.ticket.textContent()).includes(code));

    // A second tab finds the same intent, continues it with the same key, and gets the same answer.
    const other = await visitor.tab("cleo");
    await other.page.locator('.ticket-done[data-status="granted"]').waitFor();
    release();
    await page.locator('.ticket-done[data-status="granted"]').waitFor();
    await tab.creditBecomes(before + TEN_EUROS);
    const granted = (await historyOf(shop.as("cleo"))).filter(({ status }) => status === "granted");
    assert.equal(granted.length, 1);
    other.assertQuiet();
  });
});
