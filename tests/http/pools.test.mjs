// Pools as resources, and their uploads: what is added, what is a duplicate, what is refused by its line number.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, understood } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, audited } from "./rewards.mjs";
import { openShop } from "./shop.mjs";
import { assertDistinct, assertPool, assertReplays, assertStock, bought, buy, forSale, memberWith, openPool, poolForSale, poolNow, promoCodes, promosOf, settledAs, stock, upload } from "./trade.mjs";

const edge = edgeForThisFile();
const MIB = 1024 * 1024;
const FIELDS = ["added", "duplicates", "refused", "refused_total", "free"];
const byId = (one, other) => (one.pool_id < other.pool_id ? -1 : 1);

/** Asserts what an upload answered. */
function assertUpload(answer, { added, duplicates = 0, refused = [], free }) {
  const body = expectStatus(answer, 200);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], answer.text);
  for (const { line, reason } of body.refused) {
    assert.ok(Number.isInteger(line) && line >= 1, answer.text);
    assert.match(reason, /^[a-z][a-z_]*$/, answer.text);
  }
  assert.deepEqual([body.added, body.duplicates, body.refused.map(({ line }) => line), body.refused_total, body.free], [added, duplicates, refused, refused.length, free ?? added], answer.text.slice(0, 500));
  return body;
}

/** Begins an upload that never ends, and answers what the server says to it all the same. */
function begun(shop, pool_id, headers, parts = []) {
  const { hostname, port } = new URL(shop.url);
  const path = `/v1/pools/${pool_id}/codes`;
  const request = http.request({ hostname, port, path, method: "POST", agent: false, headers: { authorization: `Bearer ${shop.admin.token}`, "content-type": "text/plain", ...headers } });
  request.setTimeout(15_000, () => request.destroy(new Error("no answer to an upload that is too large")));
  request.flushHeaders();
  for (const part of parts) request.write(part);
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", async (response) => {
      const body = [];
      for await (const part of response) body.push(part);
      request.off("error", reject).on("error", () => {});
      request.destroy();
      resolve(understood({ method: "POST", path, status: response.statusCode, headers: response.headers, text: Buffer.concat(body).toString("utf8") }));
    });
  });
}

/** Everything that is free in a pool, seen by buying it all. */
async function contentOf(shop, pool_id) {
  const { free } = await poolNow(shop, pool_id);
  if (free === 0) return [];
  const ann = await memberWith(shop, free);
  const reward_id = await forSale(shop, 1, { pool_id });
  const codes = [];
  while (codes.length < free) codes.push(...promosOf(await bought(ann, reward_id, { quantity: Math.min(100, free - codes.length) })));
  return codes;
}

