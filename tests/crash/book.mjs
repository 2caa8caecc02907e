// What everybody was told. Whatever has been answered once, by a redemption, a read or the live feed, stands in here, and two
// answers that contradict each other are noticed at once; what contradicts the state after a kill is the judge's matter.

import { holdsUse } from "./order.mjs";

/** A text that is equal for equal JSON, whatever the order of its fields. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

// Fields of a redemption that never change once it is there. The reward of one that is undecided may not be known yet.
const fixedFields = ["kind", "campaign", "created_at"];

/** One member, and all that was ever told of it. */
export class Account {
  constructor(book, caller) {
    this.book = book;
    this.caller = caller;
    this.sub = caller.sub;
    /** By redemption id: `{fixed, statuses, ledger, rewards, attempts}`. */
    this.redemptions = new Map();
    /** Ledger rows as text, by id. */
    this.rows = new Map();
    /** By reward id: `{states, moves}`. */
    this.rewards = new Map();
    /** Events as text, by number. */
    this.events = new Map();
    /** Up to here the feed has been read without a gap. */
    this.readTo = 0;
    /** Wrong tags that were answered as such, and whether the limit was ever reached. */
    this.guesses = 0;
    this.barred = false;
  }

  wrong(text) {
    this.book.wrong(`${this.sub}: ${text}`);
  }

  /** A redemption as somebody saw it. */
  hearRedemption(resource) {
    const { redemption_id: id, status, ledger, rewards, attempts } = resource;
    const fixed = canonical(fixedFields.map((name) => resource[name] ?? ""));
    const known = this.redemptions.get(id);
    if (known === undefined) {
      const first = { fixed, statuses: new Set([status]), ledger: new Set(), rewards: new Set(), attempts };
      this.redemptions.set(id, first);
    } else if (known.fixed !== fixed) {
      this.wrong(`redemption ${id} was ${known.fixed} and is ${fixed}`);
    }
    const told = this.redemptions.get(id);
    told.statuses.add(status);
    told.attempts = Math.max(told.attempts, attempts);
    for (const { ledger_id } of ledger) told.ledger.add(ledger_id);
    for (const reward of rewards) told.rewards.add(reward);
  }

  hearRow(row) {
    const text = canonical(row);
    const known = this.rows.get(row.ledger_id);
    if (known !== undefined && known !== text) this.wrong(`ledger row ${row.ledger_id} was ${known} and is ${text}`);
    this.rows.set(row.ledger_id, text);
  }

  /** A reward as somebody saw it: its log may only grow. */
  hearReward({ id, state, moves }) {
    const log = moves.map(canonical);
    const known = this.rewards.get(id) ?? { states: new Set(), moves: [] };
    const shared = Math.min(log.length, known.moves.length);
    for (let at = 0; at < shared; at += 1) {
      if (log[at] !== known.moves[at]) this.wrong(`reward ${id}: move ${at} was ${known.moves[at]} and is ${log[at]}`);
    }
    if (moves.at(-1)?.to !== state) this.wrong(`reward ${id} is ${state} after ${log.at(-1)}`);
    known.states.add(state);
    if (log.length > known.moves.length) known.moves = log;
    this.rewards.set(id, known);
  }

  hearEvent(event) {
    const text = canonical(event);
    const known = this.events.get(event.seq);
    if (known !== undefined && known !== text) this.wrong(`event ${event.seq} was ${known} and is ${text}`);
    this.events.set(event.seq, text);
    if (event.type === "redemption.updated") this.hearRedemption(event.data);
    if (event.type === "reward.updated") this.hearReward(event.data);
  }
}

/**
 * One intent to redeem: a member, something that can be had once (a code, a quote, or for what is bought freely the key itself)
 * and a key, sent as often as it takes. `request` is `{caller, path, body, other}`, where `other` is another command that the
 * key must refuse, if there is one; by default the member redeems the code.
 */
export class Intent {
  constructor(account, code, key, purpose, request = {}) {
    Object.assign(this, { account, code, key, purpose });
    this.request = { caller: account.caller, path: "/v1/redemptions", body: { code }, other: { code, currency: "EUR" }, ...request };
    this.id = undefined;
    this.refusal = undefined;
    /** Sent at least once without an answer since. */
    this.torn = false;
    this.answered = 0;
  }

  /** What came back; contradictions between two answers under one key are noticed here. */
  hear({ status, body, text }) {
    const { account } = this;
    const says = `key ${this.key} (${this.purpose}) of ${account.sub}`;
    if (status === 503 || body?.code === "idempotency_key_in_use") return;
    this.torn = false;
    this.answered += 1;
    account.book.answers += 1;
    if ([200, 201, 202].includes(status)) {
      if (this.id !== undefined && this.id !== body.redemption_id) account.book.wrong(`${says}: two redemptions, ${this.id} and ${body.redemption_id}`);
      if (this.refusal !== undefined && body.status !== "refused") account.book.wrong(`${says}: refused with ${this.refusal}, then ${status} ${body.status}`);
      this.id = body.redemption_id;
      if (body.status === "refused") this.refusal = body.refusal.code;
      account.hearRedemption(body);
      return;
    }
    const held = [...(account.redemptions.get(this.id)?.statuses ?? [])].find(holdsUse);
    const expected = [403, 409, 410].includes(status) && body.code !== "idempotency_key_reused";
    if (held !== undefined) account.book.wrong(`${says}: ${held}, then refused with ${status} ${body.code}`);
    else if (!expected) account.book.wrong(`${says}: ${status} ${text.slice(0, 300)}`);
    else if (this.refusal !== undefined && this.refusal !== body.code) account.book.wrong(`${says}: refused with ${this.refusal}, then with ${body.code}`);
    else this.refusal = body.code;
  }
}

/** All members, intents and campaigns of one merchant, and what is wrong. */
export class Book {
  constructor() {
    this.accounts = [];
    this.intents = [];
    /** By number: `{limits, worth, exact}`. */
    this.campaigns = new Map();
    /** Redemptions that were asked for by other means than an intent. */
    this.otherIds = new Set();
    this.violations = [];
    this.answers = 0;
    this.replays = 0;
    this.repeatedTorn = 0;
  }

  wrong(text) {
    this.violations.push(text);
  }

  intend(account, code, key, purpose, request) {
    const intent = new Intent(account, code, key, purpose, request);
    this.intents.push(intent);
    return intent;
  }

  campaignOf(resource) {
    return this.campaigns.get(resource.campaign);
  }
}
