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
import { endow } from "./trading.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const random = chance(SEED, "trade-torn");
const stage = new Stage(edgeProgram(), { seed: SEED, features: { rewards: true, verify: true, trade: true } });
const MOMENTS = 6;

before(async () => {
  await stage.rise();
  await stage.seedMerchant();
  await stage.newCohort(1);
  await endow(stage, { points: 5000 });
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

function checkoutOf(account, what, ending) {
  const key = random.key("o");
  const checkout = { account, order: key, key, body: { ...what, total: { currency: "EUR", amount_minor: 400 } }, ending };
  stage.trade.checkouts.push(checkout);
  return checkout;
}

/** Ends an order that is not the subject. */
async function endOf(checkout) {
  const { status, body, text } = await stage.trade.service.post(`/v1/orders/${checkout.order}/${checkout.ending}`, { member_id: checkout.account.sub });
  assert.equal(status, 200, text);
  checkout.ended = body;
}

/**
 * What is done, by name: each prepares, and answers the request to repeat, its status, and the points and credit it moves.
 * A `keyless` one is repeatable by what it is, not by a key.
 */
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
  "a telephone number": async (account) => {
    const phone = `+4915${String(100_000_000 + random.below(899_999_999))}`;
    const ask = () => stage.admin.ask("PUT", `/v1/members/${account.sub}`, { body: { phone } });
    const found = async () => {
      const { status, body, text } = await stage.trade.tills[0].post("/v1/till/lookup", { phone });
      assert.deepEqual([status, body.member_id], [200, account.sub], text);
      // Nobody else gets it, and the one before is let go.
      const other = stage.join(`rival-${phone}`);
      const give = (number) => stage.admin.ask("PUT", `/v1/members/${other.sub}`, { body: { phone: number } });
      assert.equal((await give(phone)).body.code, "phone_in_use");
      if (account.phone !== undefined) await until(() => give(account.phone), (answer) => answer.status === 200, 60_000);
      account.phone = phone;
    };
    return { ask, status: 200, answered: found, keyless: true };
  },
  "a hold of credit": async (account) => {
    const checkout = checkoutOf(account, { credit_minor: 50 }, "release");
    const ask = () => account.caller.post(`/v1/orders/${checkout.order}/holds`, checkout.body, { key: checkout.key });
    return { ask, status: 201, credit: -50, answered: ({ body }) => (checkout.hold = body), last: () => endOf(checkout) };
  },
  "the payment of an order": async (account) => {
    const checkout = checkoutOf(account, { credit_minor: 30 }, "commit");
    const { body } = await account.caller.post(`/v1/orders/${checkout.order}/holds`, checkout.body, { key: checkout.key });
    checkout.hold = body;
    const ask = () => stage.trade.service.post(`/v1/orders/${checkout.order}/commit`, { member_id: account.sub });
    return { ask, status: 200, keyless: true, answered: (answer) => (checkout.ended = answer.body) };
  },
  "the payment of an order with a code": async (account) => {
    const checkout = checkoutOf(account, { code: stage.codes.held.pop().code }, "commit");
    const { body } = await account.caller.post(`/v1/orders/${checkout.order}/holds`, checkout.body, { key: checkout.key });
    checkout.hold = body;
    stage.book.otherIds.add(body.redemption_id);
    const ask = () => stage.trade.service.post(`/v1/orders/${checkout.order}/commit`, { member_id: account.sub });
    // 5.00 of credit against a total of 4.00: what is left over stays with the member.
    return { ask, status: 200, credit: 100, keyless: true, answered: (answer) => (checkout.ended = answer.body) };
  },
  "an adjustment": async (account) => {
    const one = { account, key: random.key("e"), body: { asset: "points", amount: 7, reason: "torn" } };
    stage.trade.adjustments.push(one);
    const ask = () => stage.trade.service.post(`/v1/members/${account.sub}/adjustments`, one.body, { key: one.key });
    return { ask, status: 201, points: 7, answered: ({ body }) => (one.ledger_id = body.ledger_id) };
  },
};

/** Points and credit once nothing is under way. */
async function balancesAtRest(account) {
  const underWay = ({ status }) => ["redeeming", "redeemed", "granting"].includes(status);
  const { wallet } = await until(() => judgeAccount(account), ({ history }) => !history.some(underWay), 60_000);
  return { points: wallet.points, credit: wallet.credit.find(({ currency }) => currency === "EUR").amount_minor };
}

for (const [name, prepare] of Object.entries(deeds)) {
  describe(`${name} whose answer was cut off by a kill, SEED=${SEED}`, () => {
    for (const when of ["at the answer's first byte", "at any moment of its work"]) {
      test(`killed ${when}: one effect`, { timeout: 180_000 }, async () => {
        const [account] = stage.cohort;
        const rounds = when === "at the answer's first byte" ? 2 : MOMENTS;
        for (let round = 0; round < rounds; round += 1) {
          const { ask, intent, status, points = 0, credit = 0, answered, last, keyless } = await prepare(account);
          const before = await balancesAtRest(account);
          const due = { points: before.points + points, credit: before.credit + credit };
          await tear(ask, when === "at the answer's first byte" ? undefined : random.next() * 8);
          const answer = await ask();
          assert.equal(answer.status, status, `SEED=${SEED}: ${answer.text}`);
          if (when === "at the answer's first byte" && !keyless) assert.equal(answer.headers["idempotent-replayed"], "true", "acknowledged is there");
          intent?.hear(answer);
          await answered?.(answer);
          assert.deepEqual(await balancesAtRest(account), due);
          const again = await ask();
          assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [status, keyless ? undefined : "true"]);
          assert.deepEqual(await balancesAtRest(account), due, "asked again, nothing moves");
          await last?.();
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
