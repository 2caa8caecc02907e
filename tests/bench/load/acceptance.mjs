// P11: at half of the peak, how soon a redemption with `Prefer: respond-async` is accepted, and how soon its end is on the
// member's live feed.
import { until } from "../../http/client.mjs";
import { openFeed } from "../../http/socket.mjs";
import { median, quantile } from "./figures.mjs";
import { RedeemingShop, edgeProgram, startServer } from "./servers.mjs";
import { closedLoop, openLines, openLoop } from "./wire.mjs";

const MEMBERS = 60;
const LINES = 32;
const ACCEPTED = 202;
const ASYNC = { prefer: "respond-async" };
/** Longer than anything that is measured. */
const FEED_WAIT_MS = 600_000;
const END_WAIT_MS = 20_000;
const DRAIN_WAIT_MS = 60_000;

/** Redemptions by id that somebody waits for, or that have ended before anybody did. */
class Ends {
  constructor() {
    this.waiting = new Map();
    this.ended = new Map();
    this.count = 0;
  }

  /** Hears a member's feed until it is closed. */
  async hear(feed) {
    for (;;) {
      let text;
      try {
        text = await feed.next(FEED_WAIT_MS);
      } catch {
        return;
      }
      const at = performance.now();
      const { type, data } = JSON.parse(text);
      if (type !== "redemption.updated" || data.status !== "granted") continue;
      this.count += 1;
      const waiter = this.waiting.get(data.redemption_id);
      if (waiter === undefined) this.ended.set(data.redemption_id, at);
      else waiter(at);
    }
  }

  /** When a redemption's end was heard. */
  of(id) {
    const at = this.ended.get(id);
    if (at !== undefined) {
      this.ended.delete(id);
      return Promise.resolve(at);
    }
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the end of ${id} was not heard of`)), END_WAIT_MS);
      this.waiting.set(id, (when) => {
        clearTimeout(late);
        this.waiting.delete(id);
        resolve(when);
      });
    });
  }
}

/** P11. The peak is what all connections at once get to its end; the load is half of it, in windows of their own. */
export async function measureAcceptance({ windows = 5, windowMs = 5_000 } = {}) {
  const runtime = await startServer(edgeProgram());
  const feeds = [];
  try {
    const shop = await RedeemingShop.open(runtime, { memberCount: MEMBERS });
    await shop.stock(60_000);
    const ends = new Ends();
    const accept = () => ({ bytes: shop.redemption({ headers: ASYNC }).bytes, expect: ACCEPTED });
    const lines = openLines(runtime.url, LINES);
    // Members come to be by redemptions that have ended when they are answered, before anybody listens.
    await closedLoop(lines, () => ({ bytes: shop.redemption().bytes, expect: 201 }), { count: MEMBERS });
    for (const { token } of shop.members) {
      const feed = await openFeed(runtime.url, token);
      feeds.push(feed);
      void ends.hear(feed);
    }
    await closedLoop(lines, accept, { ms: windowMs / 2 });
    const before = ends.count;
    const { ms } = await closedLoop(lines, accept, { ms: windowMs });
    const peak = ((ends.count - before) * 1000) / ms;
    // What the peak has left undone is not the windows' load.
    await until(() => ends.count, (count) => count === shop.sent - MEMBERS, DRAIN_WAIT_MS);

    const all = [];
    for (let at = 0; at < windows; at += 1) all.push(await window(runtime, shop, ends, { perSecond: peak / 2, ms: windowMs }));
    for (const line of lines) line.close();
    const figures = (name) => ({
      p50_ms: median(all.flatMap((one) => one[name])),
      p99_ms: quantile(all.flatMap((one) => one[name]), 0.99),
      p99_ms_by_window: all.map((one) => quantile(one[name], 0.99)),
    });
    return { members: MEMBERS, peak_per_second: peak, load_per_second: peak / 2, sent: all.reduce((sum, one) => sum + one.accepted.length, 0), accepted: figures("accepted"), ended: figures("ended") };
  } finally {
    for (const feed of feeds) feed.drop();
    await runtime.dispose();
  }
}

/** One window: times from when each request was due to its acceptance, and to its end on the feed. */
async function window(runtime, shop, ends, { perSecond, ms }) {
  const [accepted, ended] = [[], []];
  const free = openLines(runtime.url, LINES);
  const send = async (_, dueAt) => {
    // None of them free means that all wait for answers: one more, as one more person would be.
    const line = free.pop() ?? openLines(runtime.url, 1)[0];
    const { status, text } = await line.send(shop.redemption({ headers: ASYNC }).bytes);
    accepted.push(performance.now() - dueAt);
    free.push(line);
    if (status !== ACCEPTED) throw new Error(`expected ${ACCEPTED}, got ${status}: ${text.slice(0, 300)}`);
    ended.push((await ends.of(JSON.parse(text).redemption_id)) - dueAt);
  };
  await openLoop(send, { perSecond, ms });
  for (const line of free) line.close();
  return { accepted, ended };
}
