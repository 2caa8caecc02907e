// Guessing from one address: ten times what one account may, whoever guesses. It is best effort, so what must be refused is
// waited for; what must never be refused is asserted at once.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { anonymous, assertLimited, inParallel, memberWithGrant, preview, wrongTags } from "./guard.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { set } from "./till.mjs";

const edge = edgeForThisFile();
const PER_ADDRESS = 10;
const from = (address) => (address === undefined ? {} : { "cf-connecting-ip": address });

/** A shop whose accounts have one attempt a day, so that an address has ten. */
async function strictShop(count = 1) {
  const shop = openShop(edge);
  await set(shop, { attempts_per_day: 1 });
  return { shop, ...(await shop.withCodes(count)) };
}

/** So many wrong tags by as many new accounts from these addresses in turn; every one is looked at. */
async function guess({ shop, campaign }, addresses, count = PER_ADDRESS) {
  const answers = await inParallel(wrongTags(shop, campaign, count), (code, at) => redeem(shop.member(), code, { headers: from(addresses[at % addresses.length]) }), 16);
  for (const answer of answers) expectProblem(answer, 404, "code_not_recognised");
}

const asked = ({ shop, code }, address) => preview(shop.member(), code, { headers: from(address) });

/** Waits until new accounts are refused from an address; answers the refusal. */
const shut = (opened, address) =>
  until(
    () => asked(opened, address),
    ({ status }) => status === 429,
    10_000,
  );

const open = async (opened, address) => assert.equal(expectStatus(await asked(opened, address), 200).would, "redeem", `from ${address}`);

describe("an address", { concurrency: 3 }, () => {
  test("is shut for new accounts after ten times an account's attempts, for right codes and wrong", async () => {
    const opened = await strictShop(2);
    const { shop, campaign, codes } = opened;
    const address = "93.184.216.34";
    await guess(opened, [address], PER_ADDRESS - 1);
    await open(opened, address);
    await guess(opened, [address], 1);
    const refusal = await shut(opened, address);
    const { t } = assertLimited(refusal, "too_many_attempts");
    assert.ok(t <= 86_400, `within a day, not ${t} s`);
    for (const code of [codes[0], wrongTags(shop, campaign, 20)[19]]) {
      const answer = await redeem(shop.member(), code, { headers: from(address) });
      assert.deepEqual(anonymous(answer, 429, "too_many_attempts"), anonymous(refusal, 429, "too_many_attempts"));
    }
    await redeemed(shop.member(), codes[1]);
    expectStatus(await redeem(shop.member(), codes[0], { headers: from("93.184.216.35") }), 201);
  });

  test("shuts nobody out who has had something granted, and nobody elsewhere", async () => {
    const opened = await strictShop(3);
    const { shop, codes } = opened;
    const address = "93.184.216.34";
    const ann = await memberWithGrant(shop, codes[1]);
    await guess(opened, [address]);
    await shut(opened, address);
    expectStatus(await redeem(ann, codes[2], { headers: from(address) }), 201);
    const other = await strictShop();
    await open(other, address);
    // By no address at all, and by one that the caller only claims.
    await open(opened, undefined);
    expectStatus(await preview(shop.member(), codes[0], { headers: { "x-forwarded-for": address, "x-real-ip": address } }), 200);
  });

  test("cannot be changed by what a caller says in other fields", async () => {
    const opened = await strictShop();
    const { shop, campaign } = opened;
    const address = "93.184.216.34";
    const answers = await inParallel(wrongTags(shop, campaign, PER_ADDRESS), (code, at) => redeem(shop.member(), code, { headers: { ...from(address), "x-forwarded-for": `8.8.4.${at}`, forwarded: `for=8.8.4.${at}` } }), 8);
    for (const answer of answers) expectProblem(answer, 404, "code_not_recognised");
    await shut(opened, address);
  });

  const networks = [
    ["both ends of a /56 are one", ["2a00:1450:4001:800::", "2a00:1450:4001:8ff:ffff:ffff:ffff:ffff"], ["2a00:1450:4001:880:1::1", "2A00:1450:4001:0842:0:0:0:1"], ["2a00:1450:4001:900::", "2a00:1450:4001:7ff:ffff:ffff:ffff:ffff"]],
    ["an IPv4 address is alone", ["93.184.216.255"], ["93.184.216.255"], ["93.184.216.254", "93.184.217.0", "93.184.217.255"]],
  ];
  for (const [name, guessing, same, others] of networks) {
    test(name, async () => {
      const opened = await strictShop();
      await guess(opened, guessing);
      for (const address of [...guessing, ...same]) await shut(opened, address);
      for (const address of others) await open(opened, address);
    });
  }

  test("of this machine, of a private network, or of nonsense is none", async () => {
    const opened = await strictShop();
    for (const address of [undefined, "127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "172.16.0.9", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "nonsense", "999.1.1.1"]) {
      await guess(opened, [address], PER_ADDRESS + 4);
      for (let times = 0; times < 3; times += 1) await open(opened, address);
    }
  });

  test("of a shop's own server is not its members'", async () => {
    const opened = await strictShop(2);
    const { shop, campaign, codes } = opened;
    const headers = from("93.184.216.34");
    const answers = await inParallel(wrongTags(shop, campaign, PER_ADDRESS + 4), (code) => redeem(shop.service, code, { member_id: unique("u-"), headers }), 8);
    for (const answer of answers) expectProblem(answer, 404, "code_not_recognised");
    expectStatus(await redeem(shop.service, codes[1], { member_id: unique("u-"), headers }), 201);
  });

  test("does not count typing errors, honest refusals or what is right", async () => {
    const opened = await strictShop(2);
    const { shop, codes } = opened;
    const headers = from("93.184.216.34");
    await redeemed(shop.member(), codes[1]);
    const typo = codes[0].replace(/.$/, (last) => (last === "Z" ? "Y" : "Z"));
    await inParallel(Array.from({ length: PER_ADDRESS + 4 }), async () => {
      expectProblem(await redeem(shop.member(), typo, { headers }), 422, "malformed_code");
      expectProblem(await redeem(shop.member(), codes[1], { headers }), 409, "already_redeemed");
      expectStatus(await preview(shop.member(), codes[0], { headers }), 200);
    }, 8);
    await guess(opened, [headers["cf-connecting-ip"]], PER_ADDRESS - 1);
    await open(opened, headers["cf-connecting-ip"]);
  });

  test("has more where its merchant allows an account more", async () => {
    const opened = await strictShop();
    await set(opened.shop, { attempts_per_day: 2 });
    const address = "93.184.216.34";
    await guess(opened, [address], 2 * PER_ADDRESS - 1);
    await open(opened, address);
    await guess(opened, [address], 1);
    await shut(opened, address);
  });
});
