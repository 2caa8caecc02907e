// The load itself, in small: what it sends, counts and sums up is right. Nothing is timed here.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { countCalls } from "./breakdown.mjs";
import { Template, Watch, newRid, prepareTemplate, settledMessage } from "./direct.mjs";
import { quantile, spread } from "./figures.mjs";
import { byFunction, bySubject, readable } from "./profile.mjs";
import { RedeemingShop, bareProgram, members, redemptionBytes, startServer, typeScriptProgram, watchedProgram } from "./servers.mjs";
import { shuffled } from "./storage.mjs";
import { Line, closedLoop, openLines, openLoop, requestBytes } from "./wire.mjs";

const heard = [];
let server;
let url;

before(async () => {
  server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    heard.push({ path: request.url, body: Buffer.concat(parts).toString("utf8") });
    const chunked = request.url === "/chunked";
    response.writeHead(request.url === "/refused" ? 409 : 200, chunked ? {} : { "content-length": 4 });
    if (chunked) response.write("in p");
    response.end(chunked ? "arts" : "well");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

const bytesTo = (path) => requestBytes(new URL(url).host, { path, body: '{"ö":1}' });

test("a connection sends what it is told and reads answers with a length and in chunks", async () => {
  const line = new Line(url);
  heard.length = 0;
  assert.deepEqual(await line.send(bytesTo("/a")), { status: 200, text: "well" });
  assert.deepEqual(await line.send(bytesTo("/chunked")), { status: 200, text: "in parts" });
  line.close();
  assert.deepEqual(await line.send(bytesTo("/b")), { status: 200, text: "well" }, "it is opened again");
  line.close();
  assert.deepEqual(heard.map(({ path, body }) => [path, body]), [["/a", '{"ö":1}'], ["/chunked", '{"ö":1}'], ["/b", '{"ö":1}']]);
});

test("the closed loop counts what is answered as expected, and ends at anything else", async () => {
  const lines = openLines(url, 3);
  let at = 0;
  const next = () => ({ bytes: bytesTo("/c"), expect: 200, says: /well/, counts: (at += 1) % 2 === 1 });
  const { answered, took } = await closedLoop(lines, next, { count: 10, latencies: true });
  assert.deepEqual([answered, took.length, at], [5, 5, 10]);
  const refused = () => closedLoop(lines, () => ({ bytes: bytesTo("/refused"), expect: 200 }), { count: 1 });
  await assert.rejects(refused, /expected 200, got 409/);
  await assert.rejects(() => closedLoop(lines, () => ({ bytes: bytesTo("/c"), expect: 200, says: /badly/ }), { count: 1 }), /got 200: well/);
  for (const line of lines) line.close();
});

test("the open loop sends as many as its rate says", async () => {
  const places = [];
  const { sent } = await openLoop(async (place) => places.push(place), { perSecond: 1_000, ms: 30 });
  assert.equal(sent, 30);
  assert.deepEqual(places, Array.from({ length: 30 }, (_, place) => place));
});

test("messages after a pattern differ from it in what is new alone", () => {
  const template = new Template({ op: { seq: 7, rid: "old", more: [{ rid: "old" }], kept: 'a "b"' } }, ["rid", "seq"], ["seq"]);
  assert.deepEqual(JSON.parse(template.fill({ rid: "new", seq: 8 })), { op: { seq: 8, rid: "new", more: [{ rid: "new" }], kept: 'a "b"' } });
  const pairs = { op: { settled: { items: [["r", "f"]] } } };
  assert.deepEqual(JSON.parse(settledMessage(pairs, [{ rid: "1", fp: "2" }])), { op: { settled: { items: [["1", "2"]] } } });
  const named = { op: { settled: { items: [{ rid: "r", fp: "f", kind: "k" }] } } };
  assert.deepEqual(JSON.parse(settledMessage(named, [{ rid: "1", fp: "2" }])).op.settled.items, [{ rid: "1", fp: "2", kind: "k" }]);
});

test("numbers about numbers", () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  assert.deepEqual([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1), quantile(values, 0)], [50, 99, 100, 1]);
  assert.deepEqual(spread([3, 1, 2]), { median: 2, low: 1, high: 3, least: 1, most: 3, rounds: 3 });
  assert.deepEqual(shuffled(5, 10).sort(), [5, 6, 7, 8, 9]);
});

