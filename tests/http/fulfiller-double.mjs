// A fulfiller that misbehaves on request: an HTTP server that takes webhooks, checks their signatures by Standard Webhooks
// (https://www.standardwebhooks.com, with node:crypto alone), writes each delivery down, and answers as it is told. It
// de-duplicates by id as a careful fulfiller does, so that `applied` counts what a customer would have got.
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import http from "node:http";
import { send, understood, until } from "./client.mjs";

const keyOf = (secret) => {
  assert.match(secret, /^whsec_[A-Za-z0-9+/]+=*$/, "a secret of Standard Webhooks");
  return Buffer.from(secret.slice("whsec_".length), "base64");
};

/** One signature, `v1,<base64>`, over id, time in seconds and the body's text. */
export const signatureOf = (secret, id, seconds, text) => `v1,${createHmac("sha256", keyOf(secret)).update(`${id}.${seconds}.${text}`).digest("base64")}`;

const equal = (one, other) => one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

// ---- what to answer --------------------------------------------------------------------------------------------------

const json = (status, body, headers = {}) => (exchange) => exchange.answer(status, JSON.stringify(body), { "content-type": "application/json", ...headers });

/** Applies the reward, once for each id, and says so. */
export const grants = (data) => (exchange) => {
  exchange.apply();
  json(200, { outcome: "granted", ...(data && { data }) })(exchange);
};
/** Says that it cannot be given. */
export const fails = (data) => json(200, { outcome: "failed", ...(data && { data }) });
/** Accepted now, completed later by a callback. */
export const accepts = json(202, {});
/** A status, perhaps with headers and a body; nothing is applied. */
export const says = (status, { headers = {}, text = "" } = {}) => (exchange) => exchange.answer(status, text, headers);
/** Takes the request and never answers. */
export const silence = () => {};
/** Begins an answer that never ends. */
export const drips = (exchange) => exchange.begin(200, '{"outcome":"gran');
/** Applies the reward, and the connection breaks before the answer. */
export const grantsAndBreaks = (exchange) => {
  exchange.apply();
  exchange.breakOff();
};
/** The connection breaks and nothing was applied. */
export const breaks = (exchange) => exchange.breakOff();
/** Does what `then` does, but only when `gate` is opened. */
export const waitsFor = (gate, then) => async (exchange) => {
  await gate.opened;
  then(exchange);
};
/** Does what `then` does, so many milliseconds later. */
export const slowly = (ms, then) => (exchange) => {
  setTimeout(() => then(exchange), ms).unref();
};

/** Something to wait for that a test opens. */
export function closedGate() {
  const gate = {};
  gate.opened = new Promise((resolve) => (gate.open = resolve));
  return gate;
}

// ---- the server ------------------------------------------------------------------------------------------------------

class Fulfiller {
  constructor(script) {
    this.script = script;
    /** Secrets that a delivery may be signed with. */
    this.secrets = [];
    /** Every delivery: `{id, at, seconds, signatures, signedBy, body, path, headers}`. */
    this.received = [];
    /** How often the reward of an id was applied: never more than once, or the fulfiller was deceived. */
    this.applied = new Map();
    /** Deliveries whose signature or form was wrong. */
    this.faults = [];
    this.server = http.createServer((request, response) => this.take(request, response));
  }

  /** Listens; after a `close`, at the address it had. */
  async listen() {
    await new Promise((resolve) => this.server.listen(this.port ?? 0, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/hook`;
    return this;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** From now on it answers with these in turn, the last for ever. */
  behave(...script) {
    this.script = script;
  }

  async take(request, response) {
    const parts = [];
    request.on("error", () => {});
    response.on("error", () => {});
    for await (const part of request) parts.push(part);
    const delivery = this.record(request, Buffer.concat(parts).toString("utf8"));
    const behaviour = this.script.length > 1 ? this.script.shift() : this.script[0];
    behaviour(this.exchange(delivery, request, response));
  }

  record(request, text) {
    const { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signature } = request.headers;
    const delivery = { id, seconds: Number(seconds), at: Date.now(), path: request.url, headers: request.headers, method: request.method, text };
    const fault = (what) => this.faults.push({ what, id, text });
    delivery.signatures = (signature ?? "").split(" ");
    delivery.signedBy = this.secrets.map((secret) => delivery.signatures.some((one) => equal(one, signatureOf(secret, id, seconds, text))));
    if (!delivery.signedBy.some(Boolean)) fault("no signature of a known secret");
    if (!/^\d+$/.test(seconds ?? "") || Math.abs(Number(seconds) * 1000 - delivery.at) > 60_000) fault(`webhook-timestamp ${seconds}`);
    if (request.method !== "POST") fault(`method ${request.method}`);
    try {
      delivery.body = JSON.parse(text);
    } catch {
      fault("a body that is not JSON");
    }
    this.received.push(delivery);
    return delivery;
  }

  exchange(delivery, request, response) {
    const applied = this.applied;
    return {
      delivery,
      apply: () => applied.has(delivery.id) || applied.set(delivery.id, 1),
      breakOff: () => request.socket.destroy(),
      begin: (status, text) => response.writeHead(status, { "content-type": "application/json" }).write(text),
      answer: (status, text, headers) => response.writeHead(status, headers).end(text),
    };
  }

  /** The deliveries of one id, or all. */
  of(id) {
    return id === undefined ? this.received : this.received.filter((delivery) => delivery.id === id);
  }

  /** Waits until so many deliveries (of one id) have arrived; answers them. */
  async deliveries(count, { id, ms = 10_000 } = {}) {
    return until(
      async () => this.of(id),
      (all) => all.length >= count,
      ms,
    );
  }

  /** Asserts that everything that came was well signed and formed. */
  assertProper() {
    assert.deepEqual(this.faults, []);
  }
}

/** Starts a fulfiller that goes away with the test `t`; it answers with the script's behaviours in turn, the last for ever. */
export async function startFulfiller(t, ...script) {
  const fulfiller = await new Fulfiller(script.length > 0 ? script : [grants()]).listen();
  t.after(() => fulfiller.close());
  return fulfiller;
}

/** Starts a fulfiller and makes it an endpoint of the shop: `{fulfiller, endpoint_id, secret, mechanic}`. */
export async function fulfillerOf(t, shop, script = [grants()], events = []) {
  const fulfiller = await startFulfiller(t, ...script);
  const answer = await shop.admin.post("/v1/webhooks", { url: fulfiller.url, events });
  assert.equal(answer.status, 201, answer.text);
  const { endpoint_id, secret } = answer.body;
  fulfiller.secrets.push(secret);
  return { fulfiller, endpoint_id, secret, mechanic: { kind: "webhook", endpoint_id } };
}

/** A fulfiller's callback; every part of its signature can be replaced to make a wrong one. */
export async function callBack(url, reward, body, { secret, id = reward, seconds = Math.floor(Date.now() / 1000), headers = {}, signed } = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const signature = signatureOf(secret, id, seconds, signed ?? text);
  const all = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": signature, ...headers };
  return understood(await send(url, { method: "POST", path: `/v1/fulfilments/${encodeURIComponent(reward)}`, headers: all, body: text }));
}
