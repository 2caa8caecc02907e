// Telephone numbers change hands while the server is killed, again and again. A number has at most one member, whoever was
// told that a number is theirs is found by it, and no claim of a dead server keeps a number from everybody for ever.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../http/client.mjs";
import { clientOf } from "../http/env.mjs";
import { chance } from "./random.mjs";
import { edgeProgram, Runtime } from "./runtime.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const random = chance(SEED, "phones");
const kills = Math.max(6, Math.ceil(Number(process.env.KILLS ?? 30) / 4));
const runtime = new Runtime(edgeProgram());
const numbers = Array.from({ length: 6 }, (_, at) => `+4930123450${at}`);
/** What each member was told last; `undefined` where an answer was lost since. */
const told = new Map(Array.from({ length: 9 }, (_, at) => [`member-${at}`, null]));
// The longest that a claim without a commit stands, and then some for alarms.
const CLAIMS_END_MS = 90_000;

before(() => runtime.start());
after(() => runtime.dispose());

const admin = () => clientOf(runtime.url, { merchant: "acme", sub: "boss", role: "admin" });
const path = (sub) => `/v1/members/${sub}`;

/** Gives and takes numbers until the server is gone, or, now and then, until somebody is content before. */
async function quarrel(sub, heard) {
  for (let steps = random.between(1, 12); steps > 0; steps -= 1) {
    const phone = random.percent(20) ? null : random.pick(numbers);
    const before = told.get(sub);
    told.set(sub, undefined);
    let answer;
    try {
      answer = await admin().put(path(sub), { phone });
    } catch {
      return;
    }
    if (answer.status === 200) told.set(sub, phone);
    else if (answer.status === 409) told.set(sub, before);
    else if (answer.status !== 503) assert.fail(`${answer.status}: ${answer.text}`);
    heard();
  }
}

/** Whom a number finds. */
async function holder(phone) {
  const { status, text, body } = await admin().get(`/v1/members?phone=${encodeURIComponent(phone)}`);
  assert.equal(status, 200, text);
  assert.ok(body.items.length <= 1, text);
  return body.items[0]?.member_id;
}

const recorded = async (sub) => (await admin().put(path(sub), {})).body.phone;

async function judge() {
  const holders = new Map();
  for (const sub of told.keys()) {
    const phone = await recorded(sub);
    if (told.get(sub) !== undefined) assert.equal(phone ?? null, told.get(sub), `${sub}, SEED=${SEED}`);
    told.set(sub, phone ?? null);
    if (phone === undefined) continue;
    assert.equal(holders.get(phone), undefined, `${phone} has two members, SEED=${SEED}`);
    holders.set(phone, sub);
  }
  for (const phone of numbers) assert.equal(await holder(phone), holders.get(phone), `${phone}, SEED=${SEED}`);
  return holders;
}

test(`${kills} kills while numbers change hands, SEED=${SEED}`, { timeout: 120_000 + kills * 5_000 }, async (t) => {
  let answered = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    let rest = random.between(1, 50);
    let enough;
    const struck = new Promise((resolve) => (enough = resolve)).then(() => runtime.kill());
    const quarrels = [...told.keys()].map((sub) => quarrel(sub, () => --rest === 0 && enough()));
    await Promise.all(quarrels);
    // Where all were content with fewer answers, nothing has struck yet.
    enough();
    await struck;
    answered += [...told.values()].filter((phone) => phone !== undefined).length;
    await runtime.start();
    await judge();
  }
  t.diagnostic(`${answered} last answers of ${kills * told.size} came whole`);

  const holders = await judge();
  const free = numbers.filter((phone) => !holders.has(phone));
  const give = (phone, at) => admin().put(path(`newcomer-${at}`), { phone });
  const given = await Promise.all(free.map((phone, at) => until(() => give(phone, at), ({ status }) => status === 200, CLAIMS_END_MS)));
  for (const { status, text } of given) assert.equal(status, 200, text);
  for (const [at, phone] of free.entries()) assert.equal(await holder(phone), `newcomer-${at}`);
  for (const [phone, sub] of holders) assert.equal(await holder(phone), sub, "nobody lost a number");
  assert.deepEqual(runtime.complaints, []);
});
