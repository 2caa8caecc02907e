// The load: people who do what people do, all at once, until the server dies under them. Each is a loop of its own with
// chances of its own.
import { openFeed } from "../http/socket.mjs";
import { administrator } from "./administration.mjs";
import { Torn } from "./caller.mjs";
import { chance } from "./random.mjs";
import { giver, player, resolver, seeker } from "./rewarding.mjs";
import { sendIntent, together } from "./sending.mjs";
import { buyer, clerk, reverser, shopper, supplier } from "./trading.mjs";

/** Runs `act` again and again until the server dies; nothing but its death may end it. */
async function loop(life, act) {
  while (!life.over) {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Torn)) throw error;
      if (!life.over) throw new Error(`a connection broke while the server lived: ${error.message}`);
    }
  }
}

/** Starts everybody; answers when the server is dead and everybody has noticed. */
export async function runLoad(stage, name, { redeemers = 8 } = {}) {
  const { life, features } = stage;
  const people = [
    ...Array(redeemers).fill(redeemer),
    contender,
    limited,
    reader,
    ...(features.sockets ? [listener] : []),
    ...(features.administration ? [curious, administrator] : []),
    ...(features.rewards ? [player, giver] : []),
    ...(features.fulfilment ? [seeker, seeker, resolver] : []),
    ...(features.trade ? [buyer, buyer, clerk, clerk, shopper, reverser, supplier] : []),
  ];
  const acts = people.map((person, at) => person(stage, chance(stage.seed, name, person.name, at)));
  await Promise.all(acts.map((act) => loop(life, act)));
}

/** Redeems codes that nobody else has, sometimes twice at once under one key, sometimes again later. */
function redeemer(stage, random) {
  const own = [];
  return async () => {
    const next = random.percent(85) ? stage.codes.distinct.pop() : undefined;
    if (next === undefined) {
      if (own.length === 0) return void (await stage.cohort[0].caller.get("/healthz"));
      return void (await sendIntent(random.pick(own)));
    }
    const intent = stage.book.intend(random.pick(stage.cohort), next.code, random.key("d"), "distinct");
    own.push(intent);
    const async = random.percent(20);
    if (random.percent(15)) await together([sendIntent(intent, { async }), sendIntent(intent)]);
    else await sendIntent(intent, { async });
    if (intent.id !== undefined && random.percent(15)) {
      const { status, body, text } = await intent.account.caller.get(`/v1/redemptions/${intent.id}`);
      if (status === 200) intent.account.hearRedemption(body);
      else stage.book.wrong(`reading ${intent.id} answered ${status} ${text}`);
    }
  };
}

/** Several members want one code. */
function contender(stage, random) {
  return async () => {
    const next = stage.codes.contested.pop();
    if (next === undefined) return void (await stage.cohort[0].caller.get("/healthz"));
    const rivals = random.sample(stage.cohort, random.between(2, 4));
    const intents = rivals.map((account) => stage.book.intend(account, next.code, random.key("c"), "contested"));
    await together(intents.map((intent) => sendIntent(intent)));
  };
}

/** Runs into limits: a shared code with a total, and codes of which a member may have two. */
function limited(stage, random) {
  return async () => {
    const shared = random.percent(50);
    const next = shared ? stage.shared : stage.codes.narrow.pop();
    if (next === undefined) return void (await stage.cohort[0].caller.get("/healthz"));
    const intent = stage.book.intend(random.pick(stage.cohort), next.code, random.key("l"), shared ? "shared" : "narrow");
    intent.campaign = next.campaign;
    await sendIntent(intent, { async: random.percent(20) });
  };
}

/** Reads wallets, ledgers, histories and feeds: what is read is acknowledged as much as what is done. */
function reader(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const what = random.pick(["redemptions", "ledger", "events", ...(stage.features.rewards ? ["rewards"] : [])]);
    const since = what === "events" ? `?since=${account.readTo}` : "";
    const { status, body, text } = await account.caller.get(`/v1/${what}${since}`);
    if (status !== 200) return stage.book.wrong(`reading ${what} answered ${status} ${text}`);
    if (what === "redemptions") body.items.forEach((item) => account.hearRedemption(item));
    if (what === "ledger") body.items.forEach((item) => account.hearRow(item));
    if (what === "rewards") body.items.forEach((item) => account.hearReward(item));
    if (what === "events") body.events.forEach((event) => account.hearEvent(event));
    return undefined;
  };
}

/** Listens to one member's feed until the server dies, from where it was read last: no gap, no repeat. */
function listener(stage, random) {
  const account = random.pick(stage.cohort);
  let at = account.readTo;
  let socket;
  return async () => {
    try {
      socket ??= await openFeed(stage.life.url, account.caller.token, `?since=${at}`);
      const event = await socket.nextEvent(60_000);
      if (event.seq !== at + 1) account.wrong(`the socket told event ${event.seq} after ${at}`);
      at = event.seq;
      account.hearEvent(event);
    } catch (error) {
      if (stage.life.over || socket === undefined || socket.closed) throw new Torn(error.message);
      throw error;
    }
  };
}

/** Looks at codes without taking them, and guesses at codes until it is told to wait. */
function curious(stage, random) {
  return async () => {
    if (random.percent(60)) {
      const { code } = random.pick(stage.codes.previewed);
      const { status, body, text } = await random.pick(stage.cohort).caller.post("/v1/codes/preview", { code });
      if (status !== 200 || body.would !== "redeem") stage.book.wrong(`a preview of an unused code answered ${status} ${text}`);
      return;
    }
    const { guesser } = stage;
    const key = random.key("g");
    const { status, text } = await guesser.caller.post("/v1/redemptions", { code: stage.forged(random.below(1000)) }, { key });
    if (status === 404) {
      guesser.guesses += 1;
      // The limit is ten a day; a wrong tag that was answered has been counted, whatever was killed since.
      if (guesser.barred || guesser.guesses > 10) guesser.wrong(`wrong tag number ${guesser.guesses} was looked at${guesser.barred ? ", after the limit had been reached" : ""}`);
    } else if (status === 429) guesser.barred = true;
    else guesser.wrong(`a forged code answered ${status} ${text}`);
  };
}
