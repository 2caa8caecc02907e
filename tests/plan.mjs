// The steps of `npm test`, `npm run check` and `npm run soak`, in the order in which they run.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { buildEdge, buildSdk } from "../edge/dev/build.mjs";
import { root, wasmTarget } from "../edge/dev/paths.mjs";
import { checkNode, setUp, setUpNpm, setUpRust, testPythonTools, testTools } from "../edge/dev/setup.mjs";
import { Stop, step } from "../edge/dev/steps.mjs";

// Crates whose tests cannot run natively; everything is linted natively all the same.
const notTestedNatively = [];

// Crates that are compiled to wasm.
const wasmCrates = ["counterfoil-edge", "counterfoil-sdk", "counterfoil-vectors"];

// Folders of crates with wasm tests, in `tests/node.rs` and `tests/browser.rs`.
const wasmTested = ["sdk", "tests/vectors"];

// Example projects that are npm packages; the Rust ones belong to the cargo workspace.
const examples = ["examples/storefront", "examples/till"];

// How long the randomised parts run: long enough to notice a mistake at every change, and for a night.
// ROUNDS, SEEDS and KILLS say otherwise.
const rounds = (usual) => process.env.ROUNDS ?? usual;
const seeds = (usual) => process.env.SEEDS ?? usual;
const kills = (usual) => process.env.KILLS ?? usual;

const setUpStep = {
  name: "set-up",
  title: "Node, Rust, npm packages and the pinned tools",
  run: () => setUp({ tools: testTools, python: testPythonTools }),
};

const checkSetUpStep = {
  name: "set-up",
  title: "Node, Rust and npm packages",
  run: async () => {
    await step("Node.js", checkNode);
    await setUpRust();
    await setUpNpm();
  },
};

const tidyStep = {
  name: "tidy",
  title: "the house rules that a machine can check",
  needs: ["set-up"],
  run: (tools) => nodeTest(tools, ["tests/tidy.test.mjs"]),
};

const formatStep = {
  name: "format",
  title: "cargo fmt",
  needs: ["set-up"],
  run: ({ command }) => command("cargo", ["fmt", "--all", "--check"]),
};

const lintStep = {
  name: "lint",
  title: "clippy, for this machine and for wasm",
  needs: ["set-up"],
  run: async ({ command }) => {
    const deny = ["--", "-D", "warnings"];
    await command("cargo", ["clippy", "--workspace", "--all-targets", ...deny]);
    const wasm = wasmCrates.flatMap((name) => ["-p", name]);
    await command("cargo", ["clippy", ...wasm, "--all-targets", "--target", wasmTarget, ...deny]);
    await command("cargo", ["clippy", "-p", "counterfoil-edge", "--features", "dev", "--target", wasmTarget, ...deny]);
  },
};

const buildStep = {
  name: "build",
  title: "the edge (release and dev) and the SDK's npm package",
  needs: ["set-up"],
  run: async () => {
    await buildEdge("release");
    await buildEdge("dev");
    await buildSdk();
  },
};

/** A step that runs all suites of one folder. */
function suites(name, title, { folder = `tests/${name}`, needs = ["set-up", "build"], browser = false, ...options } = {}) {
  return { name, title, needs, browser, run: (tools) => nodeTest(tools, suiteFiles(folder), options) };
}

/** The suites of a folder; an empty folder is a failure, because a test that is not found has not passed. */
function suiteFiles(folder) {
  const path = join(root, folder);
  const files = existsSync(path) ? readdirSync(path).filter((name) => name.endsWith(".test.mjs")) : [];
  if (files.length === 0) throw new Stop(`There is no suite ${folder}/*.test.mjs, so nothing was tested.`);
  return files.sort().map((name) => `${folder}/${name}`);
}

/** Node's own runner, one file at a time unless told: the suites share two cores, and timing is part of what most test. */
function nodeTest({ command }, files, { atOnce = 1, ...options } = {}) {
  return command(process.execPath, ["--test", `--test-concurrency=${atOnce}`, "--test-reporter=spec", ...files], options);
}

