// One merchant on one runtime: its rewards and campaigns, members who come and go, codes to redeem, and what everybody was told.
import assert from "node:assert/strict";
import { forge } from "../http/code.mjs";
import { openShop } from "../http/shop.mjs";
import { Account, Book } from "./book.mjs";
import { Caller, Life } from "./caller.mjs";
import { Fulfilment } from "./fulfilment.mjs";
import { chance } from "./random.mjs";
import { Runtime } from "./runtime.mjs";
import { endow, openCounter } from "./trading.mjs";

/**
 * The rewards by name. `worth` is what a wallet gains by one; `delivered` ones are a fulfiller's business; `claimable` ones rest
 * until the player moves them.
 */
const rewards = {
  credit: { fields: { type: "credit", value: { currency: "EUR", amount_minor: 500 } }, worth: { asset: "credit", amount: 500 } },
  points: { fields: { type: "points", value: { amount: 7 } }, worth: { asset: "points", amount: 7 } },
  claimable: {
    needs: "rewards",
    fields: { type: "xp", value: { amount: 11 }, player_should_claim: true, automatic_activation: false },
    worth: { asset: "xp", amount: 11 },
    claimable: true,
  },
  delivered: { needs: "fulfilment", fields: { type: "bonus", value: { reference: "bonus" } }, delivered: true },
  doomed: { needs: "fulfilment", fields: { type: "bonus", value: { reference: "doomed" } }, delivered: true },
};

export class Stage {
  /** `features` says what the program can do beyond redeeming: `administration`, `sockets`, `rewards`, `fulfilment`, `verify`, `audit`, `trade`. */
  constructor(program, { seed, features = {}, vars } = {}) {
    this.seed = seed;
    this.features = features;
    this.runtime = new Runtime(program, { vars });
    this.book = new Book();
    this.book.features = features;
    /** Codes not yet used for anything, by what they are for. */
    this.codes = { distinct: [], contested: [], narrow: [], previewed: [], claimable: [], delivered: [], doomed: [], held: [] };
    this.cohort = [];
    this.cohorts = 0;
    this.merchant = "crash";
    this.admin = new Caller(this, { sub: "admin-1", role: "admin", merchant: this.merchant });
    /** What administrators asked for (administration.mjs). */
    this.orders = [];
    this.stale = 0;
    this.gifts = [];
    /** Reward definitions as last acknowledged, by id. */
    this.definitions = new Map();
    this.rewards = {};
    this.campaigns = {};
  }

  async rise() {
    await this.runtime.start();
    this.life = new Life(this.runtime.url);
    // Its clients keep a fixed address, which the runtime keeps too.
    this.shop ??= openShop({ url: this.runtime.url }, this.merchant);
  }

  /** Kills the server in this very turn; answers when it is gone and every request has ended one way or the other. */
  async strike() {
    this.life.over = true;
    await this.runtime.kill();
    this.life.end();
    this.stale += this.life.stale;
  }

  /** The rewards, and a campaign without limits for each. */
  async seedMerchant() {
    if (this.features.fulfilment) {
      this.fulfilment = new Fulfilment(this);
      await this.fulfilment.open();
    }
    for (const [name, { needs, fields, delivered }] of Object.entries(rewards)) {
      if (needs !== undefined && !this.features[needs]) continue;
      const mechanic = delivered ? { mechanic: this.fulfilment.mechanic } : {};
      this.rewards[name] = (await this.shop.reward({ reward_id: name, name, ...fields, ...mechanic })).reward_id;
      this.campaigns[name] = await this.campaign(name);
    }
    if (this.features.trade) await openCounter(this);
  }

  /** An active campaign that the judge knows. */
  async campaign(reward, { exact = false, ...fields } = {}) {
    const { campaign } = await this.shop.campaign({ ...fields, reward_id: this.rewards[reward] });
    const { worth, claimable, delivered } = rewards[reward];
    this.book.campaigns.set(campaign, { limits: fields.limits ?? {}, worth, claimable, delivered, exact });
    return campaign;
  }

  /** Fresh codes as `{code, campaign}`. */
  async mint(campaign, count) {
    return (await this.shop.codes(campaign, count)).map(({ code }) => ({ code, campaign }));
  }