describe("a pool", () => {
  test("is made, read, listed, changed at its version, and has its defaults", async () => {
    const shop = openShop(edge);
    const answer = await shop.admin.post("/v1/pools", { name: "Cinema" });
    const pool = expectStatus(answer, 201);
    assertPool(pool);
    assert.deepEqual({ ...pool, pool_id: "" }, { pool_id: "", name: "Cinema", free: 0, used: 0, quarantined: 0, alert_below: 50, depletion_per_day: 0 });
    assert.ok(answer.headers.location.endsWith(`/v1/pools/${pool.pool_id}`));
    const named = expectStatus(await shop.admin.post("/v1/pools", { pool_id: "spa-2026", name: "Spa", alert_below: 0 }), 201);
    assert.deepEqual([named.pool_id, named.alert_below], ["spa-2026", 0]);
    expectProblem(await shop.admin.post("/v1/pools", { pool_id: "spa-2026", name: "Again" }), 409, "already_exists");
    assert.deepEqual((await everyItem(shop.admin, "/v1/pools", 1)).sort(byId), [pool, named].sort(byId));
    const at = `/v1/pools/${pool.pool_id}`;
    const read = await shop.admin.get(at);
    assert.deepEqual(expectStatus(read, 200), pool);
    expectProblem(await shop.admin.patch(at, { name: "Film" }), 428, "precondition_required");
    expectProblem(await shop.admin.patch(at, { name: "Film" }, { headers: { "if-match": '"99"' } }), 412, "version_mismatch");
    const changed = await shop.admin.patch(at, { name: "Film", alert_below: 7 }, { headers: { "if-match": read.headers.etag } });
    assert.deepEqual(expectStatus(changed, 200), { ...pool, name: "Film", alert_below: 7 });
    assert.deepEqual(await poolNow(shop, pool.pool_id), changed.body);
    expectProblem(await shop.admin.patch(at, { name: "Old" }, { headers: { "if-match": read.headers.etag } }), 412, "version_mismatch");
    expectProblem(await shop.admin.get(`/v1/pools/${unique("no-")}`), 404, "not_found");
    expectProblem(await upload(shop, unique("no-"), "A\n"), 404, "not_found");
    await assertVerified(shop, { pool_id: pool.pool_id });
  });

  test("stays changeable while codes come and go", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const { etag } = (await shop.admin.get(`/v1/pools/${pool_id}`)).headers;
    await stock(shop, pool_id, promoCodes(5));
    expectStatus(await shop.admin.patch(`/v1/pools/${pool_id}`, { name: "Film" }, { headers: { "if-match": etag } }), 200);
  });

  test("is one for a key that is repeated", async () => {
    const shop = openShop(edge);
    const key = unique("k-");
    const answers = [];
    for (let times = 0; times < 2; times += 1) answers.push(expectStatus(await shop.admin.post("/v1/pools", { name: "Cinema" }, { key }), 201));
    assert.equal(answers[0].pool_id, answers[1].pool_id);
    assert.equal((await everyItem(shop.admin, "/v1/pools")).length, 1);
  });

  const malformed = [
    [{ name: undefined }, "name"],
    [{ name: "" }, "name"],
    [{ name: 7 }, "name"],
    [{ name: "x".repeat(5000) }, "name"],
    [{ pool_id: "" }, "pool_id"],
    [{ pool_id: 7 }, "pool_id"],
    [{ pool_id: "a/b" }, "pool_id"],
    [{ pool_id: "x".repeat(5000) }, "pool_id"],
    [{ alert_below: -1 }, "alert_below"],
    [{ alert_below: 1.5 }, "alert_below"],
    [{ alert_below: "5" }, "alert_below"],
    [{ alert_below: null }, "alert_below"],
    [{ alert_below: 2 ** 53 }, "alert_below"],
    [{ free: 5 }, "free"],
    [{ surprise: 1 }, "surprise"],
  ];
  test("malformed: none is made, and none is changed", async () => {
    const shop = openShop(edge);
    for (const [change, path] of malformed) {
      const { errors } = expectProblem(await shop.admin.post("/v1/pools", { name: "Good", ...change }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path === path), `${JSON.stringify(change)}: ${JSON.stringify(errors)}`);
    }
    assert.deepEqual(await everyItem(shop.admin, "/v1/pools"), []);
    const { pool_id } = await openPool(shop);
    const before = await poolNow(shop, pool_id);
    const { etag } = (await shop.admin.get(`/v1/pools/${pool_id}`)).headers;
    for (const patch of [{ name: "" }, { name: null }, { alert_below: -1 }, { pool_id: "other" }, { free: 5 }, { surprise: 1 }]) {
      expectProblem(await shop.admin.patch(`/v1/pools/${pool_id}`, patch, { headers: { "if-match": etag } }), 400, "invalid_request");
    }
    assert.deepEqual(await poolNow(shop, pool_id), before);
  });

  test("belongs to administrators of its merchant", async () => {
    const shop = openShop(edge);
    const { pool_id, codes } = await openPool(shop, 3);
    const calls = [
      ["GET", ""],
      ["POST", ""],
      ["GET", `/${pool_id}`],
      ["PATCH", `/${pool_id}`],
      ["POST", `/${pool_id}/codes`],
      ["GET", `/${pool_id}/quarantine`],
      ["POST", `/${pool_id}/quarantine/release`],
    ];
    for (const [method, path] of calls) {
      const options = path.endsWith("/codes") ? { body: "X\n", headers: { "content-type": "text/plain" } } : { body: method === "GET" ? undefined : { all: true, reason: "r" } };
      for (const caller of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await caller.request(method, `/v1/pools${path}`, options), 403, "forbidden");
      if (path === "") continue;
      const stranger = await openShop(edge).admin.request(method, `/v1/pools${path}`, { ...options, headers: { "if-match": '"1"', ...options.headers }, ...(method === "PATCH" && { body: { name: "Mine" } }) });
      expectProblem(stranger, 404, "not_found");
    }
    await assertStock(shop, pool_id, { free: codes.length, used: 0 });
  });
});

