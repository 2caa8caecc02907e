// What was measured under load (P6, P7, P9, P10, P11), against its goals.
import { beside, line, percent, times } from "../report.mjs";

const perSecond = (value) => `${Math.round(value).toLocaleString("en")} /s`;
const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const microseconds = (value) => `${Math.round(value).toLocaleString("en")} µs`;
/** The middle, and between what the middle half of the rounds lay: how noisy it was. */
const noisy = ({ median, low, high }, write = (value) => value.toFixed(2)) => `${write(median)} (${write(low)} to ${write(high)})`;

/** P6: redemptions end to end. */
export function reportP6({ ratio, processor_ratio: processor, edge, bare, counts, connections, members }) {
  return [
    line("P6", "redemptions over HTTP, share of a bare Worker with the same hops", noisy(ratio), "≥ 0.80", ratio.median >= 0.8, ratio),
    line("P6", "never below", noisy(ratio), "≥ 0.65", ratio.median >= 0.65, ratio.median),
    beside("P6", "the same by the processor's time, which others disturb less", noisy(processor), processor),
    beside("P6", `redemptions, ${connections} connections, ${members} members`, noisy(edge.per_second, perSecond), edge),
    beside("P6", "the bare Worker", noisy(bare.per_second, perSecond), bare),
    beside("P6", "processor's time of one, ours and the bare Worker's", `${microseconds(edge.processor_us)}, ${microseconds(bare.processor_us)}`, edge.processor_us),
    beside("P6", "SQL statements and messages for one", `${counts.statements_each.toFixed(1)}, ${counts.messages_each.toFixed(2)}`, counts),
    ...Object.entries(counts.by_object)
      .filter(([, { statements = 0 }]) => statements >= 0.1)
      .map(([name, calls]) => beside("P6", `${name}: statements, transactions, messages`, ["statements", "transactions", "messages"].map((what) => (calls[what] ?? 0).toFixed(2)).join(", "), calls)),
  ];
}

/** The profile of P6 as lines of text. */
export function profileLines({ profile, bare }) {
  const row = ({ name, us }) => `  ${microseconds(us).padStart(9)}  ${name}`;
  return [
    `Where a redemption's time goes (JavaScript thread of the runtime under the profiler; the bare Worker takes ${microseconds(bare.processor_us)} in all):`,
    ...profile.by_subject.map(row),
    "By function:",
    ...profile.by_function.map(row),
  ];
}

const kindNames = { slowed: "syncs of 4 ms", "as it is": "as it is" };

/** P7: one hot object. */
export function reportP7(measured) {
  const { missing, postgres } = measured;
  const lines = [];
  for (const [kind, title] of Object.entries(kindNames)) {
    const goal = kind === "slowed" ? 6 : 1;
    for (const [what, contenders] of Object.entries(measured[kind] ?? {})) {
      const own = contenders[what];
      const { ratio } = contenders.object;
      lines.push(line("P7", `hot ${what}, ${title}, against a commit for each request`, noisy(ratio, times), `≥ ${goal}×`, ratio.median >= goal, ratio));
      if (kind === "slowed" && contenders.postgres) {
        const against = contenders.postgres.ratio;
        lines.push(line("P7", `hot ${what}, ${title}, against a hot row in Postgres`, noisy(against, times), "≥ 3×", against.median >= 3, against));
      }
      lines.push(line("P7", `hot ${what}, ${title}, p99 with all ${measured.connections} connections busy`, milliseconds(own.p99_ms), "≤ 100 ms", own.p99_ms <= 100, own.p99_ms));
      for (const [name, { per_second: rate, p50_ms: p50, p99_ms: p99, syncs_each: syncs }] of Object.entries(contenders)) {
        lines.push(beside("P7", `${name === "object" ? "TypeScript object" : name}: a second; p50, p99; syncs for one`, `${perSecond(rate.median)}; ${milliseconds(p50)}, ${milliseconds(p99)}; ${syncs.toFixed(2)}`, rate));
      }
    }
  }
  if (postgres) lines.push(beside("P7", "beside", postgres, postgres));
  for (const [what, reason] of Object.entries(missing)) if (reason) lines.push(beside("P7", `without ${what}`, reason, reason));
  return lines;
}

/** P9: storage. */
export function reportP9({ minted, redeemed, per_unredeemed: unredeemed, of_minting: minting, per_redeemed: each }) {
  return [
    line("P9", `an unredeemed code in the shard, ${minted.toLocaleString("en")} minted`, `${unredeemed} B`, "0 B", unredeemed === 0, unredeemed),
    line("P9", `a redeemed code in the shard, ${redeemed.toLocaleString("en")} redeemed in no order`, `${each.toFixed(1)} B`, "≤ 150 B", each <= 150, each),
    beside("P9", "shard and campaign grew by, for all that was minted", `${minting.toLocaleString("en")} B`, minting),
  ];
}

/** P10: growth. */
export function reportP10(curves) {
  return Object.entries(curves).flatMap(([name, points]) => {
    const worst = points.reduce((most, { against_first: { median } }) => (Math.abs(median - 1) > Math.abs(most - 1) ? median : most), 1);
    const [first, last] = [points[0].size, points.at(-1).size].map((size) => size.toLocaleString("en"));
    return [
      line("P10", `processor's time of a redemption, ${first} to ${last} ${name}`, `${worst >= 1 ? "+" : ""}${percent(worst - 1)}`, "± 10 %", Math.abs(worst - 1) <= 0.1, worst),
      ...points.map(({ size, processor_us: us, against_first: ratio, first_us: made }) =>
        beside("P10", `${size.toLocaleString("en")} ${name}`, `${microseconds(us.median)}, ${noisy(ratio)} of the first${name === "members" ? `; a member's first ${microseconds(made)}` : ""}`, us),
      ),
    ];
  });
}

/** P11: acceptance. */
export function reportP11({ accepted, ended, peak_per_second: peak, load_per_second: load, sent }) {
  const windows = ({ p99_ms_by_window: all }) => all.map((ms) => milliseconds(ms)).join(", ");
  return [
    line("P11", "acceptance (respond-async) at half of the peak, p99", milliseconds(accepted.p99_ms), "≤ 50 ms", accepted.p99_ms <= 50, accepted.p99_ms),
    line("P11", "to the end on the live feed, p99", milliseconds(ended.p99_ms), "≤ 500 ms", ended.p99_ms <= 500, ended.p99_ms),
    beside("P11", "p50 of both", `${milliseconds(accepted.p50_ms)}, ${milliseconds(ended.p50_ms)}`, accepted.p50_ms),
    beside("P11", "peak, load, sent", `${perSecond(peak)}, ${perSecond(load)}, ${sent.toLocaleString("en")}`, peak),
    beside("P11", "acceptance, p99 of each window", windows(accepted), accepted.p99_ms_by_window),
    beside("P11", "end on the feed, p99 of each window", windows(ended), ended.p99_ms_by_window),
  ];
}
