// A second implementation of the code format, written from the format's description alone and sharing nothing with the
// product. The HTTP suites mint with it, and it cross-checks the command-line companion.
import { createHmac, hkdfSync } from "node:crypto";

export const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const VALUE_OF = new Map([...ALPHABET].map((symbol, value) => [symbol, value]));
/** An unreadable symbol (`?` or `U`) in a list of symbol values. */
export const ERASURE = -1;

const profile = (name, kind, symbols, group, reserved, campaign, serial, tag, mask) =>
  Object.freeze({ name, kind, symbols, group, reserved, campaign, serial, tag, mask });
export const S20 = profile("S20", 0, 20, 4, 0, 16, 24, 40, [19, 7, 26]);
export const S16 = profile("S16", 1, 16, 4, 0, 12, 20, 28, [11, 17, 29]);
export const S25 = profile("S25", 2, 25, 5, 1, 16, 24, 64, [28, 14, 21]);
export const PROFILES = Object.freeze({ S20, S16, S25 });
const BY_KIND = [S20, S16, S25];

export const profileOfLength = (length) => BY_KIND.find((one) => one.symbols === length);

/** Why a text is not a code; `position` counts symbols from 0. */
export class NotACode extends Error {
  constructor(reason, position) {
    super(position === undefined ? reason : `${reason} at symbol ${position}`);
    this.reason = reason;
    this.position = position;
  }
}

// ---- reading -------------------------------------------------------------------------------------------------------

const SKIPPED = /^[\p{White_Space}\p{Pd}\u2212\u00AD\u200B-\u200D\u2060\uFEFF._]$/u;

/** Text to symbol values, unreadable symbols as ERASURE. */
export function readSymbols(text) {
  const scalars = [...text];
  if (scalars.length > 64) throw new NotACode("too_long");
  const values = [];
  for (let scalar of scalars) {
    const point = scalar.codePointAt(0);
    if (point >= 0xff01 && point <= 0xff5e) scalar = String.fromCodePoint(point - 0xfee0);
    if (SKIPPED.test(scalar)) continue;
    if (scalar >= "a" && scalar <= "z") scalar = scalar.toUpperCase();
    if (scalar === "O") scalar = "0";
    if (scalar === "I" || scalar === "L") scalar = "1";
    if (scalar === "?" || scalar === "U") values.push(ERASURE);
    else if (VALUE_OF.has(scalar)) values.push(VALUE_OF.get(scalar));
    else throw new NotACode("unknown_symbol", values.length);
  }
  return values;
}

/** Symbol values to canonical text. */
export function canonical(values) {
  const { group } = profileOfLength(values.length) ?? { group: values.length };
  const text = values.map((value) => ALPHABET[value]).join("");
  return text.match(new RegExp(`.{${group}}`, "g")).join("-");
}

// ---- parity: GF(32), x^5 + x^2 + 1 -----------------------------------------------------------------------------------

const EXP = [];
const LOG = [];
for (let power = 0, value = 1; power < 31; power += 1) {
  EXP[power] = value;
  LOG[value] = power;
  value <<= 1;
  if (value & 32) value ^= 0b100101;
}
export const multiply = (a, b) => (a === 0 || b === 0 ? 0 : EXP[(LOG[a] + LOG[b]) % 31]);
export const divide = (a, b) => (a === 0 ? 0 : EXP[(LOG[a] - LOG[b] + 31) % 31]);
/** α to the power `n`. */
export const alpha = (n) => EXP[((n % 31) + 31) % 31];

// g(x) = (x − α)(x − α²)(x − α³), monic, coefficients from x² down to x⁰.
const GENERATOR = [1, 2, 3]
  .reduce((poly, root) => {
    const next = [...poly, 0];
    poly.forEach((coefficient, at) => (next[at + 1] ^= multiply(coefficient, alpha(root))));
    return next;
  }, [1])
  .slice(1);

/** The three masked parity symbols of the data symbols. */
export function parityOf(data, { mask }) {
  let rest = [0, 0, 0];
  for (const symbol of data) {
    const lead = symbol ^ rest[0];
    rest = [rest[1], rest[2], 0].map((value, at) => value ^ multiply(lead, GENERATOR[at]));
  }
  return rest.map((value, at) => value ^ mask[at]);
}

/** S₁, S₂, S₃ of a whole word (mask taken off); all zero means the parity agrees. */
export function syndromes(values, { mask, symbols }) {
  const word = values.map((value, at) => (at < symbols - 3 ? value : value ^ mask[at - (symbols - 3)]));
  return [1, 2, 3].map((root) => word.reduce((sum, value) => multiply(sum, alpha(root)) ^ value, 0));
}

export const parityAgrees = (values, of) => syndromes(values, of).every((value) => value === 0);

// ---- fields ----------------------------------------------------------------------------------------------------------

/** Fields to the symbols of a whole code with its parity; no plausibility checks, so that tests can build wrong ones. */
export function assemble({ profile: of, kind = of.kind, epoch, reserved = 0, campaign, serial, tag, length = of.symbols }) {
  let bits = BigInt((kind << 3) | epoch);
  const push = (value, width) => (bits = (bits << BigInt(width)) | BigInt(value));
  if (of.reserved) push(reserved, of.reserved);
  push(campaign, of.campaign);
  push(serial, of.serial);
  push(tag, of.tag);
  const count = of.symbols - 3;
  const data = Array.from({ length: count }, (_, at) => Number((bits >> BigInt(5 * (count - 1 - at))) & 31n));
  return [...data, ...parityOf(data, of)].slice(0, length);
}

