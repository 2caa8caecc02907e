// Servers with a root secret for every key epoch, what epochs are worth there, and a merchant's own choice among them.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { expectStatus, until } from "./client.mjs";
import { testVars } from "./env.mjs";

/** All eight epochs have a root. */
export const ROOTS = Object.freeze([testVars.ROOT_0, testVars.ROOT_1, ...[2, 3, 4, 5, 6, 7].map((epoch) => `${epoch}e`.repeat(32))]);

/** Settings of a server with the roots of these epochs and no others. */
export const withRoots = (...epochs) => ({ vars: Object.fromEntries(ROOTS.map((root, epoch) => [`ROOT_${epoch}`, epochs.includes(epoch) ? root : undefined])) });
export const withAllRoots = withRoots(0, 1, 2, 3, 4, 5, 6, 7);

/** A campaign's keys of an epoch, by the second implementation. */
export const keysAt = (shop, campaign, epoch, profile) => shop.keys(campaign, { epoch, root: ROOTS[epoch], ...(profile && { profile }) });

/** The first eight bytes of HMAC-SHA256(root, "kcv"), in hex. */
export const checkValue = (epoch) => createHmac("sha256", Buffer.from(ROOTS[epoch], "hex")).update("kcv").digest("hex").slice(0, 16);

const EPOCH = ["epoch", "state", "check_value", "revoked_at", "campaigns", "campaigns_done"];

/** Asserts the shape of a merchant's keys, and answers `{minting, states}` besides. */
export function assertKeys(body) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !["minting_epoch", "epochs"].includes(name)), [], says);
  const states = {};
  for (const one of body.epochs) {
    assert.deepEqual(Object.keys(one).filter((name) => !EPOCH.includes(name)), [], says);
    assert.ok(Number.isInteger(one.epoch) && one.epoch >= 0 && one.epoch <= 7 && states[one.epoch] === undefined, says);
    assert.ok(["minting", "active", "revoking", "revoked"].includes(one.state), says);
    assert.equal(one.check_value, checkValue(one.epoch), says);
    assert.equal(one.revoked_at !== undefined, ["revoking", "revoked"].includes(one.state), says);
    if (one.campaigns_done !== undefined) assert.ok(one.campaigns_done <= one.campaigns, says);
    if (one.state === "revoked" && one.campaigns !== undefined) assert.equal(one.campaigns_done, one.campaigns, says);
    states[one.epoch] = one.state;
  }
  const minting = Object.entries(states).filter(([, state]) => state === "minting").map(([epoch]) => Number(epoch));
  assert.deepEqual(minting, body.minting_epoch === undefined ? [] : [body.minting_epoch], says);
  return { ...body, states };
}

export const keysNow = async (shop) => assertKeys(expectStatus(await shop.admin.get("/v1/keys"), 200));

export const rotate = (shop, body = {}, options) => shop.admin.post("/v1/keys/rotate", body, options);
export const revoke = (shop, epoch, body = { reason: "the root leaked" }, options) => shop.admin.post(`/v1/keys/${epoch}/revoke`, body, options);

/** Rotates, and answers the keys. */
export const rotated = async (shop, body) => assertKeys(expectStatus(await rotate(shop, body), 202));

/** Revokes, and answers the keys once every campaign has it in force. */
export async function revoked(shop, epoch, body) {
  const first = assertKeys(expectStatus(await revoke(shop, epoch, body), 202));
  assert.ok(["revoking", "revoked"].includes(first.states[epoch]), JSON.stringify(first));
  return until(() => keysNow(shop), ({ states }) => states[epoch] === "revoked", 15_000);
}
