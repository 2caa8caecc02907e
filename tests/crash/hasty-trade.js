// The counter of the hasty shop: points, promo codes, quotes, reversals and orders, all in one object. Every request is one turn
// and so one commit, but where it is told to make a mistake.

const costs = { coffee: 10, voucher: 5 };
const POOLED = "voucher";
const TAKES_MS = 5;

const json = (status, body, headers = {}) => Response.json(body, { status, headers });
const pause = () => new Promise((resolve) => setTimeout(resolve, TAKES_MS));

/** Answers what is trade, and undefined for everything else. */
export async function trade(shop, { method, path: [what, id, which, last], sub, key, body, text }) {
  const post = method === "POST";
  if (what === "pools") return post && which === "codes" ? upload(shop, text) : pool(shop, post, body);
  if (what === "verify") return json(200, { ok: true, violations: [] });
  if (what === "members" && which === "adjustments") return adjust(shop, decodeURIComponent(id), key, body);
  if (what === "till" && last === undefined && which === undefined) return quote(shop, body);
  if (what === "till") return confirm(shop, which, `${sub} ${which} ${key}`, body);
  if (what === "orders") return post && which === "holds" ? hold(shop, sub, id, body) : end(shop, body.member_id, id, which);
  if (what === "redemptions" && which === "reversal") return reverse(shop, id, key);
  if (what === "redemptions" && post && body.reward_id !== undefined) return buy(shop, sub, key, body);
  return undefined;
}

const points = (shop, sub) => shop.wallet(sub).points;
const refused = (shop, code) => shop.problem(409, code);

function addRow(shop, sub, fields) {
  const row = { ledger_id: `row-${crypto.randomUUID()}`, at: new Date().toISOString(), balance_after: 0, ...fields };
  shop.append(`ledger ${sub}`, row);
  return row;
}

function tell(shop, sub, type, data) {
  shop.append(`events ${sub}`, { seq: shop.get(`events ${sub}`, []).length + 1, at: new Date().toISOString(), type, data });
}

// ---- the pool --------------------------------------------------------------------------------------------------------

const empty = { known: [], free: [], used: [], quarantined: [] };
const stock = (shop) => shop.get("pool", empty);

function pool(shop, post, body) {
  const { free, used, quarantined } = stock(shop);
  return json(post ? 201 : 200, { pool_id: "vouchers", name: "Vouchers", ...body, free: free.length, used: used.length, quarantined: quarantined.length });
}

function upload(shop, text) {
  const now = stock(shop);
  const lines = text.split("\n");
  const fresh = lines.filter((code) => !now.known.includes(code));
  shop.put("pool", { ...now, known: [...now.known, ...fresh], free: [...now.free, ...fresh] });
  return json(200, { added: fresh.length, duplicates: lines.length - fresh.length, refused: [], free: now.free.length + fresh.length });
}

function take(shop, count) {
  const now = stock(shop);
  const codes = now.free.slice(0, count);
  if (codes.length < count) return undefined;
  shop.put("pool", { ...now, free: now.free.slice(count), used: [...now.used, ...codes] });
  return codes;
}

function quarantine(shop, codes) {
  const now = stock(shop);
  shop.put("pool", { ...now, used: now.used.filter((code) => !codes.includes(code)), quarantined: [...now.quarantined, ...codes] });
}

// ---- points ----------------------------------------------------------------------------------------------------------

function adjust(shop, sub, key, { asset, amount, amount_minor, currency, reason }) {
  const known = shop.get(`adjusted ${sub} ${key}`);
  if (known !== undefined) return json(201, known, { "idempotent-replayed": "true" });
  const row = addRow(shop, sub, { asset, ...(currency && { currency }), amount: amount ?? amount_minor, kind: "adjustment", reason });
  shop.put(`adjusted ${sub} ${key}`, row);
  return json(201, row);
}

/** Sells under a key: what was answered once is answered again. */
async function sell(shop, sub, name, command, reward_id, quantity, settle) {
  const known = shop.get(`key ${name}`);
  if (known !== undefined) {
    if (known.command !== command) return shop.problem(422, "idempotency_key_reused");
    if (known.refusal !== undefined) return refused(shop, known.refusal);
    return json(201, shop.get(`redemption ${known.id}`), { "idempotent-replayed": "true" });
  }
  const refuse = (refusal) => {
    shop.put(`key ${name}`, { command, refusal });
    return refused(shop, refusal);
  };
  const cost = costs[reward_id];
  if (points(shop, sub) < cost * quantity) return refuse("insufficient_points");
  const promos = reward_id === POOLED ? take(shop, quantity) : [undefined];
  if (promos === undefined) return refuse("insufficient_codes");
  const id = crypto.randomUUID();
  const share = reward_id === POOLED ? 1 : quantity;
  const rows = promos.map((promo_code) => addRow(shop, sub, { asset: "points", amount: -cost * share, kind: "redemption", redemption_id: id, quantity: share, ...(promo_code && { promo_code }) }));
  if (shop.env.DEFECT === "a purchase is two commits") await pause();
  const ledger = rows.map(({ ledger_id, promo_code }) => ({ ledger_id, quantity: share, ...(promo_code && { promo_code }) }));
  const resource = { redemption_id: id, sub, status: "granted", kind: "points", reward_id, quantity, points_spent: cost * quantity, ledger, rewards: [`reward-${id}`], attempts: 1, created_at: new Date().toISOString() };
  shop.put(`redemption ${id}`, resource);
  shop.put(`key ${name}`, { command, id });
  shop.append(`history ${sub}`, id);
  for (const { ledger_id, promo_code } of ledger.filter((row) => row.promo_code)) tell(shop, sub, "pool.assigned", { redemption_id: id, ledger_id, promo_code });
  tell(shop, sub, "redemption.updated", resource);
  settle?.();
  return json(201, resource);
}

