// What a person sees while something takes long: one line per step, what it is doing, how long it took.
// Uses nothing but Node itself, because it runs before any package is installed.

import { spawn } from "node:child_process";
import { createWriteStream, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** An expected failure. Its message is one sentence for a person, so no stack is shown. */
export class Stop extends Error {
  /**
   * @param {string} message one sentence: what is wrong and what to do
   * @param {{ output?: string }} [more] the end of a failed program's output
   */
  constructor(message, { output } = {}) {
    super(message);
    this.name = "Stop";
    this.output = output;
  }
}

const terminal = process.stdout.isTTY === true && process.env.TERM !== "dumb";
const colours = terminal && process.env.NO_COLOR === undefined;
const paint = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

/** Text styles that vanish where the output is not a terminal. */
export const style = { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33), cyan: paint(36) };

/** `0.4 s`, `12 s`, `3 min 05 s`. */
export function elapsed(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

// On a terminal the running step is redrawn in place; elsewhere (a log) a line now and then shows life.
const redrawEveryMs = 200;
const firstLogMs = 2_000;
const logEveryMs = 20_000;

/**
 * Runs one step and reports it. `work` gets a `report(text)` function for what it is doing right now,
 * and may return a string that is added to the closing line.
 *
 * @template T
 * @param {string} title what the step provides, e.g. "npm packages"
 * @param {(report: (text: string) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const started = Date.now();
  let doing = "";
  const line = () => `  … ${title}  ${elapsed(Date.now() - started)}${doing === "" ? "" : `  ${doing}`}`;
  const draw = () => {
    if (terminal) process.stdout.write(`\r\u001b[2K${line().slice(0, (process.stdout.columns ?? 80) - 1)}`);
    else console.log(line());
  };
  let timer;
  const later = (wait) => {
    timer = setTimeout(() => {
      draw();
      later(terminal ? redrawEveryMs : logEveryMs);
    }, wait);
  };
  later(terminal ? redrawEveryMs : firstLogMs);
  const clear = () => {
    clearTimeout(timer);
    if (terminal) process.stdout.write("\r\u001b[2K");
  };
  const report = (text) => {
    doing = text.trim();
  };
  try {
    const result = await work(report);
    clear();
    const detail = typeof result === "string" ? `  ${style.dim(result)}` : "";
    const took = Date.now() - started;
    // Nobody needs to know that nothing took no time.
    console.log(`  ${style.green("✓")} ${title}${detail}${took < 100 ? "" : `  ${style.dim(elapsed(took))}`}`);
    return result;
  } catch (error) {
    clear();
    console.log(`  ${style.red("✗")} ${title}  ${style.dim(elapsed(Date.now() - started))}`);
    throw error;
  }
}

/** Prints an indented remark below a step, for what a person should know while waiting. */
export function remark(text) {
  console.log(style.dim(`    ${text}`));
}

/** Ends the program on a failure: the sentence alone for a `Stop`, the whole error for anything else. */
export function fail(error) {
  if (error instanceof Stop) {
    if (error.output) console.error(`\n${error.output.trimEnd()}`);
    console.error(`\n${style.red("✗")} ${error.message}`);
  } else {
    console.error(error);
  }
  process.exitCode = 1;
}

const running = new Set();
process.on("exit", () => {
  // A program that outlives its parent would keep locks and ports.
  for (const child of running) child.kill("SIGTERM");
});

/**
 * Runs a program quietly and hands back its exit code and the end of its output.
 * Never rejects for a failing program; a missing program answers code `null` and `missing: true`.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, onLine?: (line: string) => void, log?: string }} [options]
 *   `log`: a file that receives the whole output
 * @returns {Promise<{ code: number | null, stdout: string, tail: string, missing: boolean }>}
 */
export function run(command, args, { cwd, env, onLine, log } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: env ?? process.env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    let file;
    if (log !== undefined) {
      mkdirSync(dirname(log), { recursive: true });
      file = createWriteStream(log);
    }
    let stdout = "";
    const tail = [];
    const lines = () => {
      let rest = "";
      return (chunk) => {
        file?.write(chunk);
        const parts = (rest + chunk).split(/\r?\n/);
        rest = parts.pop();
        for (const part of parts) {
          // Cargo's progress would push the message itself out of what is kept.
          if (!/^\s+(Compiling|Downloaded|Fresh) /.test(part)) tail.push(part);
          if (tail.length > 60) tail.shift();
          onLine?.(part);
        }
        return rest;
      };
    };
    const [fromOut, fromErr] = [lines(), lines()];
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      stdout = (stdout + chunk).slice(-1_000_000);
      fromOut(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", (chunk) => fromErr(chunk));
    child.on("error", (error) => {
      running.delete(child);
      file?.end();
      resolve({ code: null, stdout, tail: String(error), missing: error.code === "ENOENT" });
    });
    child.on("close", (code) => {
      running.delete(child);
      fromOut("\n");
      fromErr("\n");
      file?.end();
      resolve({ code, stdout, tail: tail.join("\n").trim(), missing: false });
    });
  });
}

/**
 * Runs `work` while no other process of this checkout is inside the same lock: two builds at once would
 * take each other's half-written files. A lock whose owner is gone counts as free.
 *
 * @template T
 * @param {string} file the lock file
 * @param {{ waiting?: () => void }} options `waiting` is called once when somebody else has it
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(file, { waiting }, work) {
  let told = false;
  while (!takeLock(file)) {
    if (!told) waiting?.();
    told = true;
    await pause(250);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** Takes a lock file if it is free, and says whether it did. The file holds its owner's process id. */
export function takeLock(file) {
  mkdirSync(dirname(file), { recursive: true });
  // Linking a finished file makes the lock appear with its owner's number already in it.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  } finally {
    rmSync(own, { force: true });
  }
  // Left by a process that is gone: free at the next try.
  if (lockOwner(file) === undefined) rmSync(file, { force: true });
  return false;
}

/** The process that holds a lock file, or undefined when there is none alive. */
export function lockOwner(file) {
  let owner;
  try {
    owner = Number(readFileSync(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
  return isAlive(owner) ? owner : undefined;
}

/** Whether a process is there, whoever owns it. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
  try {
    // Ended, but not yet collected by its parent: it holds nothing any more.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    // No such file system here, or gone in this very moment; the next look tells.
    return true;
  }
}

/** `-1`, `0` or `1`: compares dotted version numbers as numbers, ignoring what follows a hyphen. */
export function compareVersions(a, b) {
  const numbers = (text) => text.split("-")[0].split(".").map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/**
 * Decides what Ctrl-C, a request to stop and a closed terminal do, in place of whatever was decided before (by this program
 * or by a library). Without a handler: end at once, taking running programs along.
 */
export function onSignals(handler = (status) => process.exit(status)) {
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) {
    process.removeAllListeners(signal);
    process.on(signal, () => handler(status));
  }
}
