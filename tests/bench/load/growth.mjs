// P10: whether a redemption costs more when there is more of everything: codes issued, members, promo codes in a pool. What counts is
// the processor's time of the server for each redemption, because that is what others on the machine disturb least.
import { spread } from "./figures.mjs";
import { RedeemingShop, edgeProgram, processorMs, startServer } from "./servers.mjs";
import { closedLoop, openLines } from "./wire.mjs";

const LINES = 32;
const MEMBERS = 100;

/** What grows, and a shop of each size. */
const grown = {
  "codes issued": {
    sizes: [1_000, 10_000, 100_000, 1_000_000],
    warm: () => MEMBERS,
    open: (runtime, size, codes) => shopWith(runtime, { memberCount: MEMBERS }, { codes, minted: size }),
  },
  members: {
    sizes: [1, 10, 100, 1_000],
    // One at a time: a member's redemptions in a campaign follow one another, and what shares no commit costs more.
    connections: 1,
    // Members who rested for a while are asleep. Waking them has its price, but it is not that of being one among many.
    wakes: true,
    // A member's first redemption makes the member.
    warm: (size) => Math.max(size, MEMBERS),
    open: (runtime, size, codes) => shopWith(runtime, { memberCount: size }, { codes }),
  },
  "pool codes": {
    sizes: [1_000, 10_000, 100_000, 1_000_000],
    warm: () => MEMBERS,
    open: (runtime, size, codes) => shopWith(runtime, { memberCount: MEMBERS, pool: size }, { codes }),
  },
};

async function shopWith(runtime, fields, { codes, minted = codes }) {
  const shop = await RedeemingShop.open(runtime, fields);
  // Codes that are redeemed lie anywhere among all.
  const before = Math.floor((minted - codes) / 2);
  await shop.mint(before);
  await shop.stock(codes);
  await shop.mint(minted - codes - before);
  return shop;
}

/** Redeems `count` codes by members from one of them on; answers the processor's time of one, in microseconds. */
async function redeem({ shop, lines }, runtime, { from, count }) {
  let at = from;
  const before = processorMs(runtime.child.pid);
  await closedLoop(lines, () => ({ bytes: shop.redemption({ by: at++ }).bytes, expect: 201 }), { count });
  return ((processorMs(runtime.child.pid) - before) * 1000) / count;
}

async function curve({ sizes, warm, open, connections = LINES, wakes = false }, { rounds, each, largest }) {
  const runtime = await startServer(edgeProgram());
  try {
    const points = [];
    for (const size of sizes.filter((one) => one <= largest)) {
      const shop = await open(runtime, size, (wakes ? 2 : 1) * rounds * each + warm(size));
      points.push({ size, shop, lines: openLines(runtime.url, connections), us: [] });
    }
    for (const point of points) point.first_us = await redeem(point, runtime, { from: 0, count: warm(point.size) });
    for (let at = 0; at < rounds; at += 1) {
      for (const point of points) {
        if (wakes) await redeem(point, runtime, { from: at * each, count: each });
        point.us.push(await redeem(point, runtime, { from: at * each, count: each }));
      }
    }
    for (const { lines } of points) for (const line of lines) line.close();
    const [first] = points;
    return points.map(({ size, us, first_us }) => ({ size, first_us, processor_us: spread(us), against_first: spread(us.map((one, at) => one / first.us[at])) }));
  } finally {
    await runtime.dispose();
  }
}

/** P10: a curve for each thing that grows. */
export async function measureGrowth({ rounds = 7, each = 120, largest = Infinity, of = Object.keys(grown) } = {}) {
  const curves = {};
  for (const name of of) curves[name] = await curve(grown[name], { rounds, each, largest });
  return curves;
}
