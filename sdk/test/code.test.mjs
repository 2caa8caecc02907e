// The code format through the package's entries: worked vectors, typing, suggestions, errors.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as node from "../dist/node.js";

const VECTORS = [
  ["0000-PMHX-FT5V-PPXF-4FNQ", "S20", 0, 1, 6965167],
  ["0000-X2SV-W170-PE2M-HAHD", "S20", 0, 1, 13723516],
  ["7ZZZ-WEHF-JAHY-P1B9-AS6P", "S20", 7, 65535, 13059570],
  ["0000-JC5K-V4KB-6SYK-8HBT", "S20", 0, 1, 2496123],
  ["800D-KM2J-WNB5-QFAT", "S16", 0, 1, 735754],
  ["BZZY-XZBP-PHSF-AWRC", "S16", 3, 4095, 909230],
  ["G000B-H8J8V-V0473-80JE3-ZQHFD", "S25", 0, 1, 7423121],
  ["H0409-VDF1N-GEMV5-9EV3M-V9QKV", "S25", 1, 513, 3894211],
  ["2080-J4A3-5EBX-9W9T-VTHF", "S20", 2, 513, 2238565],
];

describe("the node entry", () => {
  it("checks without waiting for ready()", () => {
    assert.equal(node.isReady(), true);
    for (const [canonical, profile, epoch, campaign, serial] of VECTORS) {
      assert.deepEqual(node.checkCode(canonical.toLowerCase()), { ok: true, profile, epoch, campaign, serial, canonical });
    }
  });

  it("repairs every single wrong symbol of every worked code", () => {
    const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (const [canonical] of VECTORS) {
      const symbols = canonical.replaceAll("-", "");
      for (let position = 0; position < symbols.length; position++) {
        const other = alphabet[(alphabet.indexOf(symbols[position]) + 1 + position) % 32];
        const typed = symbols.slice(0, position) + other + symbols.slice(position + 1);
        const { ok, suggestions } = node.checkCode(typed);
        assert.equal(ok, false);
        assert.deepEqual(suggestions, [{ code: canonical, correction: "single", changed: [position], unverified: false }]);
      }
    }
  });

  it("says what is wrong and where, with an empty list when nothing explains it", () => {
    assert.deepEqual(node.checkCode("0000-P*HX"), { ok: false, reason: "invalid_symbol", position: 5, suggestions: [] });
    assert.deepEqual(node.checkCode(""), { ok: false, reason: "empty", suggestions: [] });
    assert.equal(node.checkCode("0".repeat(65)).reason, "too_long");
  });

  it("suggests nothing for what is only unfinished while typing", () => {
    const unfinished = "0000-PMHX-FT5V-PPXF-4FN";
    assert.deepEqual(node.checkCode(unfinished, { typing: true }).suggestions, []);
    assert.equal(node.checkCode(unfinished).suggestions[0].code, VECTORS[0][0]);
  });

  it("marks a suggestion that nothing confirms", () => {
    const [suggestion] = node.checkCode("0000-PMHX-FT5V-PP??-?FNQ").suggestions;
    assert.equal(suggestion.code, VECTORS[0][0]);
    assert.equal(suggestion.unverified, true);
    assert.deepEqual(suggestion.changed, [14, 15, 16]);
  });

  it("groups while typing, with the caret where it was", () => {
    assert.deepEqual(node.formatCode("0000pmh", 5), { text: "0000-PMH", caret: 6, symbols: 7, complete: false, profile: "S20" });
    assert.deepEqual(node.formatCode("g000bh"), { text: "G000B-H", caret: 7, symbols: 6, complete: false, profile: "S25" });
    assert.deepEqual(node.formatCode(""), { text: "", caret: 0, symbols: 0, complete: false });
    assert.equal(node.formatCode("800dkm2jwnb5qfat").complete, true);
  });

  it("takes any caret", () => {
    for (const caret of [-1, 2.5, NaN, Infinity, -Infinity, 1e12, 2 ** 32]) {
      const formatted = node.formatCode("0000p", caret);
      assert.ok(formatted.caret >= 0 && formatted.caret <= 6, String(caret));
    }
  });

  it("throws its own error for what is not text", () => {
    for (const nonsense of [undefined, null, 7, {}, ["0000"]]) {
      for (const call of [node.formatCode, node.checkCode]) {
        assert.throws(() => call(nonsense), (error) => error instanceof Error && error.name === "CounterfoilError" && error.code === "invalid_argument");
      }
    }
  });

  it("reads broken surrogates and every plane without failing", () => {
    for (const text of ["\ud800", "0000\udc00pm", "😀😀", "\u0000", "０００0"]) {
      assert.equal(node.checkCode(text).ok, false);
      assert.ok(node.formatCode(text, 1).caret >= 0);
    }
  });
});

describe("the browser entry", () => {
  it("says so when called before ready(), then loads its copy when the asset is out of reach", async () => {
    const browser = await import("../dist/browser.js");
    assert.equal(browser.isReady(), false);
    assert.throws(() => browser.checkCode(VECTORS[0][0]), { name: "CounterfoilError", code: "not_ready" });
    // Node's fetch takes no file addresses, as a page's takes none that a bundler left behind.
    await browser.ready();
    await browser.ready();
    assert.equal(browser.isReady(), true);
    assert.equal(browser.checkCode(VECTORS[0][0]).ok, true);
  });

  it("takes the asset when it is there, and only once", async (t) => {
    const { readFileSync } = await import("node:fs");
    const asked = t.mock.method(globalThis, "fetch", async (address) => new Response(readFileSync(new URL(address))));
    const browser = await import("../dist/browser.js?asset");
    await Promise.all([browser.ready(), browser.ready()]);
    assert.deepEqual(asked.mock.calls.map(({ arguments: [address] }) => address.pathname.split("/").at(-1)), ["counterfoil.wasm"]);
    assert.equal(browser.checkCode(VECTORS[4][0]).profile, "S16");
  });

  it("can try again after a failure", async (t) => {
    const browser = await import("../dist/browser.js?failing");
    const broken = t.mock.method(WebAssembly, "compile", async () => {
      throw new WebAssembly.CompileError("refused by a content security policy");
    });
    await assert.rejects(browser.ready(), { name: "CounterfoilError", code: "wasm_unavailable", retryable: true });
    broken.mock.restore();
    await browser.ready();
    assert.equal(browser.isReady(), true);
  });
});

describe("loading on a server", () => {
  it("touches no window, WebSocket or storage, in either entry", async (t) => {
    for (const name of ["window", "WebSocket", "localStorage", "sessionStorage", "location"]) {
      const had = Object.getOwnPropertyDescriptor(globalThis, name);
      Object.defineProperty(globalThis, name, {
        configurable: true,
        get: () => assert.fail(`${name} was touched`),
      });
      t.after(() => (had ? Object.defineProperty(globalThis, name, had) : delete globalThis[name]));
    }
    for (const entry of ["node", "browser"]) {
      const { createClient } = await import(`../dist/${entry}.js?untouched`);
      createClient({ baseUrl: "https://edge.test", token: () => assert.fail("the token was asked for") });
    }
    await import("../dist/react.js?untouched");
  });
});
