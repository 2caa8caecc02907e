// `npm run bench`: the figures P1 to P7, P9 to P11 and R4, each beside its peers in the same run, as a table and as JSON.
//
//   npm run bench                      everything, about a quarter of an hour
//   npm run bench -- p6 p9             these figures (or --only P6,P9)
//   npm run bench -- --quick           fewer rounds and trials
//   npm run bench -- --record NAME     writes tests/bench/results/NAME.json instead of an ignored file
//
// The machine should have nothing else to do. A missed goal is shown, and is no failure of the run.

import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";

import { buildEdge } from "../../edge/dev/build.mjs";
import { root } from "../../edge/dev/paths.mjs";
import { setUp, startTools } from "../../edge/dev/setup.mjs";
import { Stop, fail, onSignals, run, step, style } from "../../edge/dev/steps.mjs";
import { measureAcceptance } from "./load/acceptance.mjs";
import { measureGrowth } from "./load/growth.mjs";
import { measureHot } from "./load/hot.mjs";
import { measureRedemptions } from "./load/redemptions.mjs";
import { profileLines, reportP10, reportP11, reportP6, reportP7, reportP9 } from "./load/report.mjs";
import { measureStorage } from "./load/storage.mjs";
import { measureMinting, measureNative } from "./native.mjs";
import { installPeers, versionOf } from "./peers.mjs";
import { modelLine, print, reportP1, reportP2, reportP3, reportP4, reportP5, reportR4 } from "./report.mjs";
import { measureSdk } from "./sdk.mjs";
import { measureSizes } from "./sizes.mjs";
import { measureStream } from "./stream.mjs";
import { measureWorker } from "./worker.mjs";

const FIGURES = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9", "P10", "P11", "R4"];
/** Figures of the edge under load. */
const OF_THE_EDGE = ["P6", "P7", "P9", "P10", "P11"];
/** Figures that stand beside packages of other authors. */
const WITH_PEERS = ["P1", "P2", "P3", "P4", "P5"];

/** What is measured, for which figures. */
const measurements = {
  worker: { for: ["P1", "P4"], title: "checking codes in workerd", measure: measureWorker },
  native: { for: ["P2", "P3", "P4", "R4"], title: "checking, minting and repairing natively", measure: measureNative },
  minting: { for: ["P3"], title: "minting on the command line", measure: measureMinting },
  stream: { for: ["P3"], title: "minting over HTTP", measure: measureStream },
  sdk: { for: ["P4"], title: "key presses through the npm package", measure: measureSdk },
  sizes: { for: ["P5"], title: "sizes", measure: measureSizes },
  redemptions: { for: ["P6"], title: "redeeming over HTTP, and where the time goes", measure: ({ load }) => measureRedemptions(load.redemptions) },
  hot: { for: ["P7"], title: "one hot shard, one hot pool", measure: ({ load }) => measureHot(load.hot) },
  storage: { for: ["P9"], title: "storage of codes", measure: ({ load }) => measureStorage(load.storage) },
  growth: { for: ["P10"], title: "redeeming among more and more", measure: ({ load }) => measureGrowth(load.growth) },
  acceptance: { for: ["P11"], title: "acceptance and the live feed at half of the peak", measure: ({ load }) => measureAcceptance(load.acceptance) },
};

/** How long the load is put on: the usual, and enough to see that everything works. */
const usualLoad = {
  redemptions: { rounds: 21, pieceMs: 1_000 },
  hot: { rounds: 7, pieceMs: 2_000, codes: 200_000 },
  storage: { redeemed: 30_000, minted: 1_000_000 },
  growth: { rounds: 7, each: 120 },
  acceptance: { windows: 7, windowMs: 5_000 },
};
const quickLoad = {
  redemptions: { rounds: 7, pieceMs: 500 },
  hot: { rounds: 2, pieceMs: 1_000, codes: 50_000 },
  storage: { redeemed: 5_000, minted: 100_000 },
  growth: { rounds: 3, each: 60, largest: 100_000 },
  acceptance: { windows: 2, windowMs: 2_000 },
};

