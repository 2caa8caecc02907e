// Runs a build of the edge in the real Workers runtime (workerd), behind a real HTTP port, with its Durable
// Objects' SQLite files in a folder or in none. Local starts and every test suite go through here.

import { existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Miniflare, NoOpLog } from "miniflare";

import { edgeModules } from "./build.mjs";
import { edgeBuildDir, root } from "./paths.mjs";
import { assertPortFree } from "./ports.mjs";
import { Stop } from "./steps.mjs";

/** The runtime's behaviour is pinned by date; edge/wrangler.toml says the same. */
export const compatibilityDate = "2026-04-20";

/** Bindings and the classes behind them; edge/wrangler.toml says the same. */
export const durableObjects = {
  MERCHANT: "Merchant",
  CAMPAIGN: "Campaign",
  MEMBER: "Member",
  CODE_SHARD: "CodeShard",
  RECORDER: "Recorder",
  POOL: "Pool",
  DIRECTORY: "Directory",
  THROTTLE: "Throttle",
};

/** Files that are served as they are, beside what the Worker answers; edge/wrangler.toml says the same. */
export const assets = {
  directory: join(root, "edge", "assets"),
  /** Paths that are the Worker's alone: no file is looked for. */
  workerFirst: ["/v1/*", "/metrics", "/healthz", "/dev/*"],
};

/**
 * Starts the edge.
 *
 * @param {object} [options]
 * @param {number} [options.port] 0 lets the system choose a free one
 * @param {string} [options.host]
 * @param {"release" | "dev"} [options.build] which build to run
 * @param {string} [options.persist] folder for the objects' data; without it they live as long as the server,
 *   in memory where the system offers that
 * @param {Record<string, string>} [options.vars] vars and secrets, by the names of the configuration
 * @param {Record<string, { simple: { limit: number, period: 10 | 60 } }>} [options.ratelimits] the platform's rate limits by
 *   binding; none without it, so that the flood guard is off
 * @param {(line: string) => void} [options.log] receives what the edge and the runtime write; quiet without it
 * @returns {Promise<{ url: string, port: number, dispose: () => Promise<void>, mf: Miniflare }>}
 */
export async function serve({ port = 0, host = "127.0.0.1", build = "release", persist, vars = {}, ratelimits, log } = {}) {
  const [entry, ...wasm] = edgeModules(build);
  for (const file of [entry, ...wasm]) {
    if (!existsSync(file)) {
      throw new Stop(`The edge has not been built (${build}): run \`node edge/dev/build.mjs ${build}\`.`);
    }
  }
  if (port !== 0) await assertPortFree(host, port);

  // The last lines are kept because a runtime that does not come up says why only there.
  const recent = [];
  const onLine = ({ message }) => {
    recent.push(message);
    if (recent.length > 40) recent.shift();
    log?.(message);
  };
  const folder = persist ?? passingFolder();
  const mf = new Miniflare({
    name: "counterfoil",
    host,
    port,
    // Otherwise a request's `cf` data would be fetched over the network at every start.
    cf: false,
    log: new NoOpLog(),
    handleStructuredLogs: onLine,
    compatibilityDate,
    modulesRoot: edgeBuildDir(build),
    modules: [{ type: "ESModule", path: entry }, ...wasm.map((path) => ({ type: "CompiledWasm", path }))],
    durableObjects: Object.fromEntries(
      Object.entries(durableObjects).map(([binding, className]) => [binding, { className, useSQLite: true }]),
    ),
    durableObjectsPersist: folder,
    bindings: vars,
    ratelimits,
    assets: {
      directory: assets.directory,
      routerConfig: { has_user_worker: true, static_routing: { user_worker: assets.workerFirst } },
    },
  });

  let disposed;
  const dispose = () => {
    // Asked twice (a signal during a test's own clean-up), it is done once, and both wait for it.
    disposed ??= mf.dispose().finally(() => {
      if (persist === undefined) removePassing(folder);
    });
    return disposed;
  };
  try {
    const ready = await mf.ready;
    return { url: `http://${ready.hostname}:${ready.port}`, port: Number(ready.port), dispose, mf };
  } catch (error) {
    await dispose().catch(() => {});
    throw new Stop(`The edge did not start: ${firstLine(error)}`, { output: recent.join("\n") });
  }
}

// A runtime syncs its files at every commit; on a disk that is most of the time a test takes.
const memory = "/dev/shm";
const memoryNeeded = 256 * 1024 * 1024;

const passing = new Set();

/** A folder that goes with the server. */
function passingFolder() {
  const roomy = existsSync(memory) && statfsSync(memory).bavail * statfsSync(memory).bsize > memoryNeeded;
  const folder = mkdtempSync(join(roomy ? memory : tmpdir(), "counterfoil-"));
  // Tests that fail hard do not dispose of their servers.
  if (passing.size === 0) process.once("exit", () => passing.forEach(removePassing));
  passing.add(folder);
  return folder;
}

function removePassing(folder) {
  passing.delete(folder);
  rmSync(folder, { recursive: true, force: true });
}

const firstLine = (error) => String(error?.message ?? error).split("\n")[0];
