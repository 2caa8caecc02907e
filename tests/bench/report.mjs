// The goals (P1 to P5, R4), what was measured of each, and whether it is met.
import { perSecond } from "./contest.mjs";

const million = (value) => `${(value / 1e6).toFixed(2)} M/s`;
const rate = (value) => (value >= 1e5 ? million(value) : `${Math.round(value).toLocaleString("en")} /s`);
const microseconds = (ns) => `${(ns / 1000).toFixed(2)} µs`;
const bytes = (value) => `${value.toLocaleString("en")} B`;
export const percent = (share) => `${(share * 100).toFixed(share < 0.001 && share > 0 ? 5 : 2)} %`;
export const times = (value) => `${value.toFixed(value < 10 ? 2 : 0)}×`;

/** One line of the table. `met` is undefined where a line only stands beside. */
export const line = (id, figure, measured, goal, met, value) => ({ id, figure, measured, goal, met, value });
export const beside = (id, figure, measured, value) => line(id, `  ${figure}`, measured, "", undefined, value);

const slowest = (figures) => Object.entries(figures).reduce((worst, one) => (one[1].ns_median > worst[1].ns_median ? one : worst));

/** P1: a whole code check in wasm, in the Workers runtime. */
export function reportP1({ checking }) {
  const own = checking["S20, text to tag"];
  const ratio = (name) => checking[name].ns_median / own.ns_median;
  const floor = ratio("two compressions");
  const webCrypto = ratio("WebCrypto verify");
  return [
    line("P1", "code check in workerd (S20: text, parity, tag)", rate(perSecond(own)), "≥ 1 M/s", perSecond(own) >= 1e6, perSecond(own)),
    line("P1", "against WebCrypto verify in the same Worker", times(webCrypto), "≥ 10×", webCrypto >= 10, webCrypto),
    line("P1", "against two SHA-256 compressions in wasm", floor.toFixed(2), "≥ 0.60", floor >= 0.6, floor),
    ...["S16, text to tag", "S25, text to tag", "S20, text to parity", "S20, tag alone", "S20, text to seq", "S20, minting", "two compressions", "WebCrypto verify", "jose jwtVerify", "fast-jwt verify"].map((name) =>
      beside("P1", name, `${rate(perSecond(checking[name]))}, ${times(ratio(name))} our time`, perSecond(checking[name])),
    ),
  ];
}

/** P2: the same natively. */
export function reportP2({ checking }) {
  const floor = checking["two compressions, each after the one before"];
  const independent = checking["two compressions, pairs independent"];
  const own = checking["S20, text to tag"];
  const share = floor.ns_median / own.ns_median;
  return [
    line("P2", "code check native, one core (S20)", rate(perSecond(own)), "≥ 5 M/s", perSecond(own) >= 5e6, perSecond(own)),
    line("P2", "against two SHA-256 compressions, one after the other", share.toFixed(2), "≥ 0.50", share >= 0.5, share),
    beside("P2", "against two whose pairs overlap", (independent.ns_median / own.ns_median).toFixed(2), independent.ns_median / own.ns_median),
    ...["S16, text to tag", "S25, text to tag", "S20, text to parity"].map((name) => beside("P2", name, rate(perSecond(checking[name])), perSecond(checking[name]))),
  ];
}

/** P3: minting. */
export function reportP3({ figures, memory_kib: memory }, { minting }, stream) {
  const own = figures["counterfoil mint, text"];
  const growth = memory["16 M codes"] - memory["1 M codes"];
  return [
    line("P3", "counterfoil mint, text, whole process", rate(perSecond(own)), "≥ 5 M/s", perSecond(own) >= 5e6, perSecond(own)),
    line("P3", "memory: 1 M codes, and 16 M more than that", `${memory["1 M codes"]} KiB, ${growth >= 0 ? "+" : ""}${growth} KiB`, "constant", Math.abs(growth) < 1024, memory),
    line("P3", "streamed by workerd over HTTP", rate(stream.per_second_median), "≥ 100 k/s", stream.per_second_median >= 1e5, stream.per_second_median),
    ...["counterfoil mint, csv", "counterfoil mint, jsonl"].map((name) => beside("P3", name, rate(perSecond(figures[name])), perSecond(figures[name]))),
    beside("P3", "minting alone, nothing written (S20)", rate(perSecond(minting.S20)), perSecond(minting.S20)),
    ...["voucher-code-generator", "coupon-code"].map((name) =>
      beside("P3", name, `${rate(perSecond(figures[name]))}, we make ${times(figures[name].ns_median / own.ns_median)} as many`, perSecond(figures[name])),
    ),
  ];
}

