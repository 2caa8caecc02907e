// The races for promo codes and points must be able to fail: a shop that reads, waits and then takes is caught in every one of
// them, and the same shop without the wait is cleared.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { naiveShop } from "./naive-shop.mjs";
import { poolScenarios } from "./pool-scenarios.mjs";

describe("a shop that reads, waits and then takes", () => {
  let arena;
  before(async () => (arena = await naiveShop()));
  after(() => arena.close());
  for (const [name, run] of Object.entries(poolScenarios)) {
    test(`is caught: ${name}`, async () => {
      let [caught, rounds] = [false, 0];
      while (!caught && rounds < 30) {
        caught = (await run(arena)).length > 0;
        rounds += 1;
      }
      assert.ok(caught, `not in ${rounds} rounds`);
    });
  }
});

describe("the same shop without the wait", () => {
  let arena;
  before(async () => (arena = await naiveShop({ careful: true })));
  after(() => arena.close());
  for (const [name, run] of Object.entries(poolScenarios)) {
    test(`is cleared: ${name}`, async () => assert.deepEqual(await run(arena), []));
  }
});
