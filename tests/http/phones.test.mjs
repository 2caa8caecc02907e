// The phone directory: numbers given to members, changed and taken away, each number one member's at most, and looked up at a
// till as people write them.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { NATIONAL, NONSENSE, WRITINGS } from "./phone-numbers.mjs";
import { audited } from "./rewards.mjs";
import { openShop } from "./shop.mjs";
import { lookup, memberPath, record, set, tillOf } from "./till.mjs";
import { earn } from "./trade.mjs";

const edge = edgeForThisFile();

let last = 0;
/** A number that no other test has. */
const number = () => `+4915${String(20_000_000 + (last += 1)).padStart(9, "0")}`;

const give = (shop, member, phone, fields = {}) => shop.admin.put(memberPath(member), { phone, ...fields });
const listed = (shop, phone) => everyItem(shop.admin, `/v1/members?phone=${encodeURIComponent(phone)}`);

/** Asserts that a till finds this member by this number, or nobody. */
async function finds(shop, phone, member) {
  const answer = await lookup(tillOf(shop), phone);
  if (member === undefined) expectProblem(answer, 404, "member_not_found");
  else assert.equal(expectStatus(answer, 200).member_id, member.sub, phone);
  assert.deepEqual((await listed(shop, phone)).map(({ member_id }) => member_id), member === undefined ? [] : [member.sub]);
}

/** The number is given as soon as its former holder's release has arrived. */
const givenAtLast = (shop, member, phone) =>
  until(
    () => give(shop, member, phone),
    (answer) => answer.status !== 409 || answer.body.code !== "phone_in_use",
    15_000,
  );

describe("a member's phone", () => {
  test("is stored as E.164, found by it, and shown to administrators alone", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    const body = expectStatus(await give(shop, ann, phone, { name: "Ann Example" }), 200);
    assert.deepEqual([body.member_id, body.phone, body.name], [ann.sub, phone, "Ann Example"]);
    await finds(shop, phone, ann);
    assert.deepEqual(await listed(shop, phone), [body]);
    const found = expectStatus(await lookup(tillOf(shop), phone), 200);
    assert.equal(found.name, "Ann Example");
    assert.equal(found.phone, undefined, "a till asks by phone and is not told it");
  });

  test("is found however it is written", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    for (const text of WRITINGS(phone)) {
      assert.equal(expectStatus(await give(shop, ann, text), 200).phone, phone, text);
      await finds(shop, text, ann);
    }
  });

  test("of somebody nobody knows is member_not_found", async () => {
    const shop = openShop(edge);
    await finds(shop, number(), undefined);
  });

  test("is changed: the new number finds the member at once, the old one nobody", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const [first, second] = [number(), number()];
    expectStatus(await give(shop, ann, first), 200);
    assert.equal(expectStatus(await give(shop, ann, second), 200).phone, second);
    await finds(shop, second, ann);
    await finds(shop, first, undefined);
    expectStatus(await givenAtLast(shop, bob, first), 200);
    await finds(shop, first, bob);
    await finds(shop, second, ann);
  });

  test("goes back and forth, and every release is of the claim it belongs to", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const [first, second] = [number(), number()];
    for (let round = 0; round < 6; round += 1) {
      expectStatus(await givenAtLast(shop, ann, first), 200);
      expectStatus(await givenAtLast(shop, ann, second), 200);
    }
    expectStatus(await givenAtLast(shop, ann, first), 200);
    const bob = shop.member();
    expectStatus(await givenAtLast(shop, bob, second), 200);
    // Whatever releases are still on their way, they take nothing that was claimed after them.
    await finds(shop, first, ann);
    await finds(shop, second, bob);
    expectProblem(await give(shop, shop.member(), first), 409, "phone_in_use");
    expectProblem(await give(shop, shop.member(), second), 409, "phone_in_use");
  });

  test("is taken away with null, and free for others", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const phone = number();
    expectStatus(await give(shop, ann, phone, { name: "Ann Example" }), 200);
    const body = expectStatus(await give(shop, ann, null), 200);
    assert.deepEqual([body.phone, body.name], [undefined, "Ann Example"]);
    await finds(shop, phone, undefined);
    expectStatus(await give(shop, ann, null), 200);
    expectStatus(await givenAtLast(shop, bob, phone), 200);
    await finds(shop, phone, bob);
  });

  test("is left alone by a record that does not name it", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    expectStatus(await give(shop, ann, phone), 200);
    assert.equal((await record(shop, ann, { tier: "gold" })).phone, phone);
    await finds(shop, phone, ann);
  });

  test("of the audit log and of the member's record is never the digits themselves in the log", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    const { member } = expectStatus(await give(shop, ann, phone), 200);
    const lines = await audited(shop, { action: "member.changed", object: `member/${member}` });
    assert.ok(!JSON.stringify(lines).includes(phone.slice(3)), "no telephone number in the audit log");
  });
});

