// What the load is put on: the edge's build and its peers, each in a Workers runtime of its own with the objects' files in memory.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { transform } from "esbuild";

import { Runtime, edgeProgram } from "../../crash/runtime.mjs";
import { openShop } from "../../http/shop.mjs";
import { signToken, unique } from "../../http/env.mjs";
import { requestBytes } from "./wire.mjs";

const TICKS_PER_SECOND = 100;

/** Processor time of a process so far, in milliseconds, by the system's own count (in steps of 10). */
export function processorMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name stands in brackets and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

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

/** One merchant of the edge: a campaign of credit, codes of it and members. */
export class RedeemingShop {
  static async open(runtime, { memberCount, fields = {} }) {
    const shop = openShop(runtime, unique("bench-"));
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

  /** Mints more codes. */
  async stock(count) {
    for (let left = count; left > 0; left -= MINTED_AT_ONCE) {
      this.codes.push(...(await this.shop.codes(this.campaign, Math.min(left, MINTED_AT_ONCE))).map(({ code }) => code));
    }
  }

  /** A redemption of a code that nobody has used, by the members in turn. */
  redemption({ headers = {} } = {}) {
    const code = this.codes[this.sent];
    if (code === undefined) throw new Error("there are no more codes");
    const member = this.members[this.sent % this.members.length];
    this.sent += 1;
    return { member, bytes: redemptionBytes(this.host, { token: member.token, code, key: `k-${this.sent}`, headers }) };
  }
}

/** The bytes of a redemption of a code. */
export function redemptionBytes(host, { token, code, key, headers = {} }) {
  const all = { authorization: `Bearer ${token}`, "idempotency-key": key, ...headers };
  return requestBytes(host, { path: "/v1/redemptions", headers: all, body: JSON.stringify({ code }) });
}
