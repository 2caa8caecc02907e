// The page on a phone, by keyboard alone, in dark, and to a screen reader.

import assert from "node:assert/strict";
import { test } from "node:test";

import { faintTexts, sidewaysPx, smallTargets } from "./looks.mjs";
import { PHONE, storefrontForThisFile, withSwap } from "./storefront.mjs";

const shop = storefrontForThisFile();
const TEN_EUROS = 1000;

test("by keyboard alone: slip, suggestion, preview, confirmation, next code", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    const { page } = tab;
    const { keyboard } = page;
    const before = await tab.credit();
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
    await keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the code box");
    await keyboard.press("Enter");
    await keyboard.type(withSwap(code));
    await keyboard.press("Enter");
    assert.equal(await focused(), "Use this code", "what stands in the way has the focus");
    await keyboard.press("Enter");
    assert.equal(await tab.input.inputValue(), code);
    assert.equal(await focused(), "Check code");
    await keyboard.press("Enter");
    await tab.redeemButton.waitFor();
    await page.waitForFunction(() => document.activeElement?.classList.contains("ticket-worth"));
    assert.match(await focused(), /€10\.00/, "what it is worth is read first");
    await keyboard.press("Tab");
    assert.equal(await focused(), "Redeem now");
    await keyboard.press("Enter");
    await tab.creditBecomes(before + TEN_EUROS);
    // The wallet may hear of it by the live feed before the answer is there; the button comes with the answer.
    await page.locator('.redeem[data-state="done"]').waitFor();
    await page.waitForFunction(() => document.activeElement?.classList.contains("ticket-worth"));
    await keyboard.press("Tab");
    assert.equal(await focused(), "Redeem another code");
    await keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement?.id === "redeem");
  });
});

test("on a phone: the whole way, without sideways scrolling, with targets for thumbs", async () => {
  const [code] = await shop.mint();
  await shop.inTab({ viewport: PHONE, hasTouch: true, isMobile: true, member: "ben" }, async (tab) => {
    const before = await tab.credit();
    const fits = async (where) => {
      assert.equal(await sidewaysPx(tab.page), 0, where);
      for (const box of await smallTargets(tab.page)) assert.fail(`${where}: ${box}`);
    };
    await fits("empty");
    await tab.input.tap();
    await tab.page.keyboard.type(withSwap(code));
    await tab.acceptButton.waitFor();
    await fits("suggestion");
    assert.ok(await codeFits(tab), "the whole code stands in the box");
    await tab.acceptButton.tap();
    await tab.checkButton.tap();
    await tab.redeemButton.waitFor();
    await fits("preview");
    await tab.redeemButton.tap();
    await tab.creditBecomes(before + TEN_EUROS);
    await fits("granted");
    await tab.page.getByRole("button", { name: "Redeem another code" }).tap();
    await tab.check(shop.codes.expired);
    await tab.refusal.waitFor();
    await fits("refused");
  });
});

test("a long and wrong text is marked where it stands in the box", async () => {
  await shop.inTab({ viewport: PHONE }, async (tab) => {
    await tab.type(`${"0F".repeat(17)}!`);
    const mark = tab.page.locator(".code-wrong");
    await mark.waitFor();
    const [markBox, inputBox] = [await mark.boundingBox(), await tab.input.boundingBox()];
    assert.ok(markBox.x > inputBox.x && markBox.x + markBox.width <= inputBox.x + inputBox.width, "the mark scrolls with the text");
  });
});

test("what changes is announced, what is entered is named, and the page has one heading above all", async () => {
  await shop.inTab({}, async (tab) => {
    const { page } = tab;
    assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
    assert.equal(await page.getByRole("textbox", { name: "Your code" }).count(), 1);
    assert.equal(await page.getByRole("group", { name: "Shopping as" }).getByRole("radio").count(), 3);
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    const hint = await tab.input.getAttribute("aria-describedby");
    assert.equal(await page.locator(`#${hint}`).getAttribute("aria-live"), "polite");
    await tab.check(shop.codes.used);
    await page.getByRole("alert").getByText("This code has been used").waitFor();
    const nameless = await page.$$eval("button, a, input", (elements) =>
      elements.filter((element) => !element.textContent.trim() && !element.labels?.length).map((element) => element.outerHTML),
    );
    assert.deepEqual(nameless, []);
  });
});

for (const colorScheme of ["light", "dark"]) {
  test(`every text can be read in ${colorScheme}`, async () => {
    await shop.inTab({ colorScheme, member: "cleo" }, async (tab) => {
      await tab.check(shop.codes.expired);
      await tab.refusal.waitFor();
      assert.deepEqual(await faintTexts(tab.page), []);
      await tab.input.fill("");
      await tab.type(withSwap(shop.codes.fresh[0]));
      await tab.acceptButton.waitFor();
      assert.deepEqual(await faintTexts(tab.page), []);
    });
  });
}

test("with less motion asked for, nothing moves", async () => {
  await shop.inTab({ reducedMotion: "reduce" }, async (tab) => {
    await tab.check(shop.codes.fresh[1]);
    await tab.redeemButton.waitFor();
    const durations = await tab.page.evaluate(() => document.getAnimations().map(({ effect }) => effect.getComputedTiming().endTime));
    assert.deepEqual(durations.filter((ms) => ms > 1), []);
  });
});

function codeFits(tab) {
  return tab.input.evaluate((input) => input.scrollWidth <= input.clientWidth);
}
