// Minting at scale: streams that can be repeated and resumed, what their headers promise, every profile in every key epoch,
// and the end of the serial space.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openBatch, runtimeMemory } from "./batch-stream.mjs";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { PROFILES, S16, S20, S25, check, mint, verify } from "./code.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { keysAt, rotated, withAllRoots } from "./key-roots.mjs";
import { define } from "./rewards.mjs";
import { campaignNow } from "./rules.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { dateIn, endOfDay, plusDays } from "./zones.mjs";

const edge = edgeForThisFile(withAllRoots);
/** Codes of the large stream; a soak asks for millions. */
const CODES = Number(process.env.CODES ?? 200_000);

const batchAt = (shop, campaign, body, options, query = "") => shop.admin.post(`/v1/campaigns/${campaign}/batches${query}`, body, options);
const batchesOf = (shop, campaign) => everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`);
const linesOf = (text) => text.split("\n").filter(Boolean);
const namesCount = (answer) => {
  expectStatus(answer, 400, 409);
  assert.ok(answer.body.detail.length > 10, answer.text);
  if (answer.body.code === "invalid_request") assert.ok(answer.body.errors.some(({ path, reason }) => path === "count" && reason.length > 10), answer.text);
};

/** A campaign of a feature, which every profile may have. */
async function featureCampaign(shop, profile, fields) {
  return shop.campaign({ profile: profile.name, reward_id: await define(shop, "feature"), ...fields });
}

// ---- headers -----------------------------------------------------------------------------------------------------------

describe("the headers of a stream", () => {
  test("name batch, count, what remains, and the odds of a guess, before the first row", async () => {
    const shop = openShop(edge);
    for (const profile of Object.values(PROFILES)) {
      const { campaign } = await featureCampaign(shop, profile);
      let issued = 0;
      let reserved = 0;
      for (const [count, format] of [[1, "csv"], [9, "jsonl"], [990, "csv"], [9000, "jsonl"]]) {
        const { status, headers, rows } = await openBatch(shop.admin, campaign, { count, format });
        assert.equal(status, 201);
        issued += count;
        reserved += count + Math.floor(count / 25) + 64;
        // 2^-t × issued / 2^serial, as a power of two; the tags of as many codes as there are.
        const odds = /^2\^-(\d+\.\d)$/.exec(headers["counterfoil-odds"]);
        assert.ok(odds, headers["counterfoil-odds"]);
        const expected = profile.tag + profile.serial - Math.log2(issued);
        assert.ok(Math.abs(Number(odds[1]) - expected) < 0.051, `${headers["counterfoil-odds"]} is not 2^-${expected}`);
        assert.equal(headers["counterfoil-count"], String(count));
        const remaining = Number(headers["counterfoil-remaining"]);
        assert.ok(remaining <= 2 ** profile.serial - issued && remaining >= 2 ** profile.serial - reserved, `${remaining} remain after ${issued}`);
        assert.match(headers["cache-control"], /no-store/);
        assert.match(headers["content-type"], format === "csv" ? /^text\/csv\b/ : /^application\/x-ndjson\b/);
        let seen = 0;
        for await (const [, code] of rows) seen += code.length === profile.symbols + Math.ceil(profile.symbols / profile.group) - 1;
        assert.equal(seen, count);
        const batch = (await batchesOf(shop, campaign)).find(({ batch_id }) => batch_id === headers["counterfoil-batch"]);
        assert.deepEqual([batch.count, 2 ** profile.serial - batch.to_seq], [count, remaining]);
      }
      assert.equal((await campaignNow(shop, campaign)).issued, issued);
    }
  });

  test("CSV is one header line and the rows, JSON lines are the rows alone", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const csv = expectStatusText(await batchAt(shop, campaign, { count: 3 }));
    assert.match(csv, /^seq,code\r?\n(\d+,[0-9A-HJKMNP-TV-Z-]{24}\r?\n){3}$/);
    const lines = linesOf(expectStatusText(await batchAt(shop, campaign, { count: 3, format: "jsonl" }))).map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((line) => Object.keys(line)), Array(3).fill(["seq", "code"]));
  });
});

const expectStatusText = (answer) => {
  expectStatus(answer, 201);
  return answer.text;
};

// ---- again, and on from where it broke ------------------------------------------------------------------------------------

describe("a stream asked for again", () => {
  for (const format of ["csv", "jsonl"]) {
    test(`${format}: after each row it goes on with exactly the rest`, async () => {
      const shop = openShop(edge);
      const { campaign } = await shop.campaign();
      const key = unique("k-");
      const body = { count: 12, format, label: "Mailing" };
      const whole = await batchAt(shop, campaign, body, { key });
      const rows = linesOf(expectStatusText(whole)).filter((line) => line.trim() !== "seq,code");
      const seqOf = (line) => (format === "csv" ? Number(line.split(",")[0]) : JSON.parse(line).seq);
      for (const [at, row] of rows.entries()) {
        const rest = await batchAt(shop, campaign, body, { key }, `?after_seq=${seqOf(row)}`);
        assert.deepEqual(linesOf(expectStatusText(rest)), rows.slice(at + 1), `after row ${at}, without a header line`);
        assert.equal(rest.headers["counterfoil-batch"], whole.headers["counterfoil-batch"]);
        assert.equal(rest.headers["idempotent-replayed"], "true");
      }
      assert.equal((await batchAt(shop, campaign, body, { key })).text, whole.text);
      assert.equal((await batchesOf(shop, campaign)).length, 1);
      assert.equal((await campaignNow(shop, campaign)).issued, 12);
    });
  }

  test("a stream that broke goes on after its last whole row: all parts together are the whole", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const key = unique("k-");
    const body = { count: 60_000, format: "jsonl" };
    const parts = [];
    let after_seq;
    for (const most of [1, 2000, 15_000, Infinity]) {
      const { status, rows, breakOff } = await openBatch(shop.admin, campaign, body, { key, after_seq });
      assert.equal(status, 201);
      let read = 0;
      for await (const [seq, code] of rows) {
        parts.push(`${seq},${code}`);
        after_seq = seq;
        read += 1;
        if (read === most) break;
      }
      breakOff();
    }
    assert.equal(parts.length, 60_000);
    const again = [];
    for await (const [seq, code] of (await openBatch(shop.admin, campaign, body, { key })).rows) again.push(`${seq},${code}`);
    assert.ok(parts.every((row, at) => row === again[at]) && again.length === parts.length, "the same rows in the same order");
    const [batch, ...others] = await batchesOf(shop, campaign);
    assert.equal(others.length, 0);
    assert.equal((await until(() => batchesOf(shop, campaign), ([one]) => one.delivered === 60_000))[0].count, batch.count);
  });

  test("twins at once bring the same codes, and one batch", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const answers = await Promise.all(Array.from({ length: 5 }, () => batchAt(shop, campaign, { count: 40, format: "csv" }, { key })));
    const made = answers.filter(({ status }) => status === 201);
    assert.ok(made.length >= 1);
    for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, "idempotency_key_in_use");
    assert.equal(new Set(made.map(({ text }) => text)).size, 1);
    assert.equal((await batchesOf(shop, campaign)).length, 1);
  });

  test("another body under the key is refused, and reserves nothing", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const body = { count: 3, format: "csv", label: "A" };
    expectStatus(await batchAt(shop, campaign, body, { key }), 201);
    const before = await batchesOf(shop, campaign);
    for (const change of [{ count: 4 }, { format: "jsonl" }, { label: "B" }, { reference: "r" }, { expires_on: "2099-01-01" }, { offline: true }]) {
      expectProblem(await batchAt(shop, campaign, { ...body, ...change }, { key }), 422, "idempotency_key_reused");
      expectProblem(await batchAt(shop, campaign, { ...body, ...change }, { key }, "?after_seq=0"), 422, "idempotency_key_reused");
    }
    assert.deepEqual(await batchesOf(shop, campaign), before);
    // A service's keys are its own.
    const other = await shop.service.post(`/v1/campaigns/${campaign}/batches`, body, { key });
    assert.notEqual(expectStatusText(other), (await batchAt(shop, campaign, body, { key })).text);
  });

  test("going on needs the key of a stream that was begun, and a seq of it", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const other = await shop.campaign();
    const body = { count: 3, format: "csv" };
    const [key, offlineKey] = [unique("k-"), unique("k-")];
    expectStatus(await batchAt(shop, campaign, body, { key }), 201);
    expectStatus(await batchAt(shop, campaign, { count: 3, offline: true }, { key: offlineKey }), 201);
    const before = await batchesOf(shop, campaign);
    const namesAfterSeq = (answer) => {
      expectStatus(answer, 400);
      if (answer.body.code === "invalid_request") assert.ok(answer.body.errors.some(({ path }) => path.endsWith("after_seq")), answer.text);
      else assert.equal(answer.body.code, "idempotency_key_required");
    };
    namesAfterSeq(await batchAt(shop, campaign, body, {}, "?after_seq=0"));
    for (const bad of ["x", "-1", "1.5", "", "9007199254740993"]) namesAfterSeq(await batchAt(shop, campaign, body, { key }, `?after_seq=${bad}`));
    expectStatus(await batchAt(shop, campaign, body, { key: unique("k-") }, "?after_seq=0"), 400, 404, 409);
    expectStatus(await batchAt(shop, other.campaign, body, { key }, "?after_seq=0"), 400, 404, 409);
    assert.deepEqual(await batchesOf(shop, campaign), before, "nothing was begun");
    assert.deepEqual(await batchesOf(shop, other.campaign), []);
    const past = await batchAt(shop, campaign, body, { key }, `?after_seq=${before.at(-1).to_seq + 5}`);
    if (past.status === 201) assert.deepEqual(linesOf(past.text), []);
    else namesAfterSeq(past);
  });

  test("a batch tells how many of its codes were delivered", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    await shop.codes(campaign, 25);
    await until(() => batchesOf(shop, campaign), ([batch]) => batch.delivered === 25);
    const { batch_id } = expectStatus(await batchAt(shop, campaign, { count: 7, offline: true }), 201);
    assert.equal((await batchesOf(shop, campaign)).find((batch) => batch.batch_id === batch_id).delivered ?? 0, 0, "none of an offline one");
  });
});

// ---- what is minted ------------------------------------------------------------------------------------------------------

describe("every code is authentic", () => {
  test("in every profile and every epoch, and redeems", async () => {
    const shop = openShop(edge);
    const campaigns = [];
    for (const profile of [S16, S20, S25]) campaigns.push([profile, (await featureCampaign(shop, profile)).campaign]);
    const seqs = new Map();
    for (let epoch = 0; epoch < 8; epoch += 1) {
      if (epoch > 0) assert.equal((await rotated(shop, { epoch })).minting_epoch, epoch);
      for (const [profile, campaign] of campaigns) {
        const keys = keysAt(shop, campaign, epoch, profile);
        const rows = await shop.codes(campaign, 30);
        for (const { seq, code } of rows) {
          assert.deepEqual(verify(keys, code), { authentic: true, seq });
          assert.equal(code, mint(keys, seq).code);
          assert.equal(check(code).epoch, epoch);
          // One counter for the campaign's whole life.
          assert.ok(!seqs.has(`${campaign} ${seq}`) && seq > (seqs.get(campaign) ?? -1), `seq ${seq} of campaign ${campaign}`);
          seqs.set(`${campaign} ${seq}`, true).set(campaign, seq);
        }
        await redeemed(shop.member(), rows[epoch].code);
        const [batch] = (await batchesOf(shop, campaign)).filter(({ from_seq, to_seq }) => from_seq <= rows[0].seq && rows[0].seq < to_seq);
        assert.equal(batch.epoch, epoch);
      }
    }
  });

  test(`${CODES} codes as one stream, in bounded memory`, { timeout: 60_000 + CODES }, async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const keys = keysAt(shop, campaign, 0);
    const before = runtimeMemory();
    let peak = before;
    let count = 0;
    let last = -1;
    const { status, rows } = await openBatch(shop.admin, campaign, { count: CODES });
    assert.equal(status, 201);
    for await (const [seq, code] of rows) {
      // Growing numbers are different codes: the permutation is one.
      if (seq <= last) assert.fail(`${seq} after ${last}`);
      last = seq;
      if (count % 1009 === 0) assert.equal(code, mint(keys, seq).code);
      if (count % 50_000 === 0 && before !== undefined) peak = Math.max(peak, runtimeMemory());
      count += 1;
    }
    assert.equal(count, CODES);
    if (before !== undefined) assert.ok(peak - before < 128, `the runtime grew from ${before} to ${peak} MB`);
    assert.equal((await campaignNow(shop, campaign)).issued, CODES);
  });

  test("a service's stream is as good as an administrator's", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const { status, rows } = await openBatch(shop.service, campaign, { count: 5, format: "jsonl" });
    assert.equal(status, 201);
    for await (const [seq, code] of rows) assert.equal(code, mint(keysAt(shop, campaign, 0), seq).code);
  });
});

// ---- the end of the space --------------------------------------------------------------------------------------------------

describe("the serial space", () => {
  const fits = (count) => count + Math.floor(count / 25) + 64;
  test("is used to its end, and a request past it reserves nothing", async () => {
    const shop = openShop(edge);
    const { campaign } = await featureCampaign(shop, S16);
    const space = 2 ** S16.serial;
    const offline = (count) => batchAt(shop, campaign, { count, offline: true });
    const largest = (left) => {
      let count = Math.floor(((left - 64) * 25) / 26) + 2;
      while (fits(count) > left) count -= 1;
      return count;
    };
    for (const count of [space, space + 1, largest(space) + 1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      namesCount(await offline(count));
      namesCount(await batchAt(shop, campaign, { count }));
    }
    assert.deepEqual([await batchesOf(shop, campaign), (await campaignNow(shop, campaign)).issued], [[], 0]);
    const first = expectStatus(await offline(600_000), 201);
    assert.ok(first.to_seq <= fits(600_000));
    const before = await batchesOf(shop, campaign);
    const left = space - first.to_seq;
    namesCount(await offline(largest(left) + 1));
    assert.deepEqual(await batchesOf(shop, campaign), before);
    assert.equal((await campaignNow(shop, campaign)).issued, 600_000);
    const last = expectStatus(await offline(largest(left)), 201);
    assert.ok(last.from_seq >= first.to_seq && last.to_seq <= space);
    for (const count of [1000, largest(left)]) namesCount(await batchAt(shop, campaign, { count }));
    assert.equal((await batchesOf(shop, campaign)).length, 2);
    await redeemed(shop.member(), mint(keysAt(shop, campaign, 0, S16), last.from_seq + 5000).code);
  });

  test("is one for all epochs", async () => {
    const shop = openShop(edge);
    const { campaign } = await featureCampaign(shop, S16);
    expectStatus(await batchAt(shop, campaign, { count: 900_000, offline: true }), 201);
    await rotated(shop);
    namesCount(await batchAt(shop, campaign, { count: 900_000, offline: true }));
    const rows = await shop.codes(campaign, 5);
    assert.ok(rows[0].seq >= 900_000);
    assert.equal(check(rows[0].code).epoch, 1);
  });

  test("of an ended campaign is closed, of a paused one and a draft open", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    await shop.codes(campaign, 1);
    await shop.move(campaign, "activate");
    await shop.move(campaign, "pause");
    await shop.codes(campaign, 1);
    await shop.move(campaign, "end");
    expectProblem(await batchAt(shop, campaign, { count: 1 }), 409, "illegal_move", { state: "ended" });
    assert.equal((await campaignNow(shop, campaign)).issued, 2);
  });
});

// ---- what a batch gives its codes --------------------------------------------------------------------------------------------

describe("a batch of its own", () => {
  test("day: the last day of the campaign's zone is in, the one before today is over", async () => {
    const shop = openShop(edge);
    for (const time_zone of ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"]) {
      const { campaign } = await shop.campaign({ time_zone });
      const today = dateIn(time_zone, Date.now());
      const last = await shop.codes(campaign, 1, { expires_on: plusDays(today, 1) });
      const over = await shop.codes(campaign, 1, { expires_on: plusDays(today, -1) });
      await redeemed(shop.member(), last[0].code);
      expectProblem(await redeem(shop.member(), over[0].code), 410, "code_expired");
      const batches = await batchesOf(shop, campaign);
      const ends = batches.map(({ expires_at }) => Date.parse(expires_at)).sort((a, b) => b - a);
      assert.deepEqual(ends, [endOfDay(time_zone, plusDays(today, 1)), endOfDay(time_zone, plusDays(today, -1))]);
    }
  });

  test("label and reference: its redemptions carry batch and reference", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const [one] = await shop.codes(campaign, 1, { label: "Voucher shop", reference: "order-77" });
    const [other] = await shop.codes(campaign, 1);
    const ann = shop.member();
    const [first, second] = [await redeemed(ann, one.code), await redeemed(ann, other.code)];
    const batches = await batchesOf(shop, campaign);
    const batchOf = (row) => batches.find(({ from_seq, to_seq }) => from_seq <= row.seq && row.seq < to_seq);
    assert.deepEqual([first.reference, first.batch_id], ["order-77", batchOf(one).batch_id]);
    assert.deepEqual([second.reference, second.batch_id], [undefined, batchOf(other).batch_id]);
    assert.deepEqual([batchOf(one).label, batchOf(one).reference], ["Voucher shop", "order-77"]);
  });

  test("without a key of the caller's is another each time", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const texts = await Promise.all(Array.from({ length: 6 }, async () => expectStatusText(await batchAt(shop, campaign, { count: 2 }))));
    assert.equal(new Set(texts).size, 6);
    assert.equal((await batchesOf(shop, campaign)).length, 6);
  });
});
