// Set-up: everything `npm start` and `npm test` need beyond Rust (rustup) and Node.js themselves.
// Each step looks first and works only when something is missing or of another version, so that it is
// quick when all is there and simply goes on after an interruption. Nothing outside the per-user cache,
// node_modules and rustup's own folders is touched.

import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";

import {
  cacheDir,
  cargoTools,
  nodeMinimum,
  pythonMinimum,
  pythonTool,
  pythonToolDir,
  pythonTools,
  root,
  toolBinary,
  toolDir,
  wasmTarget,
} from "./paths.mjs";
import { Stop, compareVersions, fail, onSignals, remark, run, step, style } from "./steps.mjs";

const networkTrouble =
  /could not resolve host|failed to download|network is unreachable|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|timed? ?out|spurious network error|could not download|failed to query|connection (?:refused|reset)/i;

/** The sentence for a failed fetch or build: the network's fault is told apart from all others. */
function failure(what, { tail }) {
  if (networkTrouble.test(tail)) {
    return new Stop(
      `${what} failed because a download did not get through: check the network connection and run the same command again (what is done already is kept).`,
      { output: tail },
    );
  }
  return new Stop(`${what} failed; the end of its output is above.`, { output: tail });
}

/** Refuses a Node.js that is too old, before anything modern is loaded. */
export async function checkNode() {
  const version = process.versions.node;
  if (compareVersions(version, nodeMinimum) < 0) {
    throw new Stop(
      `Node.js ${version} is too old: install Node.js ${nodeMinimum} or newer (https://nodejs.org) and run the command again.`,
    );
  }
  return version;
}

/** Makes cargo reachable in a shell that was open before rustup was installed. */
function findCargo() {
  const bin = join(process.env.CARGO_HOME || join(homedir(), ".cargo"), "bin");
  const parts = (process.env.PATH ?? "").split(delimiter);
  if (existsSync(join(bin, "cargo")) && !parts.includes(bin)) {
    process.env.PATH = [...parts, bin].join(delimiter);
  }
}

/** Checks Rust and the linker, and adds the wasm target when it is missing. */
export async function setUpRust() {
  findCargo();
  return step("Rust", async (report) => {
    report("rustup fetches the toolchain named in rust-toolchain.toml if it is not there");
    const rustc = await run("rustc", ["--version"], { cwd: root, onLine: report });
    if (rustc.missing) {
      throw new Stop("Rust is not installed: follow https://rustup.rs (one command) and run this again.");
    }
    if (rustc.code !== 0) throw failure("Asking rustup for the Rust toolchain", rustc);
    const version = rustc.stdout.split(" ")[1];
    const wanted = /rust-version\s*=\s*"([^"]+)"/.exec(readFileSync(join(root, "Cargo.toml"), "utf8"))?.[1];
    if (wanted !== undefined && compareVersions(version, wanted) < 0) {
      throw new Stop(`Rust ${version} is too old: run \`rustup update\` to get ${wanted} or newer.`);
    }
    if (process.platform !== "win32" && (await run("cc", ["--version"])).code !== 0) {
      throw new Stop(
        "No C compiler (cc) was found, which Rust needs for linking: install one, on Debian or Ubuntu with `sudo apt-get install build-essential`.",
      );
    }
    await addWasmTarget(report);
    return `${version}, ${wasmTarget}`;
  });
}

async function addWasmTarget(report) {
  const libraries = await run("rustc", ["--print", "target-libdir", "--target", wasmTarget], { cwd: root });
  if (libraries.code === 0 && existsSync(libraries.stdout.trim())) return;
  report(`adding the target ${wasmTarget}`);
  const added = await run("rustup", ["target", "add", wasmTarget], { cwd: root, onLine: report });
  if (added.missing) {
    throw new Stop(
      `This Rust has no ${wasmTarget} target and rustup is not installed to add it: install Rust through https://rustup.rs and run this again.`,
    );
  }
  if (added.code !== 0) throw failure(`Adding the target ${wasmTarget}`, added);
}

/** Whether every program of a pinned tool is there and answers with the pinned version. */
export async function hasCargoTool(name) {
  const { version, binaries } = cargoTools[name];
  if (!binaries.every((binary) => existsSync(toolBinary(name, binary)))) return false;
  const answer = await run(toolBinary(name), ["--version"]);
  return answer.code === 0 && answer.stdout.trim().split(/\s+/).includes(version);
}

