// A campaign at random against a model of its rules: every answer to a redemption or a hold is the model's, after uses were
// given back, limits changed, codes recalled, and many tried at once; with one shard and with five. A failure prints its seed; SEED repeats it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chance } from "../crash/random.mjs";
import { expectStatus, until } from "./client.mjs";
import { committed, hold, letGo } from "./checkout.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertVerified, define } from "./rewards.mjs";
import { FIVE_SHARDS, WORTH, attempts, calmZone, campaignNow, crowd, money, outcomeOf } from "./rules.mjs";
import { openShop, redeem } from "./shop.mjs";
import { reversed } from "./till.mjs";

const edge = edgeForThisFile();
const STEPS = Number(process.env.STEPS ?? 50);
const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);

/** What a campaign must answer, from its rules alone. All of a run lies in one day of its zone. */
class Model {
  constructor(kind) {
    this.shared = kind === "shared";
    this.paused = false;
    this.limits = {};
    this.recalled = new Set();
    /** `{member, code, state: "held" | "used", redemption_id, …}`; what was given back is not in it. */
    this.uses = [];
  }

  of(member) {
    return this.uses.filter((use) => use.member === member);
  }

  perMember() {
    return this.limits.per_member ?? (this.shared ? 1 : Infinity);
  }

  /** How many more all members together may have. */
  left() {
    const { total = Infinity, budget, windows = [] } = this.limits;
    const fits = budget ? Math.floor((budget.amount_minor - this.uses.length * WORTH) / WORTH) : Infinity;
    return Math.max(0, Math.min(total - this.uses.length, fits, ...windows.map((one) => (one.total ?? Infinity) - this.uses.length)));
  }

  /** The answer to a member's code; undefined where the contract leaves it open (their own hold of it). */
  answer(member, code) {
    const { total = Infinity, budget, windows = [] } = this.limits;
    const mine = this.of(member);
    if (mine.some((use) => use.code === code && use.state === "held")) return undefined;
    if (this.recalled.has(code)) return "code_recalled";
    if (this.paused) return "campaign_not_active";
    if (this.shared) {
      if (mine.length >= this.perMember()) return "already_redeemed_by_you";
    } else {
      const use = this.uses.find((one) => one.code === code);
      if (use) return use.state === "held" ? "code_held" : use.member === member ? "already_redeemed_by_you" : "already_redeemed";
    }
    if (mine.length >= Math.min(this.perMember(), ...windows.map((one) => one.per_member ?? Infinity))) return "member_limit_reached";
    if (this.uses.length >= Math.min(total, ...windows.map((one) => one.total ?? Infinity))) return "campaign_limit_reached";
    if (budget && budget.amount_minor < (this.uses.length + 1) * WORTH) return "budget_exhausted";
    return "granted";
  }
}

/** Limits near to what is used, so that they matter. */
function limitsNear(random, used) {
  const near = () => Math.max(1, used + random.between(-2, 4));
  const limits = { per_member: null, total: null, windows: null, budget: null };
  if (random.percent(40)) limits.per_member = random.between(1, 4);
  if (random.percent(40)) limits.total = near();
  if (random.percent(40)) limits.budget = money(Math.max(1, (used + random.between(-1, 4)) * WORTH + random.pick([-1, 0, 1, 499])));
  if (random.percent(50)) {
    limits.windows = random.sample(["day", "week", "month"], random.between(1, 3)).map((per) => {
      const both = random.below(3);
      return { per, ...(both !== 0 && { per_member: random.between(1, 3) }), ...(both !== 1 && { total: near() }) };
    });
  }
  return limits;
}

class Run {
  constructor(kind, expected_rate) {
    this.random = chance(SEED, kind, String(expected_rate));
    this.model = new Model(kind);
    this.fields = { kind, expected_rate, time_zone: calmZone() };
    this.log = [];
  }

  async open() {
    this.shop = openShop(edge);
    this.reward_id = await define(this.shop, "discount", { value: money(WORTH) });
    const { campaign } = await this.shop.campaign({ reward_id: this.reward_id, ...this.fields });
    this.campaign = campaign;
    this.rows = await this.shop.codes(campaign, this.model.shared ? 1 : 30 + STEPS * 8);
    this.fresh = this.rows.map(({ code }) => code);
    this.known = this.model.shared ? [...this.fresh] : this.fresh.splice(0, 30);
    this.members = crowd(this.shop, 6);
    this.orders = 0;
  }

  /** Uses given back have arrived once the campaign counts what the model counts. */
  counts() {
    return until(() => campaignNow(this.shop, this.campaign), ({ redeemed }) => redeemed === this.model.uses.length, 15_000);
  }

  pickUse(state) {
    return this.random.pick(this.model.uses.filter((use) => use.state === state && !use.kept));
  }

  async drop(use) {
    this.log.push(`given back by ${this.members.indexOf(use.member)} of ${this.known.indexOf(use.code)}`);
    this.model.uses.splice(this.model.uses.indexOf(use), 1);
    await this.counts();
  }

