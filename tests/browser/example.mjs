// One of the example pages as its users meet it: its production build in a real browser, against a real edge with the demo shop.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { root } from "../../edge/dev/paths.mjs";
import { demoMerchant, seedDemoShop } from "../../edge/dev/seed.mjs";
import { chromiumFlags, findBrowser } from "../browser.mjs";
import { clientOf, startEdge } from "../http/env.mjs";
import { openLine } from "./line.mjs";

/** How long a page may take for anything. */
const PATIENCE_MS = 10_000;

export class Example {
  #name;
  #closing = [];
  #browser;
  /** What is in the demo shop: codes by what they show, members. */
  codes;
  line;

  /** @param name of its folder in `examples` */
  constructor(name) {
    this.#name = name;
  }

  async open() {
    this.line = await openLine();
    this.#closing.push(() => this.line.close());
    // Each is waiting for processes or the disk most of the time.
    await Promise.all([this.#startShop(), this.#servePage(), this.#launchBrowser()]);
  }

  async #startShop() {
    // Fulfillers under test live on this machine.
    const edge = await startEdge({ build: "dev", vars: { ALLOW_PRIVATE_TARGETS: "1" } });
    this.#closing.push(() => edge.dispose());
    this.edgeUrl = edge.url;
    this.line.connect(edge.port);
    this.codes = await seedDemoShop(edge.url);
  }

  async #launchBrowser() {
    this.#browser = await chromium.launch({
      executablePath: findBrowser().chromium,
      args: chromiumFlags.map((flag) => `--${flag}`),
    });
    this.#closing.push(() => this.#browser.close());
  }

  async #servePage() {
    const outDir = mkdtempSync(join(tmpdir(), `counterfoil-${this.#name}-`));
    this.#closing.push(() => rmSync(outDir, { recursive: true, force: true }));
    process.env.VITE_COUNTERFOIL_URL = this.line.url;
    const { build, preview } = await import("vite");
    const common = { root: join(root, "examples", this.#name), logLevel: "warn", build: { outDir, emptyOutDir: true } };
    await build(common);
    const server = await preview({ ...common, preview: { host: "127.0.0.1", port: 0 } });
    this.#closing.push(() => server.close());
    this.pageUrl = `http://127.0.0.1:${server.httpServer.address().port}`;
  }

  async close() {
    for (const close of this.#closing.reverse()) await close();
  }

  get admin() {
    return clientOf(this.edgeUrl, { sub: "test-admin", role: "admin", merchant: demoMerchant });
  }

  /** A browser profile of its own. */
  async context(options) {
    const context = await this.#browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  }
}

/** One tab; notes what the page complains of. */
export class ExampleTab {
  #complaints = [];

  constructor(page) {
    this.page = page;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.#complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.#complaints.push(`uncaught: ${error.stack}`));
  }

  /** Asserts that the console has nothing in it but what these patterns expect; answers of 4xx are logged by the browser itself. */
  assertQuiet(expects = []) {
    const rest = this.#complaints.filter((text) => !expects.some((pattern) => pattern.test(text)));
    assert.deepEqual(rest, [], "the console is quiet");
  }
}

/** What Chromium itself logs of an answer with this status. */
export const statusInConsole = (status) => new RegExp(`^Failed to load resource: the server responded with a status of ${status}\\b`);
