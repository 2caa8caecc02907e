// After the last fault: everything that was accepted comes to rest by itself within the promised minute, and then everything
// is counted: uses, limits, effects, figures.
import { judgeCampaignList, judgeOrders } from "./administration.mjs";
import { judgeAudit } from "./audit.mjs";
import { judgePool, judgeTrade } from "./judge-trading.mjs";
import { judgeAccount, judgeFigures, judgeVerified, judgeWhole } from "./judge.mjs";
import { isFinal } from "./order.mjs";
import { chance } from "./random.mjs";
import { judgeGifts, repeatGifts, resolveDoomed, spendGivenBack } from "./rewarding.mjs";
import { inGroups, repeat, sendIntent } from "./sending.mjs";
import { repeatTrade, replayTrade } from "./trading.mjs";

// The published promise (invariant 6): a minute after the faults stop, everything has ended or has its next try on record.
const restWithinMs = 60_000;
// The published schedule after each failed try, in seconds; jitter only shortens it.
const scheduleSeconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
const clockSlackMs = 2_000;

/** Waits for rest and judges everything. */
export async function judgeAtRest(stage) {
  const { book, features, fulfilment } = stage;
  const random = chance(stage.seed, "rest");
  const end = performance.now() + restWithinMs;
  // What was accepted the server finishes alone; only what it never answered needs its client again.
  await inGroups(book.intents.filter(({ torn, id }) => torn && id === undefined), 16, (intent) => sendIntent(intent));
  if (features.rewards) await repeatGifts(stage);
  if (features.trade) await repeatTrade(stage);
  if (features.fulfilment) {
    await fulfilment.callBackAgain();
    await resolveDoomed(stage, restWithinMs);
  }
  let standings = await Promise.all(book.accounts.map((account) => come(stage, account, end)));
  await repeat(stage, random, { share: 100 });
  if (features.trade) await replayTrade(stage, random);
  standings = await Promise.all(standings.map(async ([account]) => [account, await judgeAccount(account)]));
  judgeWhole(book, standings);
  if (features.rewards) judgeGifts(stage, standings);
  if (features.fulfilment) {
    fulfilment.judgeDeliveries();
    fulfilment.judgeEffects(standings);
  }
  if (features.trade) await judgePool(stage, judgeTrade(stage.trade, book, standings));
  await judgeFigures(book, stage.shop, standings);
  if (features.administration) {
    await judgeOrders(stage);
    await judgeCampaignList(stage);
  }
  if (features.audit) await judgeAudit(stage, standings);
  if (features.verify) await judgeVerified(stage, standings);
  await spendUnspent(stage, random);
  stage.assertClean("at rest");
}

/** One member, once nothing of theirs is under way. */
async function come(stage, account, end) {
  for (;;) {
    const standing = await judgeAccount(account);
    const open = standing.history.filter(({ status }) => !isFinal(status));
    for (const resource of open.filter(({ status }) => status === "grant_failed")) await judgeSchedule(stage, account, resource);
    if (open.length === 0) return [account, standing];
    if (performance.now() > end) {
      for (const { redemption_id, status } of open) account.wrong(`redemption ${redemption_id} is still ${status}, ${restWithinMs} ms after the last fault`);
      return [account, standing];
    }
    await stage.fulfilment?.callBackAgain();
  }
}

/** A failed try has its next on record, no later than published; one that is minutes away is pulled forward by an operator. */
async function judgeSchedule(stage, account, { redemption_id: id, attempts, next_attempt_at, updated_at }) {
  if (next_attempt_at === undefined) return account.wrong(`redemption ${id} failed after ${attempts} attempts and has no next try`);
  const wait = scheduleSeconds[Math.min(attempts, scheduleSeconds.length) - 1] * 1000;
  if (Date.parse(next_attempt_at) > Date.parse(updated_at) + wait + clockSlackMs) account.wrong(`redemption ${id}: after attempt ${attempts} at ${updated_at} the next is at ${next_attempt_at}`);
  if (Date.parse(next_attempt_at) < Date.now() + 15_000) return undefined;
  const { status, body, text } = await stage.admin.post(`/v1/redemptions/${id}/retry`, { reason: "the kill test is over" });
  if (status === 200) account.hearRedemption(body);
  else if (body?.code !== "illegal_move") account.wrong(`retrying ${id} answered ${status} ${text}`);
  return undefined;
}

/** Codes that were only looked at, or given back, are as good as new. */
async function spendUnspent(stage, random) {
  const [account] = random.sample(stage.cohort, 1);
  for (const { code } of stage.codes.previewed) {
    const { status, text } = await account.caller.post("/v1/redemptions", { code }, { key: random.key("previewed") });
    if (status !== 201) account.wrong(`a code that was only previewed answered ${status} ${text}`);
  }
  if (stage.features.fulfilment) await spendGivenBack(stage, account, random);
}
