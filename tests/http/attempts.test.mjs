// How often one account may guess: the merchant's settings, counted exactly, before the tag is looked at, and told in the header
// fields of every 429.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { committed, discountCodes, hold } from "./checkout.mjs";
import { expectProblem, expectStatus } from "./client.mjs";
import { S25, forge, mint } from "./code.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { WAYS, anonymous, assertLimited, inParallel, memberWithGrant, miss, preview, wrongTags } from "./guard.mjs";
import { give } from "./rewards.mjs";
import { creditOf, historyOf, openShop, redeem, redeemed } from "./shop.mjs";
import { set } from "./till.mjs";
import { bought, forSale, memberWith } from "./trade.mjs";

const edge = edgeForThisFile();
const DAY = 86_400;
const settingsOf = async (shop) => expectStatus(await shop.admin.get("/v1/settings"), 200);
const aliases = (count) => Array.from({ length: count }, (_, at) => `NOSUCH${at}`);

/** A shop with a shared campaign of one alias and a unique one with codes, which allows so many attempts. */
async function shopAllowing(fields, count = 1) {
  const shop = openShop(edge);
  await set(shop, fields);
  return { shop, ...(await shop.withCodes(count)) };
}

/** A word that stands for a shared campaign of credit. */
async function aliasOf(shop, word, fields = {}) {
  const { campaign } = await shop.campaign({ kind: "shared", aliases: [word], ...fields });
  return { campaign, word };
}

describe("settings", () => {
  test("have the published defaults, and null brings them back", async () => {
    const shop = openShop(edge);
    const defaults = { attempts_per_day: 10, alias_attempts_per_day: 30, notify_days_before: 7 };
    const picked = ({ attempts_per_day, alias_attempts_per_day, notify_days_before }) => ({ attempts_per_day, alias_attempts_per_day, notify_days_before });
    assert.deepEqual(picked(await settingsOf(shop)), defaults);
    for (const fields of [{ attempts_per_day: 1, alias_attempts_per_day: 1000, notify_days_before: 0 }, { attempts_per_day: 1000, alias_attempts_per_day: 1, notify_days_before: 365 }]) {
      assert.deepEqual(picked(await set(shop, fields)), fields);
      assert.deepEqual(picked(await settingsOf(shop)), fields);
    }
    assert.deepEqual(picked(await set(shop, { attempts_per_day: null, alias_attempts_per_day: null, notify_days_before: null })), defaults);
  });

  const bad = [
    ...["attempts_per_day", "alias_attempts_per_day"].flatMap((field) => [0, -1, 1001, 2 ** 53, 1.5, "10", true, [], {}].map((value) => [field, value])),
    ...[-1, 366, 0.5, "7", false, []].map((value) => ["notify_days_before", value]),
  ];
  test(`out of range are refused: ${bad.length} of them`, async () => {
    const shop = openShop(edge);
    await set(shop, { attempts_per_day: 4 });
    const before = await shop.admin.get("/v1/settings");
    for (const [field, value] of bad) {
      const answer = await shop.admin.patch("/v1/settings", { [field]: value }, { headers: { "if-match": before.headers.etag } });
      const { errors } = expectProblem(answer, 400, "invalid_request");
      assert.ok(errors.some(({ path }) => path === field), `${field}: ${JSON.stringify(value)} ${answer.text}`);
    }
    const after = await shop.admin.get("/v1/settings");
    assert.deepEqual([after.body, after.headers.etag], [before.body, before.headers.etag]);
  });

  test("count for the very next request: raised, lowered, raised again", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 2 });
    const ann = shop.member();
    const wrong = wrongTags(shop, campaign, 6);
    const key = unique("k-");
    await miss(ann, wrong.slice(0, 2));
    assert.deepEqual((({ q, w }) => [q, w])(assertLimited(await redeem(ann, code, { key }), "too_many_attempts")), [2, DAY]);
    await set(shop, { attempts_per_day: 4 });
    await miss(ann, wrong.slice(2, 4));
    assert.equal(assertLimited(await redeem(ann, code, { key }), "too_many_attempts").q, 4);
    await set(shop, { attempts_per_day: 3 });
    assert.equal(assertLimited(await redeem(ann, code, { key }), "too_many_attempts").q, 3);
    await set(shop, { attempts_per_day: 5 });
    // A 429 is not kept under its key: the same request is looked at as soon as it may be.
    expectStatus(await redeem(ann, code, { key }), 201);
    assert.equal(await creditOf(ann), 500);
  });

  test("of one merchant are not another's", async () => {
    const [strict, lax] = [await shopAllowing({ attempts_per_day: 1 }), await shopAllowing({ attempts_per_day: 20 })];
    const sub = unique("u-");
    for (const [{ shop, campaign, code }, misses, status] of [[strict, 1, 429], [lax, 12, 200]]) {
      const ann = shop.member({}, sub);
      await miss(ann, wrongTags(shop, campaign, misses));
      expectStatus(await preview(ann, code), status);
    }
  });
});

