// What most people write for one hot code, or one hot list of promo codes: an object that commits each request by itself. It
// keeps what ours keeps (what is used, by what), refuses what is used already, and remembers nothing else.
import { DurableObject } from "cloudflare:workers";

interface Env {
  HOT: DurableObjectNamespace;
}

/** A use of a code, the taking of a promo code, or promo codes to have first. */
type Asked = { seq: number; rid: string } | { take: string } | { stock: number };

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    if (request.method === "GET") return new Response("ok");
    return env.HOT.get(env.HOT.idFromName("campaign")).fetch(request);
  },
};

export class Hot extends DurableObject<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    for (const statement of [
      "CREATE TABLE IF NOT EXISTS uses (seq INTEGER NOT NULL, rid TEXT NOT NULL, PRIMARY KEY (seq, rid)) WITHOUT ROWID",
      "CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY, used INTEGER NOT NULL)",
      "INSERT INTO total VALUES (1, 0) ON CONFLICT DO NOTHING",
      "CREATE TABLE IF NOT EXISTS codes (n INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, rid TEXT)",
      "CREATE INDEX IF NOT EXISTS free ON codes (n) WHERE rid IS NULL",
    ]) {
      state.storage.sql.exec(statement);
    }
  }

  async fetch(request: Request): Promise<Response> {
    const asked = (await request.json()) as Asked;
    if ("stock" in asked) return this.stock(asked.stock);
    const done = this.ctx.storage.transactionSync(() => ("take" in asked ? this.take(asked.take) : this.use(asked.seq, asked.rid)));
    return Response.json({ done }, { status: done ? 200 : 409 });
  }

  use(seq: number, rid: string): boolean {
    const { sql } = this.ctx.storage;
    if (sql.exec("SELECT 1 FROM uses WHERE seq = ? LIMIT 1", seq).toArray().length > 0) return false;
    sql.exec("INSERT INTO uses VALUES (?, ?)", seq, rid);
    sql.exec("UPDATE total SET used = used + 1");
    return true;
  }

  take(rid: string): boolean {
    const free = "SELECT n FROM codes WHERE rid IS NULL ORDER BY n LIMIT 1";
    return this.ctx.storage.sql.exec(`UPDATE codes SET rid = ? WHERE n = (${free}) RETURNING code`, rid).toArray().length === 1;
  }

  stock(count: number): Response {
    this.ctx.storage.transactionSync(() => {
      for (let n = 0; n < count; n += 1) this.ctx.storage.sql.exec("INSERT INTO codes (code) VALUES (?)", crypto.randomUUID());
    });
    return Response.json({});
  }
}