/** Installs a pinned cargo tool into the per-user cache, unless it is there already. */
export async function setUpCargoTool(name) {
  const tool = cargoTools[name];
  const title = `${name} ${tool.version}`;
  return step(title, async (report) => {
    if (await hasCargoTool(name)) return tool.does;
    await checkOpenssl(tool);
    remark(`${title} ${tool.does}. It is not on this machine yet and is compiled from source, which takes minutes`);
    remark(`(one to four on two cores). It goes to ${toolDir(name)}, for all checkouts, once.`);
    let crates = 0;
    const args = ["install", name, "--version", `=${tool.version}`, "--debug", "--force", "--root", toolDir(name)];
    if (tool.locked) args.push("--locked");
    const installed = await run("cargo", args, {
      cwd: root,
      env: cargoToolEnvironment(),
      log: join(cacheDir, `install-${name}.log`),
      onLine: (line) => {
        const [, verb, crate] = /^\s*(Updating|Downloading|Compiling|Installing|Blocking)\s+(.*)$/.exec(line) ?? [];
        if (verb === "Compiling") crates += 1;
        if (verb === "Compiling") report(`${crates} crates compiled, now ${crate.split(" ")[0]}`);
        else if (verb === "Blocking") report("waiting for another set-up that is running on this machine");
        else if (verb !== undefined) report(`${verb.toLowerCase()} ${crate}`);
      },
    });
    if (installed.code !== 0) throw failure(`Installing ${title}`, installed);
    if (!(await hasCargoTool(name))) {
      throw new Stop(`${title} was installed but does not answer with its version; remove ${toolDir(name)} and run this again.`);
    }
    return tool.does;
  });
}

/** Finds the missing package now rather than after minutes of compiling. */
async function checkOpenssl(tool) {
  if (!tool.needsOpenssl || process.platform !== "linux") return;
  if (process.env.OPENSSL_DIR !== undefined || process.env.OPENSSL_LIB_DIR !== undefined) return;
  if ((await run("pkg-config", ["--exists", "openssl"])).code === 0) return;
  throw new Stop(
    "The development files of OpenSSL are missing, which one of the build tools needs: on Debian or Ubuntu run `sudo apt-get install pkg-config libssl-dev`, then this again.",
  );
}