function wasmTests(where, title, flags, { browser }) {
  return {
    name: `wasm-${where}`,
    title,
    needs: ["set-up"],
    browser,
    run: async (tools) => {
      for (const crate of wasmTested) {
        const chosen = browser ? [...flags, "--chromedriver", tools.browser.chromedriver] : flags;
        await tools.command("wasm-pack", ["test", ...chosen, "--mode", "no-install", crate, "--test", where]);
      }
    },
  };
}

const simulatorStep = (count, minutes) => ({
  name: "simulator",
  title: `every fault at every step of a redemption, ${count} seeds`,
  needs: ["set-up"],
  run: async ({ command }) => {
    const simulator = ["run", "--release", "-p", "counterfoil-simulator", "--"];
    await command("cargo", [...simulator, "--seeds", count], { minutes });
    // That nothing is found means something only while every planted mistake is.
    await command("cargo", [...simulator, "--planted", "--searches", "1"], { minutes });
  },
});

const raceStep = (count, minutes, env) =>
  suites("race", `simultaneous redemptions over HTTP, ${count} rounds each`, { env: { ...env, ROUNDS: count }, minutes });

// Much of it is waiting for a server's alarms, so two files go well side by side.
const crashStep = (count, { minutes, env } = {}) =>
  suites("crash", `the server killed under load ${count} times`, { env: { ...env, KILLS: count }, minutes, atOnce: 2 });

// On a disk, where a commit takes its time, so that kills fall between more of a redemption's steps.
const crashSoak = crashStep(kills("1000"), { minutes: 240, env: { CRASH_FOLDER: join(root, "target", "crash") } });

/** The plans by name. */
export const plans = {
  test: [
    setUpStep,
    tidyStep,
    formatStep,
    lintStep,
    {
      name: "native",
      title: "cargo test over the workspace",
      needs: ["set-up"],
      run: ({ command }) =>
        command("cargo", ["test", "--workspace", ...notTestedNatively.flatMap((name) => ["--exclude", name])]),
    },
    {
      name: "generated",
      title: "checked-in generated files are what the code generates",
      needs: ["set-up"],
      run: ({ command }) => command("npm", ["run", "--silent", "generate", "--", "--check"]),
    },
    buildStep,
    wasmTests("node", "wasm tests in Node", ["--node"], { browser: false }),
    wasmTests("browser", "wasm tests in headless Chrome", ["--headless", "--chrome"], { browser: true }),
    {
      name: "examples",
      title: "the examples build on the npm package",
      needs: ["set-up", "build"],
      run: async ({ command }) => {
        for (const example of examples) await command("npm", ["run", "--silent", "build", "-w", example]);
      },
    },
    suites("sdk", "the npm package's own tests, with its React layer", { folder: "sdk/test" }),
    suites("vectors", "the published vectors, and the code format against a second implementation"),
    suites("http", "the HTTP API, in the Workers runtime, every answer held against its description", {
      minutes: 30,
      env: { OPENAPI_CHECK: "1" },
    }),
    suites("openapi", "the OpenAPI document: valid, served, a client made from it, and what it allows sent at random", { minutes: 15 }),
    suites("start", "npm start and npm run reset, from the outside"),
    suites("packaging", "the npm package, as its users install it"),
    suites("bench", "the load of the benchmarks, in small and untimed", { folder: "tests/bench/load" }),
    raceStep(rounds("30"), 30),
    crashStep(kills("30")),
    suites("browser", "the storefront and the till in a real browser", { browser: true }),
    simulatorStep(seeds("10000")),
  ],
  check: [checkSetUpStep, tidyStep, formatStep, lintStep],
  soak: [setUpStep, buildStep, raceStep(rounds("1000"), 240, { PORTIONS: "10000/20000" }), crashSoak, simulatorStep(seeds("1000000"), 240)],
};
