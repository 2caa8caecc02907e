// The breaker of a campaign key: wrong tags are counted for each campaign, an alarm goes out, new accounts are challenged, and
// whoever has had something granted redeems on. S16 has the lowest thresholds: 2^8 and 2^10.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { S16, mint } from "./code.mjs";
import { edgeForThisFile, startEdge, unique } from "./env.mjs";
import { fulfillerOf, says } from "./fulfiller-double.mjs";
import { WAYS, anonymous, inParallel, memberWithGrant, miss, preview, wrongTags } from "./guard.mjs";
import { assertVerified, audited, define, withFulfillers } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { startSiteverify } from "./siteverify-double.mjs";
import { set } from "./till.mjs";

const SECRET = "the secret of a challenge service";
const closing = [];
const suite = { after: (close) => closing.push(close) };
const hook = await startSiteverify(suite, { secret: SECRET });
const edge = edgeForThisFile(withFulfillers);
after(() => Promise.all(closing.map((close) => close())));

const LAG_MS = 20_000;
const [ALARM, CHALLENGE, REFUSE] = [2 ** 8, 2 ** 10, 2 ** 14];
const shown = async (shop, campaign) => expectStatus(await shop.admin.get(`/v1/campaigns/${campaign}`), 200);
const breakerOf = async (shop, campaign) => (await shown(shop, campaign)).breaker;
const reset = (shop, campaign, body = { reason: "seen to" }, by = shop.admin) => by.post(`/v1/campaigns/${campaign}/breaker/reset`, body);

/** The campaign once so many wrong tags are counted. */
const counts = (shop, campaign, failed) =>
  until(
    () => shown(shop, campaign),
    ({ breaker }) => breaker.failed_tags >= failed,
    LAG_MS,
  );

const becomes = (shop, campaign, state) =>
  until(
    () => shown(shop, campaign),
    ({ breaker }) => breaker.state === state,
    LAG_MS,
  );

/** A shop that lets accounts guess a lot, with an S16 campaign and codes of it. */
async function guessable(at, count = 8) {
  const first = openShop(at);
  await set(first, { attempts_per_day: 1000 });
  const reward_id = await define(first, "feature");
  const opened = await first.withCodes(count, { profile: "S16", reward_id });
  let next = 0;
  /** So many new wrong tags, by a dozen accounts. */
  const attack = async (times, shop = first) => {
    const codes = wrongTags(shop, opened.campaign, next + times, { profile: S16 }).slice(next);
    next += times;
    const accounts = Array.from({ length: 12 }, () => shop.member());
    const answers = await inParallel(codes, (code, place) => redeem(accounts[place % accounts.length], code), 48);
    for (const answer of answers) expectProblem(answer, 404, "code_not_recognised");
  };
  return { shop: first, reward_id, ...opened, attack };
}

describe("what is counted", () => {
  test("wrong tags of that campaign alone: no typing errors, no strangers well signed, no words", async () => {
    const { shop, campaign, reward_id, codes, attack } = await guessable(edge);
    const calm = await shop.campaign({ profile: "S16", reward_id });
    const fresh = await shown(shop, campaign);
    assert.deepEqual([fresh.failed_tags, fresh.breaker], [0, { state: "closed", failed_tags: 0, alarm_at: ALARM, challenge_at: CHALLENGE, refuse_at: REFUSE }]);
    const ann = shop.member();
    await redeemed(shop.member(), codes[0]);
    for (const text of [codes[1].replace(/.$/, (last) => (last === "Z" ? "Y" : "Z")), `${codes[1].slice(0, -1)}?`, codes[1].slice(0, -1)]) expectProblem(await redeem(ann, text), 422, "malformed_code");
    const unissued = mint(shop.keys(campaign, { profile: S16 }), 2 ** 20 - 1).code;
    for (const code of [unissued, "NOSUCHWORD"]) expectProblem(await redeem(ann, code), 404, "code_not_recognised");
    expectProblem(await redeem(ann, codes[0]), 409, "already_redeemed");
    await attack(5);
    const [wrong] = wrongTags(shop, campaign, 1, { profile: S16, seq: 1 });
    // By every call, and the same again, counts again.
    for (const way of Object.values(WAYS)) expectProblem(await way(ann, wrong), 404, "code_not_recognised");
    const { failed_tags, breaker } = await counts(shop, campaign, 9);
    assert.deepEqual([failed_tags, breaker.failed_tags, breaker.state], [9, 9, "closed"]);
    assert.equal((await shown(shop, calm.campaign)).failed_tags, 0);
  });

  test("nothing for campaigns that there are not: a later one of that number begins at none", async () => {
    const { shop, campaign, reward_id } = await guessable(edge);
    const later = campaign === 4095 ? 1 : campaign + 1;
    await miss(shop.member(), wrongTags(shop, later, 20, { profile: S16 }));
    await miss(shop.member(), wrongTags(shop, campaign, 3, { profile: S16 }));
    await counts(shop, campaign, 3);
    const made = await shop.campaign({ campaign: later, profile: "S16", reward_id });
    const { failed_tags, breaker } = await shown(shop, made.campaign);
    assert.deepEqual([failed_tags, breaker.failed_tags, breaker.state], [0, 0, "closed"]);
  });

  test("each profile by its own thresholds", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "feature");
    for (const [profile, expected] of [["S16", [8, 10, 14]], ["S20", [10, 16, 20]], ["S25", [10, 16, 20]]]) {
      const { breaker } = await shop.campaign({ profile, reward_id }, { draft: true });
      assert.deepEqual([breaker.alarm_at, breaker.challenge_at, breaker.refuse_at], expected.map((bits) => 2 ** bits), profile);
    }
  });
});

