// Steps that the suites of guessing share: wrong codes without number, and the header fields that say how much is left.
import assert from "node:assert/strict";
import { expectProblem, expectStatus } from "./client.mjs";
import { S20, forge } from "./code.mjs";
import { unique } from "./env.mjs";
import { redeem } from "./shop.mjs";

/** So many wrong tags of one campaign, no two alike. */
export function wrongTags(shop, campaign, count, { profile = S20, epoch = 0, seq = 0 } = {}) {
  const keys = shop.keys(campaign, { profile, epoch });
  return Array.from({ length: count }, (_, at) => forge(keys, seq, BigInt(at + 1)));
}

/** The calls by which a member can try a code; each answers the response. */
export const WAYS = Object.freeze({
  redeem: (client, code) => redeem(client, code),
  "in the path": (client, code) => client.post(`/v1/codes/${code}/redemptions`, {}, { key: unique("k-") }),
  preview: (client, code) => client.post("/v1/codes/preview", { code }),
  hold: (client, code) => client.post(`/v1/orders/${unique("o-")}/holds`, { code, total: { currency: "EUR", amount_minor: 100 } }, { key: unique("k-") }),
});

export const preview = (client, code, { headers, ...fields } = {}) => client.post("/v1/codes/preview", { code, ...fields }, { headers });

/** Runs `act` over all items, so many at a time; answers the results in order. */
export async function inParallel(items, act, atOnce = 32) {
  const results = [];
  let next = 0;
  const runner = async () => {
    while (next < items.length) {
      const at = next;
      next += 1;
      results[at] = await act(items[at], at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, runner));
  return results;
}

/** Redeems wrong tags at once, each of which must be looked at and not recognised. */
export async function miss(client, codes, options) {
  const answers = await inParallel(codes, (code) => redeem(client, code, options));
  for (const answer of answers) expectProblem(answer, 404, "code_not_recognised");
}

// ---- structured fields (RFC 9651), as far as draft-ietf-httpapi-ratelimit-headers-10 needs them ------------------------

const MEMBER = /^\s*"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"((?:;\s*[a-z*][a-z0-9_.*-]*(?:=(?:-?\d{1,15}|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"|:[A-Za-z0-9+/]*=*:|[A-Za-z*][!#$%&'*+.^_`|~\w:/-]*))?)*)\s*$/;
const PARAMETER = /;\s*([a-z*][a-z0-9_.*-]*)(?:=(-?\d+|"(?:[^"\\]|\\.)*"|[^;]+))?/g;

/** A list of strings with parameters: `[{name, parameters}]`. */
export function readPolicies(text) {
  // No policy of this API has a comma in its name or its parameters.
  return text.split(",").map((member) => {
    const [, name, rest] = MEMBER.exec(member) ?? assert.fail(`no list of strings with parameters: ${text}`);
    const parameters = Object.fromEntries([...rest.matchAll(PARAMETER)].map(([, key, value]) => [key, /^-?\d+$/.test(value ?? "") ? Number(value) : (value ?? true)]));
    return { name, parameters };
  });
}

/** Asserts that a 429 says when to come back, and how much was allowed; answers the policy that was used up. */
export function assertLimited(answer, code) {
  expectProblem(answer, 429, code);
  const { "retry-after": after, "ratelimit-policy": policy, ratelimit } = answer.headers;
  const told = `Retry-After: ${after}; RateLimit-Policy: ${policy}; RateLimit: ${ratelimit}`;
  assert.match(after ?? "", /^[1-9]\d*$/, told);
  assert.ok(policy !== undefined && ratelimit !== undefined, told);
  const policies = new Map(readPolicies(policy).map(({ name, parameters }) => [name, parameters]));
  for (const { q, w } of policies.values()) {
    assert.ok(Number.isSafeInteger(q) && q >= 0, told);
    assert.ok(w === undefined || (Number.isSafeInteger(w) && w >= 1), told);
  }
  const limits = readPolicies(ratelimit);
  for (const { name, parameters } of limits) {
    assert.ok(policies.has(name), `each limit is of a policy; ${told}`);
    assert.ok(Number.isSafeInteger(parameters.r) && parameters.r >= 0, told);
  }
  const used = limits.find(({ parameters }) => parameters.r === 0) ?? assert.fail(`some limit is used up; ${told}`);
  assert.ok(Math.abs(used.parameters.t - Number(after)) <= 1, `both say the same time; ${told}`);
  return { ...policies.get(used.name), t: used.parameters.t };
}

/** The body of a problem without what is each answer's own: its instance, and how long is left at its second. */
export const anonymous = (answer, status, code) => {
  const { instance, retry_after_s, detail, ...body } = expectProblem(answer, status, code);
  assert.equal(typeof instance, "string");
  return { ...body, detail: detail.replace(/\d+ seconds?/, "… seconds") };
};

/** A member who has had something granted before. */
export async function memberWithGrant(shop, code) {
  const client = shop.member();
  expectStatus(await redeem(client, code), 201);
  return client;
}
