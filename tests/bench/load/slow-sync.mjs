// A preload library that counts the syncs of a process's files and makes each take longer, compiled where it is needed.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run } from "../../../edge/dev/steps.mjs";

/** How long a slowed sync takes. */
export const SLOW_SYNC_MS = 4;

/** The library; `{missing}` with the reason where it cannot be had. */
export async function syncLibrary() {
  if (process.platform !== "linux") return { missing: "syncs can be counted and slowed on Linux only" };
  const folder = mkdtempSync(join(tmpdir(), "counterfoil-syncs-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  // Postgres has an account of its own.
  chmodSync(folder, 0o755);
  const file = join(folder, "slow-sync.so");
  const done = await run("cc", ["-shared", "-fPIC", "-O1", "-o", file, join(import.meta.dirname, "slow-sync.c")]);
  if (done.missing || done.code !== 0) return { missing: "there is no C compiler `cc` for the library that counts and slows syncs" };
  return new SyncLibrary(folder, file);
}

class SyncLibrary {
  constructor(folder, file) {
    Object.assign(this, { folder, file, counters: 0 });
  }

  /** The environment of one server, and how many syncs it has made. */
  counter({ slowed }) {
    const path = join(this.folder, `count-${(this.counters += 1)}`);
    writeFileSync(path, Buffer.alloc(8));
    chmodSync(path, 0o666);
    const env = { LD_PRELOAD: this.file, SLOW_SYNC_US: String(slowed ? SLOW_SYNC_MS * 1000 : 0), SLOW_SYNC_COUNT: path };
    return { env, syncs: () => Number(readFileSync(path).readBigInt64LE()) };
  }
}
