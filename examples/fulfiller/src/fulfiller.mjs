// A fulfiller: the server of a shop, a game or a bonus system that applies rewards when Counterfoil asks for it.
//
//   COUNTERFOIL_URL=http://127.0.0.1:8787 FULFILLER_SECRETS=whsec_… npm start -w examples/fulfiller
//
//   1. An administrator registers its address:   POST /v1/webhooks {"url": "http://127.0.0.1:8790/webhooks", "events": []}
//      The answer's `secret` goes into FULFILLER_SECRETS; during a rotation both do, the newest first.
//   2. A reward definition names the endpoint:   "mechanic": {"kind": "webhook", "endpoint_id": "ep_…"}
//   3. Whenever such a reward is to be applied, `reward.fulfil` arrives here. The answer is
//        200 {"outcome": "granted", "data"?}     it was applied: never asked again
//        200 {"outcome": "failed", "error"?}     it was not: asked again on the schedule
//        202                                     later: POST {COUNTERFOIL_URL}/v1/fulfilments/{id}, signed like a webhook
//        anything else                           asked again, with the same id
//
// The two things that a fulfiller must get right, and this one shows:
//   - The message is verified before it is read, over the bytes that came (signatures.mjs).
//   - The same reward may arrive many times, at once or days later, because an answer was lost. The reward's id is
//     written down together with what was given (journal.mjs); whoever asks again gets the same answer and nothing more.

import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

import { Journal } from "./journal.mjs";
import { isGenuine, signedHeaders } from "./signatures.mjs";

const bodyBytesMax = 64 * 1024;
const callbackPauses = [1_000, 5_000, 30_000, 60_000, 300_000];

/** How a callback ended that will not be tried again. */
const isFinal = (status) => (status >= 200 && status < 300) || [400, 404, 409].includes(status);

/** An answer that a fault prescribes, or the usual one. */
const reply = (status, body, headers = {}) => ({ status, body, headers });

/**
 * Makes a fulfiller; `listen` starts it.
 *
 * @param {object} options
 * @param {string[]} options.secrets secrets of the endpoint, the newest first; may be changed while it runs
 * @param {string} options.file where it remembers what it gave
 * @param {string} [options.counterfoil] address of the API, for late answers
 * @param {(reward: object) => Promise<object> | object} [options.apply] gives the reward and answers data about it;
 *   throws when it cannot be given. Called once for each reward, and again only after it threw
 * @param {(reward: object) => boolean} [options.takesLong] whether a reward is accepted now and completed later
 * @param {(delivery: object) => Fault | undefined | Promise<Fault | undefined>} [options.fault] for tests: what goes wrong with a delivery
 * @param {(line: string) => void} [options.log]
 *
 * @typedef {"silence" | "break" | {status: number, headers?: object, body?: unknown}} Wrong no answer ever, a broken
 *   connection, or an answer in place of the right one
 * @typedef {{instead?: Wrong, after?: Wrong, until?: Promise<unknown>}} Fault `instead` of doing anything; `after`
 *   everything was done (so the right answer is lost); or nothing is done `until` something
 */