describe("a number that is taken", () => {
  test("is refused with phone_in_use, and nothing of the record changes", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const [taken, own] = [number(), number()];
    expectStatus(await give(shop, ann, taken), 200);
    const before = expectStatus(await give(shop, bob, own, { name: "Bob Example" }), 200);
    const answer = await give(shop, bob, taken, { name: "Somebody Else", tier: "gold" });
    expectProblem(answer, 409, "phone_in_use");
    assert.ok(!answer.text.includes(ann.sub), "not whose it is");
    assert.deepEqual(await listed(shop, own), [before]);
    await finds(shop, taken, ann);
  });

  test("is the same member's again without complaint", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    for (const text of [phone, ...WRITINGS(phone)]) expectStatus(await give(shop, ann, text), 200);
    await finds(shop, phone, ann);
  });

  test("goes to one of sixteen who ask at the same moment", async () => {
    const shop = openShop(edge);
    const phone = number();
    const members = Array.from({ length: 16 }, () => shop.member());
    const answers = await Promise.all(members.map((member) => give(shop, member, phone)));
    const winners = members.filter((_, at) => answers[at].status === 200);
    assert.equal(winners.length, 1, answers.map(({ status }) => status).join());
    for (const answer of answers.filter(({ status }) => status !== 200)) expectProblem(answer, 409, "phone_in_use");
    await finds(shop, phone, winners[0]);
  });

  test("of several given to one member at the same moment is one, and the others are free", { timeout: 120_000 }, async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const numbers = Array.from({ length: 6 }, number);
    const answers = await Promise.all(numbers.map((phone) => give(shop, ann, phone)));
    for (const answer of answers) expectStatus(answer, 200);
    const { phone: own } = await record(shop, ann, {});
    assert.ok(numbers.includes(own), own);
    for (const phone of numbers) await finds(shop, phone, phone === own ? ann : undefined);
    for (const phone of numbers.filter((one) => one !== own)) {
      const bob = shop.member();
      const answer = await until(() => give(shop, bob, phone), ({ status }) => status === 200, 90_000);
      assert.equal(expectStatus(answer, 200).phone, phone);
    }
    await finds(shop, own, ann);
  });

  test("of another member cannot be swapped for one's own in one step", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const [hers, his] = [number(), number()];
    expectStatus(await give(shop, ann, hers), 200);
    expectStatus(await give(shop, bob, his), 200);
    for (const answer of await Promise.all([give(shop, ann, his), give(shop, bob, hers)])) expectProblem(answer, 409, "phone_in_use");
    await finds(shop, hers, ann);
    await finds(shop, his, bob);
  });

  test("is another member's at another merchant", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    const phone = number();
    const [ann, bob] = [one.member(), other.member()];
    expectStatus(await give(one, ann, phone), 200);
    await finds(other, phone, undefined);
    expectStatus(await give(other, bob, phone), 200);
    await finds(one, phone, ann);
    await finds(other, phone, bob);
    // The same person's id at another merchant is another member too.
    const namesake = other.member({}, ann.sub);
    expectProblem(await give(other, namesake, phone), 409, "phone_in_use");
  });
});

