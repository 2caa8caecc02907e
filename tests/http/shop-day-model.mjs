// What a member of the scripted shop must have, by the description alone: plain sums, without storage, retries or time.

/** The shop's assortment; `applied` is what one unit is worth to a wallet. */
export const ASSORTMENT = Object.freeze({
  coffee: { fields: { type: "external", value: { reference: "coffee" }, points_cost: 100, prices: [{ tier: "gold", points_cost: 80 }] }, cost: { gold: 80, plain: 100 } },
  cake: { fields: { type: "external", value: { reference: "cake" }, points_cost: 250 }, cost: { gold: 250, plain: 250 } },
  voucher: { fields: { type: "external", value: { reference: "cinema" }, points_cost: 60 }, cost: { gold: 60, plain: 60 }, pooled: true },
  credit: { fields: { type: "credit", value: { currency: "EUR", amount_minor: 500 }, points_cost: 150, prices: [{ tier: "gold", points_cost: 149 }] }, cost: { gold: 149, plain: 150 }, applied: { credit: 500 } },
  xp: { fields: { type: "xp", value: { amount: 30 }, points_cost: 40 }, cost: { gold: 40, plain: 40 }, applied: { xp: 30 } },
  tokens: { fields: { type: "tokens", value: { amount: 7 }, points_cost: 35 }, cost: { gold: 35, plain: 35 }, applied: { tokens: 7 }, boosted: true },
  feature: { fields: { type: "feature", value: { key: "beta" }, points_cost: 90 }, cost: { gold: 90, plain: 90 }, feature: "beta" },
  booster: {
    fields: { type: "token_booster", value: { multiplier_permille: 1500 }, duration_s: 36_000, points_cost: 200, player_should_claim: false, automatic_activation: true },
    cost: { gold: 200, plain: 200 },
    multiplier: 1500,
  },
});

/** One member's books. */
export class Books {
  constructor(tier) {
    this.tier = tier;
    this.balances = { points: 0, xp: 0, tokens: 0, credit: 0 };
    /** By redemption id: `{name, by, paid, applied, state, code}`. */
    this.sales = new Map();
    /** Purchases of each reward by the time they were answered. */
    this.bought = new Map();
    this.refused = {};
    this.quantities = {};
  }

  price(name) {
    return ASSORTMENT[name].cost[this.tier];
  }

  get boosters() {
    return [...this.sales.values()].filter(({ name, state }) => name === "booster" && state === "granted").length;
  }

  get features() {
    return [...this.sales.values()].some(({ name, state }) => name === "feature" && state === "granted") ? ["beta"] : [];
  }

  /** What is earned while boosters run; the highest counts, not the product. */
  boosted(amount) {
    return this.boosters > 0 && amount > 0 ? Math.floor((amount * ASSORTMENT.booster.multiplier) / 1000) : amount;
  }

  adjust(asset, amount) {
    this.balances[asset] += amount;
  }

  /** A reward was paid with points, all of them or, by goodwill, what there was. */
  sell(id, name, quantity, by, paid = this.price(name) * quantity) {
    const { applied = {}, boosted } = ASSORTMENT[name];
    const effect = Object.fromEntries(Object.entries(applied).map(([asset, amount]) => [asset, boosted ? this.boosted(amount * quantity) : amount * quantity]));
    this.balances.points -= paid;
    for (const [asset, amount] of Object.entries(effect)) this.balances[asset] += amount;
    this.sales.set(id, { name, by, paid, quantity, applied: effect, state: "granted" });
    this.bought.set(name, Date.now());
    this.quantities[quantity] = (this.quantities[quantity] ?? 0) + 1;
  }

  /** A code of credit was redeemed. */
  redeem(id, code, amount) {
    this.balances.credit += amount;
    this.sales.set(id, { name: "code", by: undefined, paid: 0, quantity: 1, applied: { credit: amount }, state: "granted", code });
    this.quantities[1] = (this.quantities[1] ?? 0) + 1;
  }

  refuse(code) {
    this.refused[code] = (this.refused[code] ?? 0) + 1;
  }

  /** What is missing to take a sale back; 0 when it can be. */
  missing(id) {
    const { applied } = this.sales.get(id);
    return Math.max(0, ...Object.entries(applied).map(([asset, amount]) => amount - this.balances[asset]));
  }

  reverse(id) {
    const sale = this.sales.get(id);
    sale.state = "reversed";
    // Whether a sale that was taken back counts as "just redeemed" is the server's business.
    if (this.bought.has(sale.name)) this.bought.set(sale.name, -Infinity);
    this.balances.points += sale.paid;
    for (const [asset, amount] of Object.entries(sale.applied)) this.balances[asset] -= amount;
  }

  /** How many redemptions there are in each status. */
  get statuses() {
    const counts = { refused: Object.values(this.refused).reduce((sum, count) => sum + count, 0) };
    for (const { state } of this.sales.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }
}

/** Adds up the same figures of several members. */
export function together(parts) {
  const sum = {};
  for (const part of parts) for (const [name, count] of Object.entries(part)) sum[name] = (sum[name] ?? 0) + count;
  return Object.fromEntries(Object.entries(sum).filter(([, count]) => count > 0));
}
