// The live feed: nothing missed and nothing twice, by WebSocket and by long poll, over drops and resumes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, signToken, unique } from "./env.mjs";
import { INSTANT, assertBalanced, assertRedemption, openShop, redeem, redeemed, walletOf } from "./shop.mjs";
import { openFeed, openSocket } from "./socket.mjs";

const edge = edgeForThisFile();
const TYPES = ["redemption.updated", "reward.updated", "wallet.updated", "pool.assigned", "notice"];
const grantOf = (id) => ({ type, data }) => type === "redemption.updated" && data.redemption_id === id && data.status === "granted";

function assertFeed(events, after) {
  events.forEach((event, at) => {
    assert.equal(event.seq, after + 1 + at, `no gap and no repeat: ${JSON.stringify(events.map(({ seq }) => seq))}`);
    assert.match(event.at, INSTANT);
    assert.ok(TYPES.includes(event.type), event.type);
    assert.deepEqual(Object.keys(event).sort(), ["at", "data", "seq", "type"]);
    if (event.type === "redemption.updated") assertRedemption(event.data);
  });
}

const poll = async (client, query) => expectStatus(await client.get(`/v1/events?${query}`), 200);

describe("WebSocket", () => {
  test("a redemption arrives with the whole resource and the wallet as it then is", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const feed = await openFeed(edge.url, ann.token, "?since=0");
    const { redemption_id } = await redeemed(ann, code);
    const grant = grantOf(redemption_id);
    let [haveGrant, haveWallet] = [false, false];
    const events = await feed.eventsUntil((event) => {
      haveGrant ||= grant(event);
      haveWallet ||= event.type === "wallet.updated" && event.data.credit.some(({ amount_minor }) => amount_minor === 500);
      return haveGrant && haveWallet;
    });
    assertFeed(events, 0);
    assert.deepEqual(events.find(grant).data, (await ann.get(`/v1/redemptions/${redemption_id}`)).body);
    assert.deepEqual(events.findLast(({ type }) => type === "wallet.updated").data, await walletOf(ann));
    const reward = events.findLast(({ type }) => type === "reward.updated");
    if (reward) assert.equal(reward.data.state, "granted", JSON.stringify(reward));
    feed.close();
  });

  test("without since it begins now; with since it begins after that event", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3);
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const { events, next_since } = await poll(ann, "since=0");
    assertFeed(events, 0);
    assert.equal(next_since, events.at(-1).seq);
    const live = await openFeed(edge.url, ann.token);
    const later = await redeemed(ann, codes[1]);
    const news = await live.eventsUntil(grantOf(later.redemption_id));
    assertFeed(news, next_since);
    const resumed = await openFeed(edge.url, ann.token, `?since=${next_since}`);
    assertFeed(await resumed.eventsUntil(grantOf(later.redemption_id)), next_since);
    const middle = await openFeed(edge.url, ann.token, "?since=1");
    assertFeed(await middle.eventsUntil(grantOf(later.redemption_id)), 1);
    for (const feed of [live, resumed, middle]) feed.close();
  });

  test("a dropped feed resumes without a gap, again and again", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(6);
    const ann = shop.member();
    const seen = [];
    for (const [at, code] of codes.entries()) {
      const feed = await openFeed(edge.url, ann.token, `?since=${seen.at(-1)?.seq ?? 0}`);
      // Every second time the connection is gone before the answer, so that the events fall between two connections.
      if (at % 2 === 1) feed.drop();
      const { redemption_id } = await redeemed(ann, code);
      if (at % 2 === 1) continue;
      seen.push(...(await feed.eventsUntil(grantOf(redemption_id))));
      feed.drop();
    }
    const { events } = await poll(ann, `since=${seen.at(-1).seq}`);
    seen.push(...events);
    assertFeed(seen, 0);
    assert.equal(seen.filter(({ type, data }) => type === "redemption.updated" && data.status === "granted").length >= 6, true);
    assert.deepEqual(seen, (await poll(ann, "since=0")).events);
  });

  test("every open page of a member hears the same; another member hears nothing", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const [ann, bob] = [shop.member(), shop.member()];
    const pages = await Promise.all([1, 2, 3].map(() => openFeed(edge.url, ann.token, "?since=0")));
    const stranger = await openFeed(edge.url, bob.token, "?since=0");
    const { redemption_id } = await redeemed(ann, code);
    const heard = await Promise.all(pages.map((page) => page.eventsUntil(grantOf(redemption_id))));
    for (const events of heard) assert.deepEqual(events, heard[0]);
    stranger.send("ping");
    assert.equal(await stranger.next(), "pong", "nothing came before the pong");
    assert.deepEqual((await poll(bob, "since=0")).events, []);
    for (const page of [...pages, stranger]) page.close();
  });

  test("answers ping with pong, and survives what it does not understand", async () => {
    const feed = await openFeed(edge.url, openShop(edge).member().token);
    for (let times = 0; times < 3; times += 1) {
      feed.send("ping");
      assert.equal(await feed.next(), "pong");
    }
    feed.close();
    assert.ok([1000, 1005].includes((await feed.ending()).code));
  });

  test("a refused redemption that was answered at once arrives as refused", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    await redeemed(shop.member(), code);
    const ann = shop.member();
    const feed = await openFeed(edge.url, ann.token, "?since=0");
    const { redemption_id } = expectStatus(await redeem(ann, code, { headers: { prefer: "respond-async" } }), 202);
    const events = await feed.eventsUntil(({ type, data }) => type === "redemption.updated" && data.status === "refused");
    assert.equal(events.at(-1).data.redemption_id, redemption_id);
    assert.equal(events.at(-1).data.refusal.code, "already_redeemed");
    feed.close();
  });

  test("since ahead of the feed gets a reset with everything a page shows", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const { redemption_id } = await redeemed(ann, code);
    const { next_since } = await poll(ann, "since=0");
    const feed = await openFeed(edge.url, ann.token, `?since=${next_since + 100}`);
    const reset = await feed.nextEvent();
    assert.deepEqual(Object.keys(reset).sort(), ["redemptions", "reset", "rewards", "since", "wallet"]);
    assert.deepEqual([reset.reset, reset.since], [true, next_since]);
    assert.deepEqual(reset.wallet, await walletOf(ann));
    assert.deepEqual(reset.redemptions.map((one) => one.redemption_id), [redemption_id]);
    assert.equal(reset.rewards.length, 1);
    assert.deepEqual(await poll(ann, `since=${next_since + 1}`), reset);
    feed.close();
  });

  test("closes with 4401 when the token ends", async () => {
    const shop = openShop(edge);
    const exp = Math.floor(Date.now() / 1000) + 2;
    const feed = await openFeed(edge.url, signToken({ sub: unique("u-"), merchant: shop.merchant, exp }));
    const { code } = await feed.ending(8000);
    assert.equal(code, 4401);
    assert.ok(Date.now() >= exp * 1000 - 50, "not before its time");
  });

  test("refuses a missing, bad or administrator's token, before upgrading", async () => {
    const shop = openShop(edge);
    const good = shop.member().token;
    const expired = signToken({ sub: "ann", merchant: shop.merchant, exp: 1 });
    for (const [protocols, status] of [
      [["counterfoil.v1"], 401],
      [[], 401],
      [["counterfoil.v1", "bearer.nonsense"], 401],
      [["counterfoil.v1", "bearer."], 401],
      [["counterfoil.v1", `bearer.${expired}`], 401],
      [["counterfoil.v1", `bearer.${shop.admin.token}`], 403],
      [["counterfoil.v2", `bearer.${good}`], 400],
    ]) {
      const { refused, socket } = await openSocket(edge.url, "/v1/events", { protocols });
      const offered = protocols.map((text) => text.slice(0, 20)).join();
      assert.ok(socket === undefined, `upgraded for ${offered}, selecting ${socket?.protocol}`);
      assert.equal(refused.status, status, `${offered}: ${refused.text}`);
      assert.match(refused.headers["content-type"], /problem\+json/);
    }
  });

  test("refuses a since that is no number, before upgrading", async () => {
    const { token } = openShop(edge).member();
    for (const since of ["-1", "x", "1.5", "", "9007199254740992"]) {
      const { refused } = await openSocket(edge.url, `/v1/events?since=${since}`, { protocols: ["counterfoil.v1", `bearer.${token}`] });
      assert.equal(refused?.status, 400, since);
    }
  });

  test("takes the token in the header too, and then selects the one protocol", async () => {
    const { token } = openShop(edge).member();
    const { socket, refused } = await openSocket(edge.url, "/v1/events", { protocols: ["counterfoil.v1"], headers: { authorization: `Bearer ${token}` } });
    assert.ok(socket, JSON.stringify(refused));
    assert.equal(socket.protocol, "counterfoil.v1");
    socket.close();
  });
});