describe("an upload", () => {
  test("of text: a code on each line, with any line ends, with and without a last one", async () => {
    const shop = openShop(edge);
    for (const text of ["A1\nB2\nC3\n", "A1\nB2\nC3", "A1\r\nB2\r\nC3\r\n", "A1\r\nB2\nC3\r\n"]) {
      const { pool_id } = await openPool(shop);
      assertUpload(await upload(shop, pool_id, text), { added: 3 });
      assert.deepEqual((await contentOf(shop, pool_id)).sort(), ["A1", "B2", "C3"], JSON.stringify(text));
    }
  });

  test("of CSV: by the column's name, or the first column where there is no header", async () => {
    const shop = openShop(edge);
    const texts = [
      "code\nA1\nB2\n",
      "promo_code\r\nA1\r\nB2\r\n",
      "id,code,note\n1,A1,first\n2,B2,second\n",
      'id,promo_code\n1,"A1"\n"2","B2"\n',
      'note,code\n"a note, with a comma\nand a line",A1\n"he said ""no""",B2\n',
      "A1\nB2\n",
      "A1,7\nB2,8",
    ];
    for (const text of texts) {
      const { pool_id } = await openPool(shop);
      assertUpload(await upload(shop, pool_id, text, { type: "text/csv; charset=utf-8" }), { added: 2 });
      assert.deepEqual((await contentOf(shop, pool_id)).sort(), ["A1", "B2"], JSON.stringify(text));
    }
  });

  test("a byte order mark, which spreadsheets put first, is no part of a code or of a column's name", async () => {
    const shop = openShop(edge);
    for (const [text, type] of [["\ufeffcode\r\nA1\r\nB2\r\n", "text/csv"], ["\ufeffA1\r\nB2\r\n", "text/csv"], ["\ufeffA1\nB2\n", "text/plain"]]) {
      const { pool_id } = await openPool(shop);
      assertUpload(await upload(shop, pool_id, text, { type }), { added: 2 });
      assert.deepEqual((await contentOf(shop, pool_id)).sort(), ["A1", "B2"], JSON.stringify(text));
    }
  });

  test("a quoted value may have a comma and a quote; in text they are letters like others", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    assertUpload(await upload(shop, pool_id, 'code\n"A,1"\n"B""2"\n', { type: "text/csv" }), { added: 2 });
    assertUpload(await upload(shop, pool_id, '"C",3\n'), { added: 1, free: 3 });
    assert.deepEqual((await contentOf(shop, pool_id)).sort(), ['"C",3', "A,1", 'B"2'].sort());
  });

  test("of letters of any script, up to 128", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const codes = ["Gr\u00fc\u00dfe-1", "\u798f\u5229-2", "x".repeat(128), "\u00e4".repeat(128), "a-b_c.d/e+f=g"];
    assertUpload(await upload(shop, pool_id, codes.join("\n")), { added: codes.length });
    assert.deepEqual((await contentOf(shop, pool_id)).sort(), [...codes].sort());
  });

  test("blank lines, control characters and lines too long are refused by number; the rest is added", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const lines = ["A1", "", "B2", "   ", "\t", "C\u00073", "x".repeat(129), "D4", "\u00e4".repeat(129), "\u001b[1m", "E5\u007f", "F6"];
    const { refused } = assertUpload(await upload(shop, pool_id, `${lines.join("\n")}\n`), { added: 4, refused: [2, 4, 5, 6, 7, 9, 10, 11] });
    const reasons = new Map(refused.map(({ line, reason }) => [line, reason]));
    for (const line of [2, 4]) assert.equal(reasons.get(line), "blank");
    for (const line of [6, 7, 9, 10, 11]) assert.notEqual(reasons.get(line), "blank", String(line));
    assert.deepEqual((await contentOf(shop, pool_id)).sort(), ["A1", "B2", "D4", "F6"]);
  });

  test("in CSV a line that lacks the column, or has it blank, is refused by number", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const { refused } = assertUpload(await upload(shop, pool_id, 'id,code\n1,A1\n2,\n3\n4,"  "\n5,B2\n', { type: "text/csv" }), { added: 2, refused: [3, 4, 5] });
    assert.ok(refused.every(({ reason }) => reason.length > 0));
    assert.deepEqual((await contentOf(shop, pool_id)).sort(), ["A1", "B2"]);
  });

  test("the first thousand refused lines are listed, and all are counted", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const answer = await upload(shop, pool_id, `A1\n${"\n".repeat(2500)}B2\n`);
    const body = expectStatus(answer, 200);
    assert.deepEqual([body.added, body.refused_total, body.refused.length, body.free], [2, 2500, 1000, 2]);
    assert.deepEqual(body.refused.map(({ line }) => line), Array.from({ length: 1000 }, (_, place) => place + 2));
  });

  test("duplicates within and across uploads are counted and not added, whether free or used", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, [], 1);
    assertUpload(await upload(shop, pool_id, "A1\nB2\nA1\nA1\nC3\n"), { added: 3, duplicates: 2 });
    const ann = await memberWith(shop, 10);
    const [used] = promosOf(await bought(ann, reward_id));
    assertUpload(await upload(shop, pool_id, `A1\nB2\nC3\nD4\n`), { added: 1, duplicates: 3, free: 3 });
    await assertStock(shop, pool_id, { free: 3, used: 1 });
    const rest = promosOf(await bought(ann, reward_id, { quantity: 3 }));
    assert.deepEqual([used, ...rest].sort(), ["A1", "B2", "C3", "D4"]);
    assertUpload(await upload(shop, pool_id, used), { added: 0, duplicates: 1 });
    expectProblem(await buy(ann, reward_id), 409, "insufficient_codes", { available: 0, requested: 1 });
    // Letters in another case make another code: shops print both.
    assertUpload(await upload(shop, pool_id, "a1\n"), { added: 1 });
    await assertVerified(shop, { pool_id });
  });

  test("the same code in two pools is two codes", async () => {
    const shop = openShop(edge);
    for (let times = 0; times < 2; times += 1) assertUpload(await upload(shop, (await openPool(shop)).pool_id, "A1\n"), { added: 1 });
  });

  test("under a key is once: the same body answers the same, another is refused", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const key = unique("k-");
    const first = await upload(shop, pool_id, "A1\nB2\n\n", { key });
    assertUpload(first, { added: 2, refused: [3] });
    const again = await upload(shop, pool_id, "A1\nB2\n\n", { key });
    assert.deepEqual([expectStatus(again, 200), again.headers["idempotent-replayed"]], [first.body, "true"]);
    expectProblem(await upload(shop, pool_id, "A1\nB2\nC3\n", { key }), 422, "idempotency_key_reused");
    await assertStock(shop, pool_id, { free: 2, used: 0 });
    assertUpload(await upload(shop, pool_id, "A1\nB2\n"), { added: 0, duplicates: 2, free: 2 });
  });

  test("twins in flight under a key are one upload", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const key = unique("k-");
    const text = promoCodes(5000).join("\n");
    const answers = await Promise.all(Array.from({ length: 4 }, () => upload(shop, pool_id, text, { key })));
    for (const answer of answers) if (answer.status !== 200) expectProblem(answer, 409, "idempotency_key_in_use");
    const bodies = answers.filter(({ status }) => status === 200).map(({ body }) => body);
    assert.ok(bodies.length >= 1);
    for (const body of bodies) assert.deepEqual([body.added + body.duplicates, body.free], [5000, 5000]);
    const replay = await upload(shop, pool_id, text, { key });
    assert.deepEqual([expectStatus(replay, 200).added + replay.body.duplicates, replay.headers["idempotent-replayed"]], [5000, "true"]);
    await assertStock(shop, pool_id, { free: 5000, used: 0 });
  });

  test("two at once of the same codes add each once", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const codes = promoCodes(3000);
    const answers = await Promise.all([codes, [...codes].reverse(), codes].map((list) => upload(shop, pool_id, list.join("\n"))));
    const bodies = answers.map((answer) => expectStatus(answer, 200));
    assert.equal(bodies.reduce((sum, { added }) => sum + added, 0), 3000);
    assert.equal(bodies.reduce((sum, { duplicates }) => sum + duplicates, 0), 6000);
    await assertStock(shop, pool_id, { free: 3000, used: 0 });
    await assertVerified(shop, { pool_id });
  });

  test("is in the audit log by who sent it, without the codes", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, ["SECRET-VOUCHER-1"]);
    const lines = await audited(shop, { actor: "admin:admin-1", object: `pool/${pool_id}` });
    assert.doesNotMatch(JSON.stringify(lines), /SECRET-VOUCHER/);
  });
});

