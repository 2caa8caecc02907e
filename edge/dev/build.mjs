// Builds what runs: the edge (Rust → wasm → a Worker's modules) and the SDK's npm package.
// A build is skipped when nothing it is made of has changed, so that a warm `npm start` takes seconds.
//
//   node edge/dev/build.mjs [release|dev|sdk …]      without arguments: all three

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { cargoTools, edgeBuildDir, edgeDir, root, stampsDir, toolBinary, toolDir, wasmTarget } from "./paths.mjs";
import { Stop, fail, onSignals, run, step, style, withLock } from "./steps.mjs";

// What is small is not what compresses well: a function merged into its only caller, or an expression kept in a local,
// no longer looks like the others of its kind. The two passes cost more of the download than they save of the file.
const smallest = ["-Oz", "--one-caller-inline-max-function-size=0", "--skip-pass=local-cse"];

/** The two builds of the edge: `dev` adds the calls that exist only on a developer's machine. */
export const edgeKinds = {
  release: { features: [], optimise: smallest },
  // Names are kept, so that a stack trace from a local run can be read.
  dev: { features: ["dev"], optimise: [...smallest, "-g"] },
};

// Only what the Workers runtime supports: a newer encoding would be accepted here and refused there.
const wasmFeatures = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "multivalue",
  "reference-types",
  "exception-handling",
  "simd",
].map((feature) => `--enable-${feature}`);

/**
 * How the compiler is told to build what runs in the Workers runtime. With SIMD, which the runtime always has, a
 * code check takes a quarter less: SHA-256 is most of it.
 */
export const workerRustFlags = ["-C", "target-feature=+simd128"];

/** The environment in which what runs in the Workers runtime is compiled. */
export const workerEnvironment = () => ({
  ...buildEnvironment(),
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: workerRustFlags.join(" "),
});

// Both kinds leave cargo's output under one name, so only one build runs at a time.
const buildLock = join(stampsDir, "build.lock");

const npmBinary = (name) => join(root, "node_modules", ".bin", name);

/** The environment in which all wasm is built: pinned tools by their paths, nothing looked up or downloaded. */
export function buildEnvironment() {
  const folders = [...Object.keys(cargoTools).map((name) => join(toolDir(name), "bin")), join(root, "node_modules", ".bin")];
  return {
    ...process.env,
    PATH: [...folders, process.env.PATH].join(delimiter),
    WASM_BINDGEN_BIN: toolBinary("wasm-bindgen-cli", "wasm-bindgen"),
    WASM_OPT_BIN: npmBinary("wasm-opt"),
    ESBUILD_BIN: npmBinary("esbuild"),
    CARGO_TERM_PROGRESS_WHEN: "never",
  };
}

/** Builds one kind of the edge into `edge/build/<kind>`, unless it is there and up to date. */
export async function buildEdge(kind) {
  const { features, optimise } = edgeKinds[kind];
  const target = edgeBuildDir(kind);
  const inputs = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo", "core", "edge/Cargo.toml", "edge/build.rs", "edge/src"];
  const stamp = () => fingerprint(inputs, [kind, features, optimise, wasmFeatures, workerRustFlags]);
  return step(`edge, ${kind} build`, async (report) => {
    const current = () => isCurrent(`edge-${kind}`, stamp, edgeModules(kind));
    if (current()) return "up to date";
    return withLock(buildLock, { waiting: () => report("waiting for another build of this checkout") }, async () => {
      if (current()) return "up to date";
      const next = `${target}-next`;
      rmSync(next, { recursive: true, force: true });
      const before = stamp();
      await compile(kind, features, next, report);
      report("wasm-opt makes it small");
      await optimiseWasm(join(next, "index_bg.wasm"), optimise);
      // Whole or not at all: a run that is interrupted leaves the former build in place.
      rmSync(target, { recursive: true, force: true });
      renameSync(next, target);
      writeStamp(`edge-${kind}`, before);
      return `${Math.round(statSync(join(target, "index_bg.wasm")).size / 1024)} KiB of wasm`;
    });
  });
}

async function compile(kind, features, outDir, report) {
  report("cargo compiles it; the first time with all its crates, a minute or two");
  const args = ["--profile", "edge", "--no-opt", "--out-dir", relative(edgeDir, outDir), "."];
  if (features.length > 0) args.push("--features", features.join(","));
  const built = await run(toolBinary("worker-build"), args, {
    cwd: edgeDir,
    // A backtrace of worker-build would bury the compiler's own message.
    env: { ...workerEnvironment(), RUST_BACKTRACE: "0" },
    onLine: compiling(report),
  });
  if (built.missing) throw new Stop("worker-build is not installed yet: run `node edge/dev/setup.mjs` first.");
  if (built.code !== 0) {
    throw new Stop(`Building the edge (${kind}) failed; the end of the compiler's output is above.`, { output: built.tail });
  }
}

