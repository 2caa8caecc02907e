// The history as a file: CSV (RFC 4180) that no spreadsheet takes for formulas, and JSON lines, streamed, equal to the list.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { inParallel } from "./guard.mjs";
import { withFulfillers } from "./rewards.mjs";
import { openShop } from "./shop.mjs";
import { LAG_MS, ODD_ORDERS, busyShop, idsOf, listed } from "./search.mjs";
import { buy, forSale, memberWith } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);
const closing = [];
let busy;
after(() => Promise.all(closing.map((close) => close())));

const exportOf = (caller, query) => caller.get(`/v1/redemptions/export?${query}`);

/** RFC 4180 by its grammar: rows of cells; every row ends with CRLF. */
function readCsv(text) {
  assert.ok(text.endsWith("\r\n"), `the last row ends too: ${JSON.stringify(text.slice(-40))}`);
  const rows = [];
  let row = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
  while (cell.lastIndex < text.length) {
    const at = cell.lastIndex;
    const [, quoted, plain, end] = cell.exec(text) ?? assert.fail(`no CSV at ${at}: ${JSON.stringify(text.slice(at, at + 80))}`);
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\r\n") {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}

/** The rows as records by the header's names. */
async function csvOf(shop, query = "") {
  const answer = await exportOf(shop.admin, `format=csv${query && `&${query}`}`);
  expectStatus(answer, 200);
  assert.match(answer.headers["content-type"], /^text\/csv\b/);
  const [header, ...rows] = readCsv(answer.text);
  assert.equal(new Set(header).size, header.length);
  for (const name of header) assert.match(name, /^[a-z][a-z0-9_.]*$/);
  for (const row of rows) assert.equal(row.length, header.length, JSON.stringify(row));
  return rows.map((row) => Object.fromEntries(row.map((value, at) => [header[at], value])));
}

async function linesOf(shop, query = "") {
  const answer = await exportOf(shop.admin, `format=jsonl${query && `&${query}`}`);
  expectStatus(answer, 200);
  assert.match(answer.headers["content-type"], /^application\/x-ndjson\b/);
  assert.ok(answer.text === "" || answer.text.endsWith("\n"));
  return answer.text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

const FORMULA = /^[=+\-@\t\r]/;

describe("an export", () => {
  before(async () => (busy = await busyShop({ after: (close) => closing.push(close) }, edge)));

  test("of JSON lines is the list, line by line, under each filter", async () => {
    const { shop, ann, first } = busy;
    for (const query of ["", "testers=1", "status=granted", `member_id=${ann.sub}`, `campaign=${first.campaign}&status=refused`, "reference=mail-7", "from=2100-01-01T00:00:00Z"]) {
      assert.deepEqual(await linesOf(shop, query), await listed(shop, query), query);
    }
  });

  test("of CSV has a row for each item of the list, in its order, with its values", async () => {
    const { shop } = busy;
    for (const query of ["", "testers=1", "status=grant_failed", "staff=nobody"]) {
      const [items, records] = [await listed(shop, query), await csvOf(shop, query)];
      assert.deepEqual(idsOf(records), idsOf(items), query);
      for (const [at, item] of items.entries()) {
        for (const name of ["status", "kind", "campaign", "reward_id", "quantity", "created_at", "batch_id", "reference", "member"]) {
          assert.ok(name in records[at], `${name} of ${Object.keys(records[at])}`);
          assert.equal(records[at][name], String(item[name] ?? ""), `${name} of ${item.redemption_id}`);
        }
      }
    }
  });

  test("of CSV keeps every text whole, and no cell begins a formula", async () => {
    const { shop, facts } = busy;
    const records = await csvOf(shop, "testers=1");
    for (const record of records) {
      for (const [name, value] of Object.entries(record)) assert.ok(!FORMULA.test(value) || /^-?\d+$/.test(value) && name !== "order", `${name}: ${JSON.stringify(value)}`);
    }
    const orders = new Map(records.map(({ redemption_id, order }) => [redemption_id, order]));
    const seen = facts.filter(({ order }) => ODD_ORDERS.includes(order));
    assert.equal(seen.length, ODD_ORDERS.length);
    for (const { id, order } of seen) {
      const cell = orders.get(id);
      assert.ok(FORMULA.test(order) ? cell !== order && cell.endsWith(order) : cell === order, `${JSON.stringify(order)} became ${JSON.stringify(cell)}`);
    }
  });

  test("holds no raw member id, number, name or code", async () => {
    const { shop, ann, bob, phones, mailed } = busy;
    for (const format of ["csv", "jsonl"]) {
      const { text } = await exportOf(shop.admin, `format=${format}&testers=1`);
      for (const secret of [ann.sub, bob.sub, phones.ann, "Ann Example", mailed[0].code, mailed[0].code.replaceAll("-", "")]) assert.ok(!text.includes(secret), secret);
    }
  });

  test("is longer than any page", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const reward_id = await forSale(shop, 1);
    const answers = await inParallel(Array.from({ length: 230 }), () => buy(ann, reward_id, { key: unique("k-") }), 16);
    for (const answer of answers) expectStatus(answer, 201);
    const made = idsOf(answers.map(({ body }) => body)).sort();
    const items = await until(() => listed(shop), (all) => all.length === 230 && all.every(({ status }) => status === "granted"), LAG_MS);
    assert.deepEqual(idsOf(items).sort(), made);
    assert.deepEqual(await linesOf(shop), items);
    assert.deepEqual(idsOf(await csvOf(shop)), idsOf(items));
  });

  test("of nothing is a header alone, or nothing at all", async () => {
    const shop = openShop(edge);
    assert.deepEqual([await csvOf(shop), await linesOf(shop)], [[], []]);
  });

  test("is for administrators of that merchant alone", async () => {
    const { shop, ann } = busy;
    for (const caller of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await exportOf(caller, "format=csv"), 403, "forbidden");
    assert.deepEqual(await linesOf(openShop(edge)), []);
    assert.deepEqual(await linesOf(openShop(edge), "reference=mail-7"), []);
  });

  for (const query of ["format=xml", "format=", "format=CSV", "format=csv&status=happy", "format=csv&campaign=x", "format=jsonl&from=now", "format=csv&phone=hello"]) {
    test(`${query} is no question`, async () => void expectProblem(await exportOf(busy.shop.admin, query), 400, "invalid_request"));
  }
});