export function createFulfiller({ secrets, file, counterfoil, apply = giveVoucher, takesLong = () => false, fault = () => undefined, log = () => {} }) {
  const journal = new Journal(file);
  /** Work under way by reward: who asks in the meantime waits for the same answer. @type {Map<string, Promise<object>>} */
  const underWay = new Map();
  /** Every genuine message, for whoever wants to look on. */
  const deliveries = [];
  const closing = new AbortController();

  // ---- what is asked -------------------------------------------------------------------------------------------------

  const granted = ({ data }) => reply(200, { outcome: "granted", data });

  /** One thing at a time for each reward; who asks in the meantime gets the same answer. */
  function alone(id, work) {
    const running = underWay.get(id);
    if (running) return running;
    const answer = work().finally(() => underWay.delete(id));
    underWay.set(id, answer);
    return answer;
  }

  /** Gives a reward, unless it was given, or is to be given later (and `now` does not say that later is now). */
  async function fulfil(reward, { now = false } = {}) {
    const known = journal.of(reward.id);
    if (known?.state === "granted") return granted(known);
    if (known?.state === "cancelled") return reply(200, { outcome: "failed", error: "this reward was cancelled" });
    if (now) return give(reward);
    if (known?.state === "accepted") return reply(202);
    if (takesLong(reward)) {
      journal.write({ id: reward.id, state: "accepted", reward });
      return reply(202);
    }
    return give(reward);
  }

  async function give(reward) {
    let data;
    try {
      data = await apply(reward);
    } catch (error) {
      journal.write({ id: reward.id, state: "failed", error: error.message, reward });
      return reply(200, { outcome: "failed", error: error.message });
    }
    return granted(journal.write({ id: reward.id, state: "granted", data, reward }));
  }

  /** Counterfoil gave up a reward that it had asked for. What was given already is for a person to look at. */
  function cancel({ id }) {
    const known = journal.of(id);
    if (known?.state === "granted") log(`cancelled after it was granted: ${id}`);
    else journal.write({ id, state: "cancelled", reward: known?.reward });
    return reply(200, {});
  }

  async function handle({ type, data }) {
    switch (type) {
      case "reward.fulfil":
        return alone(data.id, () => fulfil(data));
      case "reward.cancelled":
        // After the work under way, so that the last line says what is true.
        await underWay.get(data.id);
        return cancel(data);
      default:
        // `webhook.test`, and events that somebody subscribed this endpoint to.
        return reply(200, {});
    }
  }

  // ---- late answers --------------------------------------------------------------------------------------------------

  /**
   * Completes a reward that was accepted: gives it and tells Counterfoil, again and again until it has heard.
   * Answers the status of the last try.
   */
  async function complete(id) {
    const reward = journal.of(id)?.reward;
    if (reward === undefined) throw new Error(`${id} was never asked for`);
    // What is under way may be the acceptance itself.
    await underWay.get(id);
    const { body } = await alone(id, () => fulfil(reward, { now: true }));
    for (let tries = 0; ; tries += 1) {
      const status = await callBack(id, body).catch((error) => error.message);
      if (isFinal(status)) return status;
      log(`callback for ${id}: ${status}`);
      await pause(callbackPauses[Math.min(tries, callbackPauses.length - 1)], undefined, { signal: closing.signal, ref: false });
    }
  }

  /** Reports once what became of a reward. */
  async function callBack(id, report) {
    const text = JSON.stringify(report);
    const answer = await fetch(new URL(`/v1/fulfilments/${id}`, counterfoil), {
      method: "POST",
      headers: { "content-type": "application/json", ...signedHeaders(secrets[0], id, text) },
      body: text,
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(20_000)]),
    });
    await answer.arrayBuffer();
    return answer.status;
  }

  // ---- the server ----------------------------------------------------------------------------------------------------

  async function take(request, response) {
    const text = await readText(request);
    if (request.method !== "POST") return answerWith(response, reply(405, undefined, { allow: "POST" }));
    if (text === undefined) return answerWith(response, reply(413));
    if (!isGenuine(secrets, request.headers, text)) {
      log("refused: not signed by Counterfoil, or too old");
      return answerWith(response, reply(401));
    }
    const message = parse(text);
    if (message === undefined) return answerWith(response, reply(400));
    const delivery = { id: request.headers["webhook-id"], at: Date.now(), ...message };
    deliveries.push(delivery);
    const { instead, after, until } = (await fault(delivery)) ?? {};
    await until;
    const right = instead === undefined ? await handle(message) : undefined;
    answerWith(response, instead ?? after ?? right);
  }

  const server = createServer((request, response) => {
    // A client that goes away in the middle is no concern of ours: it will ask again.
    request.on("error", () => {});
    response.on("error", () => {});
    take(request, response).catch((error) => {
      log(`failed: ${error.stack}`);
      if (!response.headersSent) answerWith(response, reply(500));
    });
  });

  return {
    secrets,
    deliveries,
    /** Where a reward stands here. */
    stateOf: (id) => journal.of(id)?.state,
    complete,
    callBack,
    /** Starts it; answers the address to register. */
    async listen({ port = 0, host = "127.0.0.1" } = {}) {
      server.listen(port, host);
      await once(server, "listening");
      // What was accepted before a restart is still owed.
      if (counterfoil !== undefined) for (const { id } of journal.accepted()) complete(id).catch((error) => log(`${id}: ${error.message}`));
      return `http://${host}:${server.address().port}/webhooks`;
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
      await Promise.allSettled(underWay.values());
      journal.close();
    },
  };
}

/** What this example gives: a voucher, whose number is the same whoever asks for it however often. */
function giveVoucher({ id, value, quantity }) {
  return { voucher: `V-${id.slice(-12)}`, value, quantity };
}

/** A request's body as text; undefined when it is too large. */
async function readText(request) {
  const parts = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    // Read to its end all the same, or the answer would not be heard.
    if (bytes <= bodyBytesMax) parts.push(part);
  }
  return bytes > bodyBytesMax ? undefined : Buffer.concat(parts).toString("utf8");
}

/** A message of the usual shape. */
function parse(text) {
  try {
    const message = JSON.parse(text);
    const shaped = typeof message?.type === "string" && typeof message.data === "object" && message.data !== null;
    // What is about a reward says which.
    return shaped && (!message.type.startsWith("reward.") || typeof message.data.id === "string") ? message : undefined;
  } catch {
    return undefined;
  }
}

function answerWith(response, answer) {
  if (answer === "silence") return;
  if (answer === "break") {
    response.destroy();
    return;
  }
  const { status, body, headers = {} } = answer;
  const text = body === undefined ? "" : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
}