/** P4: the worst key press. */
export function reportP4({ key_press: native }, { keyPress: wasm }, sdk) {
  const { "coupon-code validate": coupon, ...js } = sdk;
  const worst = (what, figures, limit) => {
    const [name, { ns_median: ns }] = slowest(figures);
    return line("P4", `worst key press, ${what} (${name})`, microseconds(ns), `≤ ${limit / 1000} µs`, ns <= limit, ns);
  };
  return [
    worst("native", native, 10_000),
    worst("wasm in workerd", wasm, 10_000),
    worst("through the npm package in Node", js, 50_000),
    beside("P4", "coupon-code validate, which repairs nothing", microseconds(coupon.ns_median), coupon.ns_median),
  ];
}

/** P5: sizes. */
export function reportP5(sizes) {
  const goals = [["code checker alone", 4 * 1024], ["SDK for the browser", 25 * 1024], ["React layer", 4 * 1024], ["edge", 150 * 1024]];
  return [
    ...goals.map(([name, most]) => line("P5", `${name}, gzip`, bytes(sizes[name]), `≤ ${most / 1024} KiB`, sizes[name] <= most, sizes[name])),
    ...Object.entries(sizes.peers).map(([name, size]) => beside("P5", `${name}, gzip`, bytes(size), size)),
  ];
}

/** R4: typing errors. */
export function reportR4({ by_profile: profiles, by_kind: kinds }) {
  const all = Object.values(profiles);
  const sum = (name) => all.reduce((total, one) => total + one[name], 0) / all.length;
  const certain = ["one wrong symbol", "neighbour swap", "jump swap", "twin", "jump twin"];
  const always = certain.every((kind) => kinds[kind].corrected === 1);
  const trials = all.reduce((total, one) => total + one.trials, 0);
  return [
    line("R4", `modelled slips repaired, ${trials.toLocaleString("en")} trials`, percent(sum("corrected")), "≥ 96 %", sum("corrected") >= 0.96, sum("corrected")),
    line("R4", "single, swap, twin, jump repaired", always ? "all" : "not all", "100 %", always, always),
    line("R4", "accepted as another code", percent(sum("undetected")), "≤ 0.0001 %", sum("undetected") <= 1e-6, sum("undetected")),
    beside("R4", "refused without a suggestion", percent(sum("refused")), sum("refused")),
    beside("R4", "another code suggested", percent(sum("wrong")), sum("wrong")),
    ...Object.entries(profiles).map(([name, one]) =>
      beside("R4", `${name}: repaired, refused, wrong`, `${percent(one.corrected)}, ${percent(one.refused)}, ${percent(one.wrong)}`, one),
    ),
  ];
}

/** The model of human slips, as a line. */
export const modelLine = ({ model_percent: model }) =>
  `Error model (%): ${Object.entries(model).sort((a, b) => b[1] - a[1]).map(([kind, share]) => `${kind} ${share}`).join(", ")}.`;

/** Prints lines as a table. */
export function print(lines, write = console.log) {
  const widths = ["figure", "measured", "goal"].map((column) => Math.max(column.length, ...lines.map((one) => one[column].length)));
  const row = (id, cells, met) => write(`${id.padEnd(3)} ${cells.map((cell, at) => cell.padEnd(widths[at])).join("  ")}  ${met}`);
  row("", ["figure", "measured", "goal"], "");
  let last;
  for (const { id, figure, measured, goal, met } of lines) {
    if (last !== undefined && last !== id) write("");
    last = id;
    row(id, [figure, measured, goal], met === undefined ? "" : met ? "met" : "MISSED");
  }
}
