// One local run at a time: two runtimes on the same SQLite files would get into each other's way.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

import { dataFiles } from "./paths.mjs";
import { Stop, isAlive, lockOwner, takeLock } from "./steps.mjs";

const lock = dataFiles.runningLock;

/** The process id of the `npm start` that uses the local data, if there is one. */
export const runningStart = () => lockOwner(lock);

/** Claims the local data until this process ends. */
export function claimData() {
  // Twice, because the first try clears away what a killed run left behind.
  if (!takeLock(lock) && !takeLock(lock)) {
    throw new Stop(`\`npm start\` is already running for this folder (process ${runningStart()}): use that one, or stop it with Ctrl-C.`);
  }
  process.on("exit", () => {
    rmSync(dataFiles.runtime, { force: true });
    rmSync(lock, { force: true });
  });
}

/** Notes the runtime that this process started, so that the next start finds it should this one be killed. */
export function noteRuntime() {
  const own = processes().find(({ parent, name }) => parent === process.pid && isRuntime(name));
  if (own !== undefined) writeFileSync(dataFiles.runtime, String(own.pid));
}

/** Ends the runtime of a run that was killed, and says whether there was one: it would hold the port and the data. */
export async function endOrphan() {
  if (runningStart() !== undefined) return false;
  let pid;
  try {
    pid = Number(readFileSync(dataFiles.runtime, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return false;
    throw error;
  }
  const orphan = processes().find((process) => process.pid === pid);
  // The number may have gone to some other program since.
  const ended = orphan !== undefined && isRuntime(orphan.name);
  if (ended) {
    process.kill(pid, "SIGKILL");
    for (let tries = 0; tries < 100 && isAlive(pid); tries += 1) await pause(50);
  }
  rmSync(dataFiles.runtime, { force: true });
  return ended;
}

const isRuntime = (name) => /(^|\/)workerd$/.test(name);

/** The machine's processes; none where `ps` is missing, which only makes a killed run's leftovers stay. */
function processes() {
  let table;
  try {
    table = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return [];
  }
  return table
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, parent, ...name]) => ({ pid: Number(pid), parent: Number(parent), name: name.join(" ") }));
}
