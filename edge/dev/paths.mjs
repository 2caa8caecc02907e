// Where things are, and which versions of the tools are known to work together.
// Everything that set-up, build, start and test share by name stands here once.

import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** The edge crate. */
export const edgeDir = join(root, "edge");

/** Where a build of the edge is put: `edge/build/release` or `edge/build/dev`. */
export const edgeBuildDir = (kind) => join(edgeDir, "build", kind);

/** Data of local runs, ignored by git. `COUNTERFOIL_DATA` names another folder, for a second run beside the first. */
export const dataDir = process.env.COUNTERFOIL_DATA || join(root, ".counterfoil");

/** What stands in the data folder: the objects' SQLite files, whose secrets they belong to, and what is running. */
export const dataFiles = {
  // The number is that of the tables: before the first release they change without a migration, and a local shop of
  // an older kind is left aside rather than half understood.
  objects: join(dataDir, "objects-4"),
  secretsHash: join(dataDir, "secrets.sha256"),
  runningLock: join(dataDir, "running.lock"),
  runtime: join(dataDir, "runtime.pid"),
};

/** Secrets of local runs, made on the first start. Ignored by git. */
export const secretsFile = join(edgeDir, ".dev.vars");

/** Notes about what was built from which inputs; `cargo clean` rightly takes them along. */
export const stampsDir = join(root, "target", "stamps");

/** Per-user folder shared by all checkouts, so that a second clone finds the tools ready. */
export const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "counterfoil");

/** The WebAssembly target everything for the browser and the edge is compiled to. */
export const wasmTarget = "wasm32-unknown-unknown";

/** Oldest Node.js that works: the storefront's bundler sets the bar. */
export const nodeMinimum = "20.19.0";

/**
 * The pinned cargo tools. `wasm-bindgen-cli` must equal the `wasm-bindgen` of Cargo.toml to the digit.
 * It is installed without `--locked` because its own lock file names a withdrawn crate.
 */
export const cargoTools = {
  "wasm-bindgen-cli": {
    version: "0.2.130",
    binaries: ["wasm-bindgen", "wasm-bindgen-test-runner"],
    locked: false,
    does: "turns compiled Rust into a module JavaScript can import",
  },
  "worker-build": {
    version: "0.8.7",
    binaries: ["worker-build"],
    locked: true,
    does: "packs the edge for the Workers runtime",
    // Its HTTP client links the system's OpenSSL on Linux, which needs the development files.
    needsOpenssl: true,
  },
  "wasm-pack": {
    version: "0.15.1",
    binaries: ["wasm-pack"],
    locked: true,
    does: "runs the wasm tests in Node and in a browser",
  },
};

/** The folder a pinned tool is installed into. */
export const toolDir = (name) => join(cacheDir, "tools", `${name}-${cargoTools[name].version}`);

/** The full path of one program of a pinned tool. */
export const toolBinary = (name, binary = cargoTools[name].binaries[0]) => join(toolDir(name), "bin", binary);

/** Oldest Python that works. */
export const pythonMinimum = "3.10";

/** The pinned Python tools, each in an environment of its own; `requirements` names everything in it with its version. */
export const pythonTools = {
  schemathesis: {
    version: "4.32.5",
    requirements: join(root, "tests", "openapi", "requirements.txt"),
    does: "sends the edge what its OpenAPI document allows, and what it forbids",
  },
};

/** The environment of a pinned Python tool. */
export const pythonToolDir = (name) => join(cacheDir, "tools", `${name}-${pythonTools[name].version}`);

/** The program of a pinned Python tool. */
export const pythonTool = (name) => join(pythonToolDir(name), process.platform === "win32" ? "Scripts" : "bin", name);
