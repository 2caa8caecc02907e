// The command-line companion against a second implementation of the format: thousands of codes minted by both, then
// mangled by the model of human slips and judged by both.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ALPHABET, NotACode, PROFILES, S16, S20, S25, assemble, campaignKeys, canonical, check, forge, mint, verify } from "../http/code.mjs";
import { suggest } from "../http/code-repair.mjs";
import { campaignFlags, counterfoil, counterfoilLines, keyFlags } from "./cli.mjs";
import { pickSlip, randomFrom, slip } from "./slips.mjs";

const SEED = Number(process.env.SEED ?? randomBytes(4).readUInt32LE());
const random = randomFrom(SEED);
const below = (limit) => Math.floor(random() * limit);
const PER_CAMPAIGN = 400;

/** Campaigns at both ends and in the middle of every field. */
function campaigns() {
  const roots = ["00".repeat(31) + "01", "a5".repeat(32), randomBytes(48).toString("hex")];
  return [
    { root: roots[0], environment: "live", merchant: "acme", profile: S20, epoch: 0, campaign: 1, from: 0 },
    { root: roots[1], environment: "dev", merchant: "m-1", profile: S20, epoch: 7, campaign: 65535, from: 2 ** 24 - PER_CAMPAIGN },
    { root: roots[2], environment: "a-0-z-9", merchant: "0", profile: S20, epoch: 1 + below(6), campaign: 1 + below(65535), from: below(2 ** 23) },
    { root: roots[0], environment: "live", merchant: "acme", profile: S16, epoch: 0, campaign: 1, from: 0 },
    { root: roots[1], environment: "test", merchant: "a".repeat(32), profile: S16, epoch: 7, campaign: 4095, from: 2 ** 20 - PER_CAMPAIGN },
    { root: roots[0], environment: "live", merchant: "acme", profile: S25, epoch: 0, campaign: 1, from: 0 },
    { root: roots[2], environment: "e".repeat(16), merchant: "shop-9", profile: S25, epoch: 3, campaign: 513, from: below(2 ** 23) },
  ];
}

test(`both mint the same codes (SEED=${SEED})`, () => {
  const all = campaigns();
  for (const of of all) {
    const keys = campaignKeys(of);
    // At the very end of the serial space fewer remain when a code is skipped for its text, so ask for fewer.
    const count = of.from + PER_CAMPAIGN === 2 ** of.profile.serial ? PER_CAMPAIGN - 20 : PER_CAMPAIGN;
    const lines = counterfoilLines(["mint", ...keyFlags(of), ...campaignFlags(of), "--from", String(of.from), "--count", String(count), "--format", "jsonl"]);
    assert.equal(lines.length, count);
    let before = of.from - 1;
    let skipped = 0;
    for (const line of lines) {
      const mine = mint(keys, line.seq);
      assert.deepEqual([line.serial, line.tag_hex, line.code], [mine.serial, mine.tagHex, mine.code]);
      assert.ok(line.seq > before, "seqs rise");
      skipped += line.seq - before - 1;
      before = line.seq;
    }
    // A campaign whose own symbols nearly spell a word skips more; the first one's do not.
    if (of === all[0]) assert.ok(skipped <= count / 25, `${skipped} of ${count} seqs were skipped`);
  }
});

test("verify finds the same seq, and never one for a forged, foreign or other epoch's code", () => {
  const of = campaigns()[2];
  const keys = campaignKeys(of);
  const foreign = campaignKeys({ ...of, merchant: "other" });
  const rows = [];
  for (let at = 0; at < 300; at += 1) {
    const seq = below(2 ** 24);
    rows.push([mint(keys, seq).code, { authentic: true, seq }]);
    rows.push([forge(keys, seq, 1n << BigInt(at % 40)), { authentic: false }]);
    rows.push([mint(foreign, seq).code, { authentic: false }]);
  }
  const answers = counterfoilLines(["verify", ...keyFlags(of)], rows.map(([code]) => `${code}\n`).join(""));
  assert.equal(answers.length, rows.length);
  rows.forEach(([code, expected], at) => {
    assert.deepEqual(verify(keys, code), expected);
    assert.equal(answers[at].authentic, expected.authentic, code);
    assert.equal(answers[at].seq, expected.seq, code);
  });
});

