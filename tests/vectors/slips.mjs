// The model of human slips that the format's figures are stated for, with a seeded generator so that a failure repeats.
import { PROFILES } from "../http/code.mjs";

/** A small seeded generator (mulberry32): numbers in [0, 1). */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Kinds of slip with their share in per cent. */
export const SLIPS = [
  ["wrong", 70],
  ["swap", 12],
  ["omission", 8],
  ["insertion", 4],
  ["two_wrong", 2.5],
  ["twin", 1],
  ["jump_swap", 1],
  ["jump_twin", 0.5],
  ["groups", 0.5],
  ["random", 0.5],
];

export function pickSlip(random) {
  let left = random() * 100;
  return (SLIPS.find(([, share]) => (left -= share) < 0) ?? SLIPS[0])[0];
}

const below = (random, limit) => Math.floor(random() * limit);
const otherThan = (random, value) => (value + 1 + below(random, 31)) % 32;

function wrongAt(values, random, count) {
  const places = new Set();
  while (places.size < count) places.add(below(random, values.length));
  return values.map((value, at) => (places.has(at) ? otherThan(random, value) : value));
}

function swapped(values, random, step) {
  const at = below(random, values.length - step);
  const next = [...values];
  [next[at], next[at + step]] = [values[at + step], values[at]];
  return next;
}

/** Where two equal symbols stand `step` apart, both become another; without such a place the word stays as it is. */
function twinned(values, random, step) {
  const places = values.flatMap((value, at) => (at + step < values.length && value === values[at + step] ? [at] : []));
  if (places.length === 0) return values;
  const at = places[below(random, places.length)];
  const next = [...values];
  next[at] = next[at + step] = otherThan(random, values[at]);
  return next;
}

function groupsSwapped(values, random) {
  const { group } = Object.values(PROFILES).find((one) => one.symbols === values.length);
  const groups = Array.from({ length: values.length / group }, (_, at) => values.slice(at * group, (at + 1) * group));
  const one = below(random, groups.length);
  const other = (one + 1 + below(random, groups.length - 1)) % groups.length;
  [groups[one], groups[other]] = [groups[other], groups[one]];
  return groups.flat();
}

/** One slip of the given kind; the same values come back where the slip leaves no trace. */
export function slip(values, kind, random) {
  switch (kind) {
    case "wrong":
      return wrongAt(values, random, 1);
    case "two_wrong":
      return wrongAt(values, random, 2);
    case "random":
      return wrongAt(values, random, 3 + below(random, 3));
    case "swap":
      return swapped(values, random, 1);
    case "jump_swap":
      return swapped(values, random, 2);
    case "twin":
      return twinned(values, random, 1);
    case "jump_twin":
      return twinned(values, random, 2);
    case "omission": {
      const gone = below(random, values.length);
      return values.filter((_, at) => at !== gone);
    }
    case "insertion": {
      const at = below(random, values.length + 1);
      return [...values.slice(0, at), below(random, 32), ...values.slice(at)];
    }
    case "groups":
      return groupsSwapped(values, random);
    default:
      throw new Error(`no such slip: ${kind}`);
  }
}
