// P1, and P4 in wasm: checking codes inside the Workers runtime, beside WebCrypto, jose and fast-jwt in the same Worker.
import { readFileSync } from "node:fs";

import { buildWasmModule, startWorker } from "../wasm-worker.mjs";
import { contest } from "./contest.mjs";
import { bundle } from "./peers.mjs";

const PEERS = `
  export { SignJWT, jwtVerify } from "jose";
  import fastJwt from "fast-jwt";
  export const { createSigner, createVerifier } = fastJwt;
`;

/** Runs `measure(contenders)` with what the Worker can do, each a function of how many times. */
async function inWorker(measure) {
  const module = await buildWasmModule("counterfoil-bench-edge", { optimise: ["-Oz"] });
  const peers = await bundle(PEERS, { platform: "node", external: ["node:*", "crypto", "util", "buffer", "stream", "events"] });
  const entry = readFileSync(new URL("worker-entry.js", import.meta.url), "utf8");
  const worker = await startWorker(entry, module, { "peers.mjs": peers });
  try {
    const call = async (path) => {
      const answer = await worker.fetch(path);
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(`${path}: ${text}`);
      return Number(text);
    };
    /** Calls with the number of times, and holds the Worker to having done all of them. */
    const contender = (path, { counts = true } = {}) => async (times) => {
      const done = await call(`${path}${path.includes("?") ? "&" : "?"}times=${times}`);
      if (counts && done !== times) throw new Error(`${path} did ${done} of ${times}`);
    };
    return await measure(contender);
  } finally {
    await worker.dispose();
  }
}

// The clock of a Worker stands still while it computes, so the time is taken outside: a piece is long against a call.
const LONG = { pieceMs: 250 };

/** P1 and P4 in the runtime. */
export function measureWorker({ rounds }) {
  return inWorker(async (contender) => {
    const checking = await contest(
      {
        "S20, text to tag": contender("/text_to_tag?profile=S20"),
        "two compressions": contender("/two_compressions", { counts: false }),
        "WebCrypto verify": contender("/webcrypto"),
        "S16, text to tag": contender("/text_to_tag?profile=S16"),
        "S25, text to tag": contender("/text_to_tag?profile=S25"),
        "S20, text to parity": contender("/text_to_parity?profile=S20"),
        "S20, tag alone": contender("/tag?profile=S20"),
        "S20, text to seq": contender("/text_to_seq?profile=S20"),
        "S20, minting": contender("/mint?profile=S20", { counts: false }),
        "jose jwtVerify": contender("/jose"),
        "fast-jwt verify": contender("/fast_jwt"),
      },
      { rounds, ...LONG },
    );
    const press = (text) => contender(`/key_press?text=${encodeURIComponent(text)}`, { counts: false });
    const { KEY_PRESSES } = await import("./key-press.mjs");
    const keyPress = await contest(
      Object.fromEntries(Object.entries(KEY_PRESSES).map(([name, text]) => [name, press(text)])),
      { rounds: Math.min(rounds, 5), pieceMs: 120 },
    );
    return { checking, keyPress };
  });
}
