// A hot row in Postgres: what a shop with a database does for a shared code. A server of its own in a folder of its own, with the
// same slow syncs, and pgbench as its load.
import { execFile } from "node:child_process";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const call = promisify(execFile);

/** Programs by name, of the newest version that is on this machine. */
function programs() {
  const versions = "/usr/lib/postgresql";
  const installed = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...installed.map((version) => join(versions, version, "bin")), ...(process.env.PATH ?? "").split(delimiter)];
  const find = (name) => folders.map((folder) => join(folder, name)).find(existsSync);
  const found = Object.fromEntries(["initdb", "postgres", "pg_ctl", "psql", "pgbench"].map((name) => [name, find(name)]));
  return Object.values(found).every(Boolean) ? found : undefined;
}

/** Postgres does not run as root: there, the account that its package made runs it. */
async function account() {
  if (userInfo().uid !== 0) return {};
  const id = async (flag) => Number((await call("id", [flag, "postgres"])).stdout);
  return { uid: await id("-u"), gid: await id("-g") };
}

const SCHEMA = `
CREATE TABLE total (campaign int PRIMARY KEY, used bigint NOT NULL);
CREATE TABLE uses (seq bigint PRIMARY KEY, rid uuid NOT NULL);
CREATE SEQUENCE codes;
INSERT INTO total VALUES (1, 0);
`;

// The use and the count in one transaction, as any tutorial has it; the row of the count is the hot one.
const REDEMPTION = `
BEGIN;
UPDATE total SET used = used + 1 WHERE campaign = 1;
INSERT INTO uses VALUES (nextval('codes'), gen_random_uuid());
COMMIT;
`;

/** A server with the hot row. Answers `{missing}` with the reason where there can be none. */
export async function startPostgres({ env = {}, above = tmpdir() } = {}) {
  const tools = programs();
  if (tools === undefined) return { missing: "Postgres is not on this machine (Debian: postgresql)" };
  let who;
  try {
    who = await account();
  } catch {
    return { missing: "Postgres does not run as root, and there is no account `postgres`" };
  }
  mkdirSync(above, { recursive: true });
  const folder = mkdtempSync(join(above, "counterfoil-postgres-"));
  if (who.uid !== undefined) chownSync(folder, who.uid, who.gid);
  const options = { ...who, cwd: folder, env: { ...process.env, PGHOST: folder, PGUSER: "bench", PGDATABASE: "postgres" } };
  const data = join(folder, "data");
  const server = new Postgres({ tools, folder, data, options });
  try {
    await call(tools.initdb, ["--pgdata", data, "--username=bench", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"], options);
    const settings = `-c listen_addresses='' -c unix_socket_directories='${folder}' -c wal_sync_method=fdatasync -c max_connections=200`;
    await call(tools.pg_ctl, ["--pgdata", data, "--log", join(folder, "log"), "--wait", "--options", settings, "start"], { ...options, env: { ...options.env, ...env } });
    await call(tools.psql, ["--quiet", "--set=ON_ERROR_STOP=1", "--command", SCHEMA], options);
    writeFileSync(join(folder, "redemption.sql"), REDEMPTION);
    server.version = (await call(tools.postgres, ["--version"], options)).stdout.trim();
    return server;
  } catch (error) {
    await server.stop();
    return { missing: `Postgres did not start: ${String(error.stderr ?? error.message).trim().split("\n")[0]}` };
  }
}

class Postgres {
  constructor(parts) {
    Object.assign(this, parts);
    process.once("exit", this.atExit);
  }

  /** The server is no child of this process: left alone it would outlive it. */
  atExit = () => {
    const file = join(this.data, "postmaster.pid");
    try {
      if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8").split("\n")[0]), "SIGQUIT");
    } catch (error) {
      // Gone already is what is wanted.
      if (error.code !== "ESRCH") throw error;
    }
    rmSync(this.folder, { recursive: true, force: true });
  };

  /** Redemptions a second by so many clients at once, and how long they took, in milliseconds. */
  async redeem({ clients, ms }) {
    const seconds = Math.max(1, Math.round(ms / 1000));
    const log = join(this.folder, "took");
    const args = ["--no-vacuum", "--protocol=prepared", `--client=${clients}`, "--jobs=2", `--time=${seconds}`, "--log", `--log-prefix=${log}`, `--file=${join(this.folder, "redemption.sql")}`];
    const { stdout } = await call(this.tools.pgbench, args, this.options);
    return { per_second: Number(/tps = ([\d.]+)/.exec(stdout)[1]), took: this.takeLogs("took") };
  }

  /** The times of pgbench's logs, one transaction a line: client, number, microseconds … */
  takeLogs(prefix) {
    const files = readdirSync(this.folder).filter((name) => name.startsWith(`${prefix}.`));
    return files.flatMap((name) => {
      const lines = readFileSync(join(this.folder, name), "utf8").split("\n").filter(Boolean);
      rmSync(join(this.folder, name));
      return lines.map((line) => Number(line.split(" ")[2]) / 1000);
    });
  }

  async stop() {
    await call(this.tools.pg_ctl, ["--pgdata", this.data, "--mode=immediate", "stop"], this.options).catch(() => {});
    process.off("exit", this.atExit);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
