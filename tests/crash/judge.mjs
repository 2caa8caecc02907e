// After a kill: is everything there that was ever acknowledged, the same or later, and do the books balance? One member at a
// time while the server recovers, and everybody and every limit once it has come to rest.
import { canonical } from "./book.mjs";
import { holdsUse, isUndecided, redemptionMayBecome, rewardMayBecome, rewardMoveIsLegal } from "./order.mjs";

const quietWithinMs = 20_000;

const groupBy = (items, nameOf) => {
  const groups = new Map();
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), item]);
  return groups;
};

/** Reads the feed onward from where it was read last, and notices a gap or a repeat. */
export async function readFeed(account) {
  const before = account.readTo;
  for (;;) {
    const { status, body, text } = await account.caller.get(`/v1/events?since=${account.readTo}`);
    if (status !== 200 || body.reset) {
      account.wrong(`the feed after ${account.readTo} answered ${status} ${text.slice(0, 200)}`);
      return false;
    }
    for (const event of body.events) {
      if (event.seq !== account.readTo + 1) account.wrong(`event ${event.seq} follows ${account.readTo}`);
      account.readTo = event.seq;
      account.hearEvent(event);
    }
    if (body.events.length === 0) return account.readTo !== before;
  }
}

/**
 * Everything of one member as of one moment. Each change of a member is an event, so reads between two looks at a feed that
 * stood still belong together.
 */
async function standing(account) {
  const end = performance.now() + quietWithinMs;
  for (;;) {
    await readFeed(account);
    const { caller } = account;
    const [history, rows, wallet] = await Promise.all([caller.every("/v1/redemptions"), caller.every("/v1/ledger"), caller.get("/v1/wallet")]);
    const rewards = account.book.features.rewards ? await caller.every("/v1/rewards") : [];
    if (!(await readFeed(account))) return { history, rows, wallet: wallet.body, rewards };
    if (performance.now() > end) throw new Error(`${account.sub}: the feed does not come to rest within ${quietWithinMs} ms`);
  }
}

/** Checks one member against what it was told. Answers what stands now. */
export async function judgeAccount(account) {
  const now = await standing(account);
  judgeRedemptions(account, now);
  judgeLedger(account, now);
  if (account.book.features.rewards) judgeRewards(account, now);
  const top = Math.max(0, ...account.events.keys());
  if (top > account.readTo) account.wrong(`event ${top} was told, but the feed ends at ${account.readTo}`);
  for (const resource of now.history) account.hearRedemption(resource);
  for (const row of now.rows) account.hearRow(row);
  for (const reward of now.rewards) account.hearReward(reward);
  return now;
}

function judgeRedemptions(account, { history }) {
  const found = new Map(history.map((resource) => [resource.redemption_id, resource]));
  if (found.size !== history.length) account.wrong(`a redemption stands twice in the history`);
  for (const [id, told] of account.redemptions) {
    const resource = found.get(id);
    if (resource === undefined) {
      account.wrong(`lost: redemption ${id}, acknowledged as ${[...told.statuses]}`);
      continue;
    }
    for (const status of told.statuses) {
      if (!redemptionMayBecome(status, resource.status)) account.wrong(`redemption ${id} was ${status} and is ${resource.status}`);
    }
    if (resource.attempts < told.attempts) account.wrong(`redemption ${id} forgot attempts: ${told.attempts}, now ${resource.attempts}`);
    const rows = new Set(resource.ledger.map(({ ledger_id }) => ledger_id));
    const rewards = new Set(resource.rewards);
    for (const row of told.ledger) if (!rows.has(row)) account.wrong(`redemption ${id} lost ledger row ${row}`);
    for (const reward of told.rewards) if (!rewards.has(reward)) account.wrong(`redemption ${id} lost reward ${reward}`);
    if (holdsUse(resource.status) && resource.rewards.length !== 1) account.wrong(`redemption ${id} has ${resource.rewards.length} rewards`);
  }
}