/** Symbols of the right length to fields. */
export function disassemble(values) {
  const of = profileOfLength(values.length);
  const data = values.slice(0, of.symbols - 3).reduce((bits, value) => (bits << 5n) | BigInt(value), 0n);
  let left = BigInt(5 * (of.symbols - 3));
  const take = (width) => {
    left -= BigInt(width);
    return (data >> left) & ((1n << BigInt(width)) - 1n);
  };
  const header = Number(take(5));
  const reserved = Number(take(of.reserved));
  const campaign = Number(take(of.campaign));
  const serial = Number(take(of.serial));
  const tag = take(of.tag);
  return { profile: of, header, kind: header >> 3, epoch: header & 7, reserved, campaign, serial, tag };
}

/** What is wrong with a word apart from its parity, or undefined. */
export function implausible(values) {
  const fields = disassemble(values);
  if (fields.kind === 3) return "unknown_kind";
  if (fields.kind !== fields.profile.kind) return "wrong_length";
  if (fields.reserved !== 0) return "reserved_bit";
  if (fields.campaign === 0) return "campaign_zero";
  return undefined;
}

/** Strict acceptance: text that needs no repair, or NotACode. */
export function check(text) {
  const values = readSymbols(text);
  const erased = values.indexOf(ERASURE);
  if (erased >= 0) throw new NotACode("unreadable_symbol", erased);
  const of = profileOfLength(values.length);
  if (!of) throw new NotACode("wrong_length");
  if (!parityAgrees(values, of)) throw new NotACode("parity");
  const wrong = implausible(values);
  if (wrong) throw new NotACode(wrong);
  return { ...disassemble(values), values, canonical: canonical(values) };
}

// ---- keys, permutation, tag ------------------------------------------------------------------------------------------

const u16 = (value) => Buffer.from([value >> 8, value & 255]);
const hmac = (key, ...parts) => createHmac("sha256", key).update(Buffer.concat(parts)).digest();

/** Both keys of one campaign. `root` is 32 bytes or more in hex. */
export function campaignKeys({ root, environment = "live", merchant, profile: of, epoch, campaign }) {
  const derive = (purpose) =>
    Buffer.from(
      hkdfSync(
        "sha256",
        Buffer.from(root, "hex"),
        Buffer.from(`counterfoil/0/${environment}`),
        Buffer.concat([Buffer.from(`${purpose}\0${merchant}\0\0`), Buffer.from([of.kind, epoch]), u16(campaign)]),
        32,
      ),
    );
  return { profile: of, epoch, campaign, tagKey: derive("tag"), permuteKey: derive("permute"), rounds: new Map() };
}

function roundValue(keys, round, x, h) {
  const block = x >> 4;
  const name = round * 65536 + block;
  let digest = keys.rounds.get(name);
  if (!digest) {
    digest = hmac(keys.permuteKey, Buffer.from([round]), u16(block));
    keys.rounds.set(name, digest);
  }
  return digest.readUInt16BE(2 * (x & 15)) & ((1 << h) - 1);
}

/** seq → serial. */
export function permute(keys, seq) {
  const h = keys.profile.serial / 2;
  let [left, right] = [seq >> h, seq & ((1 << h) - 1)];
  for (let round = 0; round < 10; round += 1) [left, right] = [right, left ^ roundValue(keys, round, right, h)];
  return (left << h) | right;
}

/** serial → seq. */
export function unpermute(keys, serial) {
  const h = keys.profile.serial / 2;
  let [left, right] = [serial >> h, serial & ((1 << h) - 1)];
  for (let round = 9; round >= 0; round -= 1) [left, right] = [right ^ roundValue(keys, round, left, h), left];
  return (left << h) | right;
}

/** The truncated tag as a BigInt of the profile's width. */
export function tagOf(keys, serial, header = (keys.profile.kind << 3) | keys.epoch) {
  const serialBytes = Buffer.alloc(4);
  serialBytes.writeUInt32BE(serial);
  const digest = hmac(keys.tagKey, Buffer.from([0, header]), u16(keys.campaign), serialBytes);
  return digest.readBigUInt64BE() >> BigInt(64 - keys.profile.tag);
}

/** One code: `{seq, serial, tag, tagHex, values, code}`. */
export function mint(keys, seq) {
  const serial = permute(keys, seq);
  const tag = tagOf(keys, serial);
  const values = assemble({ ...keys, serial, tag });
  return { seq, serial, tag, tagHex: tag.toString(16).padStart(keys.profile.tag / 4, "0"), values, code: canonical(values) };
}

/** The same code with its tag changed by `flip` and its parity made right again: well formed, never authentic. */
export function forge(keys, seq, flip = 1n) {
  const { serial, tag } = mint(keys, seq);
  return canonical(assemble({ ...keys, serial, tag: tag ^ flip }));
}

/** Checks a text with keys: `{authentic, seq?}`. */
export function verify(keys, text) {
  const found = check(text);
  if (found.profile !== keys.profile || found.campaign !== keys.campaign || found.epoch !== keys.epoch) return { authentic: false };
  if (tagOf(keys, found.serial) !== found.tag) return { authentic: false };
  return { authentic: true, seq: unpermute(keys, found.serial) };
}
