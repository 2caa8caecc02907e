// The platform's rate limit in front of everything: bound, it answers 429 before anything is looked at; unbound, it is off.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertLimited, inParallel, preview } from "./guard.mjs";
import { openShop, redeem } from "./shop.mjs";

const LIMIT = 30;
const WINDOW_S = 60;
const guarded = edgeForThisFile({ ratelimits: { FLOOD_GUARD: { simple: { limit: LIMIT, period: WINDOW_S } } } });
const unguarded = edgeForThisFile();

/** Asks so often, and answers how often it was let through and what the others were told. */
async function ask(call, times) {
  const answers = await inParallel(Array.from({ length: times }), call, 16);
  const limited = answers.filter(({ status }) => status === 429);
  for (const answer of answers.filter(({ status }) => status !== 429)) expectStatus(answer, 200);
  return { passed: times - limited.length, limited };
}

// A window may end meanwhile and another begin; more than two there cannot be.
const assertOneOrTwoWindows = (passed) => assert.ok(passed >= LIMIT && passed <= 2 * LIMIT, `${passed} of a window of ${LIMIT}`);

/** A shop with a code; the few calls that make it are its administrator's. */
async function quietShop(edge) {
  const shop = openShop(edge);
  return { shop, ...(await shop.withCodes()) };
}

describe("a flood", () => {
  const callers = [
    ["from an address", (shop) => [shop.member(), { "cf-connecting-ip": "93.184.216.34" }], (shop) => [shop.member(), { "cf-connecting-ip": "93.184.216.35" }]],
    ["of a member without an address", (shop) => [shop.member(), {}], (shop) => [shop.member(), {}]],
  ];
  for (const [name, flooding, quiet] of callers) {
    test(`${name} is stopped, and others are not`, async () => {
      const { shop, code } = await quietShop(guarded);
      const [ann, headers] = flooding(shop);
      const { passed, limited } = await ask(() => preview(ann, code, { headers }), 3 * LIMIT);
      assertOneOrTwoWindows(passed);
      for (const answer of limited) {
        const { q, w, t } = assertLimited(answer, "rate_limited");
        // The platform does not tell a Worker its binding's figures: what is said must only be possible.
        assert.ok(q >= 0 && (w === undefined || w >= 1) && t <= 86_400);
      }
      const [bob, other] = quiet(shop);
      for (let times = 0; times < 5; times += 1) expectStatus(await preview(bob, code, { headers: other }), 200);
    });
  }

  test("takes nothing: what it stopped leaves no trace", async () => {
    const { shop, code } = await quietShop(guarded);
    const ann = shop.member();
    const headers = { "cf-connecting-ip": "93.184.216.36" };
    await ask(() => preview(ann, code, { headers }), 2 * LIMIT + 1);
    const key = "k-1";
    const stopped = await redeem(ann, code, { key, headers });
    // The window may have ended just now; then there was nothing to stop.
    if (stopped.status === 429) {
      assertLimited(stopped, "rate_limited");
      assert.deepEqual(await everyItem(shop.admin, `/v1/members/${ann.sub}/redemptions`), []);
      expectStatus(await redeem(shop.member(), code, { key }), 201);
    } else {
      expectStatus(stopped, 201);
    }
  });

  test("is nobody's business without the binding", async () => {
    const { shop, code } = await quietShop(unguarded);
    const ann = shop.member();
    for (const headers of [{}, { "cf-connecting-ip": "93.184.216.34" }]) {
      const { limited } = await ask(() => preview(ann, code, { headers }), 4 * LIMIT);
      assert.deepEqual(limited, []);
    }
  });
});
