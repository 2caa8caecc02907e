// The till in a browser, at the size of a tablet: by touch, by keyboard, with a broken line, and with another till beside it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { counterForThisFile, statusInConsole, TABLET } from "./counter.mjs";
import { faintTexts, sidewaysPx, smallTargets } from "./looks.mjs";
import { PHONE } from "./storefront.mjs";

const counter = counterForThisFile();
const LOST = [/^Failed to load resource: net::ERR_/];

/** Nothing too wide, too small for a thumb, or too faint to read. */
async function looksRight(tab, where) {
  assert.equal(await sidewaysPx(tab.page), 0, `${where}: too wide`);
  assert.deepEqual(await smallTargets(tab.page), [], where);
  assert.deepEqual(await faintTexts(tab.page), [], where);
}

for (const [what, options] of [["a tablet", {}], ["a tablet at night", { colorScheme: "dark" }], ["a phone", { viewport: PHONE }]]) {
  test(`by touch on ${what}: number, balance, reward, confirmation, receipt, next customer`, async () => {
    const gro = await counter.customer(420);
    await counter.atTill(options, async (tab) => {
      await looksRight(tab, "number");
      await tab.tapNumber(gro.national);
      assert.match(await tab.number.inputValue(), /^0151 ?2\d{7}$|^01512 \d{7}$/, "grouped as it is typed");
      await tab.page.getByText("Germany", { exact: true }).waitFor();
      await tab.button("Find customer").tap();
      await tab.at("member");
      assert.equal(await tab.balance(), "420");
      assert.deepEqual(await tab.page.locator(".reward-name").allInnerTexts(), ["Tote bag", "Cinema ticket", "Slice of cake", "Coffee"]);
      assert.match(await tab.page.locator(".next").innerText(), /Northlight mug[^]*80 points more/);
      await looksRight(tab, "customer");
      await tab.reward("Slice of cake").tap();
      await tab.at("quoted");
      const offer = await tab.page.locator(".confirm").innerText();
      for (const fact of ["Slice of cake", "120 points", "Gro", "420", "300"]) assert.ok(offer.includes(fact), fact);
      assert.equal(await counter.points(gro), 420, "nothing is taken before it is confirmed");
      await looksRight(tab, "confirmation");
      await tab.confirmButton.tap();
      await tab.at("done");
      await tab.receipt.getByText("Balance").waitFor();
      assert.match(await tab.receipt.innerText(), /Slice of cake\s+120[^]*Points taken\s+120[^]*Balance\s+300[^]*Gro[^]*Tom[^]*Ledger no\./);
      await looksRight(tab, "receipt");
      await tab.button("Next customer").tap();
      await tab.at("idle");
      assert.equal(await tab.number.inputValue(), "");
      await looksRight(tab, "next customer");
    });
    assert.equal(await counter.points(gro), 300);
    assert.deepEqual((await counter.taken(gro)).map(({ amount, by }) => [amount, by]), [[-120, "staff:tom"]]);
  });
}

test("by keyboard alone: from the number to the next customer, and back with Escape", async () => {
  const gro = await counter.customer(100);
  await counter.atTill({ viewport: { width: 1280, height: 800 }, hasTouch: false, isMobile: false }, async (tab) => {
    const { keyboard } = tab.page;
    await keyboard.type(`+49 (0) ${gro.national.slice(1, 4)}/${gro.national.slice(4)}`);
    await keyboard.press("Enter");
    await tab.at("member");
    assert.equal(await tab.focused(), "Gro", "whose page it is, is read first");
    await keyboard.press("1");
    await tab.at("quoted");
    assert.match(await tab.focused(), /^Confirm and take 80 points$/);
    await keyboard.press("Escape");
    await tab.at("member");
    await keyboard.press("Tab");
    await keyboard.press("Enter");
    await tab.at("quoted");
    await keyboard.press("Enter");
    await tab.at("done");
    await tab.receipt.getByText("Balance").waitFor();
    assert.match(await tab.focused(), /Coffee given/);
    await keyboard.press("Enter");
    await tab.at("idle");
    // Typed anywhere on the page, it is the number.
    await keyboard.type("0151");
    assert.match(await tab.number.inputValue(), /^0151/);
    await keyboard.press("Escape");
    assert.equal(await tab.number.inputValue(), "");
    await tab.button("Undo").press("Enter");
    await tab.page.getByRole("dialog").waitFor();
    await keyboard.press("Escape");
    await tab.page.locator("dialog").waitFor({ state: "detached" });
    await tab.button("Undo").press("Enter");
    await tab.page.getByRole("dialog").waitFor();
    await tab.button("Take it back").focus();
    await keyboard.press("Enter");
    await tab.page.getByText("Taken back:").waitFor();
  });
  assert.equal(await counter.points(gro), 100);
  assert.deepEqual((await counter.taken(gro)).map(({ amount, kind }) => [amount, kind]), [[-80, "redemption"], [80, "reversal"]]);
});

