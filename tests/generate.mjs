// `npm run generate`: writes the checked-in files that code generates. `npm run generate -- --check` changes nothing
// and fails when one of them is stale.
//
//   npm run generate [-- --check] [name …]     names of generators; without any, all of them

import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { buildEnvironment } from "../edge/dev/build.mjs";
import { root } from "../edge/dev/paths.mjs";
import { Stop, fail, onSignals, run, step } from "../edge/dev/steps.mjs";

/**
 * A generator writes its files into an empty folder that it is given; they belong into `folder` of the repository.
 * `owns` says which files there are its own, so that one that is generated no longer is noticed.
 *
 * @type {{ name: string, folder: string, owns: (file: string) => boolean, write: (folder: string) => Promise<void> }[]}
 */
const generators = [
  {
    name: "vectors",
    folder: "tests/vectors",
    owns: (file) => file.endsWith(".json"),
    write: (folder) => cargoRun("counterfoil-cli", ["vectors", "--output", folder]),
  },
  {
    name: "wire-types",
    folder: "sdk/ts",
    owns: (file) => file === "wire.ts",
    write: async (folder) => {
      const args = ["run", "--quiet", "-p", "counterfoil-core", "--features", "typescript", "--example", "wire_types"];
      const done = await run("cargo", args, { cwd: root, env: buildEnvironment() });
      if (done.code !== 0) throw new Stop("writing the wire types failed; its output is above.", { output: done.tail });
      writeFileSync(join(folder, "wire.ts"), done.stdout);
    },
  },
  {
    name: "openapi",
    folder: "edge/assets",
    owns: (file) => file === "openapi.json",
    write: (folder) => cargoRun("counterfoil-openapi", ["--output", folder]),
  },
];

async function cargoRun(crate, args) {
  const done = await run("cargo", ["run", "--quiet", "-p", crate, "--", ...args], { cwd: root, env: buildEnvironment() });
  if (done.code !== 0) throw new Stop(`${crate} failed; its output is above.`, { output: done.tail });
}

const read = (path) => (existsSync(path) ? readFileSync(path) : undefined);

/** The files of a generator that differ from what it writes now: `[file, new contents or undefined]`. */
async function stale({ folder, owns, write }) {
  const fresh = mkdtempSync(join(tmpdir(), "counterfoil-generate-"));
  try {
    await write(fresh);
    const target = join(root, folder);
    const written = readdirSync(fresh);
    const left = existsSync(target) ? readdirSync(target).filter((file) => owns(file) && !written.includes(file)) : [];
    const changed = written.filter((file) => {
      const known = read(join(target, file));
      return known === undefined || !known.equals(readFileSync(join(fresh, file)));
    });
    return [...changed.map((file) => [file, readFileSync(join(fresh, file))]), ...left.map((file) => [file, undefined])];
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

async function main(args) {
  const check = args.includes("--check");
  const names = args.filter((arg) => arg !== "--check");
  const unknown = names.find((name) => !generators.some((generator) => generator.name === name));
  if (unknown !== undefined) {
    throw new Stop(`There is no generator "${unknown}"; there are ${generators.map(({ name }) => name).join(", ")}.`);
  }
  const staleFiles = [];
  for (const generator of generators.filter(({ name }) => names.length === 0 || names.includes(name))) {
    await step(generator.name, async () => {
      const differing = await stale(generator);
      if (differing.length === 0) return "current";
      for (const [file, contents] of differing) {
        const path = join(generator.folder, file);
        staleFiles.push(path);
        if (check) continue;
        mkdirSync(join(root, generator.folder), { recursive: true });
        if (contents === undefined) rmSync(join(root, path));
        else writeFileSync(join(root, path), contents);
      }
      return check ? "stale" : `written: ${differing.map(([file]) => file).join(", ")}`;
    });
  }
  if (check && staleFiles.length > 0) {
    throw new Stop(`Stale: ${staleFiles.join(", ")}. Write them anew with: npm run generate`);
  }
}

onSignals();
main(process.argv.slice(2)).catch(fail);
