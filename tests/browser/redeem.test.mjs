// From a typed code to its credit, and every way in which the shop says no.

import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "../http/client.mjs";
import * as format from "../http/code.mjs";
import { testVars } from "../http/env.mjs";
import { demoMerchant } from "../../edge/dev/seed.mjs";
import { statusInConsole, storefrontForThisFile, withSwap } from "./storefront.mjs";

const shop = storefrontForThisFile();
const TEN_EUROS = 1000;

/** The text of every element that a selector finds. */
const texts = (locator) => locator.allTextContents();

test("a typed slip is repaired when the person accepts, shown for what it is worth, and redeemed", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    const before = await tab.credit();
    const entries = await tab.entries.count();
    const slip = withSwap(code);
    await tab.type(slip.replaceAll("-", "").toLowerCase());
    assert.equal(await tab.input.inputValue(), slip, "grouped and in capitals as it is typed");

    await tab.acceptButton.waitFor();
    const suggestion = tab.page.locator(".suggestion");
    assert.match(await suggestion.textContent(), /Did you mean/);
    assert.equal(await suggestion.locator("code").textContent(), code);
    const swapped = [...code].filter((letter, at) => letter !== slip[at]);
    assert.deepEqual(await texts(suggestion.locator("mark")), swapped, "the changed symbols are marked");
    assert.deepEqual(await texts(tab.page.locator(".code-wrong")), [...slip].filter((letter, at) => letter !== code[at]));
    assert.equal(await tab.input.inputValue(), slip, "nothing is changed unasked");

    await tab.acceptButton.click();
    assert.equal(await tab.input.inputValue(), code);
    await tab.page.getByText("No typing errors.").waitFor();
    await tab.checkButton.click();

    await tab.redeemButton.waitFor();
    const ticket = await tab.ticket.textContent();
    for (const part of ["€10.00", "shop credit", "Spring gift card", "No end date", code]) assert.ok(ticket.includes(part), part);
    assert.equal(await tab.credit(), before, "looking consumes nothing");

    await tab.redeemButton.click();
    await tab.page.getByText("It is yours").waitFor();
    await tab.creditBecomes(before + TEN_EUROS);
    await tab.entriesBecome(entries + 1);
    const newest = await tab.entries.first().textContent();
    const receipt = /Receipt (\S+-\d+)/.exec(newest)?.[1];
    assert.match(newest, /€10\.00 shop credit.*Received/);
    assert.ok((await tab.ticket.textContent()).includes(receipt), "the ticket and the history name one receipt");

    await tab.page.getByRole("button", { name: "Redeem another code" }).click();
    assert.equal(await tab.input.inputValue(), "");
    assert.ok(await tab.input.evaluate((input) => input === document.activeElement));
  });
});

test("the caret stays where the person works", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    const { keyboard } = tab.page;
    await tab.type(code);
    // Take out the 7th symbol (00FM-QA41: the caret is before the 8th) and put another there.
    await tab.input.evaluate((input) => input.setSelectionRange(8, 8));
    await keyboard.press("Backspace");
    assert.equal(await tab.caret(), 7);
    await keyboard.type(code[7]);
    assert.equal(await tab.caret(), 8);
    assert.equal(await tab.input.inputValue(), code);
    // Over the separator the symbol before it goes.
    await tab.input.evaluate((input) => input.setSelectionRange(10, 10));
    await keyboard.press("Backspace");
    await keyboard.type(code[8] === "-" ? code[9] : code[8]);
    assert.equal(await tab.input.inputValue(), code);
    assert.equal((await tab.input.inputValue()).slice(0, await tab.caret()).replace(/-$/, ""), code.slice(0, 10).replace(/-$/, ""));
  });
});

test("the symbol that cannot be right is marked and named", async () => {
  await shop.inTab({}, async (tab) => {
    await tab.type("00fm!a");
    await tab.page.locator(".code-wrong").waitFor();
    assert.deepEqual(await texts(tab.page.locator(".code-wrong")), ["!"]);
    assert.match(await tab.page.locator("#code-hint").textContent(), /Place 5, !, does not fit/);
    await tab.checkButton.click();
    assert.equal(await tab.ticket.count(), 0, "it is not sent");
    assert.equal(await tab.input.getAttribute("aria-invalid"), "true");
  });
});

test("a guess at unreadable symbols says that it is one", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    await tab.type(`${code.slice(0, 15)}???${code.slice(18)}`);
    await tab.page.getByText("This is a guess").waitFor();
    assert.equal(await tab.page.locator(".suggestion code").textContent(), code);
  });
});

