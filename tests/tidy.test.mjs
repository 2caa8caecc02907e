// House rules that a machine can check. What is listed is what git tracks or would track.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { test } from "node:test";

import { cargoTools, root } from "../edge/dev/paths.mjs";
import { assets, compatibilityDate, durableObjects } from "../edge/dev/serve.mjs";

const linesMax = 700;
const readmeLinesMax = 120;
const readmeCodeWithin = 20;

const sourceEndings = new Set([".rs", ".mjs", ".js", ".ts", ".tsx", ".css", ".html", ".md", ".toml", ".sh"]);

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root })
  .toString()
  .split("\0")
  // A file that is deleted but not yet committed is still listed.
  .filter((file) => file !== "" && existsSync(join(root, file)));
const read = (file) => readFileSync(join(root, file), "utf8");
const sources = files.filter((file) => sourceEndings.has(extname(file)) && !file.includes("/generated/"));
const manifests = files.filter((file) => basename(file) === "Cargo.toml");
const packages = files.filter((file) => basename(file) === "package.json");

/** Fails with every place where a rule is broken, not with the first alone. */
function none(findings, rule) {
  assert.deepEqual(findings, [], `${rule}:\n  ${findings.join("\n  ")}\n`);
}

/** Places (`file:line: text`) where a pattern stands. */
function places(list, pattern) {
  const found = [];
  for (const file of list) {
    read(file)
      .split("\n")
      .forEach((line, index) => {
        if (pattern.test(line)) found.push(`${file}:${index + 1}: ${line.trim().slice(0, 120)}`);
      });
  }
  return found;
}

// Written in pieces, so that this file does not find itself.
const anyOf = (...parts) => new RegExp(parts.map(([a, b]) => a + b).join("|"));

test(`no source file is longer than ${linesMax} lines`, () => {
  const byHand = sources.filter((file) => !/do not edit/.test(read(file).split("\n")[0]));
  const long = byHand.map((file) => [file, read(file).split("\n").length - 1]).filter(([, lines]) => lines > linesMax);
  none(long.map(([file, lines]) => `${file}: ${lines}`), "one subject per file; split these");
});

test(`README.md is at most ${readmeLinesMax} lines, with code in the first ${readmeCodeWithin}`, () => {
  const lines = read("README.md").trimEnd().split("\n");
  assert.ok(lines.length <= readmeLinesMax, `README.md has ${lines.length} lines`);
  const code = lines.findIndex((line) => line.startsWith("```"));
  assert.ok(code >= 0 && code < readmeCodeWithin, `README.md's first code is at line ${code + 1}`);
});

test("nothing unfinished is left behind", () => {
  none(
    places(sources, anyOf(["\\bTO", "DO\\b"], ["\\bFIX", "ME\\b"], ["\\bto", "do!"], ["\\bunimpl", "emented!"])),
    "finish these, or make them an issue",
  );
});

test("no leftovers of patches and editors are kept", () => {
  none(files.filter((file) => /\.(orig|rej|bak|swp)$|~$/.test(file)), "delete these");
});

test("no test is switched off or left alone", () => {
  const pattern = anyOf(
    ["\\b(?:it|test|describe|suite)\\.", "(?:skip|only|todo)\\b"],
    ["\\b(?:skip|only|todo): ", "true\\b"],
    ["#\\[ig", "nore"],
  );
  none(places(sources, pattern), "a test that does not run proves nothing");
});

test("no test waits for time to pass where it could wait for a condition", () => {
  const tests = sources.filter((file) => /\.test\.[a-z]+$/.test(file) || /(^|\/)tests?\/.*\.rs$/.test(file));
  const pattern = anyOf(
    ["thread::", "sleep\\("],
    ["waitFor", "Timeout\\("],
    ["await (?:set", "Timeout|sleep|delay|pause|wait)\\("],
    ["new Promise\\(.*set", "Timeout\\("],
  );
  none(places(tests, pattern), "await the condition itself, with a deadline");
});

test("lock files carry no download addresses", () => {
  const npm = files.filter((file) => basename(file) === "package-lock.json");
  none(places(npm, /"resolved": "https?:/), "set omit-lockfile-registry-resolved and install again");
  const elsewhere = places(["Cargo.lock"], /^source = /).filter((line) => !line.includes('"registry+'));
  none(elsewhere, "every crate comes from the registry");
});

test("licences are there and named by every package", () => {
  for (const file of ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"]) assert.ok(files.includes(file), `${file} is missing`);
  const crates = manifests.filter((file) => file !== "Cargo.toml" && !/^license(\.workspace)? = /m.test(read(file)));
  none(crates, "add license.workspace = true");
  const unnamed = packages.filter((file) => JSON.parse(read(file)).license !== "MIT OR Apache-2.0");
  none(unnamed, 'add "license": "MIT OR Apache-2.0"');
});

test("every crate takes the workspace's lints", () => {
  const without = manifests.filter((file) => file !== "Cargo.toml" && !/^\[lints\]\s*\nworkspace = true/m.test(read(file)));
  none(without, "add [lints] workspace = true");
});

test("npm packages of the tests are pinned to the digit", () => {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(read("tests/package.json"));
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(([, range]) => !/^\d+\.\d+\.\d+$/.test(range));
  none(loose.map((entry) => entry.join("@")), "pin these");
});

test("the pinned tools fit the crates they work with", () => {
  const locked = (name) => new RegExp(`name = "${name}"\\nversion = "([^"]+)"`).exec(read("Cargo.lock"))?.[1];
  assert.equal(cargoTools["wasm-bindgen-cli"].version, locked("wasm-bindgen"), "wasm-bindgen and its CLI must be one version");
  assert.equal(cargoTools["worker-build"].version, locked("worker"), "worker and worker-build must be one version");
});

test("local runs and deployments configure the edge alike", () => {
  const text = read("edge/wrangler.toml");
  assert.ok(text.includes(`compatibility_date = "${compatibilityDate}"`), "compatibility_date differs");
  const bindings = [...text.matchAll(/bindings\]\]\nname = "([^"]+)"\nclass_name = "([^"]+)"/g)];
  const wanted = Object.entries(durableObjects);
  assert.deepEqual(bindings.map(([, name, className]) => [name, className]), [...wanted, ...wanted]);
  const [, folder, first] = /^\[assets\]\ndirectory = "([^"]+)"\nrun_worker_first = (\[.*\])$/m.exec(text) ?? [];
  assert.equal(join(root, "edge", folder), assets.directory, "the folder of assets differs");
  // Deployments have no path for development.
  assert.deepEqual(JSON.parse(first), assets.workerFirst.filter((path) => !path.startsWith("/dev")));
  // A migration that was ever deployed stays as it was: classes come in the order of their migrations.
  const classes = wanted.map(([, className]) => className);
  const migrated = [...text.matchAll(/^new_sqlite_classes = (\[.*\])$/gm)].flatMap(([, list]) => JSON.parse(list));
  assert.deepEqual(migrated, [...classes, ...classes]);
});

test("what is meant to be run can be run", () => {
  none(
    [".ci/run"].filter((file) => (statSync(join(root, file)).mode & 0o111) === 0),
    "chmod +x these",
  );
});