describe("long poll", () => {
  test("answers at once without wait, and with wait as soon as something happens", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    assert.deepEqual(await poll(ann, "since=0"), { events: [], next_since: 0 });
    const waiting = ann.get("/v1/events?since=0&wait=20");
    const { redemption_id } = await redeemed(ann, code);
    const answer = await waiting;
    expectStatus(answer, 200);
    assert.ok(answer.body.events.length > 0, answer.text);
    assert.ok(answer.ms < 15_000, `${answer.ms} ms`);
    assertFeed(answer.body.events, 0);
    const { events } = await poll(ann, "since=0");
    assert.ok(events.some(grantOf(redemption_id)));
  });

  test("an idle wait ends empty after its time", async () => {
    const ann = openShop(edge).member();
    const answer = await ann.get("/v1/events?since=0&wait=1");
    assert.deepEqual(expectStatus(answer, 200), { events: [], next_since: 0 });
    assert.ok(answer.ms >= 950 && answer.ms < 4000, `${answer.ms} ms`);
  });

  test("without since it begins now", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2);
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const { next_since: last } = await poll(ann, "since=0");
    assert.deepEqual((await ann.get("/v1/events")).body, { events: [], next_since: last });
    const waiting = ann.get(`/v1/events?since=${last}&wait=20`);
    await redeemed(ann, codes[1]);
    assertFeed((await waiting).body.events, last);
  });

  test("next_since leads through the whole feed", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3);
    const ann = shop.member();
    for (const code of codes) await redeemed(ann, code);
    const whole = (await poll(ann, "since=0")).events;
    for (let since = 0; since < whole.length; since += 1) {
      const { events, next_since } = await poll(ann, `since=${since}`);
      assert.deepEqual(events, whole.slice(since));
      assert.equal(next_since, whole.length);
    }
  });

  test("a long feed comes in parts of five hundred, by poll and by socket alike", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(260);
    const ann = shop.member();
    for (let at = 0; at < codes.length; at += 20) await Promise.all(codes.slice(at, at + 20).map((code) => redeemed(ann, code)));
    const parts = [];
    for (let since = 0; parts.length === 0 || parts.at(-1).events.length > 0; since = parts.at(-1).next_since) parts.push(await poll(ann, `since=${since}`));
    const whole = parts.flatMap(({ events }) => events);
    assert.ok(whole.length > 500, String(whole.length));
    assert.deepEqual(parts.map(({ events }) => events.length).slice(0, -2).filter((length) => length !== 500), []);
    assertFeed(whole, 0);
    const granted = new Set(whole.filter(({ type, data }) => type === "redemption.updated" && data.status === "granted").map(({ data }) => data.redemption_id));
    assert.equal(granted.size, 260);
    const feed = await openFeed(edge.url, ann.token, "?since=0");
    assert.deepEqual(await feed.eventsUntil(({ seq }) => seq === whole.length, 20_000), whole);
    feed.close();
    const { wallet } = await assertBalanced(ann);
    assert.deepEqual(wallet.credit, [{ currency: "EUR", amount_minor: 260 * 500 }]);
  });

  test("a service polls for the member it names", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    await redeemed(ann, code);
    assert.deepEqual(await poll(shop.service, `member_id=${ann.sub}&since=0`), await poll(ann, "since=0"));
  });

  test("wrong numbers are refused", async () => {
    const ann = openShop(edge).member();
    for (const query of ["since=-1", "since=x", "since=1.5", "since=0&wait=26", "since=0&wait=-1", "since=0&wait=soon"]) {
      expectProblem(await ann.get(`/v1/events?${query}`), 400, "invalid_request");
    }
    expectProblem(await new Client(edge.url).get("/v1/events?since=0"), 401, "invalid_token");
  });
});
