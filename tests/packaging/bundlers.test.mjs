// The npm package in bundlers: Vite's build, Vite's development server, Vite's server rendering, and esbuild.
// Each result is opened in a real browser; a build that merely finishes has proved nothing about the WebAssembly.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";

import { build as esbuild } from "esbuild";
import { chromium } from "playwright-core";

import { chromiumFlags, findBrowser } from "../browser.mjs";
import { project, root } from "./project.mjs";

const { build, createServer: createViteServer } = await import(
  pathToFileURL(join(root, "node_modules/vite/dist/node/index.js")).href
);

const CODE = "0000-PMHX-FT5V-PPXF-4FNQ";
const SLIP = "0000PMHXFT6VPPXF4FNQ";
const uses = ["react", "react-dom", "scheduler"];
const files = {
  "index.html": `<!doctype html><title>Shop</title><link rel="icon" href="data:," /><div id="app"></div><script type="module" src="/main.jsx"></script>`,
  "app.jsx": `
    import { createElement as h } from "react";
    import { createClient } from "@counterfoil/sdk";
    import { CounterfoilProvider, RedeemForm } from "@counterfoil/sdk/react";
    const client = createClient({ baseUrl: "https://edge.invalid", token: "t" });
    export const App = () => h(CounterfoilProvider, { client }, h(RedeemForm));`,
  "main.jsx": `
    import { createElement as h } from "react";
    import { createRoot } from "react-dom/client";
    import { checkCode, ready } from "@counterfoil/sdk";
    import { App } from "./app.jsx";
    createRoot(document.getElementById("app")).render(h(App));
    await ready();
    document.title = "checked: " + checkCode("${CODE}").campaign;`,
  "server.jsx": `
    import { createElement as h } from "react";
    import { renderToString } from "react-dom/server";
    import { checkCode } from "@counterfoil/sdk";
    import { App } from "./app.jsx";
    export const render = () => checkCode("${CODE}").canonical + renderToString(h(App));`,
};
const quiet = { configFile: false, logLevel: "error" };

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: findBrowser().chromium, args: chromiumFlags.map((flag) => `--${flag}`) });
});
after(() => browser?.close());

/** Opens the page, types a slip, and gives what was requested and what the form then says. */
async function visit(t, address) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const requested = [];
  const errors = [];
  page.on("request", (request) => requested.push(new URL(request.url())));
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(address);
  await page.waitForFunction(() => document.title.startsWith("checked"));
  assert.equal(await page.title(), "checked: 1");
  await page.locator("input").pressSequentially(SLIP);
  assert.equal(await page.locator("input").inputValue(), "0000-PMHX-FT6V-PPXF-4FNQ");
  assert.equal(await page.locator("mark").innerText(), "5");
  assert.deepEqual(errors, []);
  return requested.map(({ pathname }) => pathname);
}

/** Serves a folder as any static host would. */
async function serve(t, folder) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://host");
    try {
      const body = readFileSync(join(folder, pathname === "/" ? "index.html" : pathname));
      response.writeHead(200, { "content-type": types[extname(pathname)] ?? "text/html" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

describe("Vite", () => {
  it("builds a page that loads the WebAssembly as an asset, and the copy never", async (t) => {
    const folder = project(files, { uses });
    await build({ ...quiet, root: folder, build: { assetsInlineLimit: 0, target: "es2022" } });
    const assets = readdirSync(join(folder, "dist/assets"));
    assert.equal(assets.filter((name) => name.endsWith(".wasm")).length, 1, assets.join());
    const requested = await visit(t, await serve(t, join(folder, "dist")));
    assert.equal(requested.filter((path) => path.endsWith(".wasm")).length, 1, requested.join());
    assert.ok(!requested.some((path) => path.includes("inline")), requested.join());
  });

  it("works in its development server, where dependencies are bundled beforehand", async (t) => {
    const folder = project(files, { uses });
    const server = await createViteServer({ ...quiet, root: folder, server: { port: 0, host: "127.0.0.1", ws: false } });
    t.after(() => server.close());
    await server.listen();
    const { port } = server.httpServer.address();
    const requested = await visit(t, `http://127.0.0.1:${port}/`);
    assert.ok(requested.some((path) => path.endsWith(".wasm")), requested.join());
  });

  it("renders on a server, unbundled and bundled", async (t) => {
    const folder = project(files, { uses });
    const server = await createViteServer({ ...quiet, root: folder, appType: "custom", server: { middlewareMode: true, ws: false } });
    t.after(() => server.close());
    const { render } = await server.ssrLoadModule("/server.jsx");
    assert.match(render(), new RegExp(`^${CODE}<form `));
    await build({ ...quiet, root: folder, build: { ssr: "server.jsx", outDir: "ssr" } });
    const built = await import(pathToFileURL(join(folder, "ssr/server.js")).href);
    assert.match(built.render(), new RegExp(`^${CODE}<form `));
  });
});

describe("esbuild", () => {
  it("bundles a page that works although it leaves the asset behind", async (t) => {
    const folder = project(files, { uses });
    await esbuild({
      absWorkingDir: folder,
      entryPoints: ["main.jsx"],
      bundle: true,
      splitting: true,
      format: "esm",
      target: "es2022",
      outdir: "out",
      define: { "process.env.NODE_ENV": '"production"' },
      loader: { ".jsx": "jsx" },
      logLevel: "error",
    });
    const page = `<!doctype html><link rel="icon" href="data:," /><div id="app"></div><script type="module" src="/main.js"></script>`;
    writeFileSync(join(folder, "out/index.html"), page);
    const requested = await visit(t, await serve(t, join(folder, "out")));
    assert.equal(requested.filter((path) => path.includes("inline")).length, 1, requested.join());
  });

  it("leaves out of a page that only checks codes what it does not use", async () => {
    const folder = project({ "main.js": `import { formatCode, ready } from "@counterfoil/sdk"; ready().then(() => console.log(formatCode("")));` });
    const { outputFiles } = await esbuild({
      absWorkingDir: folder,
      entryPoints: ["main.js"],
      bundle: true,
      splitting: true,
      minify: true,
      format: "esm",
      outdir: "out",
      write: false,
    });
    const main = outputFiles.find(({ path }) => path.endsWith("main.js")).text;
    assert.ok(!main.includes("idempotency-key"), "the client is in it");
    assert.ok(main.length < 8_000, `${main.length} bytes`);
  });

  it("leaves out of a till what only members need, and of a shop's page what only a till needs", async () => {
    const folder = project({
      "till.js": `import { createTill } from "@counterfoil/sdk/till"; console.log(createTill({ baseUrl: "/", token: "t" }));`,
      "shop.js": `import { catalogue } from "@counterfoil/sdk/points"; import { createClient } from "@counterfoil/sdk"; catalogue(createClient({ baseUrl: "/", token: "t" }));`,
    });
    const { outputFiles } = await esbuild({
      absWorkingDir: folder,
      entryPoints: ["till.js", "shop.js"],
      bundle: true,
      minify: true,
      format: "esm",
      outdir: "out",
      external: ["./inline.js"],
      write: false,
    });
    const [till, shop] = ["till.js", "shop.js"].map((name) => outputFiles.find(({ path }) => path.endsWith(name)).text);
    assert.ok(till.includes("/v1/till/quotes"));
    assert.ok(!till.includes("counterfoil.v1") && !till.includes("/v1/codes/preview"), "the member's client is in it");
    assert.ok(shop.includes("/v1/catalogue") && !shop.includes("/v1/till"), "the till is in it");
  });
});