function judgeLedger(account, { history, rows, wallet, rewards }) {
  const found = new Map(rows.map((row) => [row.ledger_id, canonical(row)]));
  if (found.size !== rows.length) account.wrong("a ledger row stands twice in the ledger");
  for (const [id, text] of account.rows) {
    if (!found.has(id)) account.wrong(`lost: ledger row ${text}`);
  }
  const sums = new Map();
  for (const row of rows) {
    const asset = row.asset === "credit" ? `credit ${row.currency}` : row.asset;
    sums.set(asset, (sums.get(asset) ?? 0) + row.amount);
    if (row.balance_after < 0) account.wrong(`a balance below zero: ${canonical(row)}`);
  }
  const balances = new Map(["points", "xp", "tokens"].map((asset) => [asset, wallet[asset]]));
  for (const { currency, amount_minor } of wallet.credit) balances.set(`credit ${currency}`, amount_minor);
  for (const asset of new Set([...balances.keys(), ...sums.keys()])) {
    const [balance, sum] = [balances.get(asset) ?? 0, sums.get(asset) ?? 0];
    if (!["reward", "feature"].includes(asset) && balance !== sum) account.wrong(`${asset}: a balance of ${balance} over rows of ${sum}`);
  }
  const byRedemption = groupBy(rows.filter((row) => row.redemption_id !== undefined), (row) => row.redemption_id);
  const states = new Map(rewards.map(({ id, state }) => [id, state]));
  const redemptions = new Map(history.map((resource) => [resource.redemption_id, resource]));
  for (const id of byRedemption.keys()) if (!redemptions.has(id)) account.wrong(`ledger rows of ${id}, which is no redemption of theirs`);
  for (const [id, resource] of redemptions) {
    const own = byRedemption.get(id) ?? [];
    for (const { ledger_id } of resource.ledger) if (!own.some((row) => row.ledger_id === ledger_id)) account.wrong(`redemption ${id} names ledger row ${ledger_id}, which is not there`);
    judgeWorth(account, resource, own, states);
  }
}

/** A reward that the wallet applies is in the ledger from the commit that grants it: nothing before, all of it after. */
function judgeWorth(account, resource, rows, states) {
  const { worth, claimable } = account.book.campaignOf(resource) ?? {};
  if (worth === undefined) return;
  const granted = account.book.features.rewards ? resource.rewards.every((id) => ["granted", "complete"].includes(states.get(id))) : true;
  if (!claimable && !granted && holdsUse(resource.status)) account.wrong(`redemption ${resource.redemption_id} is ${resource.status}, its reward ${resource.rewards.map((id) => states.get(id))}`);
  const applied = rows.filter(({ asset }) => asset === worth.asset).reduce((sum, { amount }) => sum + amount, 0);
  const due = holdsUse(resource.status) && granted ? worth.amount * resource.quantity : 0;
  if (applied !== due) account.wrong(`redemption ${resource.redemption_id} is ${resource.status} and applied ${applied} ${worth.asset} instead of ${due}`);
}

function judgeRewards(account, { rewards }) {
  const found = new Map(rewards.map((reward) => [reward.id, reward]));
  for (const [id, told] of account.rewards) {
    const reward = found.get(id);
    if (reward === undefined) {
      account.wrong(`lost: reward ${id}, acknowledged as ${[...told.states]}`);
      continue;
    }
    for (const state of told.states) if (!rewardMayBecome(state, reward.state)) account.wrong(`reward ${id} was ${state} and is ${reward.state}`);
    if (reward.moves.length < told.moves.length) account.wrong(`reward ${id} lost moves: ${told.moves.length}, now ${reward.moves.length}`);
  }
  for (const { id, moves } of rewards) {
    let at;
    for (const move of moves) {
      if (move.from !== at || !rewardMoveIsLegal(move)) account.wrong(`reward ${id}: an illegal move ${canonical(move)} from ${at}`);
      at = move.to;
    }
  }
}

/**
 * Everything at once, when nothing is torn and the server has come to rest: uses, limits, and that nothing is there which
 * nobody asked for. `standings` is a list of `[account, standing]`.
 */
