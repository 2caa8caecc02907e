// Contenders that take turns (A B C A B C …), so that whatever else the machine does falls on all of them; the median
// piece counts.

/**
 * @param {Record<string, (times: number) => unknown>} contenders each does its work that many times
 * @param {{ rounds?: number, pieceMs?: number }} [options]
 * @returns {Promise<Record<string, { ns_median: number, ns_least: number, ns_most: number }>>}
 */
export async function contest(contenders, { rounds = 9, pieceMs = 100 } = {}) {
  const entries = Object.entries(contenders).map(([name, work]) => ({ name, work, times: 1, ns: [] }));
  const piece = async ({ work, times }) => {
    const started = performance.now();
    await work(times);
    return performance.now() - started;
  };
  for (const entry of entries) {
    // The first calls load and compile; they say nothing of how many make a piece.
    for (let warm = 0; warm < 3; warm += 1) await piece(entry);
    for (;;) {
      const took = await piece(entry);
      if (took >= pieceMs) break;
      entry.times = Math.ceil(entry.times * Math.min(8, Math.max(1.5, (1.2 * pieceMs) / Math.max(took, 0.01))));
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const entry of entries) entry.ns.push(((await piece(entry)) * 1e6) / entry.times);
  }
  return Object.fromEntries(
    entries.map(({ name, ns }) => {
      ns.sort((a, b) => a - b);
      return [name, { ns_median: ns[Math.floor(ns.length / 2)], ns_least: ns[0], ns_most: ns.at(-1) }];
    }),
  );
}

/** How many a second, by the median. */
export const perSecond = ({ ns_median: ns }) => 1e9 / ns;
