// Codes that nobody may learn anything about: one body, one delay, and few tries.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { S16, S20, S25, assemble, canonical, forge, mint, tagOf } from "./code.mjs";
import { edgeForThisFile, testVars, unique } from "./env.mjs";
import { creditOf, historyOf, openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile();

/** One code of every kind that must look the same from outside: `[[what, code]]`. */
async function strangers(shop) {
  const { campaign } = await shop.withCodes(1);
  const draft = (await shop.campaign({}, { draft: true })).campaign;
  const batches = (await shop.admin.get(`/v1/campaigns/${campaign}/batches`)).body.items;
  const next = Math.max(...batches.map(({ to_seq }) => to_seq));
  const keys = shop.keys(campaign);
  const other = openShop(edge);
  const foreign = await other.withCodes(1, { campaign });
  const unknown = campaign === 65535 ? 1 : campaign + 1;
  const wrongProfile = shop.keys(campaign, { profile: S25 });
  const { serial, tag } = mint(keys, 0);
  return [
    ["wrong tag", forge(keys, 0)],
    ["wrong tag in its top bit", forge(keys, 0, 1n << 39n)],
    ["a tag of nothing", canonical(assemble({ ...keys, serial, tag: 0n }))],
    ["right tag under another epoch's header", canonical(assemble({ ...keys, epoch: 1, serial, tag }))],
    ["an epoch without a root", mint(shop.keys(campaign, { epoch: 5, root: testVars.ROOT_0 }), 0).code],
    ["unknown campaign, well signed", mint(shop.keys(unknown), 0).code],
    ["never issued, well signed", mint(keys, next).code],
    ["never issued at all, well signed", mint(keys, 2 ** 24 - 1).code],
    ["issued in epoch 0, signed in epoch 1", mint(shop.keys(campaign, { epoch: 1 }), 0).code],
    ["another merchant's", foreign.code],
    ["another profile than its campaign's, well signed", mint(wrongProfile, 0).code],
    ["wrong tag of a draft", forge(shop.keys(draft), 0)],
    ["never issued of a draft", mint(shop.keys(draft), 0).code],
    ["no such alias", "WELCOME10"],
    ["no such alias, three symbols", "abc"],
    ["no such alias, fourteen symbols", "ABCDEFGH123456"],
  ];
}

test("all unrecognised codes get one body, not before 60 ms, and leave no trace", async () => {
  const shop = openShop(edge);
  const cases = await strangers(shop);
  const bodies = new Map();
  for (const [what, code] of cases) {
    // A fresh account for each, so that counted attempts cannot make a difference.
    const ann = shop.member();
    const answer = await redeem(ann, code);
    assert.equal(answer.status, 404, `${what}: ${answer.text}`);
    expectProblem(answer, 404, "code_not_recognised");
    const { instance, ...body } = answer.body;
    bodies.set(what, JSON.stringify(body));
    assert.ok(answer.ms >= 59, `${what} answered after ${answer.ms} ms`);
    if (code.length > 8) assert.doesNotMatch(answer.text, new RegExp(code.replaceAll("-", "-?"), "i"), "the code is not echoed");
    const inPath = await ann.post(`/v1/codes/${code}/redemptions`, {}, { key: unique("k-") });
    const { instance: other, ...pathBody } = expectProblem(inPath, 404, "code_not_recognised");
    assert.equal(JSON.stringify(pathBody), bodies.get(what));
    assert.notEqual(other, instance, "each answer is its own instance");
    const { instance: third, ...previewBody } = expectProblem(await ann.post("/v1/codes/preview", { code }), 404, "code_not_recognised");
    assert.equal(JSON.stringify(previewBody), bodies.get(what));
    assert.deepEqual(await historyOf(ann), []);
    const headers = Object.keys(answer.headers).filter((name) => !["date", "content-length", "connection", "keep-alive"].includes(name)).sort();
    bodies.set(`headers of ${what}`, headers.join());
  }
  const [ofBodies, ofHeaders] = [false, true].map((wanted) => new Set([...bodies].filter(([what]) => what.startsWith("headers of") === wanted).map(([, text]) => text)));
  assert.equal(ofBodies.size, 1, [...bodies].join("\n"));
  assert.equal(ofHeaders.size, 1, [...bodies].join("\n"));
});

test("answers leave on the same steps of 20 ms, whatever was wrong", async () => {
  const shop = openShop(edge);
  const cases = (await strangers(shop)).filter(([what]) => ["wrong tag", "unknown campaign, well signed", "never issued, well signed", "no such alias"].includes(what));
  const times = new Map(cases.map(([what]) => [what, []]));
  for (let round = 0; round < 7; round += 1) {
    for (const [what, code] of cases) times.get(what).push((await redeem(shop.member(), code)).ms);
  }
  const medians = [...times].map(([what, all]) => [what, all.sort((a, b) => a - b)[3]]);
  for (const [what, all] of times) assert.ok(all.every((ms) => ms >= 59), `${what}: ${all.map(Math.round)}`);
  const [least, most] = [Math.min(...medians.map(([, ms]) => ms)), Math.max(...medians.map(([, ms]) => ms))];
  assert.ok(most - least < 10, `medians differ: ${medians.map(([what, ms]) => `${what} ${ms.toFixed(1)}`).join(", ")}`);
  for (const [what, ms] of medians) assert.ok(ms % 20 < 14, `${what} off the steps: ${ms.toFixed(1)} ms`);
});

test("S16 codes of an S20 campaign's number are not recognised, however well signed", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.withCodes(1, { campaign: 4000 });
  const short = shop.keys(campaign, { profile: S16 });
  expectProblem(await redeem(shop.member(), mint(short, 0).code), 404, "code_not_recognised");
  const keys = shop.keys(campaign, { profile: S20 });
  assert.notEqual(tagOf(keys, 1), tagOf(short, 1));
});

