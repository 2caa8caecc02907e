// The audit log after kills: every chain whole, each decision in it once. Written from the description of the format, so it is
// a second implementation of the check that the companion program makes.
import { createHash } from "node:crypto";
import { canonical } from "./book.mjs";
import { isUndecided } from "./order.mjs";

// Reports lag by seconds, and by the pause of an alarm where a kill came between.
const reportedWithinMs = 60_000;
const nothingBefore = "0".repeat(64);

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

async function readExport(stage) {
  const { status, text } = await stage.admin.get("/v1/audit/export");
  if (status !== 200) throw new Error(`the audit export answered ${status} ${text.slice(0, 300)}`);
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Waits until every decision has been reported, then checks every chain. */
export async function judgeAudit(stage, standings, withinMs = reportedWithinMs) {
  const decided = new Set(
    standings.flatMap(([, { history }]) => history.filter(({ status }) => !isUndecided(status)).map(({ redemption_id }) => redemption_id)),
  );
  const end = performance.now() + withinMs;
  let lines;
  let missing;
  do {
    lines = await readExport(stage);
    const reported = new Set(lines.filter(({ action }) => action?.startsWith("redemption.")).map(({ subject }) => subject));
    missing = [...decided].filter((id) => !reported.has(id));
  } while (missing.length > 0 && performance.now() < end);
  if (missing.length > 0) stage.book.wrong(`${missing.length} decisions are not in the audit log, such as ${missing[0]}`);
  judgeChains(stage.book, lines);
}

function judgeChains(book, lines) {
  const heads = new Map();
  const grants = new Set();
  for (const { kind, hash, ...entry } of lines) {
    if (kind === "export") continue;
    const chain = kind === "seal" ? `seals of ${entry.recorder}` : entry.object;
    const before = heads.get(chain) ?? { n: 0, hash: nothingBefore };
    if (entry.n !== before.n + 1 || entry.prev !== before.hash) book.wrong(`audit, ${chain}: entry ${entry.n} after ${before.n} does not continue the chain`);
    if (hash !== sha256(canonical(entry))) book.wrong(`audit, ${chain}: entry ${entry.n} has another hash than it says`);
    heads.set(chain, { n: entry.n, hash });
    if (entry.action !== "redemption.granted") continue;
    if (grants.has(entry.subject)) book.wrong(`audit: ${entry.subject} was granted twice`);
    grants.add(entry.subject);
  }
}
