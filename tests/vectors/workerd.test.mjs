// The published vectors in the Workers runtime, by the same runner as natively, in Node and in a browser.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";

import { buildWasmModule, startWorker } from "../wasm-worker.mjs";

const ENTRY = `
  import { initSync, run_file } from "./module.js";
  import wasm from "./module_bg.wasm";
  initSync({ module: wasm });
  export default {
    async fetch(request) {
      const name = new URL(request.url).pathname.slice(1);
      try {
        return Response.json({ cases: run_file(name, await request.text()) });
      } catch (failures) {
        return Response.json({ failures: String(failures) }, { status: 422 });
      }
    },
  };
`;

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".json"));
const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
let worker;
before(async () => {
  worker = await startWorker(ENTRY, await buildWasmModule("counterfoil-vectors"));
});
after(() => worker?.dispose());

const runFile = async (name, body) => (await worker.fetch(`/${name}`, { method: "POST", body })).json();

test("there are vectors", () => assert.equal(files.length, 9));

for (const name of files) {
  test(name, async () => {
    const { cases, failures } = await runFile(name, read(name));
    assert.equal(failures, undefined);
    assert.equal(cases, JSON.parse(read(name)).cases.length);
  });
}

test("a changed vector is noticed", async () => {
  const { failures } = await runFile("minted.json", read("minted.json").replace("d1776b75e4", "d1776b75e5"));
  assert.match(failures, /worked vector 1: tag is "d1776b75e4", should be "d1776b75e5"/);
});
