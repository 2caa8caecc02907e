// The demo shop of a local run, made only through the public HTTP API. What is there already stays: every
// call has an idempotency key of its own, and definitions are looked up before they are made.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { Stop } from "./steps.mjs";

/** The merchant of the demo shop. */
export const demoMerchant = "demo";

const rewards = [
  {
    reward_id: "gift-card-10",
    name: "Gift card, EUR 10.00",
    type: "credit",
    value: { currency: "EUR", amount_minor: 1000 },
  },
  {
    reward_id: "early-access",
    name: "Early access to the summer collection",
    type: "feature",
    value: { key: "early-access" },
  },
  { reward_id: "winter-points", name: "500 winter points", type: "points", value: { amount: 500 } },
  {
    reward_id: "double-points",
    name: "2 hours of double points",
    type: "token_booster",
    value: { multiplier_permille: 2000 },
    duration_s: 2 * 3600,
    valid_for_s: 30 * 86_400,
  },
  { reward_id: "hundred-points", name: "100 points", type: "points", value: { amount: 100 } },
];

/** What points buy, at the till and in the web shop. The cinema tickets come with a code each, out of a pool. */
const pool = { pool_id: "cinema-tickets", name: "Cinema tickets" };
const forPoints = [
  { reward_id: "coffee", name: "Coffee", type: "external", value: {}, points_cost: 80 },
  { reward_id: "cake", name: "Slice of cake", type: "external", value: {}, points_cost: 120 },
  { reward_id: "cinema-ticket", name: "Cinema ticket", type: "external", value: {}, points_cost: 250, pool_id: pool.pool_id },
  { reward_id: "tote-bag", name: "Tote bag", type: "external", value: {}, points_cost: 300 },
  { reward_id: "mug", name: "Northlight mug", type: "external", value: {}, points_cost: 500 },
];

/** Members with a telephone number, as a till finds them. The numbers belong to nobody: they are kept for films. */
const members = [
  { id: "dora", name: "Dora", phone: "+4915228817386", points: 420 },
  { id: "emil", name: "Emil", phone: "+4915228895456", points: 95 },
  { id: "fay", name: "Fay", phone: "+4915254599371", points: 1250 },
];

const campaigns = {
  giftCards: {
    campaign: 1001,
    name: "Spring gift card",
    profile: "S20",
    kind: "unique",
    reward_id: "gift-card-10",
  },
  newsletter: {
    campaign: 1002,
    name: "Newsletter readers",
    profile: "S20",
    kind: "shared",
    reward_id: "early-access",
  },
  winter: {
    campaign: 1003,
    name: "Winter points",
    profile: "S20",
    kind: "unique",
    reward_id: "winter-points",
    starts_on: "2025-12-01",
    ends_on: "2026-01-31",
  },
  booster: {
    campaign: 1004,
    name: "Double points for everybody",
    profile: "S20",
    kind: "shared",
    reward_id: "double-points",
  },
  points: {
    campaign: 1005,
    name: "Points from the receipt",
    profile: "S20",
    kind: "unique",
    reward_id: "hundred-points",
  },
};

/**
 * Makes the demo shop if need be and mints five fresh codes.
 *
 * @param {string} url the edge
 * @returns {Promise<{ fresh: string[], shared: string, used: string, expired: string, booster: string, points: string,
 *   members: { id: string, name: string, phone: string, points: number }[] }>}
 *   codes by what they show, and members whom a till finds
 */
export async function seedDemoShop(url) {
  const admin = await caller(url, { sub: "demo-admin", role: "admin" });
  for (const reward of rewards) {
    await make(admin, "/v1/reward-definitions", reward.reward_id, reward);
  }
  for (const campaign of Object.values(campaigns)) {
    await make(admin, "/v1/campaigns", campaign.campaign, campaign);
    await activate(admin, campaign.campaign);
  }
  const [used] = await mint(admin, campaigns.giftCards, 1, "used-up");
  await useUp(url, used);
  const [expired] = await mint(admin, campaigns.winter, 1, "expired");
  const [shared] = await mint(admin, campaigns.newsletter, 1, "shared");
  // Minted anew at every start, so that they are fresh whatever was redeemed before.
  const fresh = await mint(admin, campaigns.giftCards, 5, `start-${randomUUID()}`);
  const [booster] = await mint(admin, campaigns.booster, 1, "booster");
  const [points] = await mint(admin, campaigns.points, 1, `start-${randomUUID()}`);
  await stockTill(admin);
  return { fresh, shared, used, expired, booster, points, members };
}