/** One target folder for all tools shares their common crates; a debug profile halves the compile time. */
function cargoToolEnvironment() {
  const environment = {
    ...process.env,
    CARGO_TARGET_DIR: join(cacheDir, "tools-build"),
    CARGO_PROFILE_DEV_DEBUG: "0",
    CARGO_TERM_COLOR: "never",
  };
  // Settings meant for the product's own build would be baked into the tools.
  for (const name of ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"]) delete environment[name];
  return environment;
}

/** Whether a pinned Python tool is there with everything that its requirements name. */
async function hasPythonTool(name) {
  const { version, requirements } = pythonTools[name];
  const noted = join(pythonToolDir(name), "requirements.txt");
  if (!existsSync(noted) || !readFileSync(noted).equals(readFileSync(requirements))) return false;
  const answer = await run(pythonTool(name), ["--version"]);
  return answer.code === 0 && answer.stdout.includes(version);
}

/** Installs a pinned Python tool into an environment of its own in the per-user cache, unless it is there already. */
export async function setUpPythonTool(name) {
  const { version, requirements, does } = pythonTools[name];
  const title = `${name} ${version}`;
  return step(title, async (report) => {
    if (await hasPythonTool(name)) return does;
    const found = await run("python3", ["--version"]);
    const python = found.stdout?.trim().split(" ")[1];
    if (found.missing || found.code !== 0) {
      throw new Stop(`Python 3 was not found, which ${title} needs: install Python ${pythonMinimum} or newer, on Debian or Ubuntu with \`sudo apt-get install python3 python3-venv\`.`);
    }
    if (compareVersions(python, pythonMinimum) < 0) {
      throw new Stop(`Python ${python} is too old for ${title}: install Python ${pythonMinimum} or newer.`);
    }
    const folder = pythonToolDir(name);
    rmSync(folder, { recursive: true, force: true });
    report("making its Python environment");
    const made = await run("python3", ["-m", "venv", folder]);
    if (made.code !== 0) {
      throw new Stop("Python could not make an environment: its module venv is missing; on Debian or Ubuntu run `sudo apt-get install python3-venv`, then this again.", { output: made.tail });
    }
    report("downloading its packages, about 20 MB");
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement", requirements];
    const installed = await run(join(folder, process.platform === "win32" ? "Scripts" : "bin", "python"), pip, { onLine: report });
    if (installed.code !== 0) throw failure(`Installing ${title}`, installed);
    // Noted last: an installation that broke off is begun anew.
    copyFileSync(requirements, join(folder, "requirements.txt"));
    if (!(await hasPythonTool(name))) {
      throw new Stop(`${title} was installed but does not answer with its version; remove ${folder} and run this again.`);
    }
    return does;
  });
}

/** Installs npm packages when node_modules is missing or disagrees with the lock file or a package.json. */
export async function setUpNpm() {
  return step("npm packages", async (report) => {
    const state = npmState();
    if (state === "ready") return "as locked";
    const command = state === "clean" ? "ci" : "install";
    report(`npm ${command}: about 200 MB at the first time, most of it the Workers runtime`);
    const installed = await run("npm", [command, "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root });
    if (installed.missing) throw new Stop("npm was not found, although Node.js is there: install npm and run this again.");
    if (installed.code !== 0) throw failure(`npm ${command}`, installed);
    const after = npmState();
    if (after !== "ready") {
      // A half-written folder would be repaired for ever without success.
      rmSync(join(root, "node_modules", ".package-lock.json"), { force: true });
      throw new Stop("npm finished but node_modules does not agree with package-lock.json; run this again.");
    }
    return `npm ${command}`;
  });
}

/**
 * What npm has to do: nothing ("ready"), a clean installation from the lock file ("clean"), or bringing
 * an existing installation or the lock file up to date ("update").
 * npm itself notes what it installed in node_modules/.package-lock.json, as its last act.
 */
export function npmState() {
  const lock = readJson(join(root, "package-lock.json"));
  if (lock === undefined || !lockAgreesWithManifests(lock)) return "update";
  const installed = readJson(join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined) return "clean";
  for (const [path, { version, link, optional }] of Object.entries(lock.packages)) {
    if (!path.includes("node_modules/")) continue;
    const there = installed.packages[path];
    // An optional package for another platform is rightly absent.
    if (there === undefined ? !optional : there.version !== version || there.link !== link) return "update";
  }
  return "ready";
}

function lockAgreesWithManifests(lock) {
  const folders = ["", ...(readJson(join(root, "package.json")).workspaces ?? [])];
  return folders.every((folder) => {
    const manifest = readJson(join(root, folder, "package.json"));
    if (manifest === undefined) return lock.packages[folder] === undefined;
    const locked = lock.packages[folder];
    if (locked === undefined) return false;
    return ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"].every((kind) =>
      sameRanges(manifest[kind], locked[kind]),
    );
  });
}

function sameRanges(a = {}, b = {}) {
  const text = (ranges) => JSON.stringify(Object.entries(ranges).sort());
  return text(a) === text(b);
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/**
 * The whole set-up.
 *
 * @param {{ tools: (keyof typeof cargoTools)[], python?: (keyof typeof pythonTools)[] }} options the tools that are needed
 */
export async function setUp({ tools, python = [] }) {
  console.log(style.bold("Set-up"));
  await step("Node.js", checkNode);
  await setUpRust();
  await setUpNpm();
  for (const name of tools) await setUpCargoTool(name);
  for (const name of python) await setUpPythonTool(name);
}

/** The cargo tools `npm start` needs. */
export const startTools = ["wasm-bindgen-cli", "worker-build"];

/** The cargo tools `npm test` needs. */
export const testTools = [...startTools, "wasm-pack"];

/** The Python tools `npm test` needs. */
export const testPythonTools = ["schemathesis"];

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  onSignals();
  setUp(process.argv.includes("--test") ? { tools: testTools, python: testPythonTools } : { tools: startTools }).catch(fail);
}
