// P4 through the JavaScript call: the npm package as a page calls it, beside coupon-code.
import { join } from "node:path";

import { buildSdk } from "../../edge/dev/build.mjs";
import { root } from "../../edge/dev/paths.mjs";
import { contest } from "./contest.mjs";
import { KEY_PRESSES } from "./key-press.mjs";
import { loadCodePackages } from "./native.mjs";

/** Formatting, checking and looking for the repair, as the input field does at each key press. */
export async function measureSdk({ rounds }) {
  await buildSdk();
  const { checkCode, formatCode, ready } = await import(join(root, "sdk", "dist", "node.js"));
  const { couponValid } = await loadCodePackages();
  await ready();
  const press = (text) => (times) => {
    for (let at = 0; at < times; at += 1) {
      formatCode(text, text.length);
      checkCode(text);
    }
  };
  return contest(
    {
      ...Object.fromEntries(Object.entries(KEY_PRESSES).map(([name, text]) => [name, press(text)])),
      "coupon-code validate": (times) => {
        for (let at = 0; at < times; at += 1) couponValid("1K7Q-CTFM-LMTC", { parts: 3 });
      },
    },
    { rounds: Math.min(rounds, 9), pieceMs: 60 },
  );
}