  async tryOne(holding) {
    const [member, code] = [this.random.pick(this.members), this.random.pick(this.known)];
    const expected = this.model.answer(member, code);
    if (expected === undefined) return;
    const order = `order-${(this.orders += 1)}`;
    const answer = holding ? await hold(member, order, { code }) : await redeem(member, code);
    const granted = answer.status === 201;
    const outcome = granted ? "granted" : await outcomeOf(member, answer);
    this.log.push(`${holding ? "hold" : "redeem"} by ${this.members.indexOf(member)} of ${this.known.indexOf(code)}: ${outcome}`);
    assert.equal(outcome, expected, answer.text);
    if (!granted) return;
    const { redemption_id } = answer.body;
    this.model.uses.push(holding ? { member, code, state: "held", redemption_id, order, hold: answer.body } : { member, code, state: "used", redemption_id });
  }

  steps = {
    redeem: () => this.tryOne(false),
    hold: () => this.tryOne(true),
    letGo: async () => {
      const use = this.pickUse("held");
      if (!use) return;
      expectStatus(await letGo(use.member, use.hold), 204);
      await this.drop(use);
    },
    commit: async () => {
      const use = this.pickUse("held");
      if (!use) return;
      await committed(this.shop, use.member, use.order);
      use.state = "used";
    },
    giveBack: async () => {
      const use = this.pickUse("used");
      if (!use) return;
      await reversed(this.shop.as("manager"), use.redemption_id, { give_back: true });
      await this.drop(use);
    },
    reverse: async () => {
      const use = this.pickUse("used");
      if (!use) return;
      await reversed(this.shop.as("manager"), use.redemption_id);
      use.kept = true;
    },
    change: async () => {
      const limits = limitsNear(this.random, this.model.uses.length);
      this.model.limits = (await this.shop.change(this.campaign, { limits })).limits ?? {};
      this.log.push(`limits ${JSON.stringify(this.model.limits)}`);
      for (const [name, value] of Object.entries(limits)) if (value !== null) assert.deepEqual(this.model.limits[name], value);
    },
    pause: async () => {
      await this.shop.move(this.campaign, this.model.paused ? "activate" : "pause");
      this.model.paused = !this.model.paused;
    },
    recall: async () => {
      if (this.model.shared) return;
      const { seq, code } = this.rows[this.random.below(30)];
      const made = await this.shop.admin.post(`/v1/campaigns/${this.campaign}/recalls`, { from_seq: seq, to_seq: seq + 1, reason: "lost" });
      const { recall_id } = expectStatus(made, 201);
      await until(() => this.shop.admin.get(`/v1/campaigns/${this.campaign}/recalls/${recall_id}`), ({ body }) => body.in_force === true);
      this.model.recalled.add(code);
    },
    /** Strangers at once: as many as there is room for, whoever they are. */
    burst: async () => {
      const members = crowd(this.shop, this.random.between(2, 8));
      const codes = this.model.shared ? members.map(() => this.known[0]) : this.fresh.splice(0, members.length);
      const room = this.model.paused ? 0 : Math.min(members.length, this.model.left());
      const outcomes = await attempts(members, codes);
      this.log.push(`burst of ${members.length} with room for ${room}: ${outcomes.join()}`);
      assert.equal(outcomes.filter((one) => one === "granted").length, room);
      // What they took is not looked at again, but counts.
      outcomes.forEach((one, at) => one === "granted" && this.model.uses.push({ member: members[at], code: codes[at], state: "used", kept: true }));
    },
  };

  async walk() {
    const weights = { redeem: 34, hold: 16, letGo: 10, commit: 6, giveBack: 12, reverse: 3, change: 14, pause: 4, recall: 2, burst: 8 };
    const names = Object.entries(weights).flatMap(([name, weight]) => Array(weight).fill(name));
    for (let step = 0; step < STEPS; step += 1) {
      const name = this.model.paused && this.random.percent(50) ? "pause" : this.random.pick(names);
      try {
        await this.steps[name]();
      } catch (error) {
        const story = [`SEED=${SEED}, step ${step} (${name}), ${this.model.uses.length} uses, ${JSON.stringify(this.model.limits)}`, ...this.log.slice(-12)];
        throw new Error(`${story.join("\n")}\n${error.message}`, { cause: error });
      }
    }
    await this.counts();
    // A limit lowered below what is used is no fault of anybody's.
    await this.shop.change(this.campaign, { limits: { per_member: null, total: null, windows: null, budget: null } });
    await assertVerified(this.shop, { campaign: this.campaign });
    for (const { sub } of this.members) await assertVerified(this.shop, { member_id: sub });
  }
}

for (const kind of ["unique", "shared"]) {
  for (const expected_rate of [undefined, FIVE_SHARDS]) {
    test(`${STEPS} steps, ${kind} codes, ${expected_rate ? "five shards" : "one shard"}`, { timeout: 60_000 + STEPS * 2000 }, async () => {
      const run = new Run(kind, expected_rate);
      await run.open();
      await run.walk();
    });
  }
}
