// `npm start` and `npm run reset` from the outside: what they print has to be true.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { root } from "../../edge/dev/paths.mjs";

const data = mkdtempSync(join(tmpdir(), "counterfoil-start-"));
const started = new Set();

after(() => {
  for (const { child } of started) child.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

/** Runs one of the scripts beside whatever a developer has running: own data, any port. */
function run(script, flags = [], environment = {}) {
  const child = spawn(process.execPath, [join("edge", "dev", script), ...flags], {
    cwd: root,
    env: { ...process.env, PORT: "0", COUNTERFOIL_DATA: data, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const program = { child, errors: "", lines: [], ended: once(child, "close").then(([code]) => code) };
  child.stderr.setEncoding("utf8").on("data", (text) => (program.errors += text));
  program.reader = createInterface({ input: child.stdout }).on("line", (line) => program.lines.push(line));
  started.add(program);
  program.ended.then(() => started.delete(program));
  return program;
}

/** Starts the edge and the demo shop, and answers what it says as JSON. */
async function start() {
  const program = run("start.mjs", ["--no-storefront", "--json"]);
  const said = new Promise((resolve) => {
    program.reader.on("line", (line) => {
      if (line.startsWith("{")) resolve(JSON.parse(line));
    });
  });
  const ended = program.ended.then((code) => assert.fail(`npm start ended with ${code}: ${program.errors}`));
  const shop = await Promise.race([said, ended]);
  return {
    ...shop,
    child: program.child,
    async stop() {
      ended.catch(() => {});
      program.child.kill("SIGINT");
      assert.equal(await program.ended, 0);
    },
  };
}

async function call(edge, token, path, body) {
  const headers = { "content-type": "application/json", "idempotency-key": randomUUID() };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const response = await fetch(new URL(path, edge), { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

async function member(edge, role = "member") {
  const { body } = await call(edge, undefined, "/dev/token", { sub: `visitor-${randomUUID()}`, role, merchant: "demo" });
  return (path, fields) => call(edge, body.token, path, fields);
}

test("the printed codes are what they are said to be, at the first start and at the next", { timeout: 240_000 }, async () => {
  const first = await start();
  assert.equal(new Set(first.fresh).size, 5);
  const visitor = await member(first.edge);
  for (const code of [...first.fresh, first.shared, first.booster, first.points]) {
    const { status, body } = await visitor("/v1/codes/preview", { code });
    assert.deepEqual([status, body.would], [200, "redeem"], code);
  }
  const staff = await member(first.edge, "staff");
  for (const { id, name, phone, points } of first.members) {
    const { status, body } = await staff("/v1/till/lookup", { phone });
    assert.deepEqual([status, body.member_id, body.name, body.points], [200, id, name, points]);
  }
  const redeemed = await visitor("/v1/redemptions", { code: first.fresh[0] });
  assert.equal(redeemed.status, 201);
  assert.equal((await visitor("/v1/redemptions", { code: first.used })).body.code, "already_redeemed");
  assert.equal((await visitor("/v1/redemptions", { code: first.expired })).body.code, "campaign_ended");

  const whileRunning = run("reset.mjs");
  assert.equal(await whileRunning.ended, 1);
  assert.match(whileRunning.errors, /npm start` is running \(process \d+\)/);
  const twin = run("start.mjs", ["--no-storefront"]);
  assert.equal(await twin.ended, 1);
  assert.match(twin.errors, /already running for this folder/);
  await first.stop();

  const second = await start();
  assert.deepEqual(
    [second.used, second.expired, second.shared],
    [first.used, first.expired, first.shared],
    "the demo shop is made once",
  );
  assert.equal(second.fresh.filter((code) => first.fresh.includes(code)).length, 0);
  const { phone, points } = second.members[0];
  assert.equal((await (await member(second.edge, "staff"))("/v1/till/lookup", { phone })).body.points, points, "given once");
  const other = await member(second.edge);
  for (const code of second.fresh) {
    assert.equal((await other("/v1/codes/preview", { code })).body.would, "redeem", code);
  }
  assert.equal((await other("/v1/redemptions", { code: first.fresh[0] })).body.code, "already_redeemed", "data outlives a stop");

  // What a power cut leaves behind must not need a person's hand.
  second.child.kill("SIGKILL");
  const third = await start();
  await third.stop();

  const reset = run("reset.mjs");
  assert.equal(await reset.ended, 0);
  assert.deepEqual(readdirSync(tmpdir()).filter((name) => join(tmpdir(), name) === data), [], "the data folder is gone");
});

test("a busy port is told in one sentence, before any work", async () => {
  const { createServer } = await import("node:net");
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address();
  const program = run("start.mjs", ["--no-storefront"], { PORT: String(port) });
  assert.equal(await program.ended, 1);
  assert.equal(program.errors.trim().split("\n").length, 1);
  assert.match(program.errors, new RegExp(`Port ${port} is in use by another program: .*PORT=${port + 1}`));
  assert.deepEqual(program.lines, []);
  holder.close();
});

test("bad flags and settings are told in one sentence", async () => {
  for (const [flags, environment, sentence] of [
    [["--nonsense"], {}, /does not know --nonsense/],
    [[], { PORT: "eighty" }, /PORT is "eighty"/],
    [[], { PORT: "70000" }, /PORT is "70000"/],
  ]) {
    const program = run("start.mjs", flags, environment);
    assert.equal(await program.ended, 1);
    assert.match(program.errors, sentence);
    assert.equal(program.errors.trim().split("\n").length, 1);
  }
});
