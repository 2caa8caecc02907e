// A client made from the document lives a whole life with it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { build } from "esbuild";
import openapiTS, { astToString } from "openapi-typescript";

import { root } from "../../edge/dev/paths.mjs";
import { signToken, startEdge, unique } from "../http/env.mjs";
import { api } from "./conformance.mjs";

const run = promisify(execFile);

let folder;
let edge;

before(async () => {
  // A field with a default may be left out, which this generator has to be told.
  // Inside the project, so that the client's packages are found.
  mkdirSync(join(root, "target"), { recursive: true });
  folder = mkdtempSync(join(root, "tests", "openapi", ".client-"));
  copyFileSync(join(root, "tests", "openapi", "life.ts"), join(folder, "life.ts"));
  writeFileSync(join(folder, "api.ts"), astToString(await openapiTS(structuredClone(api), { defaultNonNullable: false })));
  edge = await startEdge();
});

after(async () => {
  await edge?.dispose();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

test("the client's types hold", async () => {
  const flags = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", "--skipLibCheck", "--types", ""];
  const tsc = join(root, "node_modules", ".bin", "tsc");
  await run(tsc, [...flags, join(folder, "life.ts")], { cwd: folder }).catch(({ stdout }) => assert.fail(stdout));
});

test("define, campaign, mint, redeem, history", async () => {
  const outfile = join(folder, "life.mjs");
  await build({ entryPoints: [join(folder, "life.ts")], bundle: true, format: "esm", platform: "node", outfile, logLevel: "silent" });
  const { live } = await import(pathToFileURL(outfile));
  const merchant = unique("openapi-");
  const token = (role) => signToken({ sub: role, role, merchant });
  const lived = await live(edge.url, token("admin"), token("member"));
  assert.equal(lived.codes.length, 3);
  assert.equal(lived.redemption.status, "granted");
  assert.deepEqual(lived.history.map(({ redemption_id }) => redemption_id), [lived.redemption.redemption_id]);
  assert.equal(lived.credit, 500);
  assert.equal(lived.refusal, "already_redeemed_by_you");
});
