// P5: what is downloaded, gzip.
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { buildEdge, buildSdk, edgeModules, optimiseWasm } from "../../edge/dev/build.mjs";
import { root, wasmTarget } from "../../edge/dev/paths.mjs";
import { Stop, run } from "../../edge/dev/steps.mjs";
import { targetDir } from "../wasm-worker.mjs";
import { bundle } from "./peers.mjs";

const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length;
const fileSize = (path) => gzip(readFileSync(path));

/** The code checker alone: compiled for size, then made as small as wasm-opt can. */
async function checker() {
  const crate = "counterfoil-checker";
  const done = await run("cargo", ["build", "--quiet", "--profile", "small", "--target", wasmTarget, "-p", crate], { cwd: root });
  if (done.code !== 0) throw new Stop(`${crate} does not build; the compiler's output is above.`, { output: done.tail });
  const folder = join(targetDir, "workers", crate);
  mkdirSync(folder, { recursive: true });
  const small = join(folder, "checker.wasm");
  copyFileSync(join(targetDir, wasmTarget, "small", "counterfoil_checker.wasm"), small);
  const names = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  await optimiseWasm(small, [...names, "--flatten", "--rereloop", "-Oz", "-Oz"]);
  await holdToItsWord(small);
  return fileSize(small);
}

/** A checker that is small because something was optimised away would be no checker. */
async function holdToItsWord(path) {
  const { instance } = await WebAssembly.instantiate(readFileSync(path), {});
  const { check, memory, text } = instance.exports;
  const judge = (typed) => {
    const units = Uint16Array.from(typed, (c) => c.charCodeAt(0));
    new Uint16Array(memory.buffer, text(), 129).set(units.subarray(0, 129));
    return check(units.length);
  };
  const vectors = ["readings", "refused", "corrections"].flatMap(
    (name) => JSON.parse(readFileSync(join(root, "tests", "vectors", `${name}.json`), "utf8")).cases,
  );
  for (const { name, text: typed, ok, position } of vectors) {
    const wanted = ok ? 0 : 1 | ((position === undefined ? 0 : position + 1) << 1);
    const found = judge(typed.split(""));
    if (found !== wanted) throw new Error(`the small checker says ${found} of "${name}", should be ${wanted}`);
  }
}

/** Every size in bytes, gzip. */
export async function measureSizes() {
  await buildSdk();
  await buildEdge("release");
  const sdk = join(root, "sdk", "dist");
  const blake3 = join(import.meta.dirname, "node_modules", "blake3-wasm", "dist", "wasm", "web");
  return {
    "code checker alone": await checker(),
    // What a page loads: the client and the WebAssembly beside it, both as they are in the package.
    "SDK for the browser": fileSize(join(sdk, "browser.js")) + fileSize(join(sdk, "counterfoil.wasm")),
    "React layer": fileSize(join(sdk, "react.js")),
    edge: edgeModules("release").reduce((sum, file) => sum + fileSize(file), 0),
    peers: {
      jose: gzip(await bundle('export * from "jose"')),
      "blake3-wasm": fileSize(join(blake3, "blake3_js.js")) + fileSize(join(blake3, "blake3_js_bg.wasm")),
      "@voucherify/sdk": gzip(await bundle('export * from "@voucherify/sdk"')),
    },
  };
}