/** What this implementation says of a text, in the shape of `counterfoil check`. */
function judge(text) {
  try {
    const { profile, epoch, campaign, serial, canonical: own } = check(text);
    return { ok: true, profile: profile.name, epoch, campaign, serial, canonical: own };
  } catch (error) {
    if (!(error instanceof NotACode)) throw error;
    const suggestion = suggest(text);
    return { ok: false, suggestions: suggestion ? [suggestion.code] : [], ...(suggestion?.unverified ? { unverified: true } : {}) };
  }
}

/** Both judge each text; only the wording of a reason, and further suggestions, are the companion's own. */
function compare(texts) {
  const answers = counterfoilLines(["check"], texts.map((text) => `${text}\n`).join(""));
  assert.equal(answers.length, texts.length, "one answer a line");
  const differences = [];
  texts.forEach((text, at) => {
    const { reason, position, ...answer } = answers[at];
    const mine = judge(text);
    if (!mine.ok) assert.equal(typeof reason, "string", `a reason for ${text}`);
    if (!mine.ok && mine.suggestions.length > 0) answer.suggestions = answer.suggestions.slice(0, 1);
    try {
      assert.deepEqual(answer, mine);
    } catch {
      differences.push({ text, companion: answer, independent: mine });
    }
  });
  assert.deepEqual(differences.slice(0, 5), [], `${differences.length} of ${texts.length} differ`);
  return answers;
}

test(`both judge slips of the human error model alike (SEED=${SEED})`, () => {
  const minted = campaigns().flatMap((of) => {
    const keys = campaignKeys(of);
    return Array.from({ length: 500 }, (_, at) => mint(keys, (of.from + at) % 2 ** of.profile.serial).values);
  });
  const slips = minted.map((values) => {
    const kind = pickSlip(random);
    const mangled = slip(values, kind, random);
    return { right: canonical(values), text: canonical(mangled), trace: mangled.join() !== values.join() };
  });
  compare(slips.map(({ text }) => text));
  const traced = slips.filter(({ trace }) => trace);
  const repaired = traced.filter(({ text, right }) => suggest(text)?.code === right);
  const wrong = traced.filter(({ text, right }) => ![undefined, right].includes(suggest(text)?.code));
  assert.ok(repaired.length / traced.length > 0.94, `${repaired.length} of ${traced.length} slips repaired`);
  assert.ok(wrong.length / traced.length < 0.01, `${wrong.length} of ${traced.length} suggestions wrong`);
});

test(`every single, swap and jump swap is repaired, by both alike (SEED=${SEED})`, () => {
  const texts = [];
  const expected = [];
  const add = (values, next) => {
    if (next.join() === values.join()) return;
    texts.push(canonical(next));
    expected.push(canonical(values));
  };
  for (const profile of Object.values(PROFILES)) {
    const { values } = mint(campaignKeys({ root: "5a".repeat(32), environment: "live", merchant: "acme", profile, epoch: below(8), campaign: 1 + below(4095) }), below(2 ** 20));
    for (let at = 0; at < values.length; at += 1) {
      for (let value = 0; value < 32; value += 1) add(values, values.map((old, place) => (place === at ? value : old)));
      for (const step of [1, 2]) {
        if (at + step >= values.length) continue;
        add(values, values.map((old, place) => (place === at ? values[at + step] : place === at + step ? values[at] : old)));
      }
    }
  }
  const answers = compare(texts);
  texts.forEach((text, at) => assert.equal(answers[at].suggestions[0], expected[at], text));
});