test("numbers are read as people write them, and what is none is not looked up", async () => {
  const gro = await counter.customer(50);
  await counter.atTill({ expects: [statusInConsole(404)] }, async (tab) => {
    const find = tab.button("Find customer");
    for (const [typed, hint] of [["015", ""], ["+999 123 456", "No country has this calling code."], ["+1 212 555 01234", "That is too long for a phone number."]]) {
      await tab.number.fill(typed);
      assert.equal(await tab.page.locator("#phone-hint").innerText(), hint, typed);
      assert.equal(await find.getAttribute("aria-disabled"), "true", typed);
      await find.click({ force: true });
    }
    await tab.number.fill("0151 20000000");
    await find.click();
    await tab.page.getByText("Nobody has this number").waitFor();
    await tab.at("idle");
    await tab.page.getByLabel("Country of numbers without a plus sign").selectOption("AT");
    await tab.number.fill(`0049 ${gro.national.slice(1)}`);
    await find.click();
    await tab.at("member");
    assert.equal(await tab.page.locator(".reward").count(), 0);
    assert.match(await tab.page.locator(".next").innerText(), /Coffee[^]*30 points more/);
  });
});

test("several at once, each with its code on the receipt, out of a pool", async () => {
  const gro = await counter.customer(520);
  await counter.atTill({}, async (tab) => {
    await tab.find(gro);
    await tab.offer("Cinema ticket");
    await tab.button("One more").tap();
    await tab.page.getByText("2 × Cinema ticket").waitFor();
    assert.equal(await tab.button("One more").getAttribute("aria-disabled"), "true", "three are more than the balance covers");
    await tab.button("Confirm and take 500 points").tap();
    await tab.at("done");
    const codes = await tab.page.locator(".screen .receipt-codes li").allInnerTexts();
    assert.equal(new Set(codes).size, 2);
    for (const code of codes) assert.match(code, /^CINE-\d{5}$/);
  });
  assert.deepEqual((await counter.taken(gro)).map(({ amount }) => amount), [-250, -250]);
});

test("the receipt is what is printed, and nothing else", async () => {
  const gro = await counter.customer(100);
  await counter.atTill({}, async (tab) => {
    await tab.find(gro);
    await tab.give("Coffee");
    const [{ number }] = await counter.taken(gro);
    await tab.page.emulateMedia({ media: "print" });
    const paper = await tab.page.evaluate(() => document.body.innerText);
    for (const fact of ["Northlight", "Coffee", "Points taken", "Balance", `••• ${gro.phone.slice(-4)}`, number, "Tom"]) assert.ok(paper.includes(fact), `${fact} is not in ${paper}`);
    assert.doesNotMatch(paper, /Undo|Next customer|Online/);
    const printed = await tab.page.evaluate(() => new Promise((resolve) => {
      window.print = () => resolve(true);
      document.querySelectorAll("button").forEach((button) => /Print/.test(button.textContent) && button.click());
    }));
    assert.equal(printed, true);
  });
});

