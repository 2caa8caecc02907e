// What the server writes: one line of JSON for each request to redeem, enough to find it again, and never a whole code, a
// token, a telephone number or who the member is.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { expectProblem, expectStatus, send, until } from "./client.mjs";
import { forge, mint } from "./code.mjs";
import { startEdge, unique } from "./env.mjs";
import { openShop, redeem } from "./shop.mjs";
import { confirm, lookup, quote, quoted, record, reversed, tillOf } from "./till.mjs";
import { adjust, buy, forSale, memberWith, poolForSale } from "./trade.mjs";

const METRICS_TOKEN = "a token that only the scraper of these tests knows";
const written = [];
const edge = {};
let running;
before(async () => {
  running = await startEdge({ vars: { METRICS_TOKEN }, log: (line) => written.push(line) });
  edge.url = running.url.toString().replace(/\/$/, "");
});
after(() => running?.dispose());

const objectOf = (line) => {
  try {
    const value = JSON.parse(line);
    return value && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
};
const redemptionLines = (merchant) => written.map(objectOf).filter((line) => line?.event === "redemption" && line.merchant === merchant);
/** The lines of a shop once there are so many. */
const linesOf = async (shop, count) => {
  await until(async () => redemptionLines(shop.merchant).length, (number) => number >= count);
  return redemptionLines(shop.merchant);
};
const FIELDS = ["event", "at", "level", "redemption_id", "merchant", "route", "code", "code_ref", "status", "outcome", "ms"];

function assertLine(line) {
  const says = JSON.stringify(line);
  assert.deepEqual(Object.keys(line).filter((name) => !FIELDS.includes(name)), [], says);
  for (const name of ["merchant", "route", "outcome"]) assert.ok(typeof line[name] === "string" && line[name].length > 0, `${name} of ${says}`);
  assert.ok(Number.isInteger(line.status) && Number.isFinite(line.ms) && line.ms >= 0, says);
  assert.equal(line.code === undefined, line.code_ref === undefined, says);
}

describe("the log", () => {
  test("has one line for each request to redeem, with its redemption, status and outcome", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const { codes } = await shop.withCodes(2);
    const coffee = await forSale(shop, 100);
    const granted = expectStatus(await redeem(ann, codes[0]), 201);
    expectProblem(await redeem(ann, codes[0]), 409, "already_redeemed_by_you");
    const inPath = expectStatus(await ann.post(`/v1/codes/${codes[1]}/redemptions`, {}, { key: unique("k-") }), 201);
    const purchase = expectStatus(await buy(ann, coffee), 201);
    expectProblem(await buy(ann, coffee), 409, "insufficient_points");
    const lines = await linesOf(shop, 5);
    lines.forEach(assertLine);
    assert.equal(lines.length, 5);
    assert.deepEqual(lines.map(({ status }) => status), [201, 409, 201, 201, 409]);
    assert.deepEqual(lines.map(({ outcome }) => outcome), ["granted", "already_redeemed_by_you", "granted", "granted", "insufficient_points"]);
    for (const [at, body] of [[0, granted], [2, inPath], [3, purchase]]) assert.equal(lines[at].redemption_id, body.redemption_id);
    const group = (code) => code.replaceAll("-", "").slice(0, 4);
    assert.deepEqual(lines.map(({ code }) => code), [group(codes[0]), group(codes[0]), group(codes[1]), undefined, undefined]);
  });

  test("tells one code from another by a keyed hash, which nobody makes without the key", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3);
    const [ann, bob] = [shop.member(), shop.member()];
    for (const [member, code] of [[ann, codes[0]], [bob, codes[0]], [ann, codes[1]], [bob, codes[2]]]) await redeem(member, code);
    // Another way to write the first.
    await redeem(shop.member(), codes[0].toLowerCase().replaceAll("-", " "));
    const lines = await linesOf(shop, 5);
    const refs = lines.map(({ code_ref }) => code_ref);
    assert.equal(refs[0], refs[1]);
    assert.equal(refs[0], refs[4], "the code, not its writing");
    assert.equal(new Set(refs).size, 3);
    for (const ref of refs) assert.match(ref, /^[A-Za-z0-9_-]{8,64}$/);
    const plain = codes[0].replaceAll("-", "");
    for (const text of [codes[0], plain, plain.toLowerCase(), codes[0].toLowerCase()]) {
      for (const name of ["sha256", "sha1", "md5", "sha512"]) {
        for (const form of ["hex", "base64url"]) assert.ok(!createHash(name).update(text).digest(form).startsWith(refs[0]), `${name} of the code`);
      }
    }
  });

  test("has a line for wrong codes too, with as little", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(1);
    const ann = shop.member();
    const forged = forge(shop.keys(campaign), 0);
    const never = mint(shop.keys(campaign), 2 ** 24 - 1).code;
    expectProblem(await redeem(ann, forged), 404, "code_not_recognised");
    expectProblem(await redeem(ann, never), 404, "code_not_recognised");
    const lines = await linesOf(shop, 2);
    lines.forEach(assertLine);
    assert.deepEqual(lines.map(({ status, outcome }) => [status, outcome]), Array(2).fill([404, "code_not_recognised"]));
  });

  test("never has a whole code, a token, a telephone number or a member, whatever was asked", async () => {
    const shop = openShop(edge);
    const phone = "+4915122200001";
    const ann = await memberWith(shop, 1000);
    const [till, manager] = [tillOf(shop), tillOf(shop, "manager")];
    await record(shop, ann, { phone, name: "Ann-Kathrin Example" });
    const { campaign, codes } = await shop.withCodes(12);
    const forged = forge(shop.keys(campaign), 1);
    const pooled = await poolForSale(shop, 5, 10);
    const coffee = await forSale(shop, 100);
    const keys = Array.from({ length: 6 }, () => unique("secret-key-"));
    await redeem(ann, codes[0], { key: keys[0] });
    await redeem(ann, codes[0], { key: keys[0] });
    await redeem(ann, codes[1], { headers: { prefer: "respond-async" } });
    await ann.post(`/v1/codes/${codes[2]}/redemptions`, {}, { key: keys[1] });
    // Not by the client: what stands in a query that no route has is described nowhere.
    await send(ann.base, {
      method: "POST",
      path: `/v1/codes/${codes[3].toLowerCase()}/redemptions?x=${codes[4]}`,
      body: {},
      headers: { authorization: `Bearer ${ann.token}`, "idempotency-key": keys[2] },
    });
    await ann.post("/v1/codes/preview", { code: codes[5] });
    await ann.post("/v1/codes/preview", { code: forged });
    await redeem(ann, `${codes[6].slice(0, -1)}*`);
    await redeem(ann, codes[7], { surprise: true });
    await ann.post("/v1/redemptions", `{"code":"${codes[8]}"`, { key: keys[3], headers: { "content-type": "application/json" } });
    await ann.get(`/v1/nothing/${codes[9]}`);
    await redeem(shop.member(), codes[10]);
    await shop.admin.get(`/v1/members?phone=${encodeURIComponent(phone)}`);
    await lookup(till, phone);
    await lookup(till, `${phone}0000000`);
    const { quote_id } = await quoted(till, ann, coffee);
    await confirm(till, quote_id, {}, { key: keys[4] });
    await quote(till, ann, coffee, { quantity: 50 });
    await adjust(shop, ann, { amount: 5 }, { by: manager });
    const sale = expectStatus(await buy(ann, pooled.reward_id, { quantity: 2, key: keys[5] }), 201);
    await reversed(manager, sale.redemption_id);
    await ann.post("/v1/orders/o-1/holds", { code: codes[11], total: { currency: "EUR", amount_minor: 5000 } }, { key: unique("k-") });
    await shop.admin.get("/v1/stats");
    // The last request's line is there, so that those before it are.
    const { code: last } = await shop.withCodes();
    await redeem(ann, last);
    await until(async () => redemptionLines(shop.merchant), (lines) => lines.some(({ code, outcome }) => code === last.replaceAll("-", "").slice(0, 4) && outcome === "granted"));
    const text = written.join("\n");
    const plain = text.toUpperCase().replace(/[^0-9A-Z]/g, "");
    for (const code of [...codes, forged, last]) {
      const symbols = code.replaceAll("-", "");
      assert.ok(!plain.includes(symbols), `no whole code: ${code}`);
      assert.ok(!text.includes(symbols.slice(4, 12)) && !text.includes(code.slice(5, 14)), `no more than the first group of ${code}`);
    }
    for (const secret of [ann.sub, "Ann-Kathrin", "15122200001", ann.token, till.token, shop.admin.token, ann.token.split(".")[2], METRICS_TOKEN, "Bearer", ...keys, ...pooled.codes]) {
      assert.ok(!text.includes(secret), `${secret.slice(0, 24)} is in the log`);
    }
    assert.ok(!text.includes("a secret that only the test suites know"));
    assert.ok(!/panicked|RuntimeError|unreachable/.test(text), text.slice(0, 1000));
  });

  test("is JSON, line by line", () => {
    const broken = written.filter((line) => /^\s*\{/.test(line) && objectOf(line) === undefined);
    assert.deepEqual(broken, []);
    for (const line of written.map(objectOf).filter((one) => one?.event === "redemption")) assertLine(line);
  });
});
