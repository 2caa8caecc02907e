// P7: one hot object driven directly, as a shared code or a popular pool is, with syncs slowed and as the machine is; beside an
// object that commits each request by itself, and a hot row in Postgres.
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Watch, newRid, prepareTemplate, settledMessage } from "./direct.mjs";
import { median, quantile, spread } from "./figures.mjs";
import { startPostgres } from "./postgres.mjs";
import { RedeemingShop, startServer, typeScriptProgram, watchedProgram } from "./servers.mjs";
import { SLOW_SYNC_MS, syncLibrary } from "./slow-sync.mjs";
import { closedLoop, openLines, requestBytes } from "./wire.mjs";

const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const LINES = 64;
/** A database does best with fewer at once on a row; it gets the better of the two. */
const POSTGRES_CLIENTS = [8, 32];
const OK = 200;
const PREPARED = /"prepared"/;
/** Decided ones that a Recorder tells in one message. */
const SETTLED_AT_ONCE = 64;

const ours = {
  shard: { binding: "CODE_SHARD", object: "CodeShard" },
  pool: { binding: "POOL", object: "Pool" },
};

/**
 * A shard or a pool of the edge, by messages that its Members would send. In the server's first life they are seen; in its
 * second nothing stands between the load and the objects. What was prepared is settled in bulk, as the Recorder does.
 */
async function hotParticipant(server, kind, codes) {
  const { binding, object } = ours[kind];
  const watched = watchedProgram();
  const [, ...edge] = watched.modules;
  const entry = join(import.meta.dirname, "direct-entry.js");
  const runtime = await startServer({ ...watched, modules: [...watched.modules, entry] }, { ...server, vars: { WATCHED: "1" } });
  const shop = await RedeemingShop.open(runtime, { memberCount: 4, pool: kind === "pool" ? codes : undefined });
  await shop.stock(kind === "pool" ? 64 : codes);
  const { prepare, settled } = await new Watch(runtime.url).patternsOf(shop, object);
  await runtime.kill();
  runtime.program = { ...watched, modules: [entry, ...edge] };
  await runtime.start();

  const { host } = new URL(runtime.url);
  const bytes = (body) => requestBytes(host, { path: `/${binding}/${prepare.name}`, body });
  const message = prepareTemplate(prepare);
  // The first codes have been used by what was watched.
  let seq = 16;
  let waiting = [];
  const next = () => {
    if (waiting.length >= SETTLED_AT_ONCE) {
      const told = waiting;
      waiting = [];
      return { bytes: bytes(settledMessage(settled, told)), expect: OK, counts: false };
    }
    if (seq >= codes) throw new Error("there are no more codes");
    const one = { rid: newRid(), fp: newRid().padEnd(64, "0"), seq };
    seq += 1;
    return { bytes: bytes(message(one)), expect: OK, says: PREPARED, done: () => waiting.push(one) };
  };
  return { runtime, next };
}

/** The object that commits each request by itself. */
async function plainObject(server, kind, codes) {
  const runtime = await startServer(await typeScriptProgram("hot-object.ts", { HOT: "Hot" }), server);
  const { host } = new URL(runtime.url);
  const bytes = (body) => requestBytes(host, { path: "/", body: JSON.stringify(body) });
  const lines = openLines(runtime.url, 1);
  if (kind === "pool") {
    for (let left = codes; left > 0; left -= 1_000) await lines[0].send(bytes({ stock: 1_000 }));
  }
  for (const line of lines) line.close();
  let seq = 0;
  const next = () => {
    seq += 1;
    return { bytes: bytes(kind === "pool" ? { take: newRid() } : { seq, rid: newRid() }), expect: OK };
  };
  return { runtime, next };
}

async function round({ lines, next, syncs }, ms) {
  const before = syncs();
  const { answered, ms: spent, took } = await closedLoop(lines, next, { ms, latencies: true });
  return { per_second: (answered * 1000) / spent, took, syncs: (syncs() - before) / answered };
}

