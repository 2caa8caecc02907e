// Spending points in the storefront: the catalogue, buying by the handful, and what stands in the way.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { expectStatus } from "../http/client.mjs";
import { faintTexts, sidewaysPx, smallTargets } from "./looks.mjs";
import { PHONE, statusInConsole, storefrontForThisFile } from "./storefront.mjs";

const shop = storefrontForThisFile();

const adjust = async (member, amount) => {
  const body = { asset: "points", amount, reason: "earned" };
  expectStatus(await shop.admin.post(`/v1/members/${member}/adjustments`, body, { key: randomUUID() }), 201);
};
const item = (tab, id) => tab.page.locator(`[data-catalogue="${id}"]`);
const get = (tab, id) => item(tab, id).getByRole("button");

test("points buy tickets by the handful, each with its code, and the history keeps them", async () => {
  await adjust("ben", 600);
  await shop.inTab({ member: "ben", viewport: PHONE, hasTouch: true, isMobile: true }, async (tab) => {
    const before = await tab.points();
    await item(tab, "cinema-ticket").waitFor();
    await get(tab, "cinema-ticket").tap();
    await tab.page.getByRole("button", { name: "One more" }).tap();
    assert.deepEqual([await sidewaysPx(tab.page), await smallTargets(tab.page), await faintTexts(tab.page)], [0, [], []]);
    await tab.page.getByRole("button", { name: "Spend 500 points" }).tap();
    const codes = tab.page.locator(".spend-done code");
    await codes.first().waitFor();
    const shown = await codes.allInnerTexts();
    assert.equal(new Set(shown).size, 2);
    await tab.pointsBecome(before - 500);
    await item(tab, "tote-bag").getByText("200 more to go").waitFor();
    await tab.page.reload();
    await tab.live();
    const entry = tab.entries.first();
    await entry.getByText("500 points spent").waitFor();
    assert.match(await entry.innerText(), /2 × Cinema ticket/);
    assert.deepEqual((await entry.locator("code").allInnerTexts()).sort(), shown.sort());
  });
});

test("points that were spent elsewhere meanwhile are not spent twice", async () => {
  await adjust("cleo", 100);
  await shop.inTab({ member: "cleo", expects: [statusInConsole(409)] }, async (tab) => {
    await get(tab, "coffee").click();
    const spend = tab.page.getByRole("button", { name: "Spend 80 points" });
    await spend.waitFor();
    await adjust("cleo", -90);
    await spend.click();
    await item(tab, "coffee").getByText("Not enough points").waitFor();
    await item(tab, "coffee").getByText("70 more to go").waitFor();
    assert.equal(await get(tab, "coffee").getAttribute("aria-disabled"), "true");
    await tab.pointsBecome(10);
  });
});
