// Keys for a print shop: exported once, audited, equal to an independent derivation; what is minted with them redeems, and
// nothing is streamed in their epoch any more.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { campaignFlags, counterfoil, keyFlags } from "../vectors/cli.mjs";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { PROFILES, S16, S20, mint } from "./code.mjs";
import { edgeForThisFile, testVars, unique } from "./env.mjs";
import { ROOTS, keysAt, rotated, withAllRoots } from "./key-roots.mjs";
import { auditOf, audited, define } from "./rewards.mjs";
import { campaignNow } from "./rules.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";

const logged = [];
const edge = edgeForThisFile({ ...withAllRoots, log: (line) => logged.push(line) });
const REASON = "printed on 10,000 boxes";
const exportKey = (shop, campaign, body = { reason: REASON }, options) => shop.admin.post(`/v1/campaigns/${campaign}/print-key`, body, options);
const batch = (shop, campaign, body, options) => shop.admin.post(`/v1/campaigns/${campaign}/batches`, body, options);
const offline = async (shop, campaign, count = 5) => expectStatus(await batch(shop, campaign, { count, offline: true }), 201);

/** Exports, holds the answer against a derivation of our own, and answers keys to mint with. */
async function exported(shop, campaign, { epoch = 0, profile = S20, key } = {}) {
  const answer = await exportKey(shop, campaign, undefined, { key });
  const body = expectStatus(answer, 200);
  assert.match(answer.headers["cache-control"], /no-store/);
  const keys = keysAt(shop, campaign, epoch, profile);
  const { word_list, ...rest } = body;
  assert.deepEqual(rest, {
    merchant: shop.merchant,
    environment: testVars.ENVIRONMENT,
    campaign,
    profile: profile.name,
    epoch,
    tag_key: keys.tagKey.toString("hex"),
    permute_key: keys.permuteKey.toString("hex"),
  });
  assert.ok(["string", "number"].includes(typeof word_list), answer.text);
  return { body, keys: { ...keys, tagKey: Buffer.from(body.tag_key, "hex"), permuteKey: Buffer.from(body.permute_key, "hex"), rounds: new Map() } };
}

const refusedAs = (answer, state) => {
  const { legal_moves } = expectProblem(answer, 409, "illegal_move", { state });
  assert.ok(Array.isArray(legal_moves), answer.text);
};

