// Where the time goes: a CPU profile of the Workers runtime through its inspector, summed by function.
import { once } from "node:events";
import { createRequire } from "node:module";

// The package that miniflare depends on, wherever npm has put it.
const require = createRequire(createRequire(import.meta.url).resolve("miniflare"));
const { WebSocket } = require("ws");

const SAMPLE_EVERY_US = 200;

/** The inspector of a runtime that was started with `--inspector-addr=127.0.0.1:<port>`. */
class Inspector {
  static async open(port) {
    const [{ webSocketDebuggerUrl }] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
    const socket = new WebSocket(webSocketDebuggerUrl);
    await once(socket, "open");
    return new Inspector(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.waiting = new Map();
    this.last = 0;
    socket.on("message", (data) => {
      const { id, result, error } = JSON.parse(data);
      const waiter = this.waiting.get(id);
      if (waiter === undefined) return;
      this.waiting.delete(id);
      if (error === undefined) waiter.resolve(result);
      else waiter.reject(new Error(error.message));
    });
  }

  ask(method, params = {}) {
    this.last += 1;
    const id = this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close() {
    this.socket.close();
  }
}

/** Runs `work` under the profiler of the inspector at `port`, and answers the profile. */
export async function profiled(port, work) {
  const inspector = await Inspector.open(port);
  try {
    await inspector.ask("Profiler.enable");
    await inspector.ask("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
    await inspector.ask("Profiler.start");
    await work();
    return (await inspector.ask("Profiler.stop")).profile;
  } finally {
    inspector.close();
  }
}

/** Rust's mangled names, as far as a person needs them. */
export function readable(name) {
  const parts = [];
  for (let at = name.startsWith("_ZN") ? 3 : 0; at > 0 && at < name.length; ) {
    const length = /^\d+/.exec(name.slice(at))?.[0];
    if (length === undefined) break;
    at += length.length;
    parts.push(name.slice(at, at + Number(length)));
    at += Number(length);
  }
  if (parts.length === 0) return name;
  return parts
    .filter((part) => !/^h[0-9a-f]{16}$/.test(part))
    .join("::")
    .replaceAll("$LT$", "<")
    .replaceAll("$GT$", ">")
    .replaceAll("$u20$", " ")
    .replaceAll("$RF$", "&")
    .replaceAll("$C$", ",")
    .replaceAll("$u7b$", "{")
    .replaceAll("$u7d$", "}")
    .replaceAll("..", "::");
}

/** Milliseconds by function itself, and by function with all that it calls; a function that calls itself counts once. */
export function byFunction({ nodes, samples, timeDeltas }) {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const parent = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const nameOf = ({ callFrame: { functionName, url } }) => readable(functionName === "" ? `(anonymous in ${url || "runtime"})` : functionName);
  const own = new Map();
  const whole = new Map();
  const add = (map, name, ms) => map.set(name, (map.get(name) ?? 0) + ms);
  samples.forEach((sample, at) => {
    const ms = timeDeltas[at] / 1000;
    add(own, nameOf(known.get(sample)), ms);
    const seen = new Set();
    for (let id = sample; id !== undefined; id = parent.get(id)) {
      const name = nameOf(known.get(id));
      if (!seen.has(name)) add(whole, name, ms);
      seen.add(name);
    }
  });
  const sorted = (map) => [...map].sort((a, b) => b[1] - a[1]).map(([name, ms]) => ({ name, ms }));
  return { total_ms: timeDeltas.reduce((sum, us) => sum + us / 1000, 0), own: sorted(own), whole: sorted(whole) };
}

/**
 * Milliseconds by subject: a sample belongs to the first subject that a function on its stack is of, looked at from the innermost
 * outwards. `subjects` are pairs of a name and a pattern.
 */
export function bySubject({ nodes, samples, timeDeltas }, subjects) {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const parent = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const own = new Map();
  const subjectOf = (id) => {
    if (own.has(id)) return own.get(id);
    const name = readable(known.get(id).callFrame.functionName);
    const found = subjects.find(([, pattern]) => pattern.test(name))?.[0] ?? (parent.has(id) ? subjectOf(parent.get(id)) : "other");
    own.set(id, found);
    return found;
  };
  const sums = new Map();
  samples.forEach((sample, at) => {
    const subject = subjectOf(sample);
    sums.set(subject, (sums.get(subject) ?? 0) + timeDeltas[at] / 1000);
  });
  return [...sums].sort((a, b) => b[1] - a[1]).map(([name, ms]) => ({ name, ms }));
}
