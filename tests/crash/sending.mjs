// Sending intents, and sending them again: what a client does that does not know whether it was heard.

/** Sends an intent once and notes the answer; one that is torn stays noted as torn. */
export async function sendIntent(intent, { async = false } = {}) {
  const { account, key } = intent;
  const { caller, path, body } = intent.request;
  intent.torn = true;
  const headers = async ? { prefer: "respond-async" } : {};
  const answer = await caller.post(path, body, { key, headers });
  if (answer.headers["idempotent-replayed"] === "true") account.book.replays += 1;
  intent.hear(answer);
}

/** Repeats a share (in a hundred) of the torn intents with their keys, and a few that were answered; the server drives the rest. */
export async function repeat(stage, random, { share }) {
  const { intents } = stage.book;
  const torn = intents.filter((intent) => intent.torn && random.percent(share));
  stage.book.repeatedTorn += torn.length;
  const answered = random.sample(intents.slice(-400).filter((intent) => !intent.torn), share < 100 ? 20 : 200);
  await inGroups([...torn, ...answered], 16, (intent) => sendIntent(intent));
  // One by one, because each of them decides alone whether the server's answer is a replay.
  for (const intent of random.sample(answered.filter(({ id, refusal }) => id !== undefined && refusal === undefined), 5)) await mustReplay(intent);
}

/** An acknowledged key answers as a replay, and refuses another command. */
async function mustReplay({ account, key, id, request: { caller, path, body, other: otherBody } }) {
  const again = await caller.post(path, body, { key });
  if (again.status === 201 && again.headers["idempotent-replayed"] !== "true") account.wrong(`key ${key}, answered before, was answered as new`);
  if (![201, 202].includes(again.status) || again.body.redemption_id !== id) account.wrong(`key ${key} of ${id} answered ${again.status} ${again.text}`);
  if (otherBody === undefined) return;
  const other = await caller.post(path, otherBody, { key });
  if (other.body.code !== "idempotency_key_reused") account.wrong(`key ${key} with another command answered ${other.status} ${other.text}`);
}

/** So many at once, all to their ends. */
export async function inGroups(items, size, act) {
  for (let at = 0; at < items.length; at += size) await together(items.slice(at, at + size).map(act));
}

/** All of them to their ends, then the first failure: nothing is left running unobserved. */
export async function together(promises) {
  const settled = await Promise.allSettled(promises);
  const failed = settled.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
}