export function judgeWhole(book, standings) {
  const statuses = new Map();
  for (const [account, { history }] of standings) {
    const keys = new Set([...book.otherIds, ...book.intents.filter((intent) => intent.account === account && intent.id !== undefined).map(({ id }) => id)]);
    for (const { redemption_id, status, kind, refusal } of history) {
      statuses.set(redemption_id, status);
      // A refusal is in the history, but its answer carries no id to know it by.
      if (["code", "points"].includes(kind) && status !== "refused" && !keys.has(redemption_id)) account.wrong(`redemption ${redemption_id} (${status} ${refusal?.code ?? ""}) belongs to no key that was ever sent`);
      if (isUndecided(status)) account.wrong(`redemption ${redemption_id} is still ${status}`);
    }
    judgeLastEvents(account, history);
  }
  judgeCodes(book, statuses);
  judgeCampaigns(book, standings);
}

/** The feed alone tells a client how everything stands: its last word on each redemption is the truth. */
function judgeLastEvents(account, history) {
  const last = new Map();
  for (const text of account.events.values()) {
    const { type, data, seq } = JSON.parse(text);
    if (type === "redemption.updated" && seq > (last.get(data.redemption_id)?.seq ?? 0)) last.set(data.redemption_id, { seq, status: data.status });
  }
  for (const { redemption_id, status } of history) {
    const told = last.get(redemption_id)?.status;
    if (told === undefined ? holdsUse(status) : told !== status) account.wrong(`the feed's last word on ${redemption_id} is ${told}, but it is ${status}`);
  }
}

function judgeCodes(book, statuses) {
  for (const [code, intents] of groupBy(book.intents, ({ code: text }) => text)) {
    const { purpose } = intents[0];
    if (purpose === "shared") continue;
    const holders = new Set(intents.map(({ id }) => id).filter((id) => id !== undefined && holdsUse(statuses.get(id))));
    if (holders.size > 1) book.wrong(`code ${code} (${purpose}) was granted ${holders.size} times`);
    // Nobody's limits stand in the way of these, so whoever was first has it for good.
    if (holders.size === 0 && ["distinct", "contested", "delivered"].includes(purpose)) book.wrong(`code ${code} (${purpose}) was asked for and nobody has it: ${intents.map(({ refusal }) => refusal)}`);
  }
}

function judgeCampaigns(book, standings) {
  const uses = new Map();
  for (const [account, { history }] of standings) {
    for (const resource of history.filter(({ status }) => holdsUse(status))) {
      const own = uses.get(resource.campaign) ?? [];
      uses.set(resource.campaign, [...own, account.sub]);
    }
  }
  for (const [campaign, { limits, exact }] of book.campaigns) {
    const users = uses.get(campaign) ?? [];
    if (users.length > (limits.total ?? Infinity)) book.wrong(`campaign ${campaign}: ${users.length} uses of ${limits.total}`);
    for (const [user, own] of groupBy(users, (name) => name)) {
      if (own.length > (limits.per_member ?? Infinity)) book.wrong(`campaign ${campaign}: ${own.length} uses by ${user}, ${limits.per_member} allowed`);
    }
    const told = book.intents.some((intent) => exact && intent.campaign === campaign && intent.refusal === "campaign_limit_reached");
    if (told && users.length < limits.total) book.wrong(`campaign ${campaign} called itself full at ${users.length} of ${limits.total}`);
  }
}

/** Compares what the campaigns say of themselves with what their members have; a use that is given back takes a moment. */
export async function judgeFigures(book, shop, standings, withinMs = quietWithinMs) {
  const uses = groupBy(
    standings.flatMap(([, { history }]) => history.filter(({ status }) => holdsUse(status))),
    ({ campaign }) => campaign,
  );
  for (const campaign of book.campaigns.keys()) {
    const held = uses.get(campaign)?.length ?? 0;
    const end = performance.now() + withinMs;
    let counted;
    do counted = (await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed;
    while (counted !== held && performance.now() < end);
    if (counted !== held) book.wrong(`campaign ${campaign} counts ${counted} redeemed, its members hold ${held}`);
  }
}

/** The server's own check of its invariants finds nothing either. */
export async function judgeVerified(stage, standings) {
  const subjects = [...standings.map(([{ sub }]) => ({ member_id: sub })), ...[...stage.book.campaigns.keys()].map((campaign) => ({ campaign }))];
  for (const subject of subjects) {
    const { status, body, text } = await stage.admin.post("/v1/verify", subject);
    if (status !== 200 || !body.ok || body.violations.length > 0) stage.book.wrong(`the server's own check of ${canonical(subject)} answered ${status} ${text}`);
  }
}
