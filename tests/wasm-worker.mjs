// A Worker around one crate's wasm in the real Workers runtime: what the vectors and the benchmarks run in.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { Miniflare } from "miniflare";

import { optimiseWasm, workerEnvironment } from "../edge/dev/build.mjs";
import { root, toolBinary, wasmTarget } from "../edge/dev/paths.mjs";
import { compatibilityDate } from "../edge/dev/serve.mjs";
import { Stop, run } from "../edge/dev/steps.mjs";

/** The target folder of cargo. */
export const targetDir = process.env.CARGO_TARGET_DIR ?? join(root, "target");

async function must(command, args) {
  const done = await run(command, args, { cwd: root, env: workerEnvironment() });
  if (done.code !== 0) throw new Stop(`${command} ${args.join(" ")} failed:\n${done.tail}`, { output: done.tail });
}

/** Compiles a crate just as the edge is compiled and answers the path of its wasm, as the compiler left it. */
async function compileWasm(crate) {
  await must("cargo", ["build", "--profile", "edge", "--target", wasmTarget, "-p", crate]);
  return join(targetDir, wasmTarget, "edge", `${crate.replaceAll("-", "_")}.wasm`);
}

/**
 * Builds a wasm-bindgen crate into `target/workers/<crate>` and answers its modules by name.
 *
 * @param {string} crate
 * @param {{ optimise?: string[] }} [options] flags for wasm-opt; without them it is left as wasm-bindgen made it
 */
export async function buildWasmModule(crate, { optimise } = {}) {
  const compiled = await compileWasm(crate);
  const folder = join(targetDir, "workers", crate);
  mkdirSync(folder, { recursive: true });
  await must(toolBinary("wasm-bindgen-cli", "wasm-bindgen"), ["--target", "web", "--no-typescript", "--out-dir", folder, "--out-name", "module", compiled]);
  if (optimise) await optimiseWasm(join(folder, "module_bg.wasm"), optimise);
  return { glue: readFileSync(join(folder, "module.js"), "utf8"), wasm: readFileSync(join(folder, "module_bg.wasm")) };
}

/**
 * Runs a Worker whose `entry` (source text) imports `./module.js` and `./module_bg.wasm`, and further modules by name.
 *
 * @returns {Promise<{ fetch: Miniflare["dispatchFetch"], dispose: () => Promise<void> }>}
 */
export async function startWorker(entry, module, more = {}) {
  const extra = Object.entries(more).map(([path, contents]) => ({ type: "ESModule", path, contents }));
  const mf = new Miniflare({
    // Otherwise a request's `cf` data would be fetched over the network at every start.
    cf: false,
    compatibilityDate,
    compatibilityFlags: ["nodejs_compat"],
    modules: [
      { type: "ESModule", path: "entry.mjs", contents: entry },
      { type: "ESModule", path: "module.js", contents: module.glue },
      { type: "CompiledWasm", path: "module_bg.wasm", contents: module.wasm },
      ...extra,
    ],
  });
  await mf.ready;
  return { fetch: (path, init) => mf.dispatchFetch(`http://worker${path}`, init), dispose: () => mf.dispose() };
}
