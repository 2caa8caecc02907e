// The fixed settings that the suites run with, tokens signed with them, and a server for one file of tests.
import { createHmac, randomBytes } from "node:crypto";
import { after, before } from "node:test";
import { Client } from "./client.mjs";

/** Settings of every server under test. Never used outside the tests. */
export const testVars = Object.freeze({
  ENVIRONMENT: "dev",
  ROOT_0: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
  ROOT_1: "a5".repeat(32),
  ID_KEY: "1d".repeat(32),
  JWT_SECRET: "a secret that only the test suites know, 64 bytes or so of text",
  CORS_ORIGINS: "http://127.0.0.1:*,https://shop.example",
});

const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);

/** Claims that are valid for an hour unless they say otherwise; a claim given as undefined is left out. */
export const claimsOf = (claims) => JSON.parse(JSON.stringify({ exp: now() + 3600, ...claims }));

/** An HS256 token; header and secret can be replaced to make wrong ones. */
export function signToken(claims, { header = { alg: "HS256", typ: "JWT" }, secret = testVars.JWT_SECRET, hash = "sha256" } = {}) {
  const signed = `${base64url(header)}.${base64url(claimsOf(claims))}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest("base64url")}`;
}

/** A token without a signature, as `alg: none` would have it. */
export const unsignedToken = (claims) => `${base64url({ alg: "none", typ: "JWT" })}.${base64url(claimsOf(claims))}.`;

export const unique = (prefix) => `${prefix}${randomBytes(6).toString("hex")}`;

/** A caller with a token of these claims. */
export const clientOf = (url, claims) => new Client(url, signToken(claims));

/**
 * Starts an edge; `COUNTERFOIL_URL` names a running one (with `testVars`) instead, for the suites that change no setting.
 * A setting given as undefined is left out.
 */
export async function startEdge({ build = "release", persist, vars = {}, ratelimits, log } = {}) {
  const { serve } = await import("../../edge/dev/serve.mjs");
  return serve({ build, persist, log, ratelimits, vars: JSON.parse(JSON.stringify({ ...testVars, ...vars })) });
}

/** One edge for all tests of a file; the answer's `url` is there once the tests run. */
export function edgeForThisFile(options) {
  const edge = { url: options ? undefined : process.env.COUNTERFOIL_URL };
  let running;
  before(async () => {
    if (edge.url) return;
    running = await startEdge(options);
    edge.url = running.url.toString().replace(/\/$/, "");
  });
  after(() => running?.dispose());
  return edge;
}
