// The secrets of local runs: random, made on the first start, in a file that only its owner can read.

import { createHash, randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";

import { dataDir, dataFiles, secretsFile } from "./paths.mjs";
import { Stop } from "./steps.mjs";

const needed = ["ROOT_0", "ID_KEY", "JWT_SECRET"];

/**
 * The vars and secrets of a local run, read from edge/.dev.vars, which is made when it is missing.
 *
 * @returns {Record<string, string>}
 */
export function localVars() {
  if (!existsSync(secretsFile)) writeSecrets();
  const text = readFileSync(secretsFile, "utf8");
  const vars = parse(text);
  if (!vars.METRICS_TOKEN) vars.METRICS_TOKEN = addMetricsToken(text);
  const missing = needed.filter((name) => !vars[name]);
  if (missing.length > 0) {
    throw new Stop(`edge/.dev.vars has no ${missing.join(", ")}: put it back, or remove the file and run \`npm run reset\`.`);
  }
  // Any page of this machine may call a local edge: the storefront's port is not known beforehand. And it may call a
  // fulfiller on this machine, which a deployment refuses.
  return { ENVIRONMENT: "dev", CORS_ORIGINS: "http://127.0.0.1:*,http://localhost:*", ALLOW_PRIVATE_TARGETS: "1", ...vars };
}

function writeSecrets() {
  const lines = [
    "# Secrets of local runs, made on the first start. Never commit this file.",
    "# Codes minted with ROOT_0 are worthless once it is gone: `npm run reset` belongs to removing it.",
    `ROOT_0=${randomBytes(32).toString("hex")}`,
    `ID_KEY=${randomBytes(32).toString("hex")}`,
    `JWT_SECRET=${randomBytes(48).toString("base64url")}`,
    metricsToken(),
    "",
  ];
  const unfinished = `${secretsFile}.${process.pid}`;
  writeFileSync(unfinished, lines.join("\n"), { mode: 0o600 });
  renameSync(unfinished, secretsFile);
}

const metricsToken = () => `METRICS_TOKEN=${randomBytes(32).toString("base64url")}`;

/** Files of earlier versions have no token for `GET /metrics`, and nothing that is stored depends on one. */
function addMetricsToken(text) {
  const line = metricsToken();
  appendFileSync(secretsFile, `${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`);
  return parse(line).METRICS_TOKEN;
}

function parse(text) {
  const vars = {};
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) vars[name] = value.replace(/^(["'])(.*)\1$/, "$2");
  }
  return vars;
}

/** Refuses to run existing data with other secrets: its codes and ids would all look forged. */
export function assertSecretsFitData(vars) {
  const kept = Object.entries(vars).filter(([name]) => /^(ENVIRONMENT|ID_KEY|ROOT_0)$/.test(name)).sort();
  const fingerprint = createHash("sha256").update(JSON.stringify(kept)).digest("hex");
  // Only a hash is kept with the data, so that the data folder tells nothing.
  if (existsSync(dataFiles.secretsHash)) {
    if (readFileSync(dataFiles.secretsHash, "utf8") === fingerprint) return;
    throw new Stop(
      "The data in .counterfoil/ was made with other secrets than edge/.dev.vars holds now: put the former file back, or clear the data with `npm run reset`.",
    );
  }
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(dataFiles.secretsHash, fingerprint);
}
