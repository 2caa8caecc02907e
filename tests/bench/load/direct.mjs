// Messages to one object without what stands before it: a real one is taken as the pattern, so that they are what a Member sends
// whatever its shape is; only the redemption, its command, the code and the times are new in each.
import { randomBytes } from "node:crypto";

import { until } from "../../http/client.mjs";
import { requestBytes } from "./wire.mjs";

const DEADLINE_MS = 60_000;

/** The last messages that the objects got, by object and operation, and what may be asked of the Worker that watches. */
export class Watch {
  constructor(url) {
    this.url = url;
    this.host = new URL(url).host;
  }

  async get(what, query = {}) {
    const answer = await fetch(`${this.url}/bench/${what}?${new URLSearchParams(query)}`);
    if (!answer.ok) throw new Error(`/bench/${what} answered ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** What was counted since this was asked last, by object. */
  counts() {
    return this.get("counts");
  }

  /** The size of an object's database, in bytes. */
  async size(binding, name) {
    return (await this.get("size", { binding, name })).bytes;
  }

  /** What is sent to objects of a class for a few redemptions, by operation: patterns of what a load may send. */
  async patternsOf(shop, object) {
    const operations = ["prepare", "settled"];
    await shop.redeem(4);
    const seen = await until(() => this.get("messages"), (messages) => operations.every((operation) => messages[`${object} ${operation}`] !== undefined));
    return Object.fromEntries(operations.map((operation) => [operation, JSON.parse(seen[`${object} ${operation}`])]));
  }

  /** From now on nothing is counted or kept any more, and costs nothing. */
  unwatch() {
    return this.get("unwatch");
  }

  /** The bytes of a message to an object, which is given as text. */
  bytes(binding, name, message) {
    return requestBytes(this.host, { path: `/bench/direct?${new URLSearchParams({ binding, name })}`, body: message });
  }
}

/** A redemption that nobody has made, by a member whom nobody knows. */
export const newRid = () => randomBytes(26).toString("hex");

/** A copy with these fields set wherever they stand. */
export function withFields(value, fields) {
  if (Array.isArray(value)) return value.map((one) => withFields(one, fields));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, Object.hasOwn(fields, name) ? fields[name] : withFields(inner, fields)]));
}

/** A message with places for what is new in each: writing it anew each time would be most of the load's own work. */
export class Template {
  /** `places` are the fields that change, whatever they hold; strings unless they are named in `numbers`. */
  constructor(pattern, places, numbers = []) {
    const marks = Object.fromEntries(places.map((name) => [name, `\u0001${name}\u0001`]));
    const text = JSON.stringify(withFields(pattern, marks)).replaceAll("\\u0001", "\u0001");
    const bare = numbers.reduce((sum, name) => sum.replaceAll(`"\u0001${name}\u0001"`, `\u0001${name}\u0001`), text);
    this.parts = bare.split("\u0001");
  }

  fill(values) {
    // Every second part is the name of a place.
    return this.parts.map((part, at) => (at % 2 === 0 ? part : values[part])).join("");
  }
}

/** Intents after a pattern: a `prepare` of a shard or a pool. */
export function prepareTemplate(pattern) {
  const template = new Template(pattern, ["rid", "fp", "seq", "at", "deadline"], ["seq"]);
  return ({ rid, fp, seq = 0 }) => {
    const now = Date.now();
    return template.fill({ rid, fp, seq, at: new Date(now).toISOString(), deadline: new Date(now + DEADLINE_MS).toISOString() });
  };
}

/** What a Recorder tells in bulk, after a pattern: these are decided. */
export function settledMessage(pattern, settled) {
  const [first] = pattern.op.settled.items;
  const shaped = ({ rid, fp }) => (Array.isArray(first) ? [rid, fp] : withFields(first, { rid, fp }));
  return JSON.stringify(withFields(pattern, { items: settled.map(shaped) }));
}
