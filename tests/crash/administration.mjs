// An administrator at work while the server dies: new campaigns, batches of codes, starting and pausing. Each order has a key,
// so it is carried out once, however often it had to be sent.
import { canonical } from "./book.mjs";

/** Orders and what was answered go to `stage.orders`. */
export function administrator(stage, random) {
  let current;
  return async () => {
    if (current === undefined || random.percent(10)) {
      const body = { name: `Order ${stage.orders.length}`, profile: "S20", kind: "unique", reward_id: stage.rewards.credit };
      const order = { key: random.key("o"), body, batches: [] };
      stage.orders.push(order);
      await create(stage, order);
      current = order;
    } else if (random.percent(50)) {
      const batch = { key: random.key("b"), count: random.between(1, 200) };
      current.batches.push(batch);
      await mint(stage, current, batch);
    } else if (random.percent(50)) {
      await move(stage, current, random.pick(["activate", "pause"]));
    } else {
      await rename(stage, random.pick(["credit", "points"]), `Renamed ${random.below(1e6)}`);
    }
  };
}

async function create(stage, order) {
  const answer = await stage.admin.post("/v1/campaigns", order.body, { key: order.key });
  if (answer.status !== 201) return stage.book.wrong(`creating a campaign answered ${answer.status} ${answer.text}`);
  const { campaign } = answer.body;
  if (order.campaign !== undefined && order.campaign !== campaign) stage.book.wrong(`key ${order.key} made campaigns ${order.campaign} and ${campaign}`);
  order.campaign = campaign;
  order.told ??= answer.body;
  return undefined;
}

async function mint(stage, order, batch) {
  const body = { count: batch.count, format: "jsonl" };
  const answer = await stage.admin.post(`/v1/campaigns/${order.campaign}/batches`, body, { key: batch.key });
  if (answer.status !== 201) return stage.book.wrong(`minting answered ${answer.status} ${answer.text}`);
  if (batch.text !== undefined && batch.text !== answer.text) stage.book.wrong(`key ${batch.key} minted other codes the second time`);
  batch.text = answer.text;
  return undefined;
}

async function move(stage, order, verb) {
  const answer = await stage.admin.post(`/v1/campaigns/${order.campaign}/${verb}`);
  if ([200, 202].includes(answer.status)) {
    if (answer.body.version >= order.told.version) order.told = answer.body;
  } else if (answer.status !== 409) {
    stage.book.wrong(`${verb} answered ${answer.status} ${answer.text}`);
  }
}

const definitionPath = (name) => `/v1/reward-definitions/${name}`;

/** Renames a reward at its present version: the same change torn and not repeated is simply there or not. */
async function rename(stage, reward, name) {
  const { headers } = await stage.admin.get(definitionPath(reward));
  const answer = await stage.admin.ask("PATCH", definitionPath(reward), { body: { name }, headers: { "if-match": headers.etag } });
  if (answer.status === 200) stage.definitions.set(reward, answer.body);
  else if (answer.status !== 412) stage.book.wrong(`renaming ${reward} answered ${answer.status} ${answer.text}`);
}

/** Definitions are at the version that was acknowledged or a later one. */
export async function judgeDefinitions(stage) {
  for (const [reward, told] of stage.definitions) {
    const { body: now } = await stage.admin.get(definitionPath(reward));
    if (now.version < told.version) stage.book.wrong(`reward ${reward} is version ${now.version}, ${told.version} was acknowledged`);
    if (now.version === told.version && now.name !== told.name) stage.book.wrong(`reward ${reward} is called ${now.name} in version ${now.version}, acknowledged as ${told.name}`);
  }
}

/** Repeats what was not answered, then holds what stands against what was. */
export async function judgeOrders(stage, orders = stage.orders) {
  for (const order of orders) {
    await create(stage, order);
    if (order.campaign === undefined) continue;
    for (const batch of order.batches) await mint(stage, order, batch);
    const { status, body: now, text } = await stage.admin.get(`/v1/campaigns/${order.campaign}`);
    if (status !== 200) {
      stage.book.wrong(`lost: campaign ${order.campaign} answers ${status} ${text}`);
      continue;
    }
    const { told } = order;
    if (now.version < told.version) stage.book.wrong(`campaign ${order.campaign} is version ${now.version}, ${told.version} was acknowledged`);
    if (now.version === told.version && now.status !== told.status) stage.book.wrong(`campaign ${order.campaign} is ${now.status} in version ${now.version}, acknowledged as ${told.status}`);
    await judgeBatches(stage, order, now);
  }
}

async function judgeBatches(stage, order, { issued }) {
  const listed = await stage.admin.every(`/v1/campaigns/${order.campaign}/batches`);
  const counts = (list) => canonical(list.map(({ count }) => count).sort((a, b) => a - b));
  if (counts(listed) !== counts(order.batches)) stage.book.wrong(`campaign ${order.campaign}: batches of ${counts(listed)}, ordered were ${counts(order.batches)}`);
  const seqs = order.batches.flatMap(({ text }) => (text ?? "").split("\n").filter(Boolean).map((line) => JSON.parse(line).seq));
  if (new Set(seqs).size !== seqs.length) stage.book.wrong(`campaign ${order.campaign}: two batches share a code`);
  if (issued < seqs.length) stage.book.wrong(`campaign ${order.campaign} counts ${issued} issued, ${seqs.length} were delivered`);
}

/** Every campaign that there is was asked for, once. */
export async function judgeCampaignList(stage) {
  const listed = await stage.admin.every("/v1/campaigns");
  const asked = new Set([...stage.book.campaigns.keys(), ...stage.orders.map(({ campaign }) => campaign)]);
  const extra = listed.map(({ campaign }) => campaign).filter((campaign) => !asked.has(campaign));
  if (extra.length > 0) stage.book.wrong(`campaigns that nobody asked for: ${extra}`);
  if (listed.length !== asked.size) stage.book.wrong(`${listed.length} campaigns are listed, ${asked.size} were made`);
}
