// A use that was promised to a member who never heard of it counts once, whatever key that member comes back with.
import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { edgeProgram } from "./runtime.mjs";
import { Stage } from "./stage.mjs";

const stage = new Stage(edgeProgram(), { seed: "orphan" });
before(async () => {
  await stage.rise();
  await stage.seedMerchant();
});
after(() => stage.dispose());

test("a member whose first try was lost after the shard's promise does not take two of a campaign's uses", async () => {
  const campaign = await stage.campaign("credit", { kind: "shared", limits: { per_member: 1, total: 2 } });
  const [{ code }] = await stage.mint(campaign, 1);
  const [ann, bob] = ["ann", "bob"].map((sub) => stage.join(sub).caller);
  stage.life.onAnswer = () => {
    void stage.strike();
    return false;
  };
  await assert.rejects(ann.post("/v1/redemptions", { code }, { key: "first" }));
  await stage.runtime.gone;
  // As if the kill had come between the shard's commit and the member's: the member has never heard of it.
  const members = path.join(stage.runtime.folder, "objects", "crash-Member");
  for (const file of readdirSync(members).filter((name) => /^[0-9a-f]{64}\.sqlite/.test(name))) rmSync(path.join(members, file));
  await stage.rise();
  await ann.post("/v1/redemptions", { code }, { key: "second" });
  const other = await bob.post("/v1/redemptions", { code }, { key: "other" });
  assert.equal(other.status, 201, `one of two uses is left for another member: ${other.text}`);
});