const refusals = [
  { what: "used up", code: () => shop.codes.used, title: "This code has been used", text: /Somebody has redeemed it/ },
  { what: "expired", code: () => shop.codes.expired, title: "This offer has ended", text: /until 1 Feb 2026, 00:59/ },
  { what: "forged", code: forged, title: "We do not know this code", text: /not one of ours/, expects: [statusInConsole(404)] },
];

for (const { what, code, title, text, expects } of refusals) {
  test(`a code that is ${what} is refused in words, before anything is sent to be redeemed`, async () => {
    await shop.inTab({ expects }, async (tab) => {
      const entries = await tab.entries.count();
      await tab.check(code());
      await tab.refusal.waitFor();
      assert.equal(await tab.refusal.locator("h2").textContent(), title);
      assert.match(await tab.refusal.textContent(), text);
      assert.equal(await tab.redeemButton.count(), 0);
      assert.equal(await tab.entries.count(), entries);
      // Typing on takes the answer to the old text away.
      await tab.input.fill("");
      await tab.refusal.waitFor({ state: "detached" });
    });
  });
}

test("a code one has redeemed oneself leads to its entry in the history", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    await tab.redeem(code);
    await tab.page.getByRole("button", { name: "Redeem another code" }).click();
    await tab.check(code);
    await tab.refusal.waitFor();
    assert.equal(await tab.refusal.locator("h2").textContent(), "You have redeemed this code already");
    await tab.page.getByRole("link", { name: "Show it in your history" }).click();
    assert.ok(await tab.entries.first().evaluate((entry) => entry.matches(":target")));
  });
});

test("somebody else is faster between the preview and the confirmation: refused, kept in the history, nothing given", async () => {
  const [code] = await shop.mint();
  await shop.inTab({ member: "cleo", expects: [statusInConsole(409)] }, async (tab) => {
    const before = await tab.credit();
    const entries = await tab.entries.count();
    await tab.check(code);
    await tab.redeemButton.waitFor();
    await shop.redeemElsewhere("ben", code);
    await tab.redeemButton.click();
    await tab.refusal.waitFor();
    assert.equal(await tab.refusal.locator("h2").textContent(), "This code has been used");
    await tab.entriesBecome(entries + 1);
    assert.match(await tab.entries.first().textContent(), /This code has been used.*Refused/);
    assert.equal(await tab.credit(), before);
  });
});

test("not now: nothing is consumed and the code is still there", async () => {
  const [code] = await shop.mint();
  await shop.inTab({}, async (tab) => {
    await tab.check(code);
    await tab.page.getByRole("button", { name: "Not now" }).click();
    assert.equal(await tab.input.inputValue(), code);
    await tab.checkButton.click();
    await tab.redeemButton.waitFor();
  });
});

test("each member sees their own wallet, and nothing typed by another", async () => {
  const [code] = await shop.mint();
  await shop.inTab({ member: "ann" }, async (tab) => {
    const ann = await tab.credit();
    await tab.type(code);
    await tab.page.getByRole("radio", { name: "Ben" }).check({ force: true });
    await tab.page.getByRole("heading", { name: "Ben’s wallet" }).waitFor();
    await tab.live();
    assert.equal(await tab.input.inputValue(), "");
    const ben = await tab.credit();
    await tab.redeem(code);
    await tab.creditBecomes(ben + TEN_EUROS);
    await tab.page.reload();
    await tab.page.getByRole("heading", { name: "Ben’s wallet" }).waitFor();
    await tab.live();
    await tab.page.getByRole("radio", { name: "Ann" }).check({ force: true });
    await tab.page.getByRole("heading", { name: "Ann’s wallet" }).waitFor();
    await tab.live();
    assert.equal(await tab.credit(), ann);
  });
});

test("after too many wrong codes the shop says when to try again", async () => {
  const cleo = shop.as("cleo");
  await until(() => cleo.post("/v1/codes/preview", { code: forged() }), ({ status }) => status === 429);
  await shop.inTab({ member: "cleo", expects: [statusInConsole(429)] }, async (tab) => {
    await tab.check(shop.codes.fresh[0]);
    await tab.refusal.waitFor();
    assert.equal(await tab.refusal.locator("h2").textContent(), "Too many tries");
    assert.match(await tab.refusal.textContent(), /try again in (a minute|about \d+ (minutes|hours))\./);
  });
});

/** Well formed, of the right campaign, and signed with a key that nobody has. */
function forged() {
  const keys = format.campaignKeys({
    root: testVars.ROOT_0,
    environment: testVars.ENVIRONMENT,
    merchant: demoMerchant,
    profile: format.S20,
    epoch: 0,
    campaign: 1001,
  });
  return format.forge(keys, 1);
}
