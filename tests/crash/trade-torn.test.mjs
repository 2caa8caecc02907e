// The connection ends and no answer came, at a till and in a web shop: whatever was asked, repeating it with its key has one
// effect, whether the kill came before the server knew of it, between two of its objects, or after it had begun to answer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../http/client.mjs";
import { Torn } from "./caller.mjs";
import { judgeAccount } from "./judge.mjs";
import { judgePool, judgeTrade } from "./judge-trading.mjs";
import { chance } from "./random.mjs";
import { edgeProgram } from "./runtime.mjs";
import { Stage } from "./stage.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const random = chance(SEED, "trade-torn");
const stage = new Stage(edgeProgram(), { seed: SEED, features: { rewards: true, verify: true, trade: true } });
const MOMENTS = 6;

before(async () => {
  await stage.rise();
  await stage.seedMerchant();
  await stage.newCohort(1);
  await stage.stock({ distinct: 0, contested: 0, previewed: 0 });
});
after(() => stage.dispose());

/** Sends `ask`, kills at the answer's first byte or at a moment before it, and starts again. */
async function tear(ask, moment) {
  let struck;
  const strike = () => (struck ??= stage.strike());
  stage.life.onAnswer = () => {
    void strike();
    return false;
  };
  if (moment !== undefined) setTimeout(strike, moment);
  await assert.rejects(ask(), Torn, `an answer that came whole is not torn, SEED=${SEED}`);
  await strike();
  await stage.rise();
}

/** What is done, by name: each prepares, and answers the request to repeat, its status, and the points it moves. */
const deeds = {
  "a purchase from the pool": async (account) => {
    const key = random.key("y");
    const body = { reward_id: "voucher", quantity: 3 };
    const intent = stage.book.intend(account, key, key, "bought", { body });
    return { ask: () => account.caller.post("/v1/redemptions", body, { key }), intent, status: 201, points: -15 };
  },
  "a purchase without a pool": async (account) => {
    const key = random.key("y");
    const body = { reward_id: "coffee", quantity: 2 };
    const intent = stage.book.intend(account, key, key, "bought", { body });
    return { ask: () => account.caller.post("/v1/redemptions", body, { key }), intent, status: 201, points: -20 };
  },
  "a confirmation at a till": async (account) => {
    const [till] = stage.trade.tills;
    const key = random.key("q");
    const { body } = await till.post("/v1/till/quotes", { member_id: account.sub, reward_id: "voucher", quantity: 2, again: true });
    const path = `/v1/till/quotes/${body.quote_id}/confirm`;
    const intent = stage.book.intend(account, body.quote_id, key, "quoted", { caller: till, path, body: {} });
    return { ask: () => till.post(path, {}, { key }), intent, status: 201, points: -10 };
  },
  "a reversal": async (account) => {
    const key = random.key("y");
    const body = { reward_id: "voucher", quantity: 2 };
    const intent = stage.book.intend(account, key, key, "bought", { body });
    const sale = await account.caller.post("/v1/redemptions", body, { key });
    intent.hear(sale);
    const reversal = { account, id: intent.id, key: random.key("v"), answered: false };
    stage.trade.reversals.push(reversal);
    const ask = () => stage.trade.manager.post(`/v1/redemptions/${intent.id}/reversal`, { reason: "torn" }, { key: reversal.key });
    return { ask, status: 200, points: 10, answered: () => (reversal.answered = true) };
  },
  "an adjustment": async (account) => {
    const one = { account, key: random.key("e"), body: { asset: "points", amount: 7, reason: "torn" } };
    stage.trade.adjustments.push(one);
    const ask = () => stage.trade.service.post(`/v1/members/${account.sub}/adjustments`, one.body, { key: one.key });
    return { ask, status: 201, points: 7, answered: ({ body }) => (one.ledger_id = body.ledger_id) };
  },
};

/** Points once nothing is under way. */
async function pointsAtRest(account) {
  const underWay = ({ status }) => ["redeeming", "redeemed", "granting"].includes(status);
  const { wallet } = await until(() => judgeAccount(account), ({ history }) => !history.some(underWay), 60_000);
  return wallet.points;
}

for (const [name, prepare] of Object.entries(deeds)) {
  describe(`${name} whose answer was cut off by a kill, SEED=${SEED}`, () => {
    for (const when of ["at the answer's first byte", "at any moment of its work"]) {
      test(`killed ${when}: one effect`, { timeout: 180_000 }, async () => {
        const [account] = stage.cohort;
        const rounds = when === "at the answer's first byte" ? 2 : MOMENTS;
        for (let round = 0; round < rounds; round += 1) {
          const { ask, intent, status, points, answered } = await prepare(account);
          const before = await pointsAtRest(account);
          await tear(ask, when === "at the answer's first byte" ? undefined : random.next() * 8);
          const answer = await ask();
          assert.equal(answer.status, status, `SEED=${SEED}: ${answer.text}`);
          if (when === "at the answer's first byte") assert.equal(answer.headers["idempotent-replayed"], "true", "acknowledged is there");
          intent?.hear(answer);
          answered?.(answer);
          assert.equal(await pointsAtRest(account), before + points);
          const again = await ask();
          assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [status, "true"]);
          assert.equal(await pointsAtRest(account), before + points, "asked again, nothing moves");
          stage.assertClean(`after ${name}`);
        }
      });
    }
  });
}

test("in the end every promo code is where it belongs", { timeout: 120_000 }, async () => {
  const [account] = stage.cohort;
  const codes = judgeTrade(stage.trade, stage.book, [[account, await judgeAccount(account)]]);
  await judgePool(stage, codes);
  stage.assertClean("at rest");
});
