// `npm start`: the whole of Counterfoil on this machine, from nothing to an open page.
//
//   PORT=8787              the edge's port; 0 takes any free one
//   --no-storefront        the edge and the demo shop only, without the storefront's and the till's pages
//   --json                 ends with one line of JSON instead of the summary, for programs

import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { buildEdge, buildSdk } from "./build.mjs";
import { dataFiles, root } from "./paths.mjs";
import { assertPortFree, wantedPort } from "./ports.mjs";
import { claimData, endOrphan, noteRuntime } from "./running.mjs";
import { assertSecretsFitData, localVars } from "./secrets.mjs";
import { checkNode, setUp, startTools } from "./setup.mjs";
import { Stop, elapsed, fail, onSignals, step, style } from "./steps.mjs";

/** The pages, and the ports that they begin to look for a free one at. */
const pages = [
  { name: "storefront", port: 5173 },
  { name: "till", port: 5183 },
];
const host = "127.0.0.1";

async function start(options) {
  const started = Date.now();
  await checkNode();
  const port = wantedPort();
  const orphan = await endOrphan();
  // Before minutes of set-up rather than after. The system takes a moment to free an ended runtime's port.
  await assertPortFree(host, port, { patienceMs: orphan ? 3_000 : 0 });
  await setUp({ tools: startTools });
  console.log(style.bold("Build"));
  await buildEdge("dev");
  if (options.storefront) await buildSdk();

  console.log(style.bold("Start"));
  claimData();
  const vars = localVars();
  assertSecretsFitData(vars);
  const open = [];
  const closeAll = async () => {
    // The page before the server it talks to.
    while (open.length > 0) await open.pop()();
  };
  try {
    const edge = await step("edge", () => startEdge(port, vars, open));
    const codes = await step("demo shop", async () => {
      // Loaded late: like everything that is installed by the set-up above.
      const { seedDemoShop } = await import("./seed.mjs");
      return seedDemoShop(edge.url);
    });
    const addresses = {};
    for (const { name, port: firstPort } of options.storefront ? pages : []) {
      addresses[name] = await step(name, () => startPage(name, firstPort, edge.url, open));
    }
    const { storefront: page, till } = addresses;
    onSignals(stopOnce(closeAll));
    if (options.json) console.log(JSON.stringify({ edge: edge.url, page, till, ...codes }));
    else console.log(summary({ edge: edge.url, page, till, codes, took: Date.now() - started }));
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function startEdge(port, vars, open) {
  const { serve } = await import("./serve.mjs");
  const edge = await serve({ port, host, build: "dev", persist: dataFiles.objects, vars, log: edgeLog });
  open.push(edge.dispose);
  noteRuntime();
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    const answer = await fetch(new URL("/healthz", edge.url));
    const text = await answer.text();
    if (answer.ok) return edge;
    if (Date.now() > giveUpAt) {
      throw new Stop(`The edge started but is not healthy (GET /healthz answered ${answer.status}).`, { output: text });
    }
    await pause(100);
  }
}

/** What the edge itself writes belongs to a developer's eyes. */
function edgeLog(line) {
  console.log(style.dim(`[edge] ${line}`));
}

/** Starts Vite's development server over one of the example pages and answers the page's address. */
async function startPage(name, firstPort, edgeUrl, open) {
  const folder = join(root, "examples", name);
  if (!existsSync(join(folder, "package.json"))) {
    throw new Stop(`examples/${name} is missing; \`npm start -- --no-storefront\` starts the edge alone.`);
  }
  // The pages' code finds the edge by this name, at development and at build time alike.
  process.env.VITE_COUNTERFOIL_URL = edgeUrl;
  const { createServer } = await import("vite");
  const server = await createServer({
    root: folder,
    logLevel: "warn",
    clearScreen: false,
    // Busy is not a failure here: the next free one is printed.
    server: { host, port: firstPort, strictPort: false },
  });
  open.push(() => server.close());
  await server.listen();
  const address = server.httpServer?.address();
  if (address === null || typeof address !== "object") throw new Stop(`The development server of examples/${name} did not start.`);
  return `http://${host}:${address.port}`;
}

/** The first signal closes everything; an impatient one later ends at once. */
function stopOnce(closeAll) {
  let firstAt;
  return async (status) => {
    const now = Date.now();
    // A terminal sends Ctrl-C to the whole group and npm passes it on as well: that is one press.
    if (firstAt !== undefined) {
      if (now - firstAt > 500) process.exit(status);
      return;
    }
    firstAt = now;
    console.log("\nStopping…");
    try {
      await closeAll();
      process.exit(0);
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
  };
}

function summary({ edge, page, till, codes, took }) {
  const lines = ["", style.bold(style.green(`Counterfoil is running`)) + style.dim(`  (ready after ${elapsed(took)})`), ""];
  if (page !== undefined) lines.push(`  Page    ${style.bold(style.cyan(page))}`);
  if (till !== undefined) lines.push(`  Till    ${style.bold(style.cyan(till))}`);
  lines.push(`  API     ${style.cyan(edge)}`, "");
  lines.push("  Five fresh codes, each a gift card of EUR 10.00 for whoever is first");
  for (const code of codes.fresh) lines.push(`    ${style.bold(code)}`);
  lines.push("  One with a typing slip in it, to see it repaired", `    ${withSlip(codes.fresh[0])}`);
  lines.push("  A shared one: early access, once for each member", `    ${codes.shared}`);
  lines.push("  2 hours of double points, once for each member, to claim and start under Your rewards", `    ${codes.booster}`);
  lines.push("  100 points, to see them doubled", `    ${codes.points}`);
  lines.push("  Used up", `    ${codes.used}`);
  lines.push("  Expired", `    ${codes.expired}`);
  lines.push("  Members for the till, by telephone number, with the points they began with");
  for (const { name, phone, points } of codes.members) lines.push(`    ${style.bold(phone)}  ${name}, ${points}`);
  lines.push("");
  lines.push(style.dim("  Ctrl-C stops. The data stays in .counterfoil/ until `npm run reset`."), "");
  return lines.join("\n");
}

/** Swaps two neighbouring symbols that differ, as hurried fingers do. */
function withSlip(code) {
  for (let i = code.length - 3; i > 5; i -= 1) {
    const [a, b] = [code[i], code[i + 1]];
    if (a !== "-" && b !== "-" && a !== b) return code.slice(0, i) + b + a + code.slice(i + 2);
  }
  return code;
}

const known = new Set(["--no-storefront", "--json"]);
const flags = process.argv.slice(2);
onSignals();
try {
  const unknown = flags.find((flag) => !known.has(flag));
  if (unknown !== undefined) throw new Stop(`npm start does not know ${unknown}; it knows ${[...known].join(" and ")}.`);
  await start({ storefront: !flags.includes("--no-storefront"), json: flags.includes("--json") });
} catch (error) {
  fail(error);
}
