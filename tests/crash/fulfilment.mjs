// The other side of a reward that the wallet cannot apply: a fulfiller in the test's own process, which outlives every kill. It
// is slow, fails, breaks off after it has acted, and completes later by callback; it recognises a delivery by its id, and what
// it has applied is what a customer has got.
import * as double from "../http/fulfiller-double.mjs";
import { canonical } from "./book.mjs";
import { chance } from "./random.mjs";

// How many deliveries of one reward may go wrong: after the second the published schedule waits five minutes.
const troubleMax = 1;

export class Fulfilment {
  constructor(stage) {
    this.stage = stage;
    this.cleanUps = [];
    /** Rewards whose fulfiller said "later", by id: `sent` once the callback was answered. */
    this.promised = new Map();
    /** What to answer, where a test wants one thing and not chance. */
    this.script = undefined;
    /** How often each id has come. */
    this.times = new Map();
  }

  async open() {
    const { shop } = this.stage;
    this.fulfiller = await double.startFulfiller({ after: (cleanUp) => this.cleanUps.push(cleanUp) }, (exchange) => this.take(exchange));
    const { take } = this.fulfiller;
    // A sender that dies in the middle of its request has sent nothing.
    this.fulfiller.take = (...exchange) => take.apply(this.fulfiller, exchange).catch((error) => error.code === "ECONNRESET" || this.stage.book.wrong(`the fulfiller failed: ${error.stack}`));
    const answer = await shop.admin.post("/v1/webhooks", { url: this.fulfiller.url, events: [] });
    if (answer.status !== 201) throw new Error(`making an endpoint answered ${answer.status} ${answer.text}`);
    this.endpoint_id = answer.body.endpoint_id;
    this.secret = answer.body.secret;
    this.fulfiller.secrets.push(this.secret);
    this.mechanic = { kind: "webhook", endpoint_id: this.endpoint_id };
  }

  /** Answers one delivery. */
  take(exchange) {
    if (this.script !== undefined) return this.script(exchange);
    const { delivery } = exchange;
    const data = delivery.body?.data ?? {};
    if (delivery.body?.type !== "reward.fulfil") return double.says(200)(exchange);
    // What can never be given is what an administrator has to give up.
    if (data.value?.reference === "doomed") return double.fails()(exchange);
    const time = (this.times.get(delivery.id) ?? 0) + 1;
    this.times.set(delivery.id, time);
    const random = chance(this.stage.seed, "fulfiller", delivery.id, time);
    if (time > troubleMax) return double.grants()(exchange);
    const chosen = random.below(100);
    if (chosen < 40) return double.grants()(exchange);
    if (chosen < 65) return double.slowly(random.between(20, 400), double.grants({ reference: `order-${time}` }))(exchange);
    if (chosen < 75) return double.grantsAndBreaks(exchange);
    if (chosen < 85) return double.says(500)(exchange);
    this.promised.set(delivery.id, { exchange, sent: false });
    setTimeout(() => void this.callBack(delivery.id), random.between(50, 700));
    return double.accepts(exchange);
  }

  /** Applies what was promised and says so; a callback that found nobody is sent again later. */
  async callBack(id) {
    const promise = this.promised.get(id);
    if (promise.sent || promise.sending) return;
    promise.sending = true;
    promise.exchange.apply();
    try {
      const { status, text } = await double.callBack(this.stage.runtime.url, id, { outcome: "granted" }, { secret: this.secret });
      promise.sent = true;
      if (status !== 200) this.stage.book.wrong(`the callback of ${id} answered ${status} ${text}`);
    } catch (error) {
      // A dead server refuses the connection or breaks it; anything else is the fulfiller's own mistake.
      if (error.code === undefined) this.stage.book.wrong(`the callback of ${id} failed: ${error.message}`);
    } finally {
      promise.sending = false;
    }
  }

  /** Sends the callbacks that nobody has answered yet. */
  callBackAgain() {
    return Promise.all([...this.promised.keys()].map((id) => this.callBack(id)));
  }

  /** Deliveries as they must be: signed, numbered, and always about the same thing. */
  judgeDeliveries() {
    const { book } = this.stage;
    for (const { what, id } of this.fulfiller.faults) book.wrong(`a delivery of ${id}: ${what}`);
    const seen = new Map();
    for (const { id, body } of this.fulfiller.received) {
      if (body?.type !== "reward.fulfil") continue;
      const { attempt, ...data } = body.data;
      if (data.id !== id) book.wrong(`delivery ${id} is about ${data.id}`);
      const before = seen.get(id);
      // A try is counted before it leaves, so a kill never makes one number leave twice.
      if (before !== undefined && attempt <= before.attempt) book.wrong(`reward ${id}: attempt ${attempt} after attempt ${before.attempt}`);
      if (before !== undefined && before.data !== canonical(data)) book.wrong(`reward ${id} was delivered as ${before.data} and as ${canonical(data)}`);
      seen.set(id, { attempt, data: canonical(data) });
    }
  }

  /** At rest: each granted reward of ours has been applied once, and nothing has been applied that is not granted. */
  judgeEffects(standings) {
    const { book } = this.stage;
    const granted = new Set();
    for (const [account, { history, rewards }] of standings) {
      const states = new Map(rewards.map((reward) => [reward.id, reward]));
      for (const { redemption_id, campaign, rewards: own, status } of history) {
        if (!book.campaigns.get(campaign)?.delivered) continue;
        for (const id of own) {
          const state = states.get(id)?.state;
          if (state === "granted") granted.add(id);
          if (status === "granted" && state !== "granted") account.wrong(`redemption ${redemption_id} is granted, its reward ${state}`);
          if (state === "granted" && !this.fulfiller.applied.has(id)) account.wrong(`reward ${id} is granted, but was never applied`);
        }
      }
    }
    for (const id of this.fulfiller.applied.keys()) if (!granted.has(id)) book.wrong(`reward ${id} was applied and is not granted`);
  }

  async close() {
    for (const cleanUp of this.cleanUps) await cleanUp();
  }
}
