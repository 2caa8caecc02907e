// P6: redemptions of distinct codes, end to end over HTTP, beside a bare Worker with the same hops and one-row commits.
import { countCalls, profileRedemptions } from "./breakdown.mjs";
import { median, spread } from "./figures.mjs";
import { RedeemingShop, bareProgram, edgeProgram, members, processorMs, redemptionBytes, startServer } from "./servers.mjs";
import { closedLoop, openLines } from "./wire.mjs";

const MEMBERS = 100;
const LINES = 32;
/** Before anything counts each member has redeemed a few times, and the runtime has compiled what is hot. */
const WARM_UP = 20 * MEMBERS;
const CREATED = 201;
/** More than any machine does; that many codes are minted. */
const EDGE_PER_SECOND_MAX = 4_000;

/** The edge and what redeems at it. */
async function edgeSide(codes, build) {
  const runtime = await startServer(edgeProgram(build));
  const shop = await RedeemingShop.open(runtime, { memberCount: MEMBERS });
  await shop.stock(codes);
  return { runtime, next: () => ({ bytes: shop.redemption().bytes, expect: CREATED }) };
}

/** The bare Worker and what redeems at it: the same requests. */
async function bareSide() {
  const runtime = await startServer(await bareProgram());
  const all = members(MEMBERS, "bench");
  const { host } = new URL(runtime.url);
  let sent = 0;
  const next = () => {
    const { token } = all[sent % all.length];
    sent += 1;
    const code = `AAAA-BBBB-${String(sent).padStart(10, "0")}`;
    return { bytes: redemptionBytes(host, { token, code, key: `k-${sent}` }), expect: CREATED };
  };
  return { runtime, next };
}

/** One round: how many a second, and the processor's time for each. */
async function round({ runtime, lines, next }, ms) {
  const before = processorMs(runtime.child.pid);
  const { answered, ms: took } = await closedLoop(lines, next, { ms });
  const processor = processorMs(runtime.child.pid) - before;
  return { per_second: (answered * 1000) / took, processor_us: (processor * 1000) / answered };
}

/** P6, and where the time goes. */
export async function measureRedemptions({ rounds = 15, pieceMs = 1_000 } = {}) {
  const compared = await compare({ rounds, pieceMs });
  return { ...compared, counts: await countCalls(), profile: await profileRedemptions() };
}

/** Rounds take turns, so that each pair sees the same machine; the median of the pairs' ratios counts. */
export async function compare({ rounds, pieceMs, build = "release" }) {
  const sides = { edge: await edgeSide((rounds * pieceMs * EDGE_PER_SECOND_MAX) / 1_000 + WARM_UP, build), bare: await bareSide() };
  try {
    for (const side of Object.values(sides)) {
      side.lines = openLines(side.runtime.url, LINES);
      await closedLoop(side.lines, side.next, { count: WARM_UP });
    }
    const pairs = [];
    for (let at = 0; at < rounds; at += 1) {
      const pair = {};
      // Who begins changes from round to round.
      for (const name of at % 2 === 0 ? ["edge", "bare"] : ["bare", "edge"]) pair[name] = await round(sides[name], pieceMs);
      pairs.push(pair);
    }
    const of = (name, figure) => pairs.map((pair) => pair[name][figure]);
    return {
      members: MEMBERS,
      connections: LINES,
      ratio: spread(pairs.map(({ edge, bare }) => edge.per_second / bare.per_second)),
      processor_ratio: spread(pairs.map(({ edge, bare }) => bare.processor_us / edge.processor_us)),
      edge: { per_second: spread(of("edge", "per_second")), processor_us: median(of("edge", "processor_us")) },
      bare: { per_second: spread(of("bare", "per_second")), processor_us: median(of("bare", "processor_us")) },
    };
  } finally {
    for (const { runtime, lines } of Object.values(sides)) {
      for (const line of lines ?? []) line.close();
      await runtime.dispose();
    }
  }
}
