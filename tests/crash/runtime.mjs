// The Workers runtime by itself: `workerd serve` with a configuration of its own and the objects' files in a folder, so that
// the process can be killed as a machine kills it, with nothing around it that tidies up. It gets the bindings that every
// other way of running the edge gets (edge/dev/serve.mjs).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { edgeModules } from "../../edge/dev/build.mjs";
import { assertPortFree } from "../../edge/dev/ports.mjs";
import { compatibilityDate, durableObjects } from "../../edge/dev/serve.mjs";
import { send } from "../http/client.mjs";
import { testVars } from "../http/env.mjs";

const host = "127.0.0.1";
const startWithinMs = 20_000;

// The package that miniflare depends on, wherever npm has put it.
const require = createRequire(createRequire(import.meta.url).resolve("miniflare"));
const { default: binary } = require("workerd");

/** The edge's build as a program to run: its modules, the entry first, and its objects. */
export const edgeProgram = (build = "release") => ({ modules: edgeModules(build), objects: durableObjects });

/**
 * A folder for the runtime's files: where CRASH_FOLDER says (a real disk, for long runs), else in memory where there is room,
 * because a few kills are about order and not about a disk's speed.
 */
export function dataFolder(above = process.env.CRASH_FOLDER ?? usualFolder()) {
  mkdirSync(above, { recursive: true });
  return mkdtempSync(path.join(path.resolve(above), "counterfoil-crash-"));
}

function usualFolder() {
  const memory = "/dev/shm";
  const roomy = existsSync(memory) && statfsSync(memory).bavail * statfsSync(memory).bsize > 512 * 1024 * 1024;
  return roomy ? memory : tmpdir();
}

/** Everything of one server that outlives its process: the folder, the port and the settings. */
export class Runtime {
  /**
   * `program` is `{modules, objects}`; `vars` are added to the tests' own, `flags` and `env` to the process's. `above` names the
   * folder in which its own is made.
   */
  constructor(program, { vars = {}, flags = [], env = {}, above } = {}) {
    this.flags = flags;
    this.env = env;
    this.folder = dataFolder(above);
    this.program = program;
    this.vars = { ...testVars, ALLOW_PRIVATE_TARGETS: "1", ...vars };
    this.lines = [];
    /** Lines that no kill excuses. */
    this.complaints = [];
    this.starts = 0;
    this.kills = 0;
    this.startMs = [];
    mkdirSync(path.join(this.folder, "objects"));
    // A copy, so that a build in the same checkout does not change the program between two of its lives.
    for (const file of program.modules) copyFileSync(file, path.join(this.folder, path.basename(file)));
    process.once("exit", this.atExit);
  }

  atExit = () => {
    this.child?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  };

  /** Starts the process; answers once it serves. */
  async start() {
    assert.equal(this.child, undefined, "it runs already");
    this.port ??= await freePort();
    this.url = `http://${host}:${this.port}`;
    const file = path.join(this.folder, "config.capnp");
    writeFileSync(file, this.configuration());
    const started = performance.now();
    const args = ["serve", "--experimental", "--control-fd=3", ...this.flags, file];
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe", "pipe"], env: { ...process.env, ...this.env } });
    this.child = child;
    this.ended = once(child, "close");
    child.stdout.on("data", (part) => this.note(part));
    child.stderr.on("data", (part) => this.note(part));
    let end;
    const listening = new Promise((resolve, reject) => {
      child.stdio[3].on("data", (part) => /"event":"listen"/.test(part.toString()) && resolve());
      child.once("close", () => reject(new Error(`the runtime ended at its start:\n${this.tail()}`)));
      end = setTimeout(() => reject(new Error(`the runtime did not start within ${startWithinMs} ms:\n${this.tail()}`)), startWithinMs);
    });
    try {
      await listening;
      const { status, text } = await send(this.url, { path: "/healthz" });
      assert.equal(status, 200, text);
    } finally {
      clearTimeout(end);
    }
    this.starts += 1;
    this.startMs.push(performance.now() - started);
  }

  /** Kills the process where it stands, in this very turn. `gone` tells when the system has taken its files back. */
  kill() {
    const { child } = this;
    assert.ok(child, "nothing runs");
    this.child = undefined;
    this.kills += 1;
    child.kill("SIGKILL");
    this.gone = this.ended;
    return this.gone;
  }

  async dispose() {
    if (this.child) await this.kill();
    process.off("exit", this.atExit);
    rmSync(this.folder, { recursive: true, force: true });
  }

  note(part) {
    const lines = part.toString().split("\n").filter(Boolean);
    this.complaints.push(...lines.filter((line) => /panicked|RuntimeError|SQLITE_|Uncaught/.test(line)));
    this.lines.push(...lines);
    this.lines.splice(0, this.lines.length - 200);
  }

  /** The last lines that the runtime wrote. */
  tail(lines = 30) {
    return this.lines.slice(-lines).join("\n");
  }

  configuration() {
    const { modules, objects } = this.program;
    const text = JSON.stringify;
    const module = (file) => {
      const name = path.basename(file);
      return `(name = ${text(name)}, ${name.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${text(name)})`;
    };
    const bindings = [
      ...Object.entries(objects).map(([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`),
      ...Object.entries(this.vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    ];
    const namespaces = Object.values(objects).map((className) => `(className = ${text(className)}, uniqueKey = ${text(`crash-${className}`)}, enableSql = true)`);
    const list = (items) => `[\n        ${items.join(",\n        ")}\n      ]`;
    return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "edge", worker = (
      modules = ${list(modules.map(module))},
      compatibilityDate = ${text(compatibilityDate)},
      bindings = ${list(bindings)},
      durableObjectNamespaces = ${list(namespaces)},
      durableObjectStorage = (localDisk = "objects")
    )),
    (name = "objects", disk = (path = ${text(path.join(this.folder, "objects"))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)))
  ],
  sockets = [(name = "http", address = "${host}:${this.port}", http = (), service = "edge")]
);
`;
  }
}

/**
 * A port that nobody has, below those that systems hand to outgoing connections: one of the load's own connections must
 * not take it while the server is dead.
 */
export async function freePort() {
  for (let tries = 0; tries < 50; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      await assertPortFree(host, port);
      return port;
    } catch (error) {
      if (error.code !== "EADDRINUSE") throw error;
    }
  }
  throw new Error("no free port between 20000 and 32000");
}
