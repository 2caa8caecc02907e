// What the figures are measured beside: packages of other authors, installed here alone and for the benchmarks only.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";

import { Stop, run, step } from "../../edge/dev/steps.mjs";

const here = import.meta.dirname;

/** Installs the peers as locked, when they are not there. */
export function installPeers() {
  return step("peers", async (report) => {
    const wanted = JSON.parse(readFileSync(join(here, "package.json"), "utf8")).dependencies;
    const current = Object.entries(wanted).every(([name, version]) => versionOf(name) === version);
    if (current) return "as locked";
    report("npm ci");
    const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--workspaces=false", "--loglevel=error"];
    const done = await run("npm", ["ci", ...flags], { cwd: here });
    if (done.code !== 0) throw new Stop("The peers could not be installed; npm's output is above.", { output: done.tail });
    return "npm ci";
  });
}

/** The version of a peer that is installed. */
export function versionOf(name) {
  const manifest = join(here, "node_modules", name, "package.json");
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).version : undefined;
}

/** One minified module of what a source text imports, as a page or a Worker would get it. */
export async function bundle(source, { platform = "browser", external = [], conditions } = {}) {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: here, loader: "js" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform,
    external,
    conditions,
    logLevel: "error",
    // Packages written for CommonJS ask for Node's own modules when they run.
    banner: platform === "node" ? { js: 'import { createRequire } from "node:module"; const require = createRequire("/peers.js");' } : {},
    loader: { ".wasm": "binary" },
  });
  return outputFiles[0].text;
}
