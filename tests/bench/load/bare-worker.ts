// The ceiling: a bare Worker with the hops that a redemption makes between objects, and in each object a commit of one row. It
// verifies nothing, refuses only what is used already, remembers no key and drives nothing on.
//
//   Worker → Member → Shard (one row) → Member (one row) → answer
//   then Member → Recorder (one row) → Member (one row); Recorder → Shard, in bulk
import { DurableObject } from "cloudflare:workers";

interface Env {
  MEMBER: DurableObjectNamespace;
  CODE_SHARD: DurableObjectNamespace;
  RECORDER: DurableObjectNamespace;
}

const SETTLE_AFTER_MS = 4;

const post = (body: unknown) => ({ method: "POST", body: JSON.stringify(body) });

/** The member named by a token that nobody verifies here. */
function memberOf(request: Request): string {
  const payload = (request.headers.get("authorization") ?? "").split(".")[1];
  return JSON.parse(atob(payload)).sub;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method === "GET") return new Response("ok");
    const { code } = (await request.json()) as { code: string };
    const key = request.headers.get("idempotency-key");
    const member = env.MEMBER.get(env.MEMBER.idFromName(memberOf(request)));
    return member.fetch("http://object/", post({ code, key }));
  },
};

export class Member extends DurableObject<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.storage.sql.exec("CREATE TABLE IF NOT EXISTS redemptions (id TEXT PRIMARY KEY, code TEXT NOT NULL, told INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID");
  }

  async fetch(request: Request): Promise<Response> {
    const { code } = (await request.json()) as { code: string };
    const id = crypto.randomUUID();
    const shard = this.env.CODE_SHARD.get(this.env.CODE_SHARD.idFromName("campaign"));
    const asked = await shard.fetch("http://object/", post({ code, id }));
    const { taken } = (await asked.json()) as { taken: boolean };
    if (!taken) return Response.json({ code: "already_redeemed" }, { status: 409 });
    this.ctx.storage.sql.exec("INSERT INTO redemptions (id, code) VALUES (?, ?)", id, code);
    this.ctx.waitUntil(this.report(id));
    return Response.json({ redemption_id: id, status: "granted" }, { status: 201 });
  }

  async report(id: string): Promise<void> {
    const recorder = this.env.RECORDER.get(this.env.RECORDER.idFromName("month"));
    await (await recorder.fetch("http://object/", post({ id }))).json();
    this.ctx.storage.sql.exec("UPDATE redemptions SET told = 1 WHERE id = ?", id);
  }
}

export class CodeShard extends DurableObject<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.storage.sql.exec("CREATE TABLE IF NOT EXISTS uses (code TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID");
  }

  async fetch(request: Request): Promise<Response> {
    const { code, id, settled } = (await request.json()) as { code: string; id: string; settled?: string[] };
    if (settled !== undefined) return Response.json({});
    const rows = this.ctx.storage.sql.exec("INSERT INTO uses VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1", code, id).toArray();
    return Response.json({ taken: rows.length === 1 });
  }
}

export class Recorder extends DurableObject<Env> {
  settled: string[] = [];

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.storage.sql.exec("CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY) WITHOUT ROWID");
  }

  async fetch(request: Request): Promise<Response> {
    const { id } = (await request.json()) as { id: string };
    this.ctx.storage.sql.exec("INSERT INTO entries VALUES (?)", id);
    if (this.settled.push(id) === 1) this.ctx.waitUntil(this.settle());
    return Response.json({});
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_AFTER_MS));
    const settled = this.settled;
    this.settled = [];
    const shard = this.env.CODE_SHARD.get(this.env.CODE_SHARD.idFromName("campaign"));
    await (await shard.fetch("http://object/", post({ settled }))).json();
  }
}
