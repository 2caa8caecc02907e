// Schemathesis sends what the document allows, what it forbids, and chains of both, as every role; nothing that is
// answered may differ from what the document says.
//
//   SCHEMATHESIS_SEED=7          other requests; 1 without it
//   SCHEMATHESIS_EXAMPLES=200    more of them for each operation
import { spawn } from "node:child_process";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { pythonTool, root } from "../../edge/dev/paths.mjs";
import { clientOf, signToken, startEdge } from "../http/env.mjs";
import { expectStatus } from "../http/client.mjs";
import { api } from "./conformance.mjs";

const seed = process.env.SCHEMATHESIS_SEED ?? "1";
const examples = process.env.SCHEMATHESIS_EXAMPLES;
const merchant = "contract";

let edge;

before(async () => {
  assert.ok(existsSync(pythonTool("schemathesis")), "schemathesis is not installed: run `node edge/dev/setup.mjs --test`");
  edge = await startEdge({ vars: { METRICS_TOKEN: "m".repeat(32) } });
  await populate();
});

after(() => edge?.dispose());

/** Something of everything, so that much of what is asked for is there. */
async function populate() {
  const admin = clientOf(edge.url, { sub: "seed", role: "admin", merchant });
  const define = async (body) => expectStatus(await admin.post("/v1/reward-definitions", body), 201);
  await define({ reward_id: "five-euros", name: "5 euros", type: "credit", value: { currency: "EUR", amount_minor: 500 } });
  await define({ reward_id: "mug", name: "Mug", type: "external", value: {}, points_cost: 10 });
  await define({ reward_id: "tenth-off", name: "10 %", type: "discount", value: { percent: 10 } });
  expectStatus(await admin.post("/v1/pools", { pool_id: "cinema", name: "Cinema" }), 201);
  expectStatus(await admin.post("/v1/pools/cinema/codes", "C-1\nC-2\n", { headers: { "content-type": "text/plain" } }), 200);
  for (const [campaign, kind] of [[1, "unique"], [2, "shared"]]) {
    expectStatus(await admin.post("/v1/campaigns", { campaign, name: "Seed", kind, reward_id: "five-euros" }), 201);
    expectStatus(await admin.post(`/v1/campaigns/${campaign}/activate`, {}), 200);
    const answer = await admin.post(`/v1/campaigns/${campaign}/batches`, { count: 5 });
    expectStatus(answer, 201);
    const member = clientOf(edge.url, { sub: "fuzz-member", merchant });
    const code = answer.text.split("\n")[1].split(",")[1];
    expectStatus(await member.post("/v1/redemptions", { code }, { key: `seed-${campaign}` }), 201);
  }
  expectStatus(await admin.put("/v1/members/fuzz-member", { name: "Ann", phone: "+4915112345678" }), 200);
  const earned = { asset: "points", amount: 1000, reason: "seed" };
  expectStatus(await admin.post("/v1/members/fuzz-member/adjustments", earned, { key: "seed" }), 201);
}

const operationsOf = (role) =>
  Object.values(api.paths).flatMap((item) => Object.values(item).filter((operation) => operation["x-roles"]?.includes(role)).map(({ operationId }) => operationId));

function schemathesis(role, count) {
  const token = signToken({ sub: role === "member" ? "fuzz-member" : `fuzz-${role}`, role, merchant });
  const folder = join(root, "tests", "openapi");
  const args = ["--config-file", join(folder, "schemathesis.toml"), "run", `${edge.url}/openapi.json`];
  args.push("--header", `Authorization: Bearer ${token}`, "--seed", seed, "--max-examples", examples ?? String(count), "--no-color");
  // Whom a role is not for is the role table's test: an administrator is sent away from what is left out here.
  if (role !== "admin") args.push(...operationsOf(role).flatMap((name) => ["--include-operation-id", name]));
  return new Promise((resolve, reject) => {
    const hooks = join(folder, "hooks.py");
    const env = { ...process.env, ROLE: role, SCHEMATHESIS_HOOKS: hooks, PYTHONDONTWRITEBYTECODE: "1" };
    // What it notes for its next run belongs into no checkout.
    const child = spawn(pythonTool("schemathesis"), args, { cwd: join(root, "target"), env, stdio: ["ignore", "pipe", "pipe"] });
    const parts = [];
    child.stdout.on("data", (part) => parts.push(part));
    child.stderr.on("data", (part) => parts.push(part));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output: Buffer.concat(parts).toString() }));
  });
}

// An administrator may call nearly everything; the others are sent away from most of it at once.
for (const [role, count] of [["admin", 8], ["member", 6], ["service", 6], ["staff", 4], ["manager", 4]]) {
  test(`nothing is found as ${role}, seed ${seed}`, async () => {
    const { code, output } = await schemathesis(role, count);
    assert.equal(code, 0, output.slice(-60_000));
    assert.match(output, /Tested: [1-9]/, output.slice(-2_000));
  });
}
