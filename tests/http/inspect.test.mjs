// Everything known of one code, for an administrator: what it claims, whether it is genuine, where it comes from, who used it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { held, letGo } from "./checkout.mjs";
import { S16, S25, check, forge, mint } from "./code.mjs";
import { edgeForThisFile } from "./env.mjs";
import { miss, wrongTags } from "./guard.mjs";
import { define } from "./rewards.mjs";
import { creditOf, openShop, redeem, redeemed } from "./shop.mjs";
import { reversed, set } from "./till.mjs";

const edge = edgeForThisFile();
const ask = (shop, code, by = shop.admin) => by.post("/v1/codes/inspect", { code });
const FIELDS = ["code", "kind", "profile", "epoch", "campaign", "authentic", "issued", "seq", "serial", "batch", "recalled", "uses", "held_until"];

/** Inspects, and asserts what holds of every answer. */
async function inspected(shop, code) {
  const body = expectStatus(await ask(shop, code), 200);
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], says);
  assert.ok(["code", "alias"].includes(body.kind) && typeof body.authentic === "boolean", says);
  for (const use of body.uses ?? []) assert.deepEqual(Object.keys(use).sort(), ["created_at", "redemption_id", "status"], says);
  return body;
}

/** What an answer says of one code, without its batch and its uses. */
const facts = ({ code, batch, uses, ...rest }) => rest;

describe("a code", () => {
  for (const profile of ["S16", "S20", "S25"]) {
    test(`of ${profile} says where it comes from, as the second implementation reads it`, async () => {
      const shop = openShop(edge);
      const reward_id = await define(shop, "feature");
      const { campaign } = await shop.campaign({ profile, reward_id });
      await shop.codes(campaign, 3);
      const rows = await shop.codes(campaign, 3, { label: "Second", reference: "mail-7" });
      const [, batch] = (await shop.admin.get(`/v1/campaigns/${campaign}/batches`)).body.items.sort((a, b) => a.from_seq - b.from_seq);
      for (const { seq, code } of rows) {
        const { serial } = check(code);
        const body = await inspected(shop, code.toLowerCase().replaceAll("-", " "));
        assert.deepEqual(facts(body), { kind: "code", profile, epoch: 0, campaign, authentic: true, issued: true, seq, serial: Number(serial), recalled: false });
        assert.deepEqual([body.code, body.uses], [code, []]);
        assert.ok(JSON.stringify(body.batch).includes(batch.batch_id), JSON.stringify(body));
      }
    });
  }

  test("shows who used it by their redemptions, and how those stand now", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { limits: { uses_per_code: 3 } });
    const made = [];
    for (const member of [shop.member(), shop.member()]) made.push(await redeemed(member, code));
    const uses = async () => (await inspected(shop, code)).uses;
    const expected = made.map(({ redemption_id, status, created_at }) => ({ redemption_id, status, created_at }));
    const byId = (one, other) => (one.redemption_id < other.redemption_id ? -1 : 1);
    assert.deepEqual((await uses()).sort(byId), [...expected].sort(byId));
    await reversed(shop.as("manager"), made[0].redemption_id, { give_back: false });
    await until(uses, (all) => all.some(({ redemption_id, status }) => redemption_id === made[0].redemption_id && status === "reversed"));
  });

  test("that a checkout holds says until when, and is free again when it lets go", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const mine = await held(ann, "o", { code });
    const body = await inspected(shop, code);
    assert.equal(Date.parse(body.held_until), Date.parse(mine.expires_at));
    expectStatus(await letGo(ann, mine), 204, 200);
    const free = await until(() => inspected(shop, code), ({ held_until }) => held_until === undefined);
    assert.deepEqual(free.uses.filter(({ status }) => status !== "cancelled"), []);
  });

  test("that was recalled says so, whether by its range, its batch or all", async () => {
    const shop = openShop(edge);
    for (const body of [{ all: true }, { from_seq: 0, to_seq: 1 }, {}]) {
      const { campaign } = await shop.campaign();
      const [{ code, seq }, next] = await shop.codes(campaign, 2);
      const [{ batch_id }] = (await shop.admin.get(`/v1/campaigns/${campaign}/batches`)).body.items;
      const what = body.all ? body : body.to_seq ? { from_seq: seq, to_seq: seq + 1 } : { batch_id };
      expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { ...what, reason: "printed wrong" }), 201, 202);
      await shop.inForce(campaign);
      assert.deepEqual((({ authentic, issued, recalled }) => [authentic, issued, recalled])(await inspected(shop, code)), [true, true, true], JSON.stringify(what));
      assert.equal((await inspected(shop, next.code)).recalled, what.to_seq === undefined);
    }
  });

  test("that is well signed and was never issued is genuine, and no more", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes();
    const body = await inspected(shop, mint(shop.keys(campaign), 2 ** 24 - 1).code);
    assert.deepEqual([body.authentic, body.issued, body.seq, body.batch, body.uses ?? []], [true, false, 2 ** 24 - 1, undefined, []]);
  });

  test("with a wrong tag, or of another merchant or profile, tells nothing of any campaign", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes();
    const other = await openShop(edge).withCodes(1, { campaign });
    const unknown = campaign === 65535 ? 1 : campaign + 1;
    const strangers = [forge(shop.keys(campaign), 0), other.code, forge(shop.keys(unknown), 0)];
    for (const code of strangers) {
      const body = await inspected(shop, code);
      assert.equal(body.authentic, false, JSON.stringify(body));
      for (const name of ["seq", "batch", "held_until"]) assert.equal(body[name], undefined, `${name} of ${JSON.stringify(body)}`);
      assert.deepEqual([body.issued ?? false, body.recalled ?? false, body.uses ?? []], [false, false, []]);
    }
    for (const profile of [S16, S25]) {
      if (profile === S16 && campaign > 4095) continue;
      const body = await inspected(shop, mint(shop.keys(campaign, { profile }), 0).code);
      assert.deepEqual([body.issued ?? false, body.uses ?? []], [false, []], JSON.stringify(body));
    }
  });

  test("that needs a repair is malformed, as for everybody", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    for (const text of [code.replace(/.$/, (last) => (last === "Z" ? "Y" : "Z")), `${code.slice(0, -1)}?`, "a*b", "", "x".repeat(65)]) {
      const { reason } = expectProblem(await ask(shop, text), 422, "malformed_code");
      assert.match(reason, /^[a-z][a-z_]*$/);
    }
    for (const body of [{}, { code: 7 }, { code, surprise: 1 }, { code, member_id: "ann" }]) expectProblem(await shop.admin.post("/v1/codes/inspect", body), 400, "invalid_request");
    for (const by of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await ask(shop, code, by), 403, "forbidden");
  });
});

