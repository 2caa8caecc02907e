// The npm package's client against the real edge: what the unit tests pretend, once for real.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CounterfoilError, createClient } from "@counterfoil/sdk";
import { WebSocket } from "ws";

import { until } from "../http/client.mjs";
import { edgeForThisFile, signToken, unique } from "../http/env.mjs";
import { openShop } from "../http/shop.mjs";

const edge = edgeForThisFile();

/** A member of a new shop with codes to redeem, and what their client needs. */
async function setting({ count = 1, ...campaign } = {}) {
  const shop = openShop(edge);
  const { codes } = await shop.withCodes(count, campaign);
  const sub = unique("u-");
  const token = (claims = {}) => signToken({ sub, merchant: shop.merchant, ...claims });
  const storage = pageStorage();
  const client = (more = {}) => createClient({ baseUrl: edge.url, token, storage, WebSocket, ...more });
  return { shop, codes, token, storage, client };
}

function pageStorage() {
  const entries = new Map();
  return {
    entries,
    get length() {
      return entries.size;
    },
    key: (index) => [...entries.keys()][index] ?? null,
    getItem: (name) => entries.get(name) ?? null,
    setItem: (name, value) => void entries.set(name, value),
    removeItem: (name) => void entries.delete(name),
  };
}

/** Follows a client's feed and keeps what it says. */
function follow(t, client, options) {
  const seen = { events: [], states: [], resets: [] };
  const stop = client.subscribe((event) => seen.events.push(event), {
    ...options,
    onState: (state) => seen.states.push(state),
    onReset: (reset) => seen.resets.push(reset),
  });
  t.after(stop);
  const granted = (count) => seen.events.filter(({ type, data }) => type === "redemption.updated" && data.status === "granted").length >= count;
  return {
    ...seen,
    stop,
    state: (wanted) => until(() => seen.states.at(-1), (state) => state === wanted),
    granted: (count) => until(() => granted(count), Boolean),
    /** Every event once, in order, from the first one seen on. */
    assertWhole: () => seen.events.forEach(({ seq }, index) => assert.equal(seq, seen.events[0].seq + index)),
  };
}

/** Sockets that can be cut from outside, as a network does. */
function cuttable() {
  const open = [];
  return {
    open,
    WebSocket: class extends WebSocket {
      constructor(...args) {
        super(...args);
        open.push(this);
      }
    },
  };
}

