// The races of tills must be able to fail: a till that reads, waits and then writes is caught in every one of them, and the same
// till without the wait is cleared.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { naiveArena } from "./till-naive.mjs";
import { TILLS, scenarios } from "./till-scenarios.mjs";

describe("a till that reads, waits and then writes", () => {
  let arena;
  before(async () => (arena = await naiveArena()));
  after(() => arena.close());
  for (const [name, run] of Object.entries(scenarios)) {
    test(`is caught: ${name}`, async () => {
      // As many rounds as the edge has to pass by default; the wait is so short that one round alone may miss it.
      let [caught, rounds] = [false, 0];
      while (!caught && rounds < 30) {
        caught = (await run(arena, Math.max(...TILLS))).some((text) => /done by the answers|rewards gained|redemptions under one key/.test(text));
        rounds += 1;
      }
      assert.ok(caught, `not in ${rounds} rounds`);
    });
  }
});

describe("the same till without the wait", () => {
  let arena;
  before(async () => (arena = await naiveArena({ careful: true })));
  after(() => arena.close());
  for (const [name, run] of Object.entries(scenarios)) {
    for (const tills of TILLS) test(`is cleared: ${name}, ${tills} tills`, async () => assert.deepEqual(await run(arena, tills), []));
  }
});
