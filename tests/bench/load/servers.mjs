// What the load is put on: the edge's build and its peers, each in a Workers runtime of its own with the objects' files in memory.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { transform } from "esbuild";

import { Runtime, edgeProgram, freePort } from "../../crash/runtime.mjs";
import { expectStatus } from "../../http/client.mjs";
import { signToken, unique } from "../../http/env.mjs";
import { openShop } from "../../http/shop.mjs";
import { closedLoop, openLines, requestBytes } from "./wire.mjs";

/** Processor time of a process so far, in milliseconds: the sum over its threads, by the system's scheduler. */
export function processorMs(pid) {
  const folder = `/proc/${pid}/task`;
  let ns = 0;
  for (const thread of readdirSync(folder)) ns += Number(readFileSync(join(folder, thread, "schedstat"), "utf8").split(" ")[0]);
  return ns / 1e6;
}

/** A port for a runtime's inspector. */
export const freeInspectorPort = freePort;

/** A runtime that serves a program, and ends with `close`. */
export async function startServer(program, options) {
  const runtime = new Runtime(program, options);
  try {
    await runtime.start();
  } catch (error) {
    await runtime.dispose();
    throw error;
  }
  return runtime;
}

/** A Worker's source in TypeScript as a program. */
export async function typeScriptProgram(file, objects) {
  const { code } = await transform(readFileSync(join(import.meta.dirname, file), "utf8"), { loader: "ts", format: "esm", target: "es2022" });
  const folder = mkdtempSync(join(tmpdir(), "counterfoil-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const entry = join(folder, basename(file).replace(/\.ts$/, ".js"));
  writeFileSync(entry, code);
  return { modules: [entry], objects };
}

/** The bare Worker that is the ceiling of what can be redeemed. */
export const bareProgram = () => typeScriptProgram("bare-worker.ts", { MEMBER: "Member", CODE_SHARD: "CodeShard", RECORDER: "Recorder" });

/** The edge, with the Worker around it that counts and opens its objects to the load. */
export function watchedProgram(build = "release") {
  const { modules, objects } = edgeProgram(build);
  return { modules: [join(import.meta.dirname, "watch.js"), ...modules], objects };
}

export { edgeProgram };

/** Members as the load knows them: a name and a token each. */
export const members = (count, merchant) =>
  Array.from({ length: count }, (_, at) => {
    const sub = `member-${at}`;
    return { sub, token: signToken({ sub, merchant, role: "member", exp: Math.floor(Date.now() / 1000) + 86_400 }) };
  });

const MINTED_AT_ONCE = 100_000;
const POOL_TEXT_BYTES = 8 * 1024 * 1024;

/** One merchant of the edge: a campaign of credit or, with `pool`, of so many promo codes, codes of it and members. */
export class RedeemingShop {
  static async open(runtime, { memberCount, pool }) {
    const shop = openShop(runtime, unique("bench-"));
    const fields = pool === undefined ? {} : { reward_id: await pooledReward(shop, pool) };
    const { campaign } = await shop.campaign(fields);
    return new RedeemingShop(shop, campaign, memberCount);
  }

  constructor(shop, campaign, memberCount) {
    this.shop = shop;
    this.campaign = campaign;
    this.members = members(memberCount, shop.merchant);
    this.host = new URL(shop.url).host;
    this.codes = [];
    this.sent = 0;
  }

  /** Mints codes and keeps them. */
  async stock(count) {
    for (let left = count; left > 0; left -= MINTED_AT_ONCE) {
      for (const { code } of await this.shop.codes(this.campaign, Math.min(left, MINTED_AT_ONCE))) this.codes.push(code);
    }
  }

  /** Mints codes that nobody will redeem. */
  async mint(count) {
    for (let left = count; left > 0; left -= MINTED_AT_ONCE) await this.shop.codes(this.campaign, Math.min(left, MINTED_AT_ONCE));
  }

  /** Redeems a few codes. */
  async redeem(count) {
    const lines = openLines(this.shop.url, 1);
    await closedLoop(lines, () => ({ bytes: this.redemption().bytes, expect: 201 }), { count });
    for (const line of lines) line.close();
  }

  /** A redemption of a code that nobody has used, by the members in turn or by one of them. */
  redemption({ headers = {}, by = this.sent } = {}) {
    const code = this.codes[this.sent];
    if (code === undefined) throw new Error("there are no more codes");
    const member = this.members[by % this.members.length];
    this.sent += 1;
    return { member, bytes: redemptionBytes(this.host, { token: member.token, code, key: `k-${this.sent}`, headers }) };
  }
}

/** A reward that takes a promo code from a pool of so many. */
async function pooledReward(shop, count) {
  const { pool_id } = expectStatus(await shop.admin.post("/v1/pools", { name: "Promo codes" }), 201);
  for (let at = 0; at < count; ) {
    let text = "";
    for (; at < count && text.length < POOL_TEXT_BYTES; at += 1) text += `PROMO-${at.toString(36).toUpperCase()}\n`;
    const answer = await shop.admin.post(`/v1/pools/${pool_id}/codes`, text, { headers: { "content-type": "text/plain" } });
    expectStatus(answer, 200);
  }
  const { reward_id } = await shop.reward({ name: "A promo code", type: "external", value: { reference: "promo" }, pool_id });
  return reward_id;
}

/** The bytes of a redemption of a code. */
export function redemptionBytes(host, { token, code, key, headers = {} }) {
  const all = { authorization: `Bearer ${token}`, "idempotency-key": key, ...headers };
  return requestBytes(host, { path: "/v1/redemptions", headers: all, body: JSON.stringify({ code }) });
}
