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

  /** The messages that objects of a class had, by operation; waits until each has been seen. */
  async patterns(object, operations) {
    const seen = await until(() => this.get("messages"), (messages) => operations.every((operation) => messages[`${object} ${operation}`] !== undefined));
    return Object.fromEntries(operations.map((operation) => [operation, JSON.parse(seen[`${object} ${operation}`])]));
  }

  /** From now on nothing is counted or kept any more, and costs nothing. */
  unwatch() {
    return this.get("unwatch");
  }

  /** The bytes of a message to an object. */
  bytes(binding, name, message) {
    return requestBytes(this.host, { path: `/bench/direct?${new URLSearchParams({ binding, name })}`, body: JSON.stringify(message) });
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

/** A new intent after a pattern: a `prepare` of a shard or a pool. */
export function prepareMessage(pattern, { rid, fp, seq }) {
  const now = Date.now();
  const times = { at: new Date(now).toISOString(), deadline: new Date(now + DEADLINE_MS).toISOString() };
  return withFields(pattern, { rid, fp, ...times, ...(seq === undefined ? {} : { seq }) });
}

/** What a Recorder tells in bulk, after a pattern: these are decided. */
export function settledMessage(pattern, settled) {
  const [first] = pattern.op.settled.items;
  const shaped = ({ rid, fp }) => (Array.isArray(first) ? [rid, fp] : withFields(first, { rid, fp }));
  return withFields(pattern, { items: settled.map(shaped) });
}