describe("a word", () => {
  test("is an alias of its campaign, with its uses", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ kind: "shared", aliases: ["SPRING2026"] });
    const made = await redeemed(shop.member(), "spring 2026");
    const body = await inspected(shop, "spring-2026");
    assert.deepEqual([body.kind, body.campaign, body.authentic, body.recalled], ["alias", campaign, true, false]);
    assert.ok(body.uses.some(({ redemption_id }) => redemption_id === made.redemption_id), JSON.stringify(body));
  });

  test("of several shards has the uses of all of them", async () => {
    const shop = openShop(edge);
    await shop.campaign({ kind: "shared", aliases: ["SPRING2026"], expected_rate: 1000 });
    const made = [];
    for (let times = 0; times < 8; times += 1) made.push((await redeemed(shop.member(), "SPRING2026")).redemption_id);
    assert.deepEqual((await inspected(shop, "SPRING2026")).uses.map(({ redemption_id }) => redemption_id).sort(), made.sort());
  });

  test("that there is not, is not genuine", async () => {
    const body = await inspected(openShop(edge), "NOSUCHWORD");
    assert.deepEqual([body.kind, body.authentic, body.campaign, body.uses ?? []], ["alias", false, undefined, []]);
  });
});

test("looking uses nothing up and counts nowhere", async () => {
  const shop = openShop(edge);
  await set(shop, { attempts_per_day: 1 });
  const { code, campaign } = await shop.withCodes(1, { limits: { total: 1 } });
  for (let times = 0; times < 3; times += 1) {
    for (const text of [code, ...wrongTags(shop, campaign, 4)]) await inspected(shop, text);
  }
  assert.ok((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.failed_tags === 0);
  const ann = shop.member();
  await redeemed(ann, code);
  assert.equal(await creditOf(ann), 500);
  await miss(shop.member(), wrongTags(shop, campaign, 1));
  expectProblem(await redeem(shop.member(), code), 409, "already_redeemed");
});