/** Tells which crate cargo is at. */
const compiling = (report) => (line) => {
  const crate = /^\s*Compiling (\S+)/.exec(line)?.[1];
  if (crate !== undefined) report(`compiling ${crate}`);
};

/** Runs the pinned wasm-opt over one file, in place. */
export async function optimiseWasm(file, options) {
  const optimised = `${file}.opt`;
  const done = await run(npmBinary("wasm-opt"), [file, "-o", optimised, ...wasmFeatures, ...options], { cwd: root });
  if (done.code !== 0) throw new Stop("wasm-opt failed; its output is above.", { output: done.tail });
  renameSync(optimised, file);
}

/** The modules of a build, the entry first, as the Workers runtime loads them. */
export function edgeModules(kind) {
  return ["index.js", "index_bg.wasm"].map((name) => join(edgeBuildDir(kind), name));
}

/** Builds the SDK's npm package through its own build script, unless it is up to date. */
export async function buildSdk() {
  const manifest = join(root, "sdk", "package.json");
  if (!existsSync(manifest)) throw new Stop("sdk/package.json is missing, so the SDK cannot be built.");
  const inputs = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo", "core", "sdk"];
  const stamp = () => fingerprint(inputs, []);
  return step("SDK, npm package", async (report) => {
    const current = () => isCurrent("sdk", stamp, packageFiles(manifest));
    if (current()) return "up to date";
    return withLock(buildLock, { waiting: () => report("waiting for another build of this checkout") }, async () => {
      if (current()) return "up to date";
      const before = stamp();
      report("cargo, wasm-bindgen and the TypeScript compiler");
      const built = await run("npm", ["run", "build", "-w", "sdk"], {
        cwd: root,
        env: buildEnvironment(),
        onLine: compiling(report),
      });
      if (built.code !== 0) {
        throw new Stop("Building the SDK failed; the end of its output is above.", { output: built.tail });
      }
      writeStamp("sdk", before);
      return undefined;
    });
  });
}

/** Every file the package's `exports` name: a build that lacks one is not current. */
function packageFiles(manifestFile) {
  const { exports = {} } = JSON.parse(readFileSync(manifestFile, "utf8"));
  const files = [];
  const collect = (value) => {
    if (typeof value === "string") files.push(value);
    else if (value !== null && typeof value === "object") Object.values(value).forEach(collect);
  };
  collect(exports);
  return files.filter((file) => !file.includes("*")).map((file) => join(dirname(manifestFile), file));
}

// Made by builds, or not part of them: none of it can change what a build gives.
const notInputs = new Set(["node_modules", "target", "dist", "pkg", "build", "generated", "test", "tests", "README.md"]);

/** One hash over the contents of files and folders, the tools' versions and further settings. */
function fingerprint(paths, settings) {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([settings, wasmTarget, Object.entries(cargoTools).map(([name, { version }]) => [name, version])]));
  for (const name of ["binaryen", "esbuild"]) {
    hash.update(readOptional(join(root, "node_modules", name, "package.json")));
  }
  const add = (path) => {
    const kind = statSync(path, { throwIfNoEntry: false });
    if (kind === undefined) return;
    if (kind.isDirectory()) {
      const names = readdirSync(path).filter((name) => !notInputs.has(name) && !name.endsWith("-next"));
      for (const name of names.sort()) add(join(path, name));
    } else {
      // Name and length first, so that moved bytes cannot give the same hash.
      hash.update(`${relative(root, path)}\0${kind.size}\0`);
      hash.update(readFileSync(path));
    }
  };
  for (const path of paths) add(join(root, path));
  return hash.digest("hex");
}

function readOptional(file) {
  return existsSync(file) ? readFileSync(file) : "";
}

function isCurrent(name, stamp, outputs) {
  if (!outputs.every((file) => existsSync(file))) return false;
  return readOptional(join(stampsDir, name)).toString() === stamp();
}

function writeStamp(name, value) {
  mkdirSync(stampsDir, { recursive: true });
  writeFileSync(join(stampsDir, name), value);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  onSignals();
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : [...Object.keys(edgeKinds), "sdk"];
  const main = async () => {
    console.log(style.bold("Build"));
    for (const name of wanted) {
      if (name === "sdk") await buildSdk();
      else if (name in edgeKinds) await buildEdge(name);
      else throw new Stop(`There is no build called ${name}; there are ${Object.keys(edgeKinds).join(", ")} and sdk.`);
    }
  };
  main().catch(fail);
}