describe("an upload that is none changes nothing", () => {
  const texts = [
    ["binary", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d])],
    ["a zero byte among good lines", Buffer.from("A1\nB\u00002\nC3\n")],
    ["not UTF-8", Buffer.from([0x41, 0x31, 0x0a, 0xff, 0xfe, 0x0a])],
    ["a broken sequence at the end", Buffer.from([0x41, 0x31, 0x0a, 0x42, 0xc3])],
    ["UTF-16", Buffer.from("A1\nB2\n", "utf16le")],
    ["an overlong form", Buffer.from([0x41, 0xc0, 0x80, 0x0a])],
    ["a zero byte after thousands of good lines", Buffer.from(`${promoCodes(5000).join("\n")}\nX\u0000Y\n`)],
  ];
  for (const type of ["text/plain", "text/csv"]) {
    test(`${type}: ${texts.map(([name]) => name).join(", ")}`, async () => {
      const shop = openShop(edge);
      const { pool_id } = await openPool(shop, ["Z9"]);
      for (const [name, body] of texts) {
        const answer = await upload(shop, pool_id, body, { type });
        expectProblem(answer, 400, "invalid_request");
        assert.equal((await poolNow(shop, pool_id)).free, 1, name);
      }
    });
  }

  test("another media type, or none", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    for (const type of ["application/json", "application/octet-stream", "multipart/form-data; boundary=x", "text/html", "application/vnd.ms-excel", null]) {
      const answer = await upload(shop, pool_id, "A1\n", { type });
      assert.equal(answer.status, 415, `${type}: ${answer.text}`);
      expectProblem(answer, 415, "unsupported_media_type");
    }
    for (const type of ["text/plain", "text/plain;charset=UTF-8", "Text/CSV"]) expectStatus(await upload(shop, pool_id, "A1\n", { type }), 200);
  });

  test("17 MiB: by its length before any of it was read, in chunks once it is too much", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    expectProblem(await begun(shop, pool_id, { "content-length": 17 * MIB }), 413, "too_large");
    expectProblem(await begun(shop, pool_id, { "content-length": 16 * MIB + 1 }), 413, "too_large");
    const lines = Buffer.alloc(16 * MIB, "0123456789ABCDE\n");
    expectProblem(await begun(shop, pool_id, {}, [lines, Buffer.from("X")]), 413, "too_large");
    await assertStock(shop, pool_id, { free: 0, used: 0 });
  });
});