describe("the keys of a campaign", () => {
  test("are those of its epoch, in every profile, and mint what redeems", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "feature");
    const ann = shop.member();
    for (const epoch of [0, 3]) {
      if (epoch > 0) await rotated(shop, { epoch });
      for (const profile of Object.values(PROFILES)) {
        const { campaign } = await shop.campaign({ profile: profile.name, reward_id });
        const { keys } = await exported(shop, campaign, { epoch, profile });
        const range = await offline(shop, campaign);
        assert.equal(range.epoch, epoch);
        for (const seq of [range.from_seq, range.to_seq - 1]) await redeemed(ann, mint(keys, seq).code);
        expectProblem(await redeem(ann, mint(keys, range.to_seq).code), 404, "code_not_recognised");
      }
    }
  });

  test("are written to the audit log with the reason, and nowhere are the keys", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const { body } = await exported(shop, campaign);
    const lines = await audited(shop, { actor: "admin:admin-1", reason: REASON, object: `campaign/${campaign}` });
    const { text } = await shop.admin.get("/v1/audit/export");
    for (const secret of [body.tag_key, body.permute_key]) {
      for (const record of [JSON.stringify(lines), text, JSON.stringify(await campaignNow(shop, campaign)), logged.join("\n")]) {
        assert.ok(!record.includes(secret), "no key is written down");
      }
    }
  });

  test("may be exported in a draft, after offline batches, and only once", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const before = await offline(shop, campaign);
    const { keys } = await exported(shop, campaign);
    for (const [, options] of [["without a key", {}], ["with another", { key: unique("k-") }]]) refusedAs(await exportKey(shop, campaign, { reason: "again" }, options), "exported");
    const after = await offline(shop, campaign);
    await shop.move(campaign, "activate");
    for (const range of [before, after]) await redeemed(shop.member(), mint(keys, range.from_seq).code);
    refusedAs(await exportKey(shop, campaign), "exported");
  });

  test("come again under the same key, and to nobody else's", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const { body } = await exported(shop, campaign, { key });
    const again = await exportKey(shop, campaign, undefined, { key });
    assert.deepEqual([expectStatus(again, 200), again.headers["idempotent-replayed"]], [body, "true"]);
    assert.match(again.headers["cache-control"], /no-store/);
    expectProblem(await exportKey(shop, campaign, { reason: "another" }, { key }), 422, "idempotency_key_reused");
    const colleague = shop.as("admin", "admin-2");
    refusedAs(await colleague.post(`/v1/campaigns/${campaign}/print-key`, { reason: REASON }, { key }), "exported");
  });

  test("of eight that ask at once one gets them", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const answers = await Promise.all(Array.from({ length: 8 }, () => exportKey(shop, campaign, undefined, { key: unique("k-") })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      refusedAs(answer, "exported");
      assert.doesNotMatch(answer.text, /[0-9a-f]{64}/);
    }
  });

  test("are refused once codes of that epoch were delivered, and those of the next are not", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes(1);
    refusedAs(await exportKey(shop, campaign), "delivered");
    await rotated(shop);
    const { keys } = await exported(shop, campaign, { epoch: 1 });
    const range = await offline(shop, campaign);
    await redeemed(shop.member(), mint(keys, range.from_seq).code);
    await redeemed(shop.member(), code);
  });

  test("and a stream at once: one of both, never both", async () => {
    for (let round = 0; round < 6; round += 1) {
      const shop = openShop(edge);
      const { campaign } = await shop.campaign();
      const [key, stream] = await Promise.all(round % 2 ? [exportKey(shop, campaign), batch(shop, campaign, { count: 3 })] : [batch(shop, campaign, { count: 3 }), exportKey(shop, campaign)].reverse());
      const done = [key.status === 200, stream.status === 201];
      assert.equal(done.filter(Boolean).length, 1, `${key.status} and ${stream.status}`);
      if (done[0]) refusedAs(stream, "print_key_exported");
      else refusedAs(key, "delivered");
    }
  });
});

