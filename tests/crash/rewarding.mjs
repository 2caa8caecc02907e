// What people do with rewards while the server dies: players claim, activate and decline, administrators give by hand, and give
// up what can never be given. Commands with a key are repeated until they are answered.
import { until } from "../http/client.mjs";
import { inGroups, sendIntent } from "./sending.mjs";

const pathOf = (account) => `/v1/members/${encodeURIComponent(account.sub)}`;

/** Redeems codes whose reward a fulfiller must apply; some of them never can be. */
export function seeker(stage, random) {
  return async () => {
    const doomed = random.percent(15);
    const next = (doomed ? stage.codes.doomed : stage.codes.delivered).pop();
    if (next === undefined) return void (await stage.admin.get("/healthz"));
    const intent = stage.book.intend(random.pick(stage.cohort), next.code, random.key("f"), doomed ? "doomed" : "delivered");
    intent.campaign = next.campaign;
    await sendIntent(intent, { async: random.percent(20) });
  };
}

/** A player with unclaimed rewards: claims them, activates them, declines some, and repeats a move now and then. */
export function player(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const next = random.percent(40) ? stage.codes.claimable.pop() : undefined;
    if (next !== undefined) return void (await sendIntent(stage.book.intend(account, next.code, random.key("p"), "distinct"), {}));
    const open = [...account.rewards].filter(([, { states }]) => [...states].some((state) => ["unclaimed", "pending_activation"].includes(state)) && !states.has("granted") && !states.has("declined"));
    if (open.length === 0) return void (await account.caller.get("/v1/rewards"));
    const [id, { states }] = random.pick(open);
    const verb = random.percent(10) ? "decline" : states.has("pending_activation") ? "activate" : "claim";
    return hearMove(stage, account, await account.caller.post(`/v1/rewards/${id}/${verb}`, {}), `${verb} of ${id}`);
  };
}

function hearMove(stage, account, { status, body, text }, what) {
  if (status === 200) account.hearReward(body);
  else if (body?.code !== "illegal_move") stage.book.wrong(`${what} answered ${status} ${text}`);
}

/** Gives by hand, under a key. */
export function giver(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const gift = { account, key: random.key("h"), body: { reward_id: stage.rewards[random.pick(["credit", "points", "claimable"])], reason: "for being here" } };
    stage.gifts.push(gift);
    await give(stage, gift);
  };
}

/** Gives up what can never be given: the use goes back. */
export function resolver(stage, random) {
  return async () => {
    const open = stage.book.intents.filter(({ purpose, id, resolved, account }) => purpose === "doomed" && !resolved && account.redemptions.get(id)?.statuses.has("grant_failed"));
    if (open.length === 0) return void (await stage.admin.get("/healthz"));
    await resolve(stage, random.pick(open));
  };
}

async function give(stage, gift) {
  const { account, key, body } = gift;
  const answer = await stage.admin.post(`${pathOf(account)}/rewards`, body, { key });
  if (answer.status !== 201) return stage.book.wrong(`a gift to ${account.sub} answered ${answer.status} ${answer.text}`);
  if (gift.id !== undefined && gift.id !== answer.body.id) account.wrong(`key ${key} gave rewards ${gift.id} and ${answer.body.id}`);
  gift.id = answer.body.id;
  return account.hearReward(answer.body);
}

/** Cancels one doomed redemption; false while a delivery of it is under way or its outcome unknown. */
async function resolve(stage, intent) {
  const { account, id, key } = intent;
  const answer = await stage.admin.post(`/v1/redemptions/${id}/resolve`, { as: "cancelled", reason: "cannot be given" }, { key: `resolve-${key}` });
  if (answer.status === 200) {
    if (answer.body.status !== "cancelled") account.wrong(`resolved as cancelled, ${id} is ${answer.body.status}`);
    account.hearRedemption(answer.body);
    intent.resolved = true;
  } else if (answer.body?.code !== "illegal_move") {
    stage.book.wrong(`resolving ${id} answered ${answer.status} ${answer.text}`);
  }
  return intent.resolved === true;
}

/** After a restart: repeats what was not answered. */
export async function repeatGifts(stage) {
  for (const gift of stage.gifts) if (gift.id === undefined) await give(stage, gift);
}

/**
 * At rest: gives up all that is doomed. A try that a kill interrupted has an unknown outcome, and is made once more before an
 * administrator may give it up.
 */
export async function resolveDoomed(stage, withinMs) {
  const doomed = stage.book.intents.filter(({ purpose, id, resolved }) => purpose === "doomed" && id !== undefined && !resolved);
  await inGroups(doomed, 16, (intent) => until(() => giveUp(stage, intent), Boolean, withinMs));
}

async function giveUp(stage, intent) {
  const { account, id } = intent;
  const { body } = await account.caller.get(`/v1/redemptions/${id}`);
  account.hearRedemption(body);
  if (body.status === "cancelled") return true;
  if (body.status !== "grant_failed") return false;
  if (await resolve(stage, intent)) return true;
  const { status, text } = await stage.admin.post(`/v1/redemptions/${id}/retry`, { reason: "outcome unknown" });
  if (status !== 200 && status !== 409) stage.book.wrong(`retrying ${id} answered ${status} ${text}`);
  return false;
}

/** Codes of cancelled redemptions can be redeemed again, by anybody. */
export async function spendGivenBack(stage, account, random) {
  const back = stage.book.intents.filter(({ purpose, resolved }) => purpose === "doomed" && resolved);
  for (const { code } of random.sample(back, 5)) {
    const { status, text } = await account.caller.post("/v1/redemptions", { code }, { key: random.key("again") });
    if (status !== 201) account.wrong(`a code that was given back answered ${status} ${text}`);
  }
}

/** At rest: every gift has been given once, and nothing has been given that nobody ordered. */
export function judgeGifts(stage, standings) {
  for (const [account, { history, rewards }] of standings) {
    const ordered = new Set(stage.gifts.filter((gift) => gift.account === account).map(({ id }) => id));
    const given = history.filter(({ kind }) => kind === "gift").flatMap((resource) => resource.rewards);
    for (const id of given) if (!ordered.has(id)) account.wrong(`gift ${id} was never ordered`);
    if (given.length !== ordered.size) account.wrong(`${given.length} gifts, ${ordered.size} ordered`);
    const known = new Set(history.flatMap((resource) => resource.rewards));
    for (const { id } of rewards) if (!known.has(id)) account.wrong(`reward ${id} belongs to no redemption`);
  }
}