describe("numbers as they are written at home", () => {
  const shops = new Map();
  before(async () => {
    for (const country of new Set(NATIONAL.map(([one]) => one))) {
      const shop = openShop(edge);
      await set(shop, { country });
      shops.set(country, shop);
    }
  });
  for (const [country, written, e164] of NATIONAL) {
    test(`${written} in ${country} is ${e164}`, async () => {
      const shop = shops.get(country);
      const ann = shop.member();
      assert.equal(expectStatus(await give(shop, ann, written), 200).phone, e164);
      await finds(shop, written, ann);
      await finds(shop, e164, ann);
      expectStatus(await give(shop, ann, null), 200);
    });
  }

  test("numbers from abroad are still E.164", async () => {
    const ann = shops.get("DE").member();
    for (const [, , e164] of NATIONAL.filter(([country]) => country !== "DE")) {
      assert.equal(expectStatus(await give(shops.get("DE"), ann, e164), 200).phone, e164);
    }
  });

  test("too short, too long: 400, whatever the country", async () => {
    for (const [country, shop] of shops) {
      for (const text of ["0", "01", "123", "9".repeat(16), "0123456789012345"]) {
        const { errors } = expectProblem(await lookup(tillOf(shop), text), 400, "invalid_request");
        assert.ok(errors.some(({ path }) => path === "phone"), `${text} in ${country}: ${JSON.stringify(errors)}`);
      }
    }
  });

  test("without a country: 400 that names the phone; nothing is given", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const [, written] of NATIONAL) {
      for (const answer of [await give(shop, ann, written), await lookup(tillOf(shop), written), await shop.admin.get(`/v1/members?phone=${encodeURIComponent(written)}`)]) {
        const { errors } = expectProblem(answer, 400, "invalid_request");
        assert.ok(errors.some(({ path }) => path === "phone"), JSON.stringify(errors));
      }
    }
    assert.equal((await record(shop, ann, {})).phone, undefined);
  });

  test("with another country than yesterday: what was stored stays what it was", async () => {
    const shop = openShop(edge);
    await set(shop, { country: "DE" });
    const ann = shop.member();
    expectStatus(await give(shop, ann, "0151 98765432"), 200);
    await set(shop, { country: "AT" });
    await finds(shop, "+4915198765432", ann);
    await set(shop, { country: null });
    await finds(shop, "+4915198765432", ann);
  });
});

describe("nonsense", () => {
  for (const country of [undefined, "DE", "US"]) {
    test(`is refused ${country ? `in ${country}` : "without a country"}, everywhere a phone is read`, async () => {
      const shop = openShop(edge);
      if (country) await set(shop, { country });
      const ann = shop.member();
      const phone = number();
      expectStatus(await give(shop, ann, phone), 200);
      for (const [name, text] of NONSENSE) {
        const answers = [await give(shop, ann, text), await lookup(tillOf(shop), text)];
        if (typeof text === "string" && text.length < 1000) answers.push(await shop.admin.get(`/v1/members?phone=${encodeURIComponent(text)}`));
        for (const answer of answers) {
          const { errors } = expectProblem(answer, 400, "invalid_request");
          assert.ok(errors.some(({ path }) => path === "phone"), `${name}: ${answer.method} ${JSON.stringify(errors)}`);
        }
      }
      for (const body of [{}, { phone: null }, { phone, extra: 1 }, { telephone: phone }]) expectProblem(await tillOf(shop).post("/v1/till/lookup", body), 400, "invalid_request");
      await finds(shop, phone, ann);
    });
  }
});

describe("a lookup", () => {
  test("answers staff, managers and administrators alike, with the live balance", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    expectStatus(await give(shop, ann, phone), 200);
    let points = 0;
    for (const role of ["staff", "manager", "admin"]) {
      await earn(shop, ann, 5);
      points += 5;
      assert.equal(expectStatus(await lookup(tillOf(shop, role), phone), 200).points, points);
    }
  });

  test("leaves no trace of the person in the answer to somebody else", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    const phone = number();
    expectStatus(await give(one, one.member(), phone, { name: "Ann Example" }), 200);
    const [known, unknown] = [await lookup(tillOf(other), phone), await lookup(tillOf(other), number())];
    assert.deepEqual(known.body, unknown.body, "one body for numbers of others and of nobody");
  });
});
