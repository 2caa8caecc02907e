// The storefront as a customer meets it: its production build in a real browser, against a real edge with the demo shop.

import { randomUUID } from "node:crypto";
import { after, before } from "node:test";

import { demoMerchant } from "../../edge/dev/seed.mjs";
import { expectStatus, until } from "../http/client.mjs";
import { clientOf } from "../http/env.mjs";
import { redeemed } from "../http/shop.mjs";
import { Example, ExampleTab } from "./example.mjs";

export { statusInConsole } from "./example.mjs";

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const GIFT_CARDS = 1001;
/** 100 points each. */
export const POINTS = 1005;

/** How long a delivery may take: its second try comes five seconds after the first. */
const DELIVERY_PATIENCE_MS = 30_000;

/** One storefront for all tests of a file; usable once the tests run. */
export function storefrontForThisFile() {
  const shop = new Storefront();
  before(() => shop.open(), { timeout: 60_000 });
  after(() => shop.close());
  return shop;
}

export class Storefront extends Example {
  constructor() {
    super("storefront");
  }

  /** Fresh codes: of the gift card campaign, EUR 10.00 each, unless another is named. */
  async mint(count = 1, campaign = GIFT_CARDS) {
    const path = `/v1/campaigns/${campaign}/batches`;
    const answer = await this.admin.post(path, { count, label: "browser tests", format: "jsonl" }, { key: randomUUID() });
    expectStatus(answer, 201);
    return answer.text.split("\n").filter(Boolean).map((line) => JSON.parse(line).code);
  }

  /** A campaign of unique codes for a reward that is defined with it, and codes of it. */
  async offer(reward, count = 1) {
    const { reward_id } = expectStatus(await this.admin.post("/v1/reward-definitions", reward), 201);
    const fields = { name: `For ${reward.name}`, profile: "S20", kind: "unique", reward_id };
    const { campaign } = expectStatus(await this.admin.post("/v1/campaigns", fields), 201);
    expectStatus(await this.admin.post(`/v1/campaigns/${campaign}/activate`), 200, 202);
    await until(() => this.admin.get(`/v1/campaigns/${campaign}`), ({ body }) => body.in_force === true);
    return this.mint(count, campaign);
  }

  /** The API as one of the shop's members, straight to the edge. */
  as(member) {
    return clientOf(this.edgeUrl, { sub: member, merchant: demoMerchant });
  }

  /** Redeems as a member from somewhere else than the page. */
  redeemElsewhere(member, code) {
    return redeemed(this.as(member), code);
  }

  /** A browser profile of its own, with tabs to open in it. */
  async visitor({ viewport = DESKTOP, ...options } = {}) {
    const context = await this.context({ viewport, ...options });
    const tab = async (member = "ann", { until = "live" } = {}) => {
      const opened = new Tab(await context.newPage());
      await opened.page.goto(`${this.pageUrl}/?member=${member}`);
      if (until === "live") await opened.live();
      else await opened.connectionIs(until);
      return opened;
    };
    return { context, tab, close: () => context.close() };
  }

  /** Runs a test in one tab, and asserts at its end that the page complained of nothing but what `expects` names. */
  async inTab({ member, expects = [], ...options }, run) {
    const visitor = await this.visitor(options);
    try {
      const tab = await visitor.tab(member);
      await run(tab, visitor);
      tab.assertQuiet(expects);
    } finally {
      await visitor.close();
    }
  }
}

/** One tab with the storefront, in the words of somebody who looks at it. */
export class Tab extends ExampleTab {
  constructor(page) {
    super(page);
    this.input = page.getByLabel("Your code", { exact: true }).and(page.locator("input"));
    this.checkButton = page.getByRole("button", { name: "Check code" });
    this.acceptButton = page.getByRole("button", { name: "Use this code" });
    this.redeemButton = page.getByRole("button", { name: "Redeem now" });
    this.connection = page.locator("[data-connection]");
    this.entries = page.locator(".entry");
    this.ticket = page.locator(".ticket");
    this.refusal = page.locator(".refused");
  }

  /** Waits until the page says that it is connected and has what it shows. */
  async live() {
    await this.connectionIs("live");
    await this.page.locator(".credit").waitFor();
    await this.page.locator(".history[aria-busy=false]").waitFor();
    await this.page.locator(".rewards[aria-busy=false]").waitFor();
  }

  connectionIs(...kinds) {
    const selector = kinds.map((kind) => `[data-connection="${kind}"]`).join(", ");
    return this.page.locator(selector).first().waitFor();
  }

  /** Types as a person does, key by key. */
  async type(text) {
    await this.input.click();
    await this.page.keyboard.type(text);
  }

  /** From an empty box to what the shop says of a code. */
  async check(code) {
    await this.input.fill(code);
    await this.checkButton.click();
  }

  /** The whole way, to the stamped ticket. */
  async redeem(code) {
    await this.check(code);
    await this.redeemButton.click();
    await this.page.locator('.ticket-done[data-status="granted"]').waitFor();
  }

  /** The card of a reward in the chest, by its definition; the newest where there are several. */
  reward(rewardId) {
    return this.page.locator(`[data-reward="${rewardId}"]`).first();
  }

  /** Waits until the reward stands so. */
  rewardIs(rewardId, state) {
    return this.page.locator(`[data-reward="${rewardId}"][data-state="${state}"]`).first().waitFor({ timeout: DELIVERY_PATIENCE_MS });
  }

  async points() {
    return Number((await this.page.locator('[data-asset="points"] dd').evaluate((dd) => dd.firstChild.textContent)).replace(/\D/g, ""));
  }

  /** Waits until this many points are shown. */
  pointsBecome(points) {
    const shown = (wanted) => document.querySelector('[data-asset="points"] dd')?.firstChild?.textContent.replace(/\D/g, "") === wanted;
    return this.page.waitForFunction(shown, String(points));
  }

  /** Credit in euros as shown, in cents. */
  async credit() {
    const shown = this.page.locator('[data-currency="EUR"]');
    if ((await shown.count()) === 0) return 0;
    const text = await shown.evaluate((element) => element.firstChild.textContent);
    return Math.round(Number(text.replace(/[^\d.]/g, "")) * 100);
  }

  /** Waits until this credit is shown, in cents. */
  async creditBecomes(cents) {
    const text = `€${(cents / 100).toFixed(2)}`;
    const shown = ([selector, wanted]) => document.querySelector(selector)?.firstChild?.textContent === wanted;
    await this.page.waitForFunction(shown, ['[data-currency="EUR"]', text]);
  }

  /** Waits until the history has this many entries. */
  entriesBecome(count) {
    return this.page.waitForFunction((wanted) => document.querySelectorAll(".entry").length === wanted, count);
  }

  caret() {
    return this.input.evaluate((input) => input.selectionStart);
  }
}

/** Swaps two neighbouring symbols that differ, not across a separator. */
export function withSwap(code) {
  for (let at = code.length - 3; at > 5; at -= 1) {
    const [one, other] = [code[at], code[at + 1]];
    if (one !== "-" && other !== "-" && one !== other) return code.slice(0, at) + other + one + code.slice(at + 2);
  }
  throw new Error(`No two neighbours of ${code} differ.`);
}