describe("once they are exported", () => {
  test("nothing is streamed in that epoch, and after a rotation it is", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const other = await shop.campaign();
    const { keys } = await exported(shop, campaign);
    for (const format of ["csv", "jsonl"]) refusedAs(await batch(shop, campaign, { count: 1, format }, { key: unique("k-") }), "print_key_exported");
    refusedAs(await shop.service.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), "print_key_exported");
    assert.deepEqual(await everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`), []);
    assert.equal((await campaignNow(shop, campaign)).issued, 0);
    const range = await offline(shop, campaign);
    await redeemed(shop.member(), await shop.code(other.campaign));
    await rotated(shop);
    const [row] = await shop.codes(campaign, 1);
    for (const code of [row.code, mint(keys, range.from_seq).code]) await redeemed(shop.member(), code);
    refusedAs(await exportKey(shop, campaign), "delivered");
    await rotated(shop, { epoch: 0 });
    refusedAs(await batch(shop, campaign, { count: 1 }), "print_key_exported");
    refusedAs(await exportKey(shop, campaign), "exported");
  });

  test("they are worth nothing outside their campaign, epoch and merchant", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const { campaign } = await shop.campaign();
    const other = await shop.campaign();
    await offline(shop, other.campaign);
    const { keys } = await exported(shop, campaign);
    const range = await offline(shop, campaign);
    const twin = await stranger.campaign({ campaign });
    await offline(stranger, twin.campaign);
    const code = mint(keys, range.from_seq).code;
    expectProblem(await redeem(stranger.member(), code), 404, "code_not_recognised");
    for (const change of [{ campaign: other.campaign }, { epoch: 1 }]) {
      expectProblem(await redeem(shop.member(), mint({ ...keys, ...change }, range.from_seq).code), 404, "code_not_recognised");
    }
    await redeemed(shop.member(), code);
  });

  test("profile, kind and reward are frozen as by a mint", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ reward_id: await define(shop, "feature") }, { draft: true });
    await exported(shop, campaign);
    const { headers, body } = await shop.admin.get(`/v1/campaigns/${campaign}`);
    for (const profile of ["S16", "S25"]) {
      expectStatus(await shop.admin.patch(`/v1/campaigns/${campaign}`, { profile }, { headers: { "if-match": headers.etag } }), 400, 409);
    }
    assert.equal((await campaignNow(shop, campaign)).profile, body.profile);
  });
});

describe("refused, and nothing is exported", () => {
  test("without a good reason, with fields too many, by others, of what is not there", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const { campaign } = await shop.campaign();
    const bodies = [[{}, "reason"], [{ reason: "" }, "reason"], [{ reason: "  " }, "reason"], [{ reason: 7 }, "reason"], [{ reason: "x".repeat(5000) }, "reason"], [{ reason: "r", epoch: 1 }, "epoch"]];
    for (const [body, path] of bodies) {
      const { errors } = expectProblem(await exportKey(shop, campaign, body), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path === path), JSON.stringify(errors));
    }
    for (const caller of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) {
      expectProblem(await caller.post(`/v1/campaigns/${campaign}/print-key`, { reason: "r" }), 403, "forbidden");
    }
    expectProblem(await exportKey(stranger, campaign), 404, "not_found");
    for (const id of [campaign === 1 ? 2 : 1, 0, 65_536, "x"]) expectProblem(await exportKey(shop, id), 404, "not_found");
    expectProblem(await shop.admin.get(`/v1/campaigns/${campaign}/print-key`), 405, "http_method_not_allowed");
    await shop.codes(campaign, 1);
    assert.deepEqual((await auditOf(shop)).filter(({ action }) => /print|key/.test(action)), []);
  });
});

describe("the companion on the command line", () => {
  test("mints exactly the range of a batch from exported keys, and each of its codes redeems", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "counterfoil-print-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const shop = openShop(edge);
    const reward_id = await define(shop, "feature");
    for (const profile of [S16, S20]) {
      const { campaign } = await shop.campaign({ profile: profile.name, reward_id });
      const { body, keys } = await exported(shop, campaign, { profile });
      const range = await offline(shop, campaign, 300);
      const [keyFile, batchFile] = [join(folder, `key-${profile.name}.json`), join(folder, `batch-${profile.name}.json`)];
      writeFileSync(keyFile, JSON.stringify(body), { mode: 0o600 });
      writeFileSync(batchFile, JSON.stringify(range));
      const ran = counterfoil(["mint", "--print-key", keyFile, "--batch", batchFile, "--format", "csv"]);
      assert.equal(ran.status, 0, ran.stderr);
      const [header, ...lines] = ran.stdout.trimEnd().split(/\r?\n/);
      assert.equal(header, "seq,code");
      const rows = lines.map((line) => line.split(","));
      assert.equal(rows.length, 300);
      let last = range.from_seq - 1;
      for (const [seq, code] of rows) {
        assert.ok(Number(seq) > last && Number(seq) < range.to_seq, `seq ${seq} of ${range.from_seq} to ${range.to_seq}`);
        assert.equal(code, mint(keys, Number(seq)).code);
        last = Number(seq);
      }
      for (const [, code] of [rows[0], rows[150], rows[299]]) await redeemed(shop.member(), code);
      // The same keys from the root, without a network.
      const flags = [...keyFlags({ root: ROOTS[0], environment: testVars.ENVIRONMENT, merchant: shop.merchant }), ...campaignFlags({ profile, epoch: 0, campaign })];
      const again = counterfoil(["campaign", "export-key", ...flags]);
      assert.equal(again.status, 0, again.stderr);
      assert.deepEqual(JSON.parse(again.stdout), body);
    }
  });
});