/** What the till needs: rewards with a price, tickets in the pool, members with a number and points. */
async function stockTill(admin) {
  await make(admin, "/v1/pools", pool.pool_id, pool);
  const tickets = Array.from({ length: 60 }, (_, index) => `CINE-${String(4711 + 37 * index).padStart(5, "0")}`);
  // Those that are there already are counted as duplicates.
  await admin("POST", `/v1/pools/${pool.pool_id}/codes`, { text: tickets.join("\n"), key: "demo-tickets" });
  for (const reward of forPoints) {
    await make(admin, "/v1/reward-definitions", reward.reward_id, reward);
  }
  for (const { id, name, phone, points } of members) {
    await admin("PUT", `/v1/members/${id}`, { body: { name, phone } });
    await admin("POST", `/v1/members/${id}/adjustments`, {
      body: { asset: "points", amount: points, reason: "Welcome to the demo shop" },
      key: `demo-points-${id}`,
      accept: [200, 201],
    });
  }
}

/** Creates one resource unless it is there. */
async function make(admin, collection, id, body) {
  const found = await admin("GET", `${collection}/${id}`, { accept: [200, 404] });
  if (found.status === 404) {
    await admin("POST", collection, { body, key: `demo-${id}`, accept: [201, 409] });
  }
}

async function activate(admin, id) {
  const path = `/v1/campaigns/${id}`;
  const { body: campaign } = await admin("GET", path);
  if (campaign.status === "draft") {
    await admin("POST", `${path}/activate`, { key: `demo-activate-${id}`, accept: [200, 202] });
  }
  await eventually(`campaign ${id} to be in force`, async () => {
    const { body } = await admin("GET", path);
    return body.in_force !== false;
  });
}

/** Mints codes; the same label gives the same codes again. */
async function mint(admin, { campaign }, count, label) {
  const { text } = await admin("POST", `/v1/campaigns/${campaign}/batches`, {
    body: { count, label: `demo ${label.startsWith("start-") ? "start" : label}`, format: "jsonl" },
    key: `demo-batch-${label}`,
    accept: [200, 201],
  });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line).code);
}

/** Redeems a code as an earlier customer, so that it is a used-up one for everybody. */
async function useUp(url, code) {
  const customer = await caller(url, { sub: "earlier-customer" });
  const { status, body } = await customer("POST", "/v1/redemptions", {
    body: { code },
    key: `demo-use-${code}`,
    accept: [200, 201, 202, 409],
  });
  if (status !== 202) return;
  await eventually("the used-up code's redemption", async () => {
    const answer = await customer("GET", `/v1/redemptions/${body.redemption_id}`);
    return answer.body.status !== "redeeming";
  });
}

/** A function that calls the API as somebody, and stops with a sentence at an answer it does not accept. */
async function caller(url, claims) {
  const request = async (method, path, { body, text: plain, key, accept = [200], token } = {}) => {
    const headers = {};
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (key !== undefined) headers["idempotency-key"] = key;
    if (body !== undefined) headers["content-type"] = "application/json";
    if (plain !== undefined) headers["content-type"] = "text/plain";
    const response = await fetch(new URL(path, url), { method, headers, body: plain ?? (body && JSON.stringify(body)) });
    const text = await response.text();
    if (!accept.includes(response.status)) {
      throw new Stop(`Making the demo shop failed: ${method} ${path} answered ${response.status}.`, { output: text.slice(0, 2000) });
    }
    const isJson = /^application\/(problem\+)?json\b/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, text, body: isJson ? JSON.parse(text) : undefined };
  };
  const { body } = await request("POST", "/dev/token", { body: { merchant: demoMerchant, ...claims } });
  return (method, path, options) => request(method, path, { ...options, token: body.token });
}

/** Asks again until it is so; gives up after ten seconds. */
async function eventually(what, isSo) {
  const giveUpAt = Date.now() + 10_000;
  while (!(await isSo())) {
    if (Date.now() > giveUpAt) throw new Stop(`Making the demo shop failed: waited ten seconds for ${what}.`);
    await pause(50);
  }
}
