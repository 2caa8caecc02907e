// What became of each reward, in a file that survives this process: one line of JSON for each change, written and
// synced before anybody is told. In a shop this is a table, written in the same transaction as the goods themselves.

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";

export class Journal {
  /** @param {string} file made when it is missing */
  constructor(file) {
    /** The last line of each reward, by its id. @type {Map<string, {id: string, state: string, data?: object}>} */
    this.last = new Map();
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    // A line that was cut off when the process died was never acted upon.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) truncateSync(file, Buffer.byteLength(whole));
    for (const line of whole.split("\n").filter(Boolean)) {
      const entry = JSON.parse(line);
      this.last.set(entry.id, entry);
    }
    this.handle = openSync(file, "a", 0o600);
  }

  /** Where a reward stands: `granted`, `failed`, `accepted`, `cancelled`, or undefined. */
  of(id) {
    return this.last.get(id);
  }

  /** Those that were accepted and not completed yet. */
  accepted() {
    return [...this.last.values()].filter((entry) => entry.state === "accepted");
  }

  /** Writes a change down, for good. */
  write(entry) {
    const line = { ...entry, at: new Date().toISOString() };
    writeSync(this.handle, `${JSON.stringify(line)}\n`);
    fsyncSync(this.handle);
    this.last.set(entry.id, line);
    return line;
  }

  close() {
    closeSync(this.handle);
  }
}
