// A merchant's settings: read, changed at their version, refused when they make no sense.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { audited } from "./rewards.mjs";
import { openShop } from "./shop.mjs";
import { set } from "./till.mjs";

const edge = edgeForThisFile();
const read = async (shop) => {
  const answer = await shop.admin.get("/v1/settings");
  expectStatus(answer, 200);
  assert.match(answer.headers.etag ?? "", /^"[^"]+"$/, "a strong ETag");
  return { settings: answer.body, etag: answer.headers.etag };
};
const patch = (shop, body, etag) => shop.admin.patch("/v1/settings", body, { headers: { "if-match": etag } });

describe("settings", () => {
  test("of a new merchant are the defaults, with no country", async () => {
    const { settings } = await read(openShop(edge));
    assert.equal(settings.reversal_window_s, 900);
    assert.equal(settings.country, undefined);
  });

  test("are changed field by field, and read as they were answered", async () => {
    const shop = openShop(edge);
    const first = await read(shop);
    const answer = await patch(shop, { country: "DE" }, first.etag);
    const changed = expectStatus(answer, 200);
    assert.deepEqual([changed.country, changed.reversal_window_s], ["DE", 900]);
    assert.notEqual(answer.headers.etag, first.etag);
    assert.deepEqual(await read(shop), { settings: changed, etag: answer.headers.etag });
    const both = await set(shop, { reversal_window_s: 60 });
    assert.deepEqual([both.country, both.reversal_window_s], ["DE", 60]);
    const without = await set(shop, { country: null });
    assert.deepEqual([without.country, without.reversal_window_s], [undefined, 60]);
    assert.deepEqual((await read(shop)).settings, without);
  });

  test("need their version: 428 without, 412 at an older one, and only one of two changes", async () => {
    const shop = openShop(edge);
    const { etag } = await read(shop);
    expectProblem(await shop.admin.patch("/v1/settings", { country: "FR" }), 428, "precondition_required");
    const answers = await Promise.all(["FR", "IT", "ES", "PT"].map((country) => patch(shop, { country }, etag)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412, 412]);
    for (const answer of answers.filter(({ status }) => status === 412)) expectProblem(answer, 412, "version_mismatch");
    assert.equal((await read(shop)).settings.country, answers.find(({ status }) => status === 200).body.country);
    expectProblem(await patch(shop, { country: "FR" }, '"not-a-version"'), 412, "version_mismatch");
  });

  const bad = [
    ["a country in lower case", { country: "de" }, "country"],
    ["a country of three letters", { country: "DEU" }, "country"],
    ["a country that there is not", { country: "XX" }, "country"],
    ["an empty country", { country: "" }, "country"],
    ["a numeric country", { country: 49 }, "country"],
    ["a negative window", { reversal_window_s: -1 }, "reversal_window_s"],
    ["half a second", { reversal_window_s: 1.5 }, "reversal_window_s"],
    ["a window in text", { reversal_window_s: "900" }, "reversal_window_s"],
    ["a window beyond all numbers", { reversal_window_s: 2 ** 53 }, "reversal_window_s"],
    ["an unknown field", { colour: "red" }, "colour"],
    ["a field in another case", { Country: "DE" }, "Country"],
  ];
  test("refuse what makes no sense, and keep what they were", async () => {
    const shop = openShop(edge);
    await set(shop, { country: "DE" });
    const before = await read(shop);
    for (const [name, body, path] of bad) {
      const { errors } = expectProblem(await patch(shop, body, before.etag), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.includes(path)), `${name}: ${JSON.stringify(errors)}`);
    }
    for (const body of ["[]", "7", '"DE"', "null", "{"]) {
      const answer = await shop.admin.patch("/v1/settings", body, { headers: { "if-match": before.etag, "content-type": "application/json" } });
      expectProblem(answer, 400, "invalid_request");
    }
    assert.deepEqual(await read(shop), before);
  });

  test("belong to one merchant", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    await set(one, { country: "AT", reversal_window_s: 5 });
    assert.equal((await read(other)).settings.reversal_window_s, 900);
    assert.equal((await read(other)).settings.country, undefined);
  });

  test("leave a line in the audit log", async () => {
    const shop = openShop(edge);
    await set(shop, { reversal_window_s: 120 });
    await audited(shop, { actor: "admin:admin-1", object: "merchant", action: /settings/ });
  });
});