describe("large uploads", () => {
  test("of more than an ordinary body may have are taken, every line of them", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const codes = promoCodes(20_000);
    const lines = codes.flatMap((code, place) => (place % 1000 === 0 ? [code, ""] : [code]));
    const blanks = lines.flatMap((line, place) => (line === "" ? [place + 1] : []));
    assertUpload(await upload(shop, pool_id, `${lines.join("\n")}\n`), { added: 20_000, refused: blanks });
    assertUpload(await upload(shop, pool_id, `code\n${codes.join("\n")}\nNEW-1\n`, { type: "text/csv" }), { added: 1, duplicates: 20_000, free: 20_001 });
  });

  test("of exactly 16 MiB are taken", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const lines = 131_072;
    const text = Array.from({ length: lines }, (_, place) => `${String(place).padStart(127, "0")}\n`).join("");
    assert.equal(text.length, 16 * MIB);
    assertUpload(await upload(shop, pool_id, text), { added: lines });
    await assertStock(shop, pool_id, { free: lines, used: 0 });
  });

  test("go in slices, and redemptions go on meanwhile", async () => {
    const shop = openShop(edge);
    const { pool_id, codes: first, reward_id } = await poolForSale(shop, 2000, 1);
    const more = promoCodes(150_000);
    const buyers = await Promise.all(Array.from({ length: 4 }, () => memberWith(shop, 10_000)));
    let going = true;
    const sending = upload(shop, pool_id, more.join("\n")).finally(() => (going = false));
    const handedOut = [];
    const times = [];
    // Each buyer buys one after another until the upload is through; none may wait for it.
    const buying = buyers.map(async (buyer) => {
      while (going) {
        const answer = await buy(buyer, reward_id);
        expectStatus(answer, 201);
        if (going) times.push(answer.ms);
        handedOut.push(...promosOf(await settledAs(buyer, answer.body.redemption_id, "granted")));
      }
    });
    await Promise.all(buying);
    const body = expectStatus(await sending, 200);
    assert.deepEqual([body.added, body.duplicates, body.refused_total], [150_000, 0, 0]);
    assert.ok(times.length >= 8, `only ${times.length} purchases while the upload went on`);
    assert.ok(Math.max(...times) < 2000, `a purchase took ${Math.max(...times)} ms while the upload went on`);
    assertDistinct(handedOut, [...first, ...more]);
    await assertStock(shop, pool_id, { free: 152_000 - handedOut.length, used: handedOut.length });
    for (const buyer of buyers) await assertReplays(buyer);
    await assertVerified(shop, { pool_id });
  });
});