function choose(args) {
  const options = { only: FIGURES, quick: false, record: undefined };
  const named = [];
  for (let at = 0; at < args.length; at += 1) {
    if (args[at] === "--quick") options.quick = true;
    else if (args[at] === "--only") options.only = (args[(at += 1)] ?? "").split(",");
    else if (args[at] === "--record") options.record = args[(at += 1)];
    else if (FIGURES.includes(args[at].toUpperCase())) named.push(args[at].toUpperCase());
    else throw new Stop(`The benchmark does not know ${args[at]}; it knows figures (${FIGURES.join(", ")}), --only, --quick and --record NAME.`);
  }
  if (named.length > 0) options.only = FIGURES.filter((name) => named.includes(name));
  const unknown = options.only.find((name) => !FIGURES.includes(name));
  if (unknown !== undefined) throw new Stop(`There is no figure "${unknown}"; there are ${FIGURES.join(", ")}.`);
  if (options.record !== undefined && !/^[a-z0-9-]+$/.test(options.record)) {
    throw new Stop("--record takes a name of a-z, 0-9 and -.");
  }
  return options;
}

async function machine() {
  const version = async (command) => (await run(command, ["--version"])).stdout.trim();
  return {
    processor: cpus()[0]?.model.trim(),
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    load_before: loadavg().map((load) => Number(load.toFixed(2))),
    rust: await version("rustc"),
    node: process.version,
    peers: Object.fromEntries(["jose", "fast-jwt", "voucher-code-generator", "coupon-code", "blake3-wasm", "@voucherify/sdk"].map((name) => [name, versionOf(name)])),
  };
}

function report(figures, measured) {
  const { worker, native, minting, stream, sdk, sizes } = measured;
  const reports = {
    P1: () => reportP1(worker),
    P2: () => reportP2(native),
    P3: () => reportP3(minting, native, stream),
    P4: () => reportP4(native, worker, sdk),
    P5: () => reportP5(sizes),
    P6: () => reportP6(measured.redemptions),
    P7: () => reportP7(measured.hot),
    P9: () => reportP9(measured.storage),
    P10: () => reportP10(measured.growth),
    P11: () => reportP11(measured.acceptance),
    R4: () => reportR4(native.slips),
  };
  return figures.flatMap((name) => reports[name]());
}

async function main() {
  const { only, quick, record } = choose(process.argv.slice(2));
  await setUp({ tools: startTools });
  if (only.some((name) => WITH_PEERS.includes(name))) await installPeers();
  if (only.some((name) => OF_THE_EDGE.includes(name))) await buildEdge("release");
  // Its functions have names, for the profile.
  if (only.includes("P6")) await buildEdge("dev");
  const settings = quick ? { rounds: 7, trials: 1_000_000, seed: 1, load: quickLoad } : { rounds: 25, trials: 10_000_000, seed: 1, load: usualLoad };
  const about = { measured_at: new Date().toISOString(), machine: await machine(), settings };
  console.log(style.bold("Benchmarks"));
  const measured = {};
  for (const [name, { for: figures, title, measure }] of Object.entries(measurements)) {
    if (!figures.some((figure) => only.includes(figure))) continue;
    await step(title, async () => {
      measured[name] = await measure(settings);
    });
  }
  about.machine.load_after = loadavg().map((load) => Number(load.toFixed(2)));
  const lines = report(only, measured);
  const { processor, cores, rust, node, load_before: load } = about.machine;
  console.log(`\n${processor}, ${cores} cores, load before ${load[0]}, after ${about.machine.load_after[0]}; ${rust}; Node ${node}\n`);
  if (load[0] > cores / 2) console.log(style.bold("The machine was busy before it began: the times are longer than they are by themselves.\n"));
  print(lines);
  if (only.includes("P6")) console.log(`\n${profileLines(measured.redemptions).join("\n")}`);
  if (only.includes("R4")) console.log(`\n${modelLine(measured.native.slips)}`);
  const missed = lines.filter(({ met }) => met === false);
  console.log(missed.length === 0 ? "\nEvery goal is met." : `\n${missed.length} of ${lines.filter(({ met }) => met !== undefined).length} goals missed.`);
  const folder = join(root, "tests", "bench", "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, record === undefined ? "latest.local.json" : `${record}.json`);
  const goals = lines.map(({ id, figure, measured: shown, goal, met, value }) => ({ id, figure: figure.trim(), measured: shown, goal: goal || undefined, met, value }));
  writeFileSync(file, `${JSON.stringify({ ...about, goals, measured }, undefined, 2)}\n`);
  console.log(`Written to ${file}`);
}

onSignals();
main().catch(fail);
