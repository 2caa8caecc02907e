// `npm run reset`: clears the data of local runs. The secrets stay; they hold for the next data as well.

import { existsSync, readdirSync, rmSync, rmdirSync } from "node:fs";

import { dataDir, dataFiles } from "./paths.mjs";
import { runningStart } from "./running.mjs";
import { Stop, fail } from "./steps.mjs";

function reset() {
  const owner = runningStart();
  if (owner !== undefined) {
    throw new Stop(`\`npm start\` is running (process ${owner}) and uses this data: stop it with Ctrl-C first.`);
  }
  if (!existsSync(dataDir)) {
    console.log("There is no local data to clear.");
    return;
  }
  // By name, and the folder only when that leaves it empty: whatever else stands there is not ours to remove.
  for (const file of Object.values(dataFiles)) rmSync(file, { recursive: true, force: true });
  if (readdirSync(dataDir).length === 0) rmdirSync(dataDir);
  console.log("Local data cleared: the next `npm start` begins with a new demo shop.");
}

try {
  reset();
} catch (error) {
  fail(error);
}
