// The service that many shops would write: one object, everything in memory, storage behind it. It speaks just enough of the
// API for the kill test, and can be told to make one of the mistakes that the kill test is there to find.
import { DurableObject } from "cloudflare:workers";
import { trade } from "./hasty-trade.js";

const worths = { credit: ["credit", 500, { currency: "EUR" }], points: ["points", 7, {}] };

const json = (status, body, headers = {}) => Response.json(body, { status, headers });
const problem = (status, code) =>
  new Response(JSON.stringify({ type: `urn:${code}`, title: code, status, detail: code, instance: "/", code }), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
const claimsOf = (request) => JSON.parse(atob(request.headers.get("authorization").split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));

export default {
  fetch(request, env) {
    if (new URL(request.url).pathname === "/healthz") return new Response("ok");
    return env.SHOP.get(env.SHOP.idFromName(claimsOf(request).merchant)).fetch(request);
  },
};

export class Shop extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT) STRICT");
    this.memory = new Map(this.sql.exec("SELECT name, value FROM kept").toArray().map(({ name, value }) => [name, JSON.parse(value)]));
  }

  /** Remembers a value. Careful, it is in the same commit as everything else of this turn, and the answer waits for it. */
  put(name, value) {
    this.memory.set(name, value);
    const write = () => this.sql.exec("INSERT INTO kept VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", name, JSON.stringify(value));
    if (this.env.DEFECT === "keys live in memory" && name.startsWith("key ")) return;
    if (this.env.DEFECT === "the feed's numbers live in memory" && name.startsWith("events ")) return;
    if (this.env.DEFECT === "the pool lives in memory" && name === "pool" && value.used.length > 0) return;
    if (this.env.DEFECT === "adjustments are not known by their key" && name.startsWith("adjusted ")) return;
    if (this.env.DEFECT === "answers come before the write") setTimeout(write, 30);
    else write();
  }

  problem(status, code) {
    return problem(status, code);
  }

  get(name, otherwise) {
    return this.memory.get(name) ?? otherwise;
  }

  append(name, item) {
    this.put(name, [...this.get(name, []), item]);
  }

  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const { sub } = claimsOf(request);
    const [, what, id, which] = pathname.slice(1).split("/");
    const post = request.method === "POST";
    const text = post ? await request.text() : "";
    const body = /^\{/.test(text) ? JSON.parse(text) : post ? {} : undefined;
    const traded = await trade(this, { method: request.method, path: pathname.slice(1).split("/").slice(1), sub, key: request.headers.get("idempotency-key"), body, text });
    if (traded !== undefined) return traded;
    if (what === "reward-definitions") return json(201, body);
    if (what === "campaigns") return this.campaign(id, which, body, post);
    if (what === "redemptions" && post) return this.redeem(sub, request.headers.get("idempotency-key"), body);
    if (what === "redemptions" && id !== undefined) {
      const found = this.get(`redemption ${id}`);
      return found ? json(200, found) : problem(404, "not_found");
    }
    if (what === "redemptions") return json(200, { items: this.get(`history ${sub}`, []).flatMap((one) => this.get(`redemption ${one}`) ?? []) });
    if (what === "ledger") return json(200, { items: this.get(`ledger ${sub}`, []) });
    if (what === "wallet") return json(200, this.wallet(sub));
    const events = this.get(`events ${sub}`, []).filter(({ seq }) => seq > Number(searchParams.get("since")));
    return json(200, { events, next_since: events.at(-1)?.seq ?? 0 });
  }

  campaign(id, which, body, post) {
    const resource = () => ({ ...this.get(`campaign ${id}`), redeemed: this.get(`uses ${id}`, []).length });
    if (post && id === undefined) {
      const campaign = this.get("campaigns", 0) + 1;
      this.put("campaigns", campaign);
      this.put(`campaign ${campaign}`, { ...body, campaign, in_force: true, status: "active", version: 1 });
      return json(201, this.get(`campaign ${campaign}`));
    }
    if (which !== "batches") return json(200, resource());
    const from = this.get(`issued ${id}`, 0);
    this.put(`issued ${id}`, from + body.count);
    const lines = Array.from({ length: body.count }, (_, at) => `{"seq":${from + at},"code":"${id}-${from + at}"}\n`);
    return new Response(lines.join(""), { status: 201, headers: { "content-type": "application/x-ndjson" } });
  }

  wallet(sub) {
    const sum = (asset) => this.get(`ledger ${sub}`, []).filter((row) => row.asset === asset).reduce((all, { amount }) => all + amount, 0);
    return { points: sum("points"), xp: 0, tokens: 0, credit: [{ currency: "EUR", amount_minor: sum("credit") }], features: [], boosters: [] };
  }

  async redeem(sub, key, { code, currency }) {
    const known = this.get(`key ${sub} ${key}`);
    if (known !== undefined && known.command !== `${code} ${currency}`) return problem(422, "idempotency_key_reused");
    if (known?.refusal) return problem(409, known.refusal);
    // What is lost is made anew, as a service would that looks its keys up and finds nothing behind one.
    const before = known && this.get(`redemption ${known.id}`);
    if (before) return json(201, before, { "idempotent-replayed": "true" });
    const campaign = Number(code.split("-")[0]);
    const { limits = {}, kind, reward_id } = this.get(`campaign ${campaign}`);
    const [takers, uses] = [this.get(`takers ${code}`, []), this.get(`uses ${campaign}`, [])];
    let refusal;
    if (takers.includes(sub)) refusal = "already_redeemed_by_you";
    else if (kind !== "shared" && takers.length > 0) refusal = "already_redeemed";
    else if (uses.filter((user) => user === sub).length >= (limits.per_member ?? Infinity)) refusal = "member_limit_reached";
    else if (uses.length >= (limits.total ?? Infinity)) refusal = "campaign_limit_reached";
    const id = crypto.randomUUID();
    this.put(`key ${sub} ${key}`, { command: `${code} ${currency}`, id, refusal });
    if (refusal) return problem(409, refusal);

    const [asset, amount, fields] = worths[reward_id];
    const at = new Date().toISOString();
    const row = { ledger_id: `row-${id}`, asset, ...fields, amount, balance_after: amount, kind: "redemption", redemption_id: id, at };
    const resource = { redemption_id: id, status: "granted", kind: "code", campaign, reward_id, quantity: 1, ledger: [{ ledger_id: row.ledger_id, quantity: 1 }], rewards: [`reward-${id}`], attempts: 1, created_at: at };
    this.put(`takers ${code}`, [...takers, sub]);
    this.put(`uses ${campaign}`, [...uses, sub]);
    this.put(`redemption ${id}`, resource);
    this.append(`history ${sub}`, id);
    // As long as another object or a database would take.
    if (this.env.DEFECT === "one redemption is two commits") await new Promise((resolve) => setTimeout(resolve, 5));
    this.append(`ledger ${sub}`, row);
    this.append(`events ${sub}`, { seq: this.get(`events ${sub}`, []).length + 1, at, type: "redemption.updated", data: resource });
    return json(201, resource);
  }
}
