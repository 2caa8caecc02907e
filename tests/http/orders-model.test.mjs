// Checkouts at random against a model of ten lines: what is applied, what an order still costs, and what the wallet has after
// every step. A failure prints its seed; SEED repeats it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { commit, creditCodes, discountCodes, eur, hold, holdsOf, letGo, liveHoldsOf, release } from "./checkout.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertVerified } from "./rewards.mjs";
import { creditOf, openShop } from "./shop.mjs";
import { assertReplays, fund } from "./trade.mjs";

const edge = edgeForThisFile();
const STEPS = 70;
const SEEDS = process.env.SEED ? [Number(process.env.SEED)] : [1, 2, 3, 4, 5].map((one) => one * 7919 + (Date.now() % 1_000_000) * 13);

/** Whole numbers below `bound`, the same for the same seed (mulberry32). */
function dice(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** What holds take off a total: the discount first, then credits. Answers `{discount, credits, remaining}`. */
function applied({ total, holds }) {
  const off = holds.find(({ kind }) => kind === "discount")?.value;
  const discount = off === undefined ? 0 : Math.min(total, off.percent ? Math.floor((total * off.percent) / 100) : off.amount_minor);
  const worth = holds.filter(({ kind }) => kind !== "discount").reduce((sum, { value }) => sum + value, 0);
  const credits = Math.min(total - discount, worth);
  return { discount, credits, remaining: total - discount - credits };
}

class Model {
  wallet = 0;
  orders = new Map();

  live(order) {
    if (!this.orders.has(order)) this.orders.set(order, { total: 0, holds: [] });
    return this.orders.get(order);
  }

  /** Takes a code's hold out of the order that has it. */
  unplace(code) {
    for (const one of this.orders.values()) one.holds = one.holds.filter((entry) => entry.code !== code);
  }

  put(order, total, entry) {
    const open = this.live(order);
    open.total = total;
    open.holds.push(entry);
    if (entry.kind === "credit") this.wallet -= entry.value;
  }

  /** What an end of the order leaves in the wallet: all of it when released, what was not applied when committed. */
  end(order, total) {
    const open = this.live(order);
    const was = applied({ ...open, total: total ?? open.total });
    const worth = open.holds.filter(({ kind }) => kind !== "discount").reduce((sum, { value }) => sum + value, 0);
    this.orders.delete(order);
    return { ...was, leftOver: worth - was.credits };
  }
}

for (const seed of SEEDS) {
  test(`seed ${seed}`, async () => {
    const roll = dice(seed);
    const pick = (list) => list[roll(list.length)];
    const shop = openShop(edge);
    const ann = shop.member();
    const discounts = await Promise.all([{ percent: 7 }, { percent: 50 }, { currency: "EUR", amount_minor: 333 }].map(async (value) => ({ value, kind: "discount", ...(await discountCodes(shop, value, { count: 4 })) })));
    const credit = { value: 450, kind: "credit-code", ...(await creditCodes(shop, 450, { count: 8 })) };
    const unused = [...discounts, credit].flatMap(({ codes, value, kind }) => codes.map((code) => ({ code, value, kind })));
    const campaigns = [...discounts, credit].map(({ campaign }) => campaign);
    const model = new Model();
    const ended = new Set();
    let orders = 0;
    const someOrder = () => (model.orders.size > 0 && roll(3) > 0 ? pick([...model.orders.keys()]) : `order-${(orders += 1)}`);
    const says = [];

    const steps = {
      async earn() {
        const amount = 1 + roll(900);
        await fund(shop, ann, amount);
        model.wallet += amount;
      },
      async holdCredit() {
        const [order, amount, total] = [someOrder(), 1 + roll(700), roll(1500)];
        const answer = await hold(ann, order, { credit_minor: amount, total: eur(total) });
        if (amount > model.wallet) return expectProblem(answer, 409, "value_spent", { short_by: amount - model.wallet });
        const { hold_id } = expectStatus(answer, 201);
        return model.put(order, total, { kind: "credit", value: amount, hold_id });
      },
      async holdCode() {
        if (unused.length === 0) return undefined;
        const entry = pick(unused);
        const [order, total] = [someOrder(), roll(1500)];
        const answer = await hold(ann, order, { code: entry.code, total: eur(total) });
        const other = model.live(order).holds.some(({ kind, code }) => kind === "discount" && code !== entry.code);
        if (model.live(order).holds.length === 0) model.orders.delete(order);
        if (entry.kind === "discount" && other) return expectProblem(answer, 409, "already_exists");
        const { hold_id } = expectStatus(answer, 200, 201);
        model.unplace(entry.code);
        return model.put(order, total, { ...entry, hold_id });
      },
      async letOneGo() {
        const order = pick([...model.orders.keys()]);
        const entry = order && pick(model.live(order).holds);
        if (!entry) return;
        expectStatus(await letGo(ann, { order, hold_id: entry.hold_id }), 204);
        const open = model.live(order);
        open.holds = open.holds.filter((one) => one !== entry);
        if (entry.kind === "credit") model.wallet += entry.value;
      },
      async commitOne() {
        const order = pick([...model.orders.keys()]);
        if (!order) return;
        const total = roll(2) === 0 ? undefined : roll(1500);
        const answer = await commit(shop, ann, order, total === undefined ? {} : { total: eur(total) });
        if (model.live(order).holds.length === 0) {
          expectProblem(answer, 404, "not_found");
          model.orders.delete(order);
          return;
        }
        const used = model.live(order).holds.flatMap(({ code }) => code ?? []);
        const { discount, credits, remaining, leftOver } = model.end(order, total);
        const body = expectStatus(answer, 200);
        assert.deepEqual([body.applied_minor, body.remaining_minor], [discount + credits, remaining]);
        model.wallet += leftOver;
        for (const code of used) unused.splice(unused.findIndex((one) => one.code === code), 1);
        ended.add(order);
      },
      async releaseOne() {
        const order = pick([...model.orders.keys()]);
        if (!order || model.live(order).holds.length === 0) return;
        expectStatus(await release(shop, ann, order), 200);
        for (const { kind, value } of model.live(order).holds) if (kind === "credit") model.wallet += value;
        model.orders.delete(order);
        ended.add(order);
      },
    };

    for (let step = 1; step <= STEPS; step += 1) {
      const name = pick(["earn", "holdCredit", "holdCredit", "holdCode", "holdCode", "holdCode", "letOneGo", "commitOne", "releaseOne"]);
      says.push(name);
      try {
        await steps[name]();
        assert.equal(await creditOf(ann), model.wallet, "the wallet");
        for (const [order, open] of model.orders) {
          const expected = applied(open);
          const live = await liveHoldsOf(ann, order);
          assert.deepEqual(live.map(({ hold_id }) => hold_id).sort(), open.holds.map(({ hold_id }) => hold_id).sort(), order);
          const discount = open.holds.find(({ kind }) => kind === "discount")?.hold_id;
          const of = (wanted) => live.filter(({ hold_id }) => (hold_id === discount) === wanted).reduce((sum, { applied_minor }) => sum + applied_minor, 0);
          assert.deepEqual([of(true), of(false)], [expected.discount, expected.credits], order);
          assert.ok(live.every(({ remaining_minor }) => remaining_minor === expected.remaining), `${order}: ${JSON.stringify(live)}`);
        }
      } catch (error) {
        error.message = `seed ${seed}, step ${step} of ${says.slice(-8).join()}: ${error.message}`;
        throw error;
      }
    }
    for (const order of ended) if (!model.orders.has(order)) assert.ok((await holdsOf(ann, order)).every(({ state }) => state !== "held"), order);
    await assertReplays(ann);
    for (const subject of [{ member_id: ann.sub }, ...campaigns.map((campaign) => ({ campaign }))]) await assertVerified(shop, subject);
  });
}
