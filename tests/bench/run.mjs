// `npm run bench`: the figures P1 to P5 and R4, each beside its peers in the same run, as a table and as JSON.
//
//   npm run bench                      everything, a few minutes
//   npm run bench -- --only P1,P5      these figures
//   npm run bench -- --quick           fewer rounds and trials
//   npm run bench -- --record NAME     writes tests/bench/results/NAME.json instead of an ignored file
//
// The machine should have nothing else to do. A missed goal is shown, and is no failure of the run.

import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";

import { root } from "../../edge/dev/paths.mjs";
import { setUp, startTools } from "../../edge/dev/setup.mjs";
import { Stop, fail, onSignals, run, step, style } from "../../edge/dev/steps.mjs";
import { measureMinting, measureNative } from "./native.mjs";
import { installPeers, versionOf } from "./peers.mjs";
import { modelLine, print, reportP1, reportP2, reportP3, reportP4, reportP5, reportR4 } from "./report.mjs";
import { measureSdk } from "./sdk.mjs";
import { measureSizes } from "./sizes.mjs";
import { measureStream } from "./stream.mjs";
import { measureWorker } from "./worker.mjs";

const FIGURES = ["P1", "P2", "P3", "P4", "P5", "R4"];

/** What is measured, for which figures. */
const measurements = {
  worker: { for: ["P1", "P4"], title: "checking codes in workerd", measure: measureWorker },
  native: { for: ["P2", "P3", "P4", "R4"], title: "checking, minting and repairing natively", measure: measureNative },
  minting: { for: ["P3"], title: "minting on the command line", measure: measureMinting },
  stream: { for: ["P3"], title: "minting over HTTP", measure: measureStream },
  sdk: { for: ["P4"], title: "key presses through the npm package", measure: measureSdk },
  sizes: { for: ["P5"], title: "sizes", measure: measureSizes },
};

function choose(args) {
  const options = { only: FIGURES, quick: false, record: undefined };
  for (let at = 0; at < args.length; at += 1) {
    if (args[at] === "--quick") options.quick = true;
    else if (args[at] === "--only") options.only = (args[(at += 1)] ?? "").split(",");
    else if (args[at] === "--record") options.record = args[(at += 1)];
    else throw new Stop(`The benchmark does not know ${args[at]}; it knows --only, --quick and --record NAME.`);
  }
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

function report(figures, { worker, native, minting, stream, sdk, sizes }) {
  const reports = {
    P1: () => reportP1(worker),
    P2: () => reportP2(native),
    P3: () => reportP3(minting, native, stream),
    P4: () => reportP4(native, worker, sdk),
    P5: () => reportP5(sizes),
    R4: () => reportR4(native.slips),
  };
  return figures.flatMap((name) => reports[name]());
}

async function main() {
  const { only, quick, record } = choose(process.argv.slice(2));
  await setUp({ tools: startTools });
  await installPeers();
  const settings = quick ? { rounds: 7, trials: 1_000_000, seed: 1 } : { rounds: 25, trials: 10_000_000, seed: 1 };
  const about = { measured_at: new Date().toISOString(), machine: await machine(), settings };
  console.log(style.bold("Benchmarks"));
  const measured = {};
  for (const [name, { for: figures, title, measure }] of Object.entries(measurements)) {
    if (!figures.some((figure) => only.includes(figure))) continue;
    await step(title, async () => {
      measured[name] = await measure(settings);
    });
  }
  const lines = report(only, measured);
  const { processor, cores, rust, node, load_before: load } = about.machine;
  console.log(`\n${processor}, ${cores} cores, load before ${load[0]}; ${rust}; Node ${node}\n`);
  if (load[0] > cores / 2) console.log(style.bold("The machine was busy before it began: the times are longer than they are by themselves.\n"));
  print(lines);
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