  /** New members, and campaigns of their own whose limits they will run into. */
  async newCohort(size = 8) {
    const number = (this.cohorts += 1);
    const random = chance(this.seed, "cohort", number);
    this.cohort = Array.from({ length: size }, (_, at) => this.join(`member-${number}-${at}`));
    this.guesser = this.join(`guesser-${number}`);
    const total = random.between(3, size - 1);
    const shared = await this.campaign("credit", { kind: "shared", limits: { per_member: 1, total }, exact: true });
    this.shared = (await this.mint(shared, 1))[0];
    const narrow = await this.campaign("points", { limits: { per_member: 2, total: size } });
    this.codes.narrow = await this.mint(narrow, 4 * size);
    if (this.features.trade) await endow(this);
  }

  /** Somebody of the merchant's who is no member. */
  person(sub, role) {
    return new Caller(this, { sub, role, merchant: this.merchant });
  }

  join(sub) {
    const account = new Account(this.book, new Caller(this, { sub, merchant: this.merchant }));
    this.book.accounts.push(account);
    return account;
  }

  /** Makes sure that there are codes for one burst of load. */
  async stock({ distinct = 500, contested = 40, previewed = 20 } = {}) {
    const { credit, points } = this.campaigns;
    const missing = distinct - this.codes.distinct.length;
    if (missing > 100) {
      const fresh = [...(await this.mint(credit, Math.ceil(missing / 2))), ...(await this.mint(points, Math.ceil(missing / 2)))];
      this.codes.distinct.push(...chance(this.seed, "stock", this.runtime.kills).sample(fresh, fresh.length));
    }
    if (this.codes.contested.length < contested) this.codes.contested.push(...(await this.mint(credit, contested)));
    for (const name of ["claimable", "delivered", "doomed", "held"]) {
      if (this.campaigns[name] !== undefined && this.codes[name].length < 60) this.codes[name].push(...(await this.mint(this.campaigns[name], 100)));
    }
    if (this.codes.previewed.length < previewed) this.codes.previewed.push(...(await this.mint(points, previewed)));
  }

  /** A well-formed code with a wrong tag. */
  forged(seq) {
    return forge(this.shop.keys(this.campaigns.credit), seq);
  }

  /** Fails with everything that is wrong, and how to see it again. */
  assertClean(when) {
    const violations = [...this.book.violations, ...this.runtime.complaints.map((line) => `the runtime wrote: ${line}`)];
    if (violations.length === 0) return;
    const shown = violations.slice(0, 20).join("\n  ");
    assert.fail(`${when}: ${violations.length} violations, SEED=${this.seed}\n  ${shown}\nthe runtime's last lines:\n${this.runtime.tail(12)}`);
  }

  /** What has happened so far, in one line. */
  account() {
    const { intents, answers, replays, repeatedTorn, accounts } = this.book;
    const redemptions = accounts.reduce((sum, { redemptions: own }) => sum + own.size, 0);
    const starts = [...this.runtime.startMs].sort((a, b) => a - b);
    const parts = [
      `${this.runtime.kills} kills`,
      `${accounts.length} members`,
      `${intents.length} intents`,
      `${answers} answers`,
      `${replays} replays`,
      `${repeatedTorn} torn and repeated`,
      `${redemptions} redemptions`,
      `${this.orders.length} campaigns ordered`,
      ...(this.fulfilment ? [`${this.fulfilment.fulfiller.received.length} deliveries of ${this.fulfilment.fulfiller.applied.size} rewards`, `${this.gifts.length} gifts`] : []),
      ...(this.trade ? [this.tradeAccount()] : []),
      `${this.stale + this.life.stale} connections found ended`,
      `restart ${Math.round(starts[Math.floor(starts.length / 2)])} ms in the median`,
    ];
    return parts.join(", ");
  }

  tradeAccount() {
    const { adjustments, uploads, reversals, checkouts } = this.trade;
    const bought = this.book.intents.filter(({ purpose, id }) => ["bought", "quoted"].includes(purpose) && id !== undefined).length;
    return `${bought} purchases, ${reversals.length} reversals, ${adjustments.length} adjustments, ${checkouts.length} checkouts, ${uploads.length} uploads`;
  }

  async dispose() {
    this.life?.end();
    await this.fulfilment?.close();
    await this.runtime.dispose();
  }
}
