// Chance that can be had again: everything the load decides comes from one printed seed. What the clock and the processor
// decide does not, so a seed repeats the plan of a run, not its every interleaving.

/** A generator for `name` under a seed: equal texts give equal numbers. */
export function chance(seed, ...name) {
  // FNV-1a over the texts, then mulberry32.
  let state = 0x811c9dc5;
  for (const unit of [seed, ...name].join(" ")) state = Math.imul(state ^ unit.codePointAt(0), 0x01000193);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return {
    /** From 0 to 1, 1 excluded. */
    next,
    below,
    /** A whole number, both ends included. */
    between: (low, high) => low + below(high - low + 1),
    /** True so often in a hundred. */
    percent: (share) => next() * 100 < share,
    pick: (list) => list[below(list.length)],
    /** So many different ones of a list. */
    sample: (list, count) => {
      const rest = [...list];
      return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(below(rest.length), 1)[0]);
    },
    /** An idempotency key, not used elsewhere under this seed. */
    key: (prefix) => `${prefix}-${below(2 ** 32).toString(36)}${below(2 ** 32).toString(36)}`,
  };
}
