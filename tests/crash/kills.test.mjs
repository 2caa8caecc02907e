// The server is killed under load, again and again, and every answer that it ever gave must be true afterwards.
//
//   KILLS=500 SEED=7 node --test tests/crash/kills.test.mjs      CRASH_FOLDER=… puts the data on a disk of your choice
import assert from "node:assert/strict";
import { test } from "node:test";
import { runKills } from "./rounds.mjs";
import { edgeProgram } from "./runtime.mjs";
import { Stage } from "./stage.mjs";

const KILLS = Number(process.env.KILLS ?? 30);
assert.ok(Number.isInteger(KILLS) && KILLS > 0, "KILLS is a whole number");
const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
// Long runs go in legs, each with data of its own, so that everything is counted now and then and not only at the end.
const legMax = 60;
const features = { administration: true, sockets: true, rewards: true, fulfilment: true, verify: true, audit: true, trade: true };

for (let leg = 0; leg * legMax < KILLS; leg += 1) {
  const kills = Math.min(legMax, KILLS - leg * legMax);
  const seed = leg === 0 ? SEED : `${SEED}.${leg}`;
  test(`${kills} kills under load, SEED=${seed}`, { timeout: 180_000 + kills * 20_000 }, async (t) => {
    const stage = new Stage(edgeProgram(), { seed, features });
    try {
      await runKills(stage, kills);
      t.diagnostic(stage.account());
    } finally {
      await stage.dispose();
    }
  });
}
