// The one case that a client cannot tell: the connection ends and no answer came. Repeating the request with its key must give
// one effect, whether the kill came before the server knew of it, in the middle, or after it had begun to answer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { judgeAccount } from "./judge.mjs";
import { sendIntent } from "./sending.mjs";
import { chance } from "./random.mjs";
import { edgeProgram } from "./runtime.mjs";
import { Stage } from "./stage.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const random = chance(SEED, "torn");
const stage = new Stage(edgeProgram(), { seed: SEED });

before(async () => {
  await stage.rise();
  await stage.seedMerchant();
  await stage.stock({ distinct: 200 });
});
after(() => stage.dispose());

/** Sends an intent, kills as `arrange` says, starts again, and answers the intent, which has no answer. */
async function tear(account, arrange) {
  const intent = stage.book.intend(account, stage.codes.distinct.pop().code, random.key("t"), "distinct");
  let struck;
  const strike = () => (struck ??= stage.strike());
  arrange(strike);
  await assert.rejects(sendIntent(intent), `an answer that came whole is not torn, SEED=${SEED}`);
  await strike();
  assert.ok(intent.torn);
  await stage.rise();
  return intent;
}

/** Kills as the answer's head comes; its body never arrives. */
const cut = (strike) => () => {
  strike();
  return false;
};

/** Repeats it with its key and holds the member's books against one single effect more than before. */
async function repeatOnce(intent, effects) {
  const { account, code, key } = intent;
  const answer = await account.caller.post("/v1/redemptions", { code }, { key });
  assert.equal(answer.status, 201, answer.text);
  intent.hear(answer);
  const { history, rows } = await judgeAccount(account);
  assert.deepEqual([history.length, rows.length], [effects, effects]);
  const other = await stage.cohort[0].caller.post("/v1/redemptions", { code }, { key: random.key("o") });
  assert.equal(other.body.code, "already_redeemed", "the code is taken, once");
  stage.assertClean("after the repetition");
  return answer.headers["idempotent-replayed"] === "true";
}

describe(`a request whose answer was cut off by a kill, SEED=${SEED}`, () => {
  test("killed at the answer's first byte: the effect is there, and the repetition only says so", async () => {
    stage.cohort = [stage.join("bystander")];
    const account = stage.join("first-byte");
    for (let effects = 1; effects <= 5; effects += 1) {
      const intent = await tear(account, (strike) => {
        stage.life.onAnswer = cut(strike);
      });
      assert.equal(await repeatOnce(intent, effects), true, "acknowledged is there");
    }
  });

  test("killed at any moment of its work: one effect", { timeout: 120_000 }, async (t) => {
    const account = stage.join("any-moment");
    let there = 0;
    const moments = 16;
    for (let effects = 1; effects <= moments; effects += 1) {
      const intent = await tear(account, (strike) => {
        stage.life.onAnswer = cut(strike);
        setTimeout(strike, random.next() * 8);
      });
      if (await repeatOnce(intent, effects)) there += 1;
    }
    t.diagnostic(`${there} of ${moments} effects were there before the repetition`);
  });
});