test("each single wrong bit of a tag is refused", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.campaign();
  const [{ seq, code }] = await shop.codes(campaign);
  const keys = shop.keys(campaign);
  assert.equal(mint(keys, seq).code, code);
  await Promise.all(Array.from({ length: 40 }, async (_, bit) => {
    expectProblem(await redeem(shop.member(), forge(keys, seq, 1n << BigInt(bit))), 404, "code_not_recognised");
  }));
  await redeemed(shop.member(), code);
});

describe("attempts", () => {
  const wrongTags = (shop, campaign, count) => Array.from({ length: count }, (_, at) => forge(shop.keys(campaign), at));

  test("ten wrong tags a day, then nothing is looked at until tomorrow", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    const ann = shop.member();
    for (const wrong of wrongTags(shop, campaign, 10)) expectProblem(await redeem(ann, wrong), 404, "code_not_recognised");
    for (const text of [wrongTags(shop, campaign, 1)[0], code]) {
      const answer = await redeem(ann, text);
      expectProblem(answer, 429, "too_many_attempts");
      assert.ok(Number(answer.headers["retry-after"]) <= 86_400, answer.headers["retry-after"]);
    }
    expectProblem(await ann.post("/v1/codes/preview", { code }), 429, "too_many_attempts");
    expectProblem(await ann.post(`/v1/codes/${code}/redemptions`, {}, { key: unique("k-") }), 429, "too_many_attempts");
    expectProblem(await redeem(ann, `${code.slice(0, -1)}*`), 422, "malformed_code");
    assert.deepEqual(await historyOf(ann), []);
    assert.equal(await creditOf(ann), 0);
    await redeemed(shop.member(), code);
  });

  test("nine wrong tags do not shut out, and the right code still redeems", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    const ann = shop.member();
    for (const wrong of wrongTags(shop, campaign, 9)) expectProblem(await redeem(ann, wrong), 404, "code_not_recognised");
    await redeemed(ann, code);
  });

  test("previews count, and the same wrong code counts each time", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    const ann = shop.member();
    const [wrong] = wrongTags(shop, campaign, 1);
    const key = unique("k-");
    for (let times = 0; times < 5; times += 1) {
      expectProblem(await ann.post("/v1/codes/preview", { code: wrong }), 404, "code_not_recognised");
      expectProblem(await redeem(ann, wrong, { key }), 404, "code_not_recognised");
    }
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
  });

  test("attempts at once are counted one by one", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes();
    const ann = shop.member();
    const answers = await Promise.all(wrongTags(shop, campaign, 24).map((wrong) => redeem(ann, wrong)));
    const count = (status) => answers.filter((answer) => answer.status === status).length;
    assert.deepEqual([count(404), count(429)], [10, 14]);
  });

  test("a member with an earlier grant is never locked out", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2);
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    for (const wrong of wrongTags(shop, campaign, 14)) expectProblem(await redeem(ann, wrong), 404, "code_not_recognised");
    await redeemed(ann, codes[1]);
    assert.equal(await creditOf(ann), 1000);
  });

  test("typing errors and honest refusals are no attempts", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2);
    await redeemed(shop.member(), codes[0]);
    const bob = shop.member();
    for (let times = 0; times < 12; times += 1) {
      expectProblem(await redeem(bob, codes[1].replace(/.$/, (last) => (last === "Z" ? "Y" : "Z"))), 422, "malformed_code");
      expectProblem(await redeem(bob, codes[0]), 409, "already_redeemed");
    }
    await redeemed(bob, codes[1]);
  });

  test("one member's attempts are not another's, nor the same sub's at another merchant", async () => {
    const [shop, other] = [openShop(edge), openShop(edge)];
    const { campaign, code } = await shop.withCodes();
    const elsewhere = await other.withCodes();
    const sub = unique("u-");
    for (const wrong of wrongTags(shop, campaign, 11)) await redeem(shop.member({}, sub), wrong);
    expectProblem(await redeem(shop.member({}, sub), code), 429, "too_many_attempts");
    await redeemed(other.member({}, sub), elsewhere.code);
    await redeemed(shop.member(), code);
  });

  test("a service's attempts are its member's", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    const ann = shop.member();
    for (const wrong of wrongTags(shop, campaign, 10)) expectProblem(await redeem(shop.service, wrong, { member_id: ann.sub }), 404, "code_not_recognised");
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
    expectStatus(await redeem(shop.service, code, { member_id: unique("u-") }), 201);
  });

  test("a genuine code of another profile counts as a wrong tag", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    const keys = shop.keys(campaign, { profile: S25 });
    const ann = shop.member();
    for (let seq = 0; seq < 10; seq += 1) expectProblem(await redeem(ann, mint(keys, seq).code), 404, "code_not_recognised");
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
  });
});
