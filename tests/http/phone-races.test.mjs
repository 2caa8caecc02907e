// Many changes of one member's number at the same moment, and of many members' numbers: whatever wins, every number finds the
// member whose record shows it, and a number that nobody has is free.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { openShop } from "./shop.mjs";
import { memberPath, record } from "./till.mjs";

const edge = edgeForThisFile();
const ROUNDS = 12;

let last = 0;
const number = () => `+49171${String(1_000_000 + (last += 1))}`;
const give = (shop, member, phone) => shop.admin.put(memberPath(member), { phone });
const holder = async (shop, phone) => expectStatus(await shop.admin.get(`/v1/members?phone=${encodeURIComponent(phone)}`), 200).items[0]?.member_id;

/** Holds every number against the members' records, and lets go of them all. */
async function judge(shop, members, numbers) {
  const holders = new Map();
  for (const member of members) {
    const { phone } = await record(shop, member, {});
    if (phone === undefined) continue;
    assert.equal(holders.get(phone), undefined, `${phone} has two members`);
    holders.set(phone, member.sub);
  }
  for (const phone of numbers) assert.equal(await holder(shop, phone), holders.get(phone), phone);
  for (const phone of numbers.filter((one) => !holders.has(one))) {
    const stranger = shop.member();
    const { status, text } = await until(() => give(shop, stranger, phone), (answer) => answer.status !== 409, 15_000);
    assert.equal(status, 200, text);
    expectStatus(await give(shop, stranger, null), 200);
  }
  for (const member of members) expectStatus(await give(shop, member, null), 200);
  for (const phone of numbers) assert.equal(await holder(shop, phone), undefined, `${phone} was given back`);
}

describe("numbers at the same moment", () => {
  test("one member, one number: given once, and given back at once", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const phone = number();
    for (let round = 0; round < ROUNDS; round += 1) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => give(shop, ann, phone)));
      for (const answer of answers) assert.equal(expectStatus(answer, 200).phone, phone);
      await judge(shop, [ann], [phone]);
    }
  });

  test("one member, several numbers and none", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const numbers = [number(), number(), number()];
    for (let round = 0; round < ROUNDS; round += 1) {
      const wishes = [...numbers, null, numbers[0], ...numbers.toReversed(), null, numbers[round % 3]];
      for (const answer of await Promise.all(wishes.map((phone) => give(shop, ann, phone)))) expectStatus(answer, 200);
      await judge(shop, [ann], numbers);
    }
  });

  test("several members, who all want the same few", async () => {
    const shop = openShop(edge);
    const members = Array.from({ length: 5 }, () => shop.member());
    const numbers = [number(), number(), number()];
    for (let round = 0; round < ROUNDS; round += 1) {
      const wishes = members.flatMap((member, at) => [numbers[at % 3], numbers[(at + round) % 3], at % 2 ? null : numbers[round % 3]].map((phone) => give(shop, member, phone)));
      for (const { status, text } of await Promise.all(wishes)) assert.ok(status === 200 || status === 409, text);
      await judge(shop, members, numbers);
    }
  });
});
