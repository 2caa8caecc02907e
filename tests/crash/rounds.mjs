// One run of the kill test: load, kill, restart, judge, again and again on one folder; then rest, and judge everything.
import { setTimeout as elapse } from "node:timers/promises";
import { judgeDefinitions, judgeOrders } from "./administration.mjs";
import { Torn } from "./caller.mjs";
import { judgeAccount } from "./judge.mjs";
import { runLoad } from "./load.mjs";
import { chance } from "./random.mjs";
import { judgeAtRest } from "./rest.mjs";
import { repeat, together } from "./sending.mjs";

// So many rounds share members and limits.
const roundsPerCohort = 3;

/** Runs until the server has been killed so often, and judges it; a server that dies of itself is told as such. */
export async function runKills(stage, kills) {
  try {
    await run(stage, kills);
  } catch (error) {
    if (!(error instanceof Torn)) throw error;
    // The connection's end may be heard of before the process's.
    const ended = await Promise.race([stage.runtime.ended.then(() => true), elapse(2_000, false)]);
    const what = ended ? "the runtime ended by itself" : "the runtime broke a connection";
    throw new Error(`${what}, SEED=${stage.seed}:\n${stage.runtime.tail()}`, { cause: error });
  }
}

async function run(stage, kills) {
  await stage.rise();
  await stage.seedMerchant();
  for (let round = 0; stage.runtime.kills < kills; round += 1) {
    const random = chance(stage.seed, "round", round);
    if (round % roundsPerCohort === 0) await stage.newCohort();
    await stage.stock();
    const orders = stage.orders.length;
    await burst(stage, random, `round ${round}`);
    await stage.rise();
    // A server that has just come up has much to make good, and may be killed over that too.
    while (stage.runtime.kills < kills && random.percent(25)) {
      await killWhileRecovering(stage, random);
      await stage.rise();
    }
    await repeat(stage, random, { share: 50 });
    await together(stage.cohort.map(judgeAccount));
    if (stage.features.administration) {
      await judgeDefinitions(stage);
      await judgeOrders(stage, stage.orders.slice(orders));
    }
    stage.assertClean(`after kill ${stage.runtime.kills}`);
  }
  await judgeAtRest(stage);
}

/** Load, and the kill: at a moment, or on the heels of an answer, when an acknowledgement that came too early is caught best. */
async function burst(stage, random, name) {
  const { life } = stage;
  let strike;
  const struck = new Promise((resolve) => {
    strike = () => !life.over && resolve(stage.strike());
  });
  let timer;
  if (random.percent(50)) {
    timer = setTimeout(strike, random.between(200, 1300));
  } else {
    const last = random.between(1, 400);
    life.answers = 0;
    life.onAnswer = () => {
      if (life.answers >= last) strike();
    };
    // Where the load runs dry before, the moment comes all the same.
    timer = setTimeout(strike, 1500);
  }
  try {
    await runLoad(stage, name);
  } finally {
    clearTimeout(timer);
    strike();
  }
  await struck;
}

/** Kills again within the first moments, while torn requests are being repeated. */
async function killWhileRecovering(stage, random) {
  const timer = setTimeout(() => (stage.striking = stage.strike()), random.between(0, 150));
  try {
    while (!stage.life.over) {
      await stage.admin.get("/healthz");
      await repeat(stage, random, { share: 30 });
    }
  } catch (error) {
    if (!(error instanceof Torn)) throw error;
  } finally {
    clearTimeout(timer);
    await (stage.striking ?? stage.strike());
    stage.striking = undefined;
  }
}