describe("an account", { concurrency: 4 }, () => {
  test("has exactly so many, however many come at once and by whatever call", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 7 });
    const ways = Object.values(WAYS);
    const ann = shop.member();
    const answers = await Promise.all(wrongTags(shop, campaign, 24).map((wrong, at) => ways[at % ways.length](ann, wrong)));
    const [missed, limited] = [404, 429].map((status) => answers.filter((answer) => answer.status === status));
    assert.deepEqual([missed.length, limited.length], [7, 17]);
    for (const answer of limited) assertLimited(answer, "too_many_attempts");
    for (const [name, way] of Object.entries(WAYS)) {
      const { t } = assertLimited(await way(ann, code), "too_many_attempts");
      assert.ok(t <= DAY && t > DAY - 600, `${name}: the oldest attempt is over a day after it was made, not ${t} s from now`);
    }
    assert.deepEqual([await historyOf(ann), await creditOf(ann)], [[], 0]);
    await redeemed(shop.member(), code);
  });

  for (const [name, way] of Object.entries(WAYS)) {
    test(`is counted by each call alone: ${name}`, async () => {
      const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 2 });
      const ann = shop.member();
      for (const wrong of wrongTags(shop, campaign, 2)) expectProblem(await way(ann, wrong), 404, "code_not_recognised");
      assertLimited(await way(ann, wrongTags(shop, campaign, 1)[0]), "too_many_attempts");
      assertLimited(await WAYS.preview(ann, code), "too_many_attempts");
    });
  }

  test("is told nothing of the code once it is shut out: right, wrong, used and unknown look alike", async () => {
    const { shop, campaign, codes } = await shopAllowing({ attempts_per_day: 1 }, 2);
    await redeemed(shop.member(), codes[1]);
    const ann = shop.member();
    await miss(ann, wrongTags(shop, campaign, 1));
    const unknown = mint(shop.keys(campaign === 65535 ? 1 : campaign + 1), 0).code;
    const bodies = [];
    for (const code of [codes[0], codes[1], wrongTags(shop, campaign, 2)[1], unknown]) bodies.push(anonymous(await redeem(ann, code), 429, "too_many_attempts"));
    for (const body of bodies) assert.deepEqual(body, bodies[0]);
  });

  test("never loses an attempt to a typing error or an honest refusal, and malformed comes first", async () => {
    const { shop, campaign, codes } = await shopAllowing({ attempts_per_day: 2 }, 2);
    await redeemed(shop.member(), codes[1]);
    const ann = shop.member();
    const typo = codes[0].replace(/.$/, (last) => (last === "Z" ? "Y" : "Z"));
    for (const text of [typo, `${codes[0]}A`, codes[0].slice(0, -1), `${codes[0].slice(0, -1)}?`, "a*b", ""]) {
      for (const way of [WAYS.redeem, WAYS.preview]) expectProblem(await way(ann, text), 422, "malformed_code");
    }
    for (let times = 0; times < 4; times += 1) expectProblem(await redeem(ann, codes[1]), 409, "already_redeemed");
    await miss(ann, wrongTags(shop, campaign, 2));
    assertLimited(await redeem(ann, codes[0]), "too_many_attempts");
    expectProblem(await redeem(ann, typo), 422, "malformed_code");
  });

  test("is the member's, whoever asks for them: a service's attempts count for that member alone", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 2 });
    const [ann, bob] = [shop.member(), shop.member()];
    const [one, two, three] = wrongTags(shop, campaign, 3);
    expectProblem(await redeem(shop.service, one, { member_id: ann.sub }), 404, "code_not_recognised");
    expectProblem(await redeem(ann, two), 404, "code_not_recognised");
    assertLimited(await redeem(shop.service, three, { member_id: ann.sub }), "too_many_attempts");
    assertLimited(await redeem(shop.service, code, { member_id: ann.sub }), "too_many_attempts");
    assertLimited(await preview(shop.service, code, { member_id: ann.sub }), "too_many_attempts");
    expectStatus(await preview(shop.service, code, { member_id: bob.sub }), 200);
    await redeemed(bob, code);
  });

  test("counts what is well signed and never issued, or of another profile, as well", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 3 });
    const ann = shop.member();
    const strangers = [mint(shop.keys(campaign), 2 ** 24 - 1).code, mint(shop.keys(campaign, { profile: S25 }), 0).code, forge(shop.keys(campaign, { epoch: 1 }), 0)];
    for (const stranger of strangers) expectProblem(await redeem(ann, stranger), 404, "code_not_recognised");
    assertLimited(await redeem(ann, code), "too_many_attempts");
  });

  test("with an earlier grant is never locked out, by wrong tags or by words", async () => {
    const { shop, campaign, codes } = await shopAllowing({ attempts_per_day: 1, alias_attempts_per_day: 1 }, 2);
    const ann = await memberWithGrant(shop, codes[0]);
    await miss(ann, wrongTags(shop, campaign, 6));
    await miss(ann, aliases(4));
    await redeemed(ann, codes[1]);
    assert.equal(await creditOf(ann), 1000);
  });

  test("with an earlier grant through points or by hand is let alone as well", async () => {
    const { shop, campaign, codes } = await shopAllowing({ attempts_per_day: 1 }, 2);
    const [buyer, guest] = [await memberWith(shop, 100), shop.member()];
    await bought(buyer, await forSale(shop, 40));
    await give(shop, guest, "external");
    for (const [at, member] of [buyer, guest].entries()) {
      await miss(member, wrongTags(shop, campaign, 3));
      await redeemed(member, codes[at]);
    }
  });

  test("who holds a code has been given nothing yet", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 1 });
    const discount = await discountCodes(shop, { percent: 10 });
    const ann = shop.member();
    expectStatus(await hold(ann, "order-1", { code: discount.code }), 201);
    await miss(ann, wrongTags(shop, campaign, 1));
    assertLimited(await redeem(ann, code), "too_many_attempts");
    // Placing the order gives it.
    await committed(shop, ann, "order-1");
    await redeemed(ann, code);
  });

  test("with nothing but refusals before is still new", async () => {
    const { shop, campaign, codes } = await shopAllowing({ attempts_per_day: 1 }, 2);
    await redeemed(shop.member(), codes[0]);
    const ann = shop.member();
    expectProblem(await redeem(ann, codes[0]), 409, "already_redeemed");
    await miss(ann, wrongTags(shop, campaign, 1));
    assertLimited(await redeem(ann, codes[1]), "too_many_attempts");
  });
});