test("offline nothing can be confirmed, and the page says so", async () => {
  const gro = await counter.customer(200);
  await counter.atTill({ expects: LOST }, async (tab, context) => {
    await tab.find(gro);
    await tab.offer("Coffee");
    await context.setOffline(true);
    await tab.page.locator(".banner").waitFor();
    await tab.page.getByText("Offline: nothing can be confirmed").waitFor();
    assert.equal(await tab.confirmButton.getAttribute("aria-disabled"), "true");
    await looksRight(tab, "offline");
    await tab.confirmButton.click({ force: true });
    await tab.confirmButton.press("Enter");
    await tab.at("quoted");
    await context.setOffline(false);
    await tab.page.locator(".banner").waitFor({ state: "detached" });
    await tab.confirmButton.click();
    await tab.at("done");
    await tab.button("Next customer").click();
    // A broken line that the browser knows nothing of.
    counter.line.cut();
    try {
      await tab.number.fill(gro.national);
      await tab.button("Find customer").click();
      await tab.page.locator(".banner").waitFor();
      await tab.page.getByText("No connection").waitFor();
      assert.equal(await tab.button("Undo").getAttribute("aria-disabled"), "true");
    } finally {
      counter.line.mend();
    }
    await tab.page.locator(".banner").waitFor({ state: "detached" });
  });
  assert.deepEqual((await counter.taken(gro)).map(({ amount }) => amount), [-80]);
});

test("a lost answer is waited for, and the reward is given once", async () => {
  const gro = await counter.customer(200);
  await counter.atTill({ expects: LOST }, async (tab) => {
    await tab.find(gro);
    await tab.offer("Coffee");
    // Arrives, is done, and its answer is lost; as is every further one until the line is mended.
    let mended = false;
    await tab.page.route("**/confirm", async (route) => {
      if (mended) return route.continue();
      await route.fetch();
      return route.abort("connectionreset");
    });
    await tab.confirmButton.tap();
    await tab.page.getByText("Please do not hand it over yet").waitFor();
    await looksRight(tab, "no answer yet");
    assert.equal(await tab.button("Next customer").count(), 0);
    mended = true;
    await tab.at("done");
  });
  assert.deepEqual((await counter.taken(gro)).map(({ amount }) => amount), [-80]);
});

test("a reload in the middle of a confirmation continues it, and the receipt is there", async () => {
  const gro = await counter.customer(200);
  await counter.atTill({ expects: LOST }, async (tab) => {
    await tab.find(gro);
    await tab.offer("Coffee");
    let mended = false;
    await tab.page.route("**/confirm", async (route) => {
      if (mended) return route.continue();
      await route.fetch();
      return route.abort("connectionreset");
    });
    await tab.confirmButton.tap();
    await tab.page.getByText("Please do not hand it over yet").waitFor();
    await tab.page.reload();
    await tab.page.getByText("Please do not hand it over yet").waitFor();
    mended = true;
    await tab.at("done");
    assert.match(await tab.receipt.innerText(), /Coffee\s+80[^]*Gro/);
    // And the last redemption outlives another one, with its undo.
    await tab.page.reload();
    await tab.at("idle");
    await tab.undo("Wrong customer");
    await tab.page.getByText("Taken back:").waitFor();
  });
  assert.equal(await counter.points(gro), 200);
  assert.deepEqual((await counter.taken(gro)).map(({ kind, reason }) => [kind, reason]), [["redemption", undefined], ["reversal", "Wrong customer"]]);
});

test("undo gives the points back at once, once", async () => {
  const gro = await counter.customer(100);
  await counter.atTill({}, async (tab) => {
    await tab.find(gro);
    await tab.give("Coffee");
    await tab.undo("Changed their mind");
    await tab.page.getByRole("heading", { name: "Taken back" }).waitFor();
    await looksRight(tab, "taken back");
    assert.equal(await tab.button("Undo").count(), 0);
    await tab.receipt.getByText("Taken back").waitFor();
    await tab.button("Next customer").tap();
    await tab.find(gro);
    assert.equal(await tab.balance(), "100");
    assert.equal(await tab.button("Undo").count(), 0);
  });
  assert.deepEqual((await counter.taken(gro)).map(({ amount }) => amount), [-80, 80]);
});