describe("the client against the edge", () => {
  it("previews, redeems, and sees the credit arrive live", async (t) => {
    const { codes, client } = await setting();
    const anna = client();
    const feed = follow(t, anna);
    await feed.state("live");
    const preview = await anna.preview({ code: codes[0] });
    assert.equal(preview.would, "redeem");
    assert.equal(preview.reward.name, "Five euros");
    const redemption = await anna.redeem({ code: codes[0], order: "o-1" });
    assert.equal(redemption.order, "o-1");
    await feed.granted(1);
    feed.assertWhole();
    assert.deepEqual((await anna.wallet()).credit, [{ currency: "EUR", amount_minor: 500 }]);
    assert.equal((await anna.redemption(redemption.redemption_id)).status, "granted");
    assert.equal((await anna.redemptions({ status: "granted" })).items.length, 1);
    assert.equal((await anna.ledger({ limit: 10 })).items[0].amount, 500);
    assert.deepEqual(await anna.pending(), []);
  });

  it("gives refusals their codes", async () => {
    const { codes, client, shop } = await setting();
    const anna = client();
    await anna.redeem({ code: codes[0] });
    const bert = createClient({ baseUrl: edge.url, token: signToken({ sub: unique("u-"), merchant: shop.merchant }), storage: pageStorage() });
    for (const [one, code, refusal] of [
      [anna, codes[0], "already_redeemed_by_you"],
      [bert, codes[0], "already_redeemed"],
      [bert, "0000-PMHX-FT6V-PPXF-4FNQ", "malformed_code"],
      [bert, "0000-PMHX-FT5V-PPXF-4FNQ", "code_not_recognised"],
    ]) {
      await assert.rejects(one.redeem({ code }), (error) => {
        assert.ok(error instanceof CounterfoilError);
        assert.deepEqual([error.code, error.isRefusal, error.problem.code], [refusal, true, refusal]);
        return true;
      });
      assert.deepEqual(await one.pending(), []);
    }
  });

  it("redeems once although the answer is lost and the page reloads", async (t) => {
    const { codes, client } = await setting();
    // The request arrives and is acted on; its answer does not come back.
    let sent = 0;
    const losing = async (...args) => {
      const answer = await fetch(...args);
      if (args[1].method !== "POST") return answer;
      sent += 1;
      assert.equal(answer.status, 201);
      throw new TypeError("the connection broke");
    };
    const abort = new AbortController();
    const before = client({ fetch: losing });
    const lost = before.redeem({ code: codes[0] }, { signal: abort.signal }).catch((error) => error);
    await until(() => sent, (count) => count >= 2);
    abort.abort();
    assert.equal((await lost).code, "aborted");

    const after = client();
    const feed = follow(t, after);
    const [redemption] = await after.resume();
    assert.ok(redemption.redemption_id);
    assert.deepEqual(await after.pending(), []);
    assert.equal((await after.redemptions()).items.length, 1);
    await until(() => after.wallet(), ({ credit }) => credit[0]?.amount_minor === 500);
    feed.assertWhole();
  });

  it("gives one redemption to two tabs that redeem at once", async () => {
    const { codes, client } = await setting();
    const [one, two] = await Promise.all([client().redeem({ code: codes[0] }), client().redeem({ code: codes[0].toLowerCase() })]);
    assert.equal(one.redemption_id, two.redemption_id);
  });

  it("misses nothing over a cut socket, a reload and a second tab", async (t) => {
    const { codes, client } = await setting({ count: 3 });
    const sockets = cuttable();
    const anna = client({ WebSocket: sockets.WebSocket });
    const feed = follow(t, anna);
    await feed.state("live");
    await anna.redeem({ code: codes[0] });
    await feed.granted(1);

    sockets.open.at(-1).terminate();
    await client().redeem({ code: codes[1] });
    await feed.granted(2);
    feed.assertWhole();

    feed.stop();
    await client().redeem({ code: codes[2] });
    const reloaded = follow(t, client());
    await reloaded.granted(1);
    reloaded.assertWhole();
    assert.equal(reloaded.events[0].seq, feed.events.at(-1).seq + 1, "begins right after what the page had seen");
  });

  it("follows by long poll where sockets are blocked", async (t) => {
    const { codes, client } = await setting();
    const Blocked = class {
      constructor() {
        throw new Error("blocked by policy");
      }
    };
    const anna = client({ WebSocket: Blocked });
    const feed = follow(t, anna);
    await feed.state("polling");
    await anna.redeem({ code: codes[0] });
    await feed.granted(1);
    feed.assertWhole();
  });

  it("asks for a new token when the server ends the old one's socket", async (t) => {
    const { codes, token, client } = await setting();
    const now = () => Math.floor(Date.now() / 1000);
    let asked = 0;
    const sockets = cuttable();
    const closes = [];
    const anna = client({ WebSocket: sockets.WebSocket, token: () => token(asked++ < 3 ? { exp: now() + 2 } : {}) });
    const feed = follow(t, anna);
    await feed.state("live");
    sockets.open[0].on("close", (code) => closes.push(code));
    await until(() => closes, ({ length }) => length > 0);
    assert.deepEqual(closes, [4401]);
    await until(() => sockets.open.length, (count) => count > 1);
    await feed.state("live");
    await anna.redeem({ code: codes[0] });
    await feed.granted(1);
    feed.assertWhole();
  });

  it("takes over the whole state when its place in the feed is unknown", async (t) => {
    const { codes, client } = await setting({ count: 2 });
    const anna = client();
    await anna.redeem({ code: codes[0] });
    await until(() => anna.wallet(), ({ credit }) => credit[0]?.amount_minor === 500);
    const feed = follow(t, client(), { since: 1_000_000 });
    await until(() => feed.resets.length, Boolean);
    assert.deepEqual(feed.resets[0].wallet.credit, [{ currency: "EUR", amount_minor: 500 }]);
    await anna.redeem({ code: codes[1] });
    await feed.granted(1);
    assert.equal(feed.events[0].seq, feed.resets[0].since + 1);
  });
});
