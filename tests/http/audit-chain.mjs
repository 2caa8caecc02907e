// A second implementation of the audit log's format, written from its description alone: entries chained object by object,
// seals over a Merkle tree of all heads (RFC 6962), hashes over canonical JSON (RFC 8785).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { expectStatus } from "./client.mjs";

export const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const START = "0".repeat(64);

/** RFC 8785 for what occurs here: keys sorted by UTF-16, as JavaScript sorts. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${fields.join(",")}}`;
}

/** The Merkle tree hash, by its definition. */
export function root(leaves) {
  const hash = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
  if (leaves.length === 0) return hash(Buffer.alloc(0));
  if (leaves.length === 1) return hash(Buffer.from([0]), Buffer.from(leaves[0]));
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hash(Buffer.from([1]), root(leaves.slice(0, split)), root(leaves.slice(split)));
}

/** The lines of an export. */
export async function exported(shop, query = "") {
  const answer = await shop.admin.get(`/v1/audit/export${query}`);
  expectStatus(answer, 200);
  assert.equal(answer.headers["content-type"], "application/x-ndjson");
  assert.ok(answer.text.endsWith("\n"));
  return answer.text.split("\n").slice(0, -1);
}

/** Asserts that an export is whole: every hash, every chain, every seal; answers its parts. */
export function assertChained(lines) {
  const [header, ...rest] = lines.map((line) => JSON.parse(line));
  assert.equal(header.kind, "export");
  for (const { kind, hash, ...content } of [header, ...rest]) assert.equal(hash, sha256(canonical(content)), `${kind} ${JSON.stringify(content)}`);
  const heads = new Map();
  const [entries, seals] = [[], []];
  let lastSeal = START;
  for (const line of rest) {
    const { kind, hash, ...content } = line;
    if (kind === "entry") {
      entries.push(line);
      const head = heads.get(content.object) ?? { n: 0, hash: START };
      assert.deepEqual([content.n, content.prev], [head.n + 1, head.hash]);
      heads.set(content.object, { n: content.n, hash });
    } else {
      seals.push(line);
      assert.deepEqual([kind, content.n, content.prev, content.entries, content.recorder], ["seal", seals.length, lastSeal, entries.length, header.recorder]);
      const leaves = [...heads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([object, { n, hash: head }]) => `${object}\n${n}\n${head}`);
      assert.equal(content.root, root(leaves).toString("hex"));
      lastSeal = hash;
    }
  }
  assert.deepEqual([header.entries, header.seals], [entries.length, seals.length]);
  return { header, entries, seals };
}
