// The independent implementation of the code format against the worked vectors that are published with the format.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "./code.mjs";
import { suggest } from "./code-repair.mjs";

const COUNTING = Buffer.from(Array.from({ length: 32 }, (_, at) => at)).toString("hex");
const A5 = "a5".repeat(32);

const WORKED = [
  [COUNTING, "live", "acme", "S20", 0, 1, 0, 6965167, "d1776b75e4", "0000-PMHX-FT5V-PPXF-4FNQ"],
  [COUNTING, "live", "acme", "S20", 0, 1, 1, 13723516, "09c1670a91", "0000-X2SV-W170-PE2M-HAHD"],
  [COUNTING, "live", "acme", "S20", 7, 65535, 16777215, 13059570, "547d60ad2a", "7ZZZ-WEHF-JAHY-P1B9-AS6P"],
  [COUNTING, "test", "acme", "S20", 0, 1, 0, 2496123, "24d66cfa68", "0000-JC5K-V4KB-6SYK-8HBT"],
  [COUNTING, "live", "acme", "S16", 0, 1, 0, 735754, "5caacb7", "800D-KM2J-WNB5-QFAT"],
  [COUNTING, "live", "acme", "S16", 3, 4095, 1048575, 909230, "d68e5ea", "BZZY-XZBP-PHSF-AWRC"],
  [COUNTING, "live", "acme", "S25", 0, 1, 0, 7423121, "bd80871a01270ff7", "G000B-H8J8V-V0473-80JE3-ZQHFD"],
  [COUNTING, "live", "acme", "S25", 1, 513, 123456, 3894211, "583a9b2a5db1d369", "H0409-VDF1N-GEMV5-9EV3M-V9QKV"],
  [A5, "live", "m-1", "S20", 2, 513, 99, 2238565, "72fa9e275b", "2080-J4A3-5EBX-9W9T-VTHF"],
];

for (const [root, environment, merchant, name, epoch, campaign, seq, serial, tag, code] of WORKED) {
  test(`worked vector ${code}`, () => {
    const keys = format.campaignKeys({ root, environment, merchant, profile: format.PROFILES[name], epoch, campaign });
    const minted = format.mint(keys, seq);
    assert.deepEqual([minted.serial, minted.tagHex, minted.code], [serial, tag, code]);
    assert.deepEqual(format.verify(keys, code), { authentic: true, seq });
    const fields = format.check(code);
    assert.deepEqual([fields.epoch, fields.campaign, fields.serial, fields.canonical], [epoch, campaign, serial, code]);
    assert.equal(format.verify(keys, format.forge(keys, seq)).authentic, false);
  });
}

test("the permutation has an inverse and no collision", () => {
  const keys = format.campaignKeys({ root: COUNTING, merchant: "acme", profile: format.S16, epoch: 0, campaign: 1 });
  const serials = new Set();
  for (let seq = 0; seq < 20_000; seq += 1) {
    const serial = format.permute(keys, seq);
    assert.equal(format.unpermute(keys, serial), seq);
    serials.add(serial);
  }
  assert.equal(serials.size, 20_000);
});

test("every single, swap, twin, jump swap and jump twin pattern has its own syndrome", () => {
  for (const [of, count] of [[format.S20, 1767], [format.S16, 1395], [format.S25, 2232]]) {
    const zero = format.syndromes(Array(of.symbols).fill(0), of);
    const seen = new Set();
    const note = (errors) => {
      const word = Array(of.symbols).fill(0);
      for (const [at, delta] of errors) word[at] ^= delta;
      seen.add(format.syndromes(word, of).map((value, at) => value ^ zero[at]).join());
    };
    for (let delta = 1; delta < 32; delta += 1) {
      for (let at = 0; at < of.symbols; at += 1) {
        note([[at, delta]]);
        if (at + 1 < of.symbols) note([[at, delta], [at + 1, delta]]);
        if (at + 2 < of.symbols) note([[at, delta], [at + 2, delta]]);
      }
    }
    assert.equal(seen.size, count, of.name);
  }
});

test("reading forgives case, spacing, look-alikes and full width, and nothing else", () => {
  const code = "0000-PMHX-FT5V-PPXF-4FNQ";
  const fullWidth = [...code].map((symbol) => String.fromCodePoint(symbol.codePointAt(0) + 0xfee0)).join("");
  for (const text of [code.toLowerCase(), code.replaceAll("-", ""), code.replaceAll("-", " . \u2014_\u00ad"), ` ${code}\n`, code.replaceAll("0", "O"), fullWidth]) {
    assert.equal(format.check(text).canonical, code, text);
  }
  const reasonOf = (text) => {
    try {
      return format.check(text) && undefined;
    } catch (error) {
      return [error.reason, error.position];
    }
  };
  assert.deepEqual(reasonOf("0000-PM*X-FT5V-PPXF-4FNQ"), ["unknown_symbol", 6]);
  assert.deepEqual(reasonOf("0000-PMHX-FT5V-PPXF-4FN\u212a"), ["unknown_symbol", 19]);
  assert.deepEqual(reasonOf("0000-PMU"), ["unreadable_symbol", 6]);
  assert.deepEqual(reasonOf("0".repeat(65)), ["too_long", undefined]);
  assert.deepEqual(reasonOf("0000-PMHX-FT5V-PPXF-4FNR"), ["parity", undefined]);
});

test("each kind of slip is corrected by its own rule", () => {
  const right = "0000-PMHX-FT5V-PPXF-4FNQ";
  const rows = [
    ["single", "0000-PMHX-FT5W-PPXF-4FNQ", false],
    ["pair", "0000-MPHX-FT5V-PPXF-4FNQ", false],
    ["pair", "0000-PMXH-FT5V-PPXF-4FNQ", false],
    ["pair", "0000-HMPX-FT5V-PPXF-4FNQ", false],
    ["omitted", "0000-PMHX-T5V-PPXF-4FNQ", false],
    ["inserted", "0000-PMHX-FT5VV-PPXF-4FNQ", false],
    ["groups_swapped", "0000-FT5V-PMHX-PPXF-4FNQ", false],
    ["erasures", "?000-PMH?-FT5V-PPXF-4FNQ", false],
    ["erasures", "?000-PMH?-FT5V-PPXF-4FN?", true],
    ["erasure_and_single", "0000-PMH?-FT5V-PPWF-4FNQ", true],
  ];
  for (const [correction, typed, unverified] of rows) {
    assert.deepEqual(suggest(typed), { correction, code: right, unverified }, typed);
  }
  assert.equal(suggest(right), undefined);
});