const buy = (shop, sub, key, { reward_id, quantity }) => sell(shop, sub, `${sub} ${key}`, `${reward_id} ${quantity}`, reward_id, quantity);

function quote(shop, { member_id, reward_id, quantity }) {
  if (points(shop, member_id) < costs[reward_id] * quantity) return refused(shop, "insufficient_points");
  const quote_id = crypto.randomUUID();
  const open = shop.get(`open ${member_id} ${reward_id}`);
  if (open !== undefined) shop.put(`quote ${open}`, { ...shop.get(`quote ${open}`), state: "replaced" });
  shop.put(`open ${member_id} ${reward_id}`, quote_id);
  shop.put(`quote ${quote_id}`, { member_id, reward_id, quantity, state: "open" });
  return json(201, { quote_id });
}

function confirm(shop, quote_id, name, body) {
  const offer = shop.get(`quote ${quote_id}`);
  if (shop.get(`key ${name}`) === undefined && offer.state !== "open") return shop.problem(410, "quote_expired");
  const settle = () => shop.put(`quote ${quote_id}`, { ...offer, state: "confirmed" });
  return sell(shop, offer.member_id, name, JSON.stringify(body), offer.reward_id, offer.quantity, settle);
}

async function reverse(shop, id, key) {
  const resource = shop.get(`redemption ${id}`);
  if (resource.status === "reversed") return resource.key === key ? json(200, resource, { "idempotent-replayed": "true" }) : refused(shop, "already_reversed");
  const reversed = { ...resource, status: "reversed", key };
  shop.put(`redemption ${id}`, reversed);
  tell(shop, resource.sub, "redemption.updated", reversed);
  if (shop.env.DEFECT === "a reversal is two commits") await pause();
  const cost = costs[resource.reward_id];
  for (const { ledger_id, quantity } of resource.ledger) addRow(shop, resource.sub, { asset: "points", amount: cost * quantity, kind: "reversal", redemption_id: id, reverses: ledger_id });
  quarantine(shop, resource.ledger.flatMap(({ promo_code }) => promo_code ?? []));
  return json(200, reversed);
}

// ---- orders ----------------------------------------------------------------------------------------------------------

function hold(shop, sub, order, { code, credit_minor, total }) {
  const known = shop.get(`order ${order}`);
  if (known !== undefined) return json(201, known);
  if (code === undefined && (shop.wallet(sub).credit[0]?.amount_minor ?? 0) < credit_minor) return refused(shop, "value_spent");
  const held = { hold_id: `hold-${order}`, order, applied_minor: credit_minor ?? Math.min(500, total.amount_minor), state: "held" };
  if (code === undefined) addRow(shop, sub, { asset: "credit", currency: "EUR", amount: -credit_minor, kind: "hold", order });
  else held.redemption_id = holdCode(shop, sub, code);
  shop.put(`order ${order}`, held);
  return json(201, held);
}

function holdCode(shop, sub, code) {
  const id = crypto.randomUUID();
  shop.put(`redemption ${id}`, { redemption_id: id, status: "held", kind: "code", campaign: Number(code.split("-")[0]), reward_id: "credit", quantity: 1, ledger: [], rewards: [], attempts: 1, created_at: new Date().toISOString() });
  shop.append(`history ${sub}`, id);
  return id;
}

function end(shop, sub, order, verb) {
  const held = shop.get(`order ${order}`);
  const state = verb === "commit" ? "used" : "released";
  if (held.state === "held") {
    const { applied_minor, redemption_id } = held;
    const money = (amount, kind) => addRow(shop, sub, { asset: "credit", currency: "EUR", amount, kind, order });
    if (redemption_id !== undefined) endCode(shop, sub, redemption_id, verb, applied_minor, money);
    else if (verb === "release") money(applied_minor, "release");
    shop.put(`order ${order}`, { ...held, state });
  }
  return json(200, { order, holds: [shop.get(`order ${order}`)], applied_minor: verb === "commit" ? held.applied_minor : 0 });
}

function endCode(shop, sub, id, verb, applied_minor, money) {
  const resource = shop.get(`redemption ${id}`);
  let next = { ...resource, status: "cancelled" };
  if (verb === "commit") {
    const { ledger_id } = addRow(shop, sub, { asset: "credit", currency: "EUR", amount: 500, kind: "redemption", redemption_id: id });
    money(-applied_minor, "order");
    shop.append(`uses ${resource.campaign}`, sub);
    next = { ...resource, status: "granted", ledger: [{ ledger_id, quantity: 1 }], rewards: [`reward-${id}`] };
  }
  shop.put(`redemption ${id}`, next);
  tell(shop, sub, "redemption.updated", next);
}
