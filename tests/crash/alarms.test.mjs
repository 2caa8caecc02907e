// What was due while the server was dead is done once it is back, without anybody asking for it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../http/client.mjs";
import { closedGate, grants, says, waitsFor } from "../http/fulfiller-double.mjs";
import { judgeAccount } from "./judge.mjs";
import { sendIntent } from "./sending.mjs";
import { chance } from "./random.mjs";
import { edgeProgram } from "./runtime.mjs";
import { Stage } from "./stage.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const random = chance(SEED, "alarms");
const stage = new Stage(edgeProgram(), { seed: SEED, features: { rewards: true, fulfilment: true } });

before(async () => {
  await stage.rise();
  await stage.seedMerchant();
});
after(() => stage.dispose());

test(`accepted, killed at once: decided by the server alone, SEED=${SEED}`, { timeout: 120_000 }, async () => {
  const campaign = await stage.campaign("credit", {});
  const accounts = Array.from({ length: 12 }, (_, at) => stage.join(`accepted-${at}`));
  const codes = await stage.mint(campaign, accounts.length);
  const intents = accounts.map((account, at) => stage.book.intend(account, codes[at].code, random.key("a"), "distinct"));
  let struck;
  // On the heels of an acceptance; those still under way are torn.
  stage.life.onAnswer = () => setImmediate(() => intents.some(({ id }) => id !== undefined) && (struck ??= stage.strike()));
  await Promise.allSettled(intents.map((intent) => sendIntent(intent, { async: true })));
  await (struck ?? stage.strike());
  const accepted = intents.filter(({ id }) => id !== undefined);
  assert.ok(accepted.length > 0, "something was accepted");

  await stage.rise();
  // The campaign asks its shards, no member: nobody wakes those whose work is waiting but their own alarms.
  const { body } = await until(() => stage.shop.admin.get(`/v1/campaigns/${campaign}`), ({ body: now }) => now.redeemed >= accepted.length, 45_000);
  assert.ok(body.redeemed >= accepted.length && body.redeemed <= accounts.length, `${body.redeemed} redeemed of ${accepted.length} accepted`);
  for (const intent of intents) {
    await sendIntent(intent);
    const { history } = await judgeAccount(intent.account);
    assert.deepEqual(history.map(({ redemption_id, status }) => [redemption_id, status]), [[intent.id, "granted"]]);
  }
  stage.assertClean("after the repetition");
});

/** A redemption whose reward a fulfiller must apply. */
async function redeemDelivered(account) {
  const [{ code }] = await stage.mint(stage.campaigns.delivered, 1);
  const intent = stage.book.intend(account, code, random.key("f"), "delivered");
  await sendIntent(intent);
  return intent;
}

const statusOf = async ({ account, id }) => (await account.caller.get(`/v1/redemptions/${id}`)).body;
const delivered = (count) => until(async () => stage.fulfilment.fulfiller.received.length, (number) => number >= count, 60_000);

test(`a retry that came due while the server was dead: made at its start, SEED=${SEED}`, { timeout: 120_000 }, async () => {
  const { fulfiller } = stage.fulfilment;
  stage.fulfilment.script = (exchange) => says(500)(exchange);
  const before = fulfiller.received.length;
  const intent = await redeemDelivered(stage.join("dead-when-due"));
  const failed = await until(() => statusOf(intent), ({ status }) => status === "grant_failed");
  assert.ok(Date.parse(failed.next_attempt_at) > Date.now(), JSON.stringify(failed));
  await stage.strike();
  stage.fulfilment.script = (exchange) => grants()(exchange);
  await until(async () => Date.now(), (now) => now > Date.parse(failed.next_attempt_at) + 200, 10_000);
  assert.equal(fulfiller.received.length, before + 1, "the dead send nothing");

  await stage.rise();
  // Nobody asks: only the member's own alarm can make the next try.
  await delivered(before + 2);
  const granted = await until(() => statusOf(intent), ({ status }) => status === "granted");
  assert.equal(granted.attempts, 2);
  assert.deepEqual([...fulfiller.applied.keys()].filter((id) => granted.rewards.includes(id)), granted.rewards);
  await judgeAccount(intent.account);
  stage.fulfilment.judgeDeliveries();
  stage.assertClean("after the retry");
});

test(`killed while the fulfiller acts: delivered again under the same id, applied once, SEED=${SEED}`, { timeout: 180_000 }, async (t) => {
  const { fulfiller } = stage.fulfilment;
  const gate = closedGate();
  stage.fulfilment.script = (exchange) => waitsFor(gate, grants())(exchange);
  const before = fulfiller.received.length;
  const intent = await redeemDelivered(stage.join("killed-in-delivery"));
  await delivered(before + 1);
  await stage.strike();
  // It acts, and there is nobody left to tell.
  gate.open();
  const { id } = fulfiller.received.at(-1);
  await until(async () => fulfiller.applied.has(id), Boolean);

  await stage.rise();
  const risen = performance.now();
  await delivered(before + 2);
  t.diagnostic(`delivered again ${Math.round((performance.now() - risen) / 1000)} s after the start`);
  assert.equal(fulfiller.received.at(-1).id, id);
  const granted = await until(() => statusOf(intent), ({ status }) => status === "granted");
  assert.deepEqual(granted.rewards, [id]);
  await judgeAccount(intent.account);
  stage.fulfilment.judgeDeliveries();
  stage.assertClean("after the second delivery");
});
