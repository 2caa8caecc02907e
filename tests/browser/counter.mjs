// The till as staff meet it, and the customers who come to it.

import { randomInt, randomUUID } from "node:crypto";
import { after, before } from "node:test";

import { everyItem, expectStatus } from "../http/client.mjs";
import { Example, ExampleTab } from "./example.mjs";

export { statusInConsole } from "./example.mjs";

/** A tablet on the counter, upright. */
export const TABLET = { viewport: { width: 820, height: 1180 }, hasTouch: true, isMobile: true };

/** One till for all tests of a file; usable once the tests run. */
export function counterForThisFile() {
  const counter = new Counter();
  before(() => counter.open(), { timeout: 60_000 });
  after(() => counter.close());
  return counter;
}

class Counter extends Example {
  constructor() {
    super("till");
  }

  /** A member nobody has met, with a number of their own and so many points. */
  async customer(points, name = "Gro") {
    const id = `customer-${randomUUID()}`;
    // Of a German network; national as customers say it, and as the edge knows it.
    const digits = `1512${randomInt(1_000_000, 10_000_000)}`;
    const phone = `+49${digits}`;
    expectStatus(await this.admin.put(`/v1/members/${id}`, { name, phone }), 200, 201);
    if (points > 0) await this.earn(id, points);
    return { id, name, phone, national: `0${digits}` };
  }

  async earn(id, amount) {
    const body = { asset: "points", amount, reason: "earned" };
    expectStatus(await this.admin.post(`/v1/members/${id}/adjustments`, body, { key: randomUUID() }), 201);
  }

  async points({ id }) {
    return expectStatus(await this.admin.get(`/v1/members/${id}/wallet`), 200).points;
  }

  /** What the ledger says of points, but what was earned; oldest first. */
  async taken({ id }) {
    const rows = await everyItem(this.admin, `/v1/members/${id}/ledger`, 200);
    return rows.filter(({ asset, kind }) => asset === "points" && kind !== "adjustment").sort((a, b) => (a.at < b.at ? -1 : 1));
  }

  async till(context, staff = "tom") {
    const tab = new TillTab(await context.newPage());
    await tab.page.goto(`${this.pageUrl}/?staff=${staff}`);
    await tab.at("idle");
    return tab;
  }

  /** Runs a test at one till, and asserts at its end that the page complained of nothing but what `expects` names. */
  async atTill({ staff, expects = [], ...options }, run) {
    const context = await this.context({ ...TABLET, ...options });
    try {
      const tab = await this.till(context, staff);
      await run(tab, context);
      tab.assertQuiet(expects);
    } finally {
      await context.close();
    }
  }
}

/** One till, in the words of somebody who works at it. */
class TillTab extends ExampleTab {
  constructor(page) {
    super(page);
    this.number = page.getByRole("textbox", { name: "Phone number" });
    this.confirmButton = page.getByRole("button", { name: /^Confirm and take/ });
    this.receipt = page.locator(".screen .receipt");
  }

  /** Waits until the till stands there. */
  at(step) {
    return this.page.locator(`main[data-step="${step}"]`).waitFor();
  }

  button(name) {
    return this.page.getByRole("button", { name });
  }

  reward(name) {
    return this.page.locator(".reward", { hasText: name });
  }

  /** With the pad, finger by finger. */
  async tapNumber(digits) {
    for (const digit of digits) await this.page.locator(".pad").getByRole("button", { name: digit, exact: true }).tap();
  }

  /** From the first page to the customer's. */
  async find({ national }) {
    await this.number.fill(national);
    await this.button("Find customer").click();
    await this.at("member");
  }

  /** From the customer's page to the confirm page. */
  async offer(name) {
    await this.reward(name).click();
    await this.at("quoted");
  }

  /** From the customer's page to the receipt, with the balance on it. */
  async give(name) {
    await this.offer(name);
    await this.confirmButton.click();
    await this.at("done");
    await this.receipt.getByText("Balance").waitFor();
  }

  /** Takes the last redemption back, from whichever page has the button. */
  async undo(reason = "Wrong reward") {
    await this.page.getByRole("button", { name: "Undo" }).click();
    await this.page.getByRole("dialog").getByText(reason).click();
    await this.page.getByRole("button", { name: "Take it back" }).click();
  }

  balance() {
    return this.page.locator(".balance-number").innerText();
  }

  balanceBecomes(points) {
    return this.page.waitForFunction((wanted) => document.querySelector(".balance-number")?.textContent === wanted, points);
  }

  /** As when somebody comes back to a tablet that slept: the till asks for the balance anew. */
  look() {
    return this.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  }

  /** What has the focus, by its words. */
  focused() {
    return this.page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute("aria-label") || "");
  }
}
