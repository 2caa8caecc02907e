// Correction of typing errors, a second implementation from the format's description. It tries every pattern by brute
// force instead of by table, so that a wrong table in the product cannot be wrong here in the same way.
import { ERASURE, NotACode, PROFILES, alpha, canonical, divide, implausible, multiply, parityAgrees, profileOfLength, readSymbols, syndromes } from "./code.mjs";

const EVERY_PROFILE = Object.values(PROFILES);

/** The first correction that applies to a finished text, as `{correction, code, unverified}`, or undefined. */
export function suggest(text) {
  let values;
  try {
    values = readSymbols(text);
  } catch (error) {
    if (error instanceof NotACode) return undefined;
    throw error;
  }
  const exact = profileOfLength(values.length);
  const erased = values.flatMap((value, at) => (value === ERASURE ? [at] : []));
  if (erased.length > 0) return exact && fillErasures(values, erased, exact);
  if (exact) {
    if (parityAgrees(values, exact)) return undefined;
    return single(values, exact) ?? pair(values, exact) ?? groupsSwapped(values, exact);
  }
  const longer = EVERY_PROFILE.find((one) => one.symbols === values.length + 1);
  if (longer) return omitted(values, longer);
  const shorter = EVERY_PROFILE.find((one) => one.symbols === values.length - 1);
  return shorter && inserted(values, shorter);
}

const found = (correction, values, unverified = false) => ({ correction, code: canonical(values), unverified });

function changed(values, changes) {
  const next = [...values];
  for (const [at, delta] of changes) next[at] ^= delta;
  return next;
}

function single(values, of) {
  for (let at = 0; at < of.symbols; at += 1) {
    for (let delta = 1; delta < 32; delta += 1) {
      const next = changed(values, [[at, delta]]);
      if (parityAgrees(next, of) && !implausible(next)) return found("single", next);
    }
  }
  return undefined;
}

function pair(values, of) {
  for (const step of [1, 2]) {
    for (let at = 0; at + step < of.symbols; at += 1) {
      for (let delta = 1; delta < 32; delta += 1) {
        const typed = values[at] ^ values[at + step];
        if (typed !== delta && typed !== 0) continue;
        const next = changed(values, [[at, delta], [at + step, delta]]);
        if (parityAgrees(next, of) && !implausible(next)) return found("pair", next);
      }
    }
  }
  return undefined;
}

/** The one word among the candidates that is a code, or undefined when there are none or several. */
function onlySolution(correction, candidates, of) {
  const solutions = new Map();
  for (const next of candidates) {
    if (parityAgrees(next, of) && !implausible(next)) solutions.set(next.join(), next);
  }
  return solutions.size === 1 ? found(correction, [...solutions.values()][0]) : undefined;
}

function omitted(values, of) {
  const candidates = [];
  for (let at = 0; at <= values.length; at += 1) {
    for (let symbol = 0; symbol < 32; symbol += 1) candidates.push([...values.slice(0, at), symbol, ...values.slice(at)]);
  }
  return onlySolution("omitted", candidates, of);
}

function inserted(values, of) {
  return onlySolution("inserted", values.map((_, at) => values.filter((__, other) => other !== at)), of);
}

function groupsSwapped(values, of) {
  const groups = [];
  for (let at = 0; at < of.symbols; at += of.group) groups.push(values.slice(at, at + of.group));
  const candidates = [];
  for (let one = 0; one < groups.length; one += 1) {
    for (let other = one + 1; other < groups.length; other += 1) {
      const next = [...groups];
      [next[one], next[other]] = [groups[other], groups[one]];
      candidates.push(next.flat());
    }
  }
  return onlySolution("groups_swapped", candidates, of);
}

function fillErasures(values, erased, of) {
  if (erased.length > 3) return undefined;
  const zeroed = values.map((value) => (value === ERASURE ? 0 : value));
  const filled = solve(zeroed, erased, of);
  if (filled && !implausible(filled)) return found("erasures", filled, erased.length === 3);
  if (erased.length !== 1) return undefined;
  for (let wrong = 0; wrong < of.symbols; wrong += 1) {
    if (wrong === erased[0]) continue;
    const next = solve(zeroed, [erased[0], wrong], of);
    if (next && !implausible(next)) return found("erasure_and_single", next, true);
  }
  return undefined;
}

/** Values at the given positions that make the parity agree (linear equations over GF(32)), or undefined. */
function solve(values, positions, of) {
  const rows = [1, 2, 3].map((root, at) => [
    ...positions.map((position) => alpha(root * (of.symbols - 1 - position))),
    syndromes(values, of)[at],
  ]);
  const columns = positions.length;
  for (let column = 0; column < columns; column += 1) {
    const pivot = rows.findIndex((row, at) => at >= column && row[column] !== 0);
    if (pivot < 0) return undefined;
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    const lead = rows[column][column];
    rows[column] = rows[column].map((value) => divide(value, lead));
    rows.forEach((row, at) => {
      if (at === column || row[column] === 0) return;
      const factor = row[column];
      rows[at] = row.map((value, place) => value ^ multiply(factor, rows[column][place]));
    });
  }
  if (rows.slice(columns).some((row) => row[columns] !== 0)) return undefined;
  return changed(values, positions.map((position, at) => [position, rows[at][columns]]));
}