test(`both read unreadable symbols alike (SEED=${SEED})`, () => {
  const texts = [];
  for (let at = 0; at < 600; at += 1) {
    const of = campaigns()[at % 7];
    const { values } = mint(campaignKeys(of), below(2 ** of.profile.serial));
    const symbols = [...values].map((value) => ALPHABET[value]);
    for (let erased = 1 + below(4); erased > 0; erased -= 1) symbols[below(symbols.length)] = random() < 0.5 ? "?" : "u";
    if (random() < 0.3) symbols[below(symbols.length)] = ALPHABET[below(32)];
    texts.push(symbols.join(""));
  }
  compare(texts);
});

test("both refuse what must never be accepted, and read the same text forms", () => {
  const keys = campaignKeys({ root: "5a".repeat(32), environment: "live", merchant: "acme", profile: S20, epoch: 2, campaign: 77 });
  const { code, serial, tag } = mint(keys, 12345);
  const wide = [...code].map((symbol) => String.fromCodePoint(symbol.codePointAt(0) + 0xfee0)).join("");
  const accepted = [code, code.toLowerCase(), code.replaceAll("-", ""), code.replaceAll("-", " "), code.replaceAll("-", "\u2014"), code.replaceAll("-", "\u2212"), code.replaceAll("-", "._"), `\u200b${code}\u00a0`, wide, code.replaceAll("0", "o").replaceAll("1", "l")];
  const base = { profile: S20, epoch: 2, campaign: 77, serial, tag };
  const refused = [
    canonical(assemble({ ...base, kind: 3 })),
    canonical(assemble({ ...base, kind: 1 })),
    canonical(assemble({ ...base, kind: 2 })),
    canonical(assemble({ ...base, campaign: 0 })),
    canonical(assemble({ ...base, profile: S25, tag, reserved: 1 })),
    code.replace(/.$/, "*"),
    code.replace(/.$/, "\u212a"),
    code.replace(/.$/, "\u0660"),
    code.slice(0, -2),
    `${code}${code}`,
    "0".repeat(65),
    "",
    " ",
    "-",
    "WELCOME10",
    "0000-0000-0000-0000-0000",
  ];
  const answers = compare([...accepted, ...refused]);
  answers.forEach((answer, at) => assert.equal(answer.ok, at < accepted.length, [...accepted, ...refused][at]));
  assert.equal(answers[accepted.length + 5].position, 19, "a foreign symbol is named by its place");
});

test("bad flags end with status 2, an explanation, and nothing half written", () => {
  const good = ["mint", "--root-hex", "5a".repeat(32), "--environment", "live", "--merchant", "acme", "--profile", "S20", "--epoch", "0", "--campaign", "1", "--from", "0", "--count", "2", "--format", "csv"];
  assert.equal(counterfoil(good).status, 0);
  const change = (flag, value) => good.map((word, at) => (good[at - 1] === flag ? value : word));
  const rows = [
    change("--root-hex", "5a5a"),
    change("--root-hex", "zz".repeat(32)),
    change("--environment", "Live!"),
    change("--merchant", "-acme"),
    change("--merchant", "m".repeat(33)),
    change("--profile", "S21"),
    change("--epoch", "8"),
    change("--campaign", "0"),
    change("--campaign", "65536"),
    change("--from", "-1"),
    change("--from", "16777215"),
    change("--count", "0"),
    change("--count", "many"),
    change("--format", "xml"),
    [...good, "--surprise"],
    ["conjure"],
    [],
  ];
  for (const args of rows) {
    const { status, stdout, stderr } = counterfoil(args);
    assert.equal(status, 2, `${args.join(" ")} ended with ${status}`);
    assert.equal(stdout, "", args.join(" "));
    assert.match(stderr, /\S/, args.join(" "));
  }
});

test("fewer codes than asked for are never called a success", () => {
  // Campaign 40166 of S20 spells an offensive word in its own symbols, so that none of its codes may be minted.
  const { status, stdout, stderr } = counterfoil(["mint", "--root-hex", "5a".repeat(32), "--environment", "live", "--merchant", "acme", "--profile", "S20", "--epoch", "0", "--campaign", "40166", "--from", String(2 ** 24 - 20), "--count", "20", "--format", "csv"]);
  assert.notEqual(status, 0, `${stdout}${stderr}`);
  assert.match(stderr, /\S/);
});