test("a profile is summed by function and by subject", () => {
  const node = (id, functionName, children) => ({ id, callFrame: { functionName, url: "" }, children });
  const nodes = [node(1, "(root)", [2, 5]), node(2, "_ZN4core4work17h0123456789abcdefE", [3]), node(3, "query", [4]), node(4, "query"), node(5, "(idle)")];
  const profile = { nodes, samples: [2, 3, 4, 5], timeDeltas: [1_000, 2_000, 4_000, 8_000] };
  assert.equal(readable(nodes[1].callFrame.functionName), "core::work");
  const { own, whole, total_ms: total } = byFunction(profile);
  assert.deepEqual([total, Object.fromEntries(own.map(({ name, ms }) => [name, ms]))], [15, { "(idle)": 8, query: 6, "core::work": 1 }]);
  assert.equal(whole.find(({ name }) => name === "query").ms, 6, "what calls itself counts once");
  assert.equal(whole.find(({ name }) => name === "core::work").ms, 7);
  const subjects = bySubject(profile, [["SQL", /^query$/], ["idle", /idle/]]);
  assert.deepEqual(Object.fromEntries(subjects.map(({ name, ms }) => [name, ms])), { idle: 8, SQL: 6, other: 1 });
});

test("a redemption makes the messages that the bare Worker makes too", async () => {
  const { messages_each: messages, by_object: objects } = await countCalls({ count: 20, memberCount: 5 });
  for (const name of ["Member", "CodeShard", "Recorder"]) {
    assert.ok(objects[name].statements >= 1 && objects[name].messages > 0, `${name}: ${JSON.stringify(objects[name])}`);
  }
  // To the Member, to its shard, to the Recorder; and the shard told in bulk. Alarms may bring more.
  assert.ok(messages > 2 && messages < 6, `${messages} messages`);
});

test("the bare Worker takes the same requests, and each code once", async () => {
  const runtime = await startServer(await bareProgram());
  try {
    const [{ token }] = members(1, "bench");
    const [line] = openLines(runtime.url, 1);
    const ask = (key) => line.send(redemptionBytes(new URL(runtime.url).host, { token, code: "AAAA-1", key }));
    assert.deepEqual([(await ask("k-1")).status, (await ask("k-2")).status], [201, 409]);
    line.close();
  } finally {
    await runtime.dispose();
  }
});

test("the objects beside ours take each code once, and no more promo codes than there are", async () => {
  const runtime = await startServer(await typeScriptProgram("hot-object.ts", { HOT: "Hot" }));
  try {
    const [line] = openLines(runtime.url, 1);
    const { host } = new URL(runtime.url);
    const statuses = [];
    for (const body of [{ seq: 1, rid: "a" }, { seq: 1, rid: "b" }, { stock: 1 }, { take: "a" }, { take: "b" }]) {
      statuses.push((await line.send(requestBytes(host, { path: "/", body: JSON.stringify(body) }))).status);
    }
    assert.deepEqual(statuses, [200, 409, 200, 200, 409]);
    line.close();
  } finally {
    await runtime.dispose();
  }
});

test("a shard and a pool answer the load as they answer a Member", async () => {
  const runtime = await startServer(watchedProgram(), { vars: { WATCHED: "1" } });
  try {
    const shop = await RedeemingShop.open(runtime, { memberCount: 2, pool: 40 });
    await shop.stock(40);
    const watch = new Watch(runtime.url);
    const seen = { CODE_SHARD: await watch.patternsOf(shop, "CodeShard"), POOL: await watch.patternsOf(shop, "Pool") };
    const [line] = openLines(runtime.url, 1);
    for (const [binding, { prepare, settled }] of Object.entries(seen)) {
      const before = await watch.size(binding, prepare.name);
      assert.ok(before > 0);
      const one = { rid: newRid(), fp: newRid().padEnd(64, "0"), seq: 30 };
      const bytes = watch.bytes(binding, prepare.name, prepareTemplate(prepare)(one));
      const [first, again] = [await line.send(bytes), await line.send(bytes)];
      assert.match(first.text, /"prepared"/);
      assert.equal(again.text, first.text, "the same command has the same answer");
      assert.equal((await line.send(watch.bytes(binding, settled.name, settledMessage(settled, [one])))).status, 200);
    }
    line.close();
  } finally {
    await runtime.dispose();
  }
});