/** Postgres's round: the better of the numbers of clients. */
async function postgresRound({ server, syncs }, ms) {
  const tries = [];
  for (const clients of POSTGRES_CLIENTS) {
    const before = syncs();
    const { per_second, took } = await server.redeem({ clients, ms });
    tries.push({ per_second, took, syncs: (syncs() - before) / took.length });
  }
  return tries.reduce((best, one) => (one.per_second > best.per_second ? one : best));
}

/** The contenders, each on a server of its own, in turns. */
async function contest(make, { rounds, pieceMs, server, postgres }) {
  const sides = {};
  try {
    for (const [name, open] of Object.entries(make)) {
      const { env, syncs } = server();
      sides[name] = { ...(await open({ env, above: MEMORY })), syncs };
      sides[name].lines = openLines(sides[name].runtime.url, LINES);
      await round(sides[name], 2 * pieceMs);
    }
    const results = Object.fromEntries([...Object.keys(sides), ...(postgres ? ["postgres"] : [])].map((name) => [name, []]));
    for (let at = 0; at < rounds; at += 1) {
      for (const [name, side] of Object.entries(sides)) results[name].push(await round(side, pieceMs));
      if (postgres) results.postgres.push(await postgresRound(postgres, pieceMs));
    }
    return results;
  } catch (error) {
    const tails = Object.entries(sides).map(([name, { runtime }]) => `${name}:\n${runtime.tail(5)}`);
    throw new Error(`${error.message}; the servers' last lines:\n${tails.join("\n")}`, { cause: error });
  } finally {
    for (const { runtime, lines } of Object.values(sides)) {
      for (const line of lines ?? []) line.close();
      await runtime.dispose();
    }
  }
}

/** Rates, times and the ratios of our own to the others, round by round. */
function summary(results, own) {
  const of = (name, figure) => results[name].map((one) => one[figure]);
  const all = Object.keys(results).map((name) => {
    const took = results[name].flatMap((one) => one.took);
    const ratio = name === own ? undefined : spread(of(own, "per_second").map((rate, at) => rate / results[name][at].per_second));
    return [name, { per_second: spread(of(name, "per_second")), p50_ms: median(took), p99_ms: quantile(took, 0.99), syncs_each: median(of(name, "syncs")), ratio }];
  });
  return Object.fromEntries(all);
}

/** P7 for the shard and the pool. */
export async function measureHot({ rounds = 5, pieceMs = 2_000, codes = 150_000, participants = ["shard", "pool"] } = {}) {
  const library = await syncLibrary();
  const measured = { slow_sync_ms: SLOW_SYNC_MS, connections: LINES, missing: {} };
  if (library.missing !== undefined) measured.missing.syncs = library.missing;
  // All lie in memory: slowed, a sync takes what the library says, and else next to nothing, which is where groups gain least.
  for (const [kind, slowed] of Object.entries({ slowed: true, "as it is": false })) {
    if (slowed && library.missing !== undefined) continue;
    const server = () => (library.missing === undefined ? library.counter({ slowed }) : { env: {}, syncs: () => 0 });
    const { env, syncs } = server();
    const postgres = await startPostgres({ env, above: MEMORY });
    if (postgres.missing !== undefined) measured.missing.postgres = postgres.missing;
    else measured.postgres = postgres.version;
    try {
      const options = { rounds, pieceMs, server };
      const contests = {
        shard: () => contest({ shard: (where) => hotParticipant(where, "shard", codes), object: (where) => plainObject(where, "shard") }, { ...options, postgres: postgres.missing === undefined ? { server: postgres, syncs } : undefined }),
        pool: () => contest({ pool: (where) => hotParticipant(where, "pool", codes), object: (where) => plainObject(where, "pool", codes) }, options),
      };
      measured[kind] = {};
      for (const name of participants) measured[kind][name] = summary(await contests[name](), name);
    } finally {
      await postgres.stop?.();
    }
  }
  return measured;
}