describe("under attack", () => {
  let opened;
  let listener;
  let grantee;
  let at;
  let running;
  const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-breaker-"));
  /** Starts the edge again on the same data, with a challenge service or without. */
  const start = async (vars) => {
    await running?.dispose();
    running = await startEdge({ persist: folder, vars: { ...withFulfillers.vars, ...vars } });
    at = { url: running.url.toString().replace(/\/$/, "") };
    if (opened === undefined) return;
    opened.shop = openShop(at, opened.shop.merchant);
    grantee = opened.shop.member({}, grantee.sub);
  };
  after(async () => {
    await running?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });
  before(async () => {
    await start({});
    opened = await guessable(at, 16);
    listener = await fulfillerOf(suite, opened.shop, [says(200)], ["brute_force.alarm"]);
    grantee = await memberWithGrant(opened.shop, opened.codes.at(-1));
  });

  test("one less than the threshold is calm; at it an alarm goes out, once, and is in the log", async () => {
    const { shop, campaign, attack, codes } = opened;
    await attack(ALARM - 1);
    assert.equal((await counts(shop, campaign, ALARM - 1)).breaker.state, "closed");
    await attack(1);
    const { breaker, failed_tags } = await becomes(shop, campaign, "alarm");
    assert.equal(failed_tags, ALARM);
    assert.ok(Math.abs(Date.parse(breaker.since) - Date.now()) < 60_000, breaker.since);
    const [event] = await listener.fulfiller.deliveries(1, { ms: LAG_MS });
    assert.equal(event.body.type, "brute_force.alarm");
    assert.equal(event.body.data.campaign, campaign);
    await audited(shop, { object: `campaign/${campaign}`, action: /breaker|brute_force|alarm/, actor: "system" });
    await attack(20);
    await counts(shop, campaign, ALARM + 20);
    // An alarm stops nobody.
    await redeemed(shop.member(), codes[0]);
    assert.equal(listener.fulfiller.received.length, 1);
    listener.fulfiller.assertProper();
  });

  test("at the next threshold new accounts are challenged, before the tag is looked at", async () => {
    const { shop, campaign, attack, codes } = opened;
    await attack(CHALLENGE - ALARM - 20);
    await becomes(shop, campaign, "challenge");
    const right = codes[1];
    const refusal = await until(() => preview(shop.member(), right), ({ status }) => status === 403, LAG_MS);
    const body = anonymous(refusal, 403, "challenge_required");
    const [wrong] = wrongTags(shop, campaign, 1, { profile: S16, seq: 2 });
    const unissued = mint(shop.keys(campaign, { profile: S16 }), 2 ** 20 - 1).code;
    for (const code of [right, wrong, unissued]) {
      for (const way of Object.values(WAYS)) assert.deepEqual(anonymous(await way(shop.member(), code), 403, "challenge_required"), body);
    }
    expectProblem(await redeem(shop.member(), `${right.slice(0, -1)}?`), 422, "malformed_code");
    assert.equal((await shown(shop, campaign)).failed_tags, CHALLENGE, "what is not looked at does not count");
  });

  test("without a challenge service there is nothing to pass; with one there is, after a restart", async () => {
    const { shop, codes } = opened;
    for (const response of [undefined, "", "passed-1"]) {
      expectProblem(await redeem(shop.member(), codes[1], { headers: { "counterfoil-challenge": response } }), 403, "challenge_required");
    }
    await start({ CHALLENGE_SECRET: SECRET, CHALLENGE_URL: hook.url });
    expectProblem(await redeem(opened.shop.member(), codes[1]), 403, "challenge_required");
    assert.deepEqual(hook.asked, []);
  });

  test("whoever has had something granted redeems on, and so does a service", async () => {
    const { shop, campaign, codes } = opened;
    await redeemed(grantee, codes[2]);
    const [wrong] = wrongTags(shop, campaign, 1, { profile: S16, seq: 3 });
    expectProblem(await redeem(grantee, wrong), 404, "code_not_recognised");
    expectStatus(await redeem(shop.service, codes[3], { member_id: unique("u-") }), 201);
    expectProblem(await redeem(shop.service, wrong, { member_id: unique("u-") }), 404, "code_not_recognised");
  });

  test("other campaigns, other merchants, and words are as they were", async () => {
    const { shop, reward_id, campaign } = opened;
    const other = await shop.withCodes(1, { profile: "S16", reward_id });
    const elsewhere = openShop(at);
    const same = await elsewhere.withCodes(1, { campaign, profile: "S16", reward_id: await define(elsewhere, "feature") });
    for (const [place, number, { code }] of [[shop, other.campaign, other], [elsewhere, campaign, same]]) {
      expectProblem(await redeem(place.member(), wrongTags(place, number, 1, { profile: S16 })[0]), 404, "code_not_recognised");
      await redeemed(place.member(), code);
    }
    expectProblem(await redeem(shop.member(), "NOSUCHWORD"), 404, "code_not_recognised");
  });

  test("a challenge that was passed lets through, to the tag and no further", async () => {
    const { shop, campaign, codes } = opened;
    const pass = (response) => ({ headers: { "counterfoil-challenge": response } });
    hook.good.add("passed-1");
    const [wrong] = wrongTags(shop, campaign, 1, { profile: S16, seq: 4 });
    expectProblem(await redeem(shop.member(), wrong, pass("passed-1")), 404, "code_not_recognised");
    const asked = hook.asked.at(-1);
    assert.deepEqual([asked.method, asked.secret, asked.response], ["POST", SECRET, "passed-1"]);
    hook.good.add("passed-2");
    expectStatus(await redeem(shop.member(), codes[4], pass("passed-2")), 201);
    const before = hook.asked.length;
    for (const headers of [pass("guessed"), pass(""), pass("x".repeat(5000)), {}]) expectProblem(await redeem(shop.member(), codes[5], headers), 403, "challenge_required");
    for (const { response } of hook.asked.slice(before)) assert.notEqual(response, "", "nothing is asked about nothing");
    await redeemed(shop.member(), (await shop.withCodes()).code);
    assert.equal(hook.asked.filter(({ response }) => !["passed-1", "passed-2", "guessed", "x".repeat(5000)].includes(response)).length, 0, "who is not challenged is not asked about");
  });

  test("a challenge service that fails lets nobody through", async () => {
    const { shop, codes } = opened;
    for (const answer of [{ status: 500, text: "" }, { status: 200, text: "success" }, { status: 200, text: "{}" }, { status: 200, text: '{"success":"true"}' }, { status: 200, text: '{"success":false}' }]) {
      hook.answer = answer;
      const refusal = await redeem(shop.member(), codes[5], { headers: { "counterfoil-challenge": "passed-3" } });
      if (refusal.status !== 503) expectProblem(refusal, 403, "challenge_required");
    }
    hook.answer = undefined;
    await redeemed(grantee, codes[5]);
  });

  test("is over when an administrator says so, with a reason, and counts anew", async () => {
    const { shop, campaign, codes, attack } = opened;
    for (const body of [{}, { reason: "" }, { reason: 7 }, { reason: "x", surprise: 1 }]) expectProblem(await reset(shop, campaign, body), 400, "invalid_request");
    for (const by of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await reset(shop, campaign, undefined, by), 403, "forbidden");
    expectProblem(await reset(openShop(at), campaign), 404, "not_found");
    assert.equal((await breakerOf(shop, campaign)).state, "challenge");
    const body = expectStatus(await reset(shop, campaign, { reason: "the guesser is known" }), 200);
    assert.equal(body.campaign, campaign);
    assert.deepEqual([body.breaker.state, body.breaker.failed_tags], ["closed", 0]);
    await audited(shop, { object: `campaign/${campaign}`, actor: "admin:admin-1", reason: "the guesser is known" });
    await until(() => preview(shop.member(), codes[6]), ({ status }) => status === 200, LAG_MS);
    expectProblem(await redeem(shop.member(), wrongTags(shop, campaign, 1, { profile: S16, seq: 5 })[0]), 404, "code_not_recognised");
    await redeemed(shop.member(), codes[6]);
    await counts(shop, campaign, 1);
    await attack(ALARM - 1, shop);
    await becomes(shop, campaign, "alarm");
    // One event for each state that was entered, and a new one for a new alarm.
    const events = await listener.fulfiller.deliveries(3, { ms: LAG_MS });
    assert.deepEqual(events.map(({ body }) => [body.data.state, body.data.profile, body.data.epoch]), ["alarm", "challenge", "alarm"].map((state) => [state, "S16", 0]));
    assert.equal(new Set(events.map(({ id }) => id)).size, 3);
    listener.fulfiller.assertProper();
    await assertVerified(shop, { campaign });
  });
});
