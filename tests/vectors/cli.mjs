// Runs the command-line companion, built from this tree unless COUNTERFOIL_CLI names another.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import path from "node:path";

const top = fileURLToPath(new URL("../..", import.meta.url));
let binary = process.env.COUNTERFOIL_CLI;

function locate() {
  if (binary) return binary;
  const built = spawnSync("cargo", ["build", "--quiet", "--package", "counterfoil-cli"], { cwd: top, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`counterfoil-cli does not build:\n${built.stderr}`);
  binary = path.join(process.env.CARGO_TARGET_DIR ?? path.join(top, "target"), "debug", "counterfoil");
  return binary;
}

/** Runs `counterfoil` and answers `{status, stdout, stderr}`. */
export function counterfoil(args, input) {
  const ran = spawnSync(locate(), args, { input, encoding: "utf8", maxBuffer: 1 << 28 });
  if (ran.error) throw ran.error;
  return ran;
}

/** Runs `counterfoil` where it must succeed and print one JSON value a line. */
export function counterfoilLines(args, input) {
  const { status, stdout, stderr } = counterfoil(args, input);
  if (status !== 0) throw new Error(`counterfoil ${args.join(" ")} ended with ${status}: ${stderr}`);
  return stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** The flags that name one campaign's keys. */
export const keyFlags = ({ root, environment, merchant }) => ["--root-hex", root, "--environment", environment, "--merchant", merchant];

export const campaignFlags = ({ profile, epoch, campaign }) => ["--profile", profile.name, "--epoch", String(epoch), "--campaign", String(campaign)];
