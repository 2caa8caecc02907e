// Builds the npm package into dist/: Rust → wasm → wasm-bindgen → wasm-opt, TypeScript → JavaScript and types.
//
//   npm run build -w sdk       fails when the types derived from Rust differ from generated/, or a size is exceeded
//   npm run generate -w sdk    the same, and writes generated/

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const sdk = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(sdk);
const dist = join(sdk, "dist");
const generated = join(sdk, "generated");
const write = process.argv.includes("--write");

/** Gzip sizes that must not be exceeded: what a page loads before anyone can type a code, and each entry beside it. */
const limits = { browser: 25_000, react: 4_000, points: 400, "points-react": 1_000, checkout: 2_000, till: 4_000, "till-react": 3_000 };

// A profile of its own: the workspace's release profile makes core fast, here it must be small.
const profile = [
  'profile.sdk.inherits = "release"',
  'profile.sdk.opt-level = "z"',
  'profile.sdk.package.counterfoil-core.opt-level = "z"',
].flatMap((setting) => ["--config", setting]);

// The same bytes wherever they are built, and no path of the builder's machine in them.
const cargoHome = process.env.CARGO_HOME || join(homedir(), ".cargo");
const remapped = [[cargoHome, "/cargo"], [root, "/counterfoil"]].map(([from, to]) => `"--remap-path-prefix=${from}=${to}"`);
const rustflags = ["--config", `target.wasm32-unknown-unknown.rustflags = [${remapped.join(", ")}]`];

// Only what every current browser has; `--all-features` would use encodings that none has.
const wasmFeatures = [
  "bulk-memory",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
].map((feature) => `--enable-${feature}`);

await build();

async function build() {
  const wasm = compileRust();
  const bindings = bindgen(wasm);
  checkTypes(join(bindings, "counterfoil_sdk.d.ts"));
  // The glue stands beside its checked-in types, where the TypeScript imports it from.
  cpSync(join(bindings, "counterfoil_sdk.js"), join(generated, "counterfoil_sdk.js"));

  const next = `${dist}-next`;
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  const small = join(next, "counterfoil.wasm");
  run(program("wasm-opt", "WASM_OPT_BIN"), [
    join(bindings, "counterfoil_sdk_bg.wasm"),
    ...["-o", small, ...wasmFeatures, "--strip-debug", "--strip-producers", "--strip-target-features"],
    // Measured: flattened first, with callees of one caller inlined up to this size, it compresses best.
    ...["--one-caller-inline-max-function-size=80", "--flatten", "--rereloop", "-Oz", "-Oz"],
  ]);
  writeFileSync(join(next, "inline.js"), inlineModule(readFileSync(small)));
  await bundle(next);
  run(program("tsc"), ["-p", sdk, "--outDir", next]);
  // Whole or not at all: a build that stops half-way leaves the former one in place.
  rmSync(dist, { recursive: true, force: true });
  renameSync(next, dist);
  reportSizes();
}

function compileRust() {
  run("cargo", [
    ...["build", "-p", "counterfoil-sdk", "--lib", "--target", "wasm32-unknown-unknown", "--profile", "sdk"],
    ...profile,
    ...rustflags,
  ]);
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  return join(target, "wasm32-unknown-unknown", "sdk", "counterfoil_sdk.wasm");
}

function bindgen(wasm) {
  const out = join(dirname(wasm), "bindings");
  // Without a default path in it, bundlers find the asset once, where browser.ts names it.
  // Every browser that runs the rest has TextEncoder.encodeInto.
  const flags = ["--target", "web", "--omit-default-module-path", "--encode-into", "always"];
  run(wasmBindgen(), [...flags, "--out-dir", out, wasm]);
  renumber(join(out, "counterfoil_sdk.js"), join(out, "counterfoil_sdk_bg.wasm"));
  prune(join(out, "counterfoil_sdk.js"));
  return out;
}

/** Takes out of the glue what is there for callers of other kinds than ours. */
function prune(file) {
  const unused = [
    // Strings are always passed with a way to grow their memory.
    [/    if \(realloc === undefined\) \{\n(?: {8}.*\n)+    \}\n/, ""],
    // Module and instance are kept for nobody.
    [/    wasm(?:Instance = instance|Module = module);\n/g, ""],
    ["let wasmModule, wasmInstance, wasm;", "let wasm;"],
    // initSync always gets `{ module }`, with the module compiled or not.
    [/    if \(module !== undefined\) \{\n(?: {8}.*\n)+    \}\n/, "    ({ module } = module);\n"],
  ];
  const pruned = unused.reduce((text, [what, by]) => {
    const next = text.replace(what, by);
    return next === text ? fail(`The glue of wasm-bindgen has changed: ${what} is not in it any more.`) : next;
  }, readFileSync(file, "utf8"));
  writeFileSync(file, pruned);
}

