// P9: what codes cost in storage, by the size of the objects' SQLite files.
import { Watch, newRid, prepareTemplate, settledMessage } from "./direct.mjs";
import { RedeemingShop, startServer, watchedProgram } from "./servers.mjs";
import { closedLoop, openLines } from "./wire.mjs";

const LINES = 64;
const SETTLED_AT_ONCE = 64;

/** The numbers from `from` to `to`, shuffled alike at every run: codes are never redeemed in the order of their making. */
export function shuffled(from, to) {
  const numbers = Array.from({ length: to - from }, (_, at) => from + at);
  let state = 1;
  for (let at = numbers.length - 1; at > 0; at -= 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = state % (at + 1);
    [numbers[at], numbers[other]] = [numbers[other], numbers[at]];
  }
  return numbers;
}

/** P9: the shard's file before and after codes were minted, and after some of them were redeemed. */
export async function measureStorage({ redeemed = 30_000, minted = 1_000_000 } = {}) {
  const runtime = await startServer(watchedProgram(), { vars: { WATCHED: "1" } });
  try {
    const shop = await RedeemingShop.open(runtime, { memberCount: 4 });
    await shop.stock(16);
    const watch = new Watch(runtime.url);
    const { prepare, settled } = await watch.patternsOf(shop, "CodeShard");
    await watch.unwatch();
    const { name } = prepare;
    const campaign = name.slice(0, name.lastIndexOf("/"));
    const sizes = async () => ({ shard: await watch.size("CODE_SHARD", name), campaign: await watch.size("CAMPAIGN", campaign) });
    const before = await sizes();
    await shop.mint(minted);
    const unredeemed = await sizes();

    const lines = openLines(runtime.url, LINES);
    const seqs = shuffled(16, 16 + minted);
    let waiting = [];
    const tell = () => {
      const told = waiting;
      waiting = [];
      return { bytes: watch.bytes("CODE_SHARD", name, settledMessage(settled, told)), expect: 200, counts: false };
    };
    const message = prepareTemplate(prepare);
    const next = () => {
      if (waiting.length >= SETTLED_AT_ONCE) return tell();
      const one = { rid: newRid(), fp: newRid().padEnd(64, "0"), seq: seqs.pop() };
      return { bytes: watch.bytes("CODE_SHARD", name, message(one)), expect: 200, says: /"prepared"/, done: () => waiting.push(one) };
    };
    const { answered } = await closedLoop(lines, next, { count: redeemed });
    const after = await sizes();
    for (const line of lines) line.close();
    const inAll = (of) => of.shard + of.campaign;
    return {
      minted,
      redeemed: answered,
      per_unredeemed: (unredeemed.shard - before.shard) / minted,
      of_minting: inAll(unredeemed) - inAll(before),
      per_redeemed: (after.shard - unredeemed.shard) / answered,
      sizes: { before, unredeemed, after },
    };
  } finally {
    await runtime.dispose();
  }
}