test("a manager lets missing points go, with name and reason; staff alone cannot, nor take it back", async () => {
  const gro = await counter.customer(60);
  await counter.atTill({ expects: [statusInConsole(409)] }, async (tab) => {
    await tab.find(gro);
    await tab.button("Ask a manager").tap();
    await tab.at("short");
    await tab.page.getByRole("heading", { name: "20 points missing" }).waitFor();
    const give = tab.button(/^Give it: take 60 points/);
    assert.equal(await give.getAttribute("aria-disabled"), "true");
    await give.tap({ force: true });
    await tab.at("short");
    await tab.page.getByText("Mia", { exact: true }).tap();
    await tab.page.getByText("A regular customer").tap();
    await looksRight(tab, "manager");
    await give.tap();
    await tab.at("done");
    await tab.receipt.getByText("Balance").waitFor();
    assert.match(await tab.receipt.innerText(), /Coffee\s+80[^]*Goodwill: A regular customer\s+−20[^]*Points taken\s+60[^]*Balance\s+0[^]*Mia/);
    await tab.button("Undo").tap();
    const dialog = tab.page.getByRole("dialog");
    const takeBack = tab.button("Take it back");
    assert.equal(await takeBack.getAttribute("aria-disabled"), "true", "what a manager gave a manager takes back");
    await looksRight(tab, "undo by a manager");
    await dialog.getByText("Noor").tap();
    await takeBack.tap();
    await tab.page.getByRole("heading", { name: "Taken back" }).waitFor();
  });
  assert.equal(await counter.points(gro), 60);
  const [given, back] = await counter.taken(gro);
  assert.deepEqual([given.amount, given.by, given.reason], [-60, "manager:mia", "A regular customer"]);
  assert.deepEqual([back.amount, back.by, back.reason], [60, "manager:noor", "Wrong reward"]);
});

test("two tills at once: one reward, unless another one is meant", async () => {
  const gro = await counter.customer(400);
  const contexts = [await counter.context(TABLET), await counter.context(TABLET)];
  try {
    const tills = [await counter.till(contexts[0], "tom"), await counter.till(contexts[1], "tina")];
    for (const till of tills) {
      await till.find(gro);
      await till.offer("Coffee");
    }
    await Promise.all(tills.map((till) => till.confirmButton.tap()));
    const ends = await Promise.all(tills.map((till) => till.page.waitForFunction(() => {
      const step = document.querySelector("main")?.dataset.step;
      return step === "done" || (step === "member" && document.querySelector(".note") && step);
    }).then(async () => till.page.locator("main").getAttribute("data-step"))));
    assert.deepEqual([...ends].sort(), ["done", "member"]);
    assert.equal(await counter.points(gro), 320);
    const other = tills[ends.indexOf("member")];
    await other.page.getByText("The offer has run out").waitFor();
    await other.look();
    await other.balanceBecomes("320");
    await other.button("Offer it again").tap();
    await other.page.getByText("The same reward was given a moment ago").waitFor();
    await other.button("Give one more").tap();
    await other.at("quoted");
    await other.confirmButton.tap();
    await other.at("done");
    assert.equal(await counter.points(gro), 240);
  } finally {
    for (const context of contexts) await context.close();
  }
});

test("points earned elsewhere are seen, and those spent elsewhere are not spent twice", async () => {
  const gro = await counter.customer(100);
  await counter.atTill({ expects: [statusInConsole(409)] }, async (tab) => {
    await tab.find(gro);
    await tab.offer("Coffee");
    await counter.earn(gro.id, -60);
    await tab.confirmButton.tap();
    await tab.page.getByText("Not enough points any more").waitFor();
    await tab.page.getByText("40 points are missing").waitFor();
    await tab.balanceBecomes("40");
    assert.equal(await tab.page.locator(".reward").count(), 0);
    await counter.earn(gro.id, 60);
    await tab.look();
    await tab.balanceBecomes("100");
  });
});