/**
 * The names by which the WebAssembly imports the glue's functions end in hashes, which nothing compresses. Numbers of the
 * same length do as well, so that no length in the binary changes.
 */
function renumber(...files) {
  const texts = files.map((file) => readFileSync(file, "latin1"));
  const hashes = [...new Set(texts[0].match(/(?<=__wbg_\w+_)[0-9a-f]{16}(?=:)/g))];
  files.forEach((file, index) => {
    const number = (text, hash, at) => text.replaceAll(hash, String(at + 1).padStart(hash.length, "0"));
    writeFileSync(file, hashes.reduce(number, texts[index]), "latin1");
  });
}

function checkTypes(derived) {
  const checkedIn = join(generated, "counterfoil_sdk.d.ts");
  const text = readFileSync(derived, "utf8");
  if (existsSync(checkedIn) && readFileSync(checkedIn, "utf8") === text) return;
  if (!write) {
    fail("sdk/generated/counterfoil_sdk.d.ts is not what the Rust types give: run `npm run generate -w sdk` and commit it.");
  }
  mkdirSync(generated, { recursive: true });
  writeFileSync(checkedIn, text);
}

async function bundle(outdir) {
  const esbuild = await import("esbuild");
  const common = { bundle: true, minify: true, format: "esm", target: "es2022", sourcemap: true, outdir, absWorkingDir: sdk };
  await esbuild.build({
    ...common,
    entryPoints: ["ts/browser.ts"],
    external: ["./inline.js"],
    platform: "browser",
    // The glue's warnings about ways of loading it that nothing here takes.
    drop: ["console"],
  });
  await esbuild.build({ ...common, entryPoints: ["ts/node.ts"], platform: "node" });
  // The package itself stays outside: one client, one WebAssembly, one class of errors, whichever entry an app imports first.
  const apart = { ...common, external: ["react", "react/jsx-runtime", "@counterfoil/sdk"], platform: "browser", plugins: [oneErrorClass()] };
  await esbuild.build({ ...apart, entryPoints: { points: "ts/points/index.ts", checkout: "ts/checkout.ts", till: "ts/till/index.ts" } });
  await esbuild.build({
    ...apart,
    entryPoints: { react: "ts/react/index.ts", "points-react": "ts/points/react.ts", "till-react": "ts/till/react.ts" },
    jsx: "automatic",
    banner: { js: '"use client";' },
  });
}

/** What an entry throws is an instance of the class that `@counterfoil/sdk` exports. */
function oneErrorClass() {
  return {
    name: "one-error-class",
    setup(build) {
      build.onResolve({ filter: /^\.{1,2}\/errors\.js$/ }, () => ({ path: "@counterfoil/sdk", external: true, sideEffects: false }));
    },
  };
}

function inlineModule(wasm) {
  return `const text="${wasm.toString("base64")}";export default()=>Uint8Array.from(atob(text),(c)=>c.charCodeAt(0)).buffer;\n`;
}

function reportSizes() {
  const gzip = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
  const wasm = gzip("counterfoil.wasm");
  const js = gzip("browser.js");
  const line = (name, size, limit) =>
    console.log(`  ${name.padEnd(26)} ${String(size).padStart(6)} bytes gzip${limit ? `  (limit ${limit})` : ""}`);
  line("counterfoil.wasm", wasm);
  line("browser.js", js);
  const sizes = Object.fromEntries(Object.keys(limits).map((name) => [name, name === "browser" ? wasm + js : gzip(`${name}.js`)]));
  for (const [name, size] of Object.entries(sizes)) line(name === "browser" ? "SDK for the browser" : `${name}.js`, size, limits[name]);
  const large = Object.keys(sizes).filter((name) => sizes[name] > limits[name]);
  if (large.length > 0) fail(`Larger than the limit: ${large.join(", ")}.`);
}

function wasmBindgen() {
  const [, wanted] = /^wasm-bindgen = "=(.+)"$/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8")) ?? [];
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const cached = join(cache, "counterfoil", "tools", `wasm-bindgen-cli-${wanted}`, "bin", "wasm-bindgen");
  for (const candidate of [process.env.WASM_BINDGEN_BIN, cached, "wasm-bindgen"]) {
    if (!candidate) continue;
    const { stdout } = spawnSync(candidate, ["--version"], { encoding: "utf8" });
    if (stdout?.trim().endsWith(` ${wanted}`)) return candidate;
  }
  return fail(`wasm-bindgen ${wanted} is missing: \`npm start\` and \`npm test\` at the repository's root install it.`);
}

/** A program of the npm packages, here or hoisted to the workspace's root. */
function program(name, variable) {
  const places = [variable && process.env[variable], ...[sdk, root].map((place) => join(place, "node_modules", ".bin", name))];
  return places.find((place) => place && existsSync(place)) ?? fail(`${name} is missing: run \`npm install\` at the repository's root.`);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) fail(`${command} failed (status ${status}).`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
