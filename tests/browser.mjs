// Finds the browser and its driver, and says in one sentence how to get them.

import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

import { root } from "../edge/dev/paths.mjs";
import { Stop } from "../edge/dev/steps.mjs";

const howToInstall =
  "on Debian or Ubuntu run `sudo apt-get install chromium chromium-driver`, elsewhere name the programs in the variables CHROMIUM and CHROMEDRIVER";

// A browser under test has no business on the network, and as root it has no sandbox to build.
export const chromiumFlags = [
  "no-sandbox",
  "disable-gpu",
  "disable-quic",
  "no-first-run",
  "disable-background-networking",
  "disable-component-update",
  "disable-sync",
];

/**
 * @returns {{ chromium: string, chromedriver: string, environment: Record<string, string> }} the programs, and
 *   the environment that lets wasm-pack and the browser suites use them
 */
export function findBrowser() {
  const chromium = program("CHROMIUM", ["chromium", "chromium-browser", "google-chrome"]);
  const chromedriver = program("CHROMEDRIVER", ["chromedriver"]);
  if (chromium === undefined || chromedriver === undefined) {
    const missing = chromium === undefined ? "Chromium, which the browser tests drive," : "ChromeDriver, which the wasm tests use,";
    throw new Stop(`${missing} is not installed: ${howToInstall}.`);
  }
  const capabilities = join(root, "target", "webdriver.json");
  mkdirSync(join(root, "target"), { recursive: true });
  writeFileSync(capabilities, JSON.stringify({ "goog:chromeOptions": { binary: chromium, args: chromiumFlags } }));
  return {
    chromium,
    chromedriver,
    environment: {
      CHROMIUM: chromium,
      CHROMEDRIVER: chromedriver,
      WASM_BINDGEN_TEST_WEBDRIVER_JSON: capabilities,
      // Seconds; the default of 20 is short for a browser's first start on a busy machine.
      WASM_BINDGEN_TEST_TIMEOUT: "120",
      WASM_BINDGEN_TEST_DRIVER_TIMEOUT: "60",
    },
  };
}

function program(variable, names) {
  const named = process.env[variable];
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return named;
    throw new Stop(`${variable} is "${named}", which is not a program that can be run: correct it, or unset it.`);
  }
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"];
  for (const name of names) {
    for (const folder of folders) {
      if (folder !== "" && isExecutable(join(folder, name))) return join(folder, name);
    }
  }
  return undefined;
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
