// A project as a user has it: the packed npm package, installed into an empty folder outside the repository.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A folder that is removed when everything that may still write into it has ended. */
function temporaryFolder(name) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `counterfoil-${name}-`)));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

let packed;

/** Packs the built SDK, once for a test file; gives the tarball and what is in it. */
export function pack() {
  if (packed) return packed;
  const folder = temporaryFolder("pack");
  // The package was built by the build step; scripts must not build it again here.
  const report = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: join(root, "sdk") });
  // Either a list or an object by name, depending on npm's version.
  const [{ filename, files }] = Object.values(JSON.parse(report));
  packed = { tarball: join(folder, filename), files: files.map(({ path }) => path).sort() };
  return packed;
}

/**
 * Makes a project with the package installed from its tarball, and the given files in it.
 *
 * @param {Record<string, string>} files by name
 * @param {{ uses?: string[] }} options packages that the project has besides, taken from the repository's own
 */
export function project(files, { uses = [] } = {}) {
  const folder = temporaryFolder("project");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "shop", private: true, type: "module" }));
  // Without the network: the package has no dependencies, and must not get one unnoticed.
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", pack().tarball], { cwd: folder });
  for (const name of uses) {
    const place = join(folder, "node_modules", name);
    mkdirSync(dirname(place), { recursive: true });
    // React is copied: bundlers follow links, and a second React beside the repository's would hide a mistake.
    if (/^(react|react-dom|scheduler)$/.test(name)) cpSync(join(root, "node_modules", name), place, { recursive: true });
    else symlinkSync(join(root, "node_modules", name), place);
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Runs a program to its end; a failure shows what it said. */
export function run(command, args, options) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", ...options });
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${error ?? ""}${stdout}${stderr}`);
  return stdout;
}