describe("words", { concurrency: true }, () => {
  test("have a count of their own, exact at once, and shut out the right word too", async () => {
    const { shop, code } = await shopAllowing({ alias_attempts_per_day: 4 });
    const { word } = await aliasOf(shop, "SPRING2026");
    const ann = shop.member();
    const answers = await Promise.all(aliases(12).map((alias) => redeem(ann, alias)));
    assert.deepEqual([404, 429].map((status) => answers.filter((answer) => answer.status === status).length), [4, 8]);
    const { q, w } = assertLimited(await redeem(ann, word), "too_many_attempts");
    assert.deepEqual([q, w], [4, DAY]);
    assert.equal(expectStatus(await preview(ann, code), 200).would, "redeem", "codes are counted apart");
    expectProblem(await redeem(ann, "ab"), 422, "malformed_code");
    await redeemed(shop.member(), word);
  });

  test("are not shut out by wrong tags", async () => {
    const { shop, campaign, code } = await shopAllowing({ attempts_per_day: 1 });
    const { word } = await aliasOf(shop, "SPRING2026");
    const ann = shop.member();
    await miss(ann, wrongTags(shop, campaign, 1));
    assertLimited(await redeem(ann, code), "too_many_attempts");
    await redeemed(ann, word);
    // Now there is an earlier grant.
    await redeemed(ann, code);
  });

  test("thirty a day unless told", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const answers = await inParallel(aliases(34), (alias) => preview(ann, alias), 34);
    assert.deepEqual([404, 429].map((status) => answers.filter((answer) => answer.status === status).length), [30, 4]);
  });
});

test("unknown campaign, wrong tag, never issued, unknown word and withdrawn word have one body", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.withCodes();
  const withdrawn = await aliasOf(shop, "ONCE2025");
  await redeemed(shop.member(), withdrawn.word);
  await shop.change(withdrawn.campaign, { aliases: ["OTHER2025"] });
  const hidden = await aliasOf(shop, "SECRET2025", { alias_public: false });
  await redeemed(shop.member(), hidden.word);
  await shop.move(hidden.campaign, "pause");
  const recalled = await aliasOf(shop, "BACK2025", { alias_public: false });
  expectStatus(await shop.admin.post(`/v1/campaigns/${recalled.campaign}/recalls`, { all: true, reason: "printed by mistake" }), 201, 202);
  await shop.inForce(recalled.campaign);
  const other = openShop(edge);
  const foreign = await aliasOf(other, "THEIRS2025");
  const cases = {
    "unknown campaign": mint(shop.keys(campaign === 65535 ? 1 : campaign + 1), 0).code,
    "wrong tag": wrongTags(shop, campaign, 1)[0],
    "never issued": mint(shop.keys(campaign), 2 ** 24 - 1).code,
    "unknown word": "NOSUCHWORD",
    "withdrawn word": withdrawn.word,
    "word of a paused campaign that keeps its words to itself": hidden.word,
    "recalled word of such a campaign": recalled.word,
    "another merchant's word": foreign.word,
  };
  let first;
  for (const [what, code] of Object.entries(cases)) {
    for (const way of Object.values(WAYS)) {
      const answer = await way(shop.member(), code);
      first ??= anonymous(answer, 404, "code_not_recognised");
      assert.deepEqual(anonymous(answer, 404, "code_not_recognised"), first, what);
      assert.ok(answer.ms >= 59, `${what} after ${answer.ms} ms`);
    }
  }
});
