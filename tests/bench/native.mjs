// The native half: P2, P4 and R4 from a Rust program, P3 from the command-line companion itself.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../edge/dev/paths.mjs";
import { Stop, run } from "../../edge/dev/steps.mjs";
import { targetDir } from "../wasm-worker.mjs";
import { contest } from "./contest.mjs";
import { bundle } from "./peers.mjs";

/** Builds a program as a release and answers its path. */
export async function buildProgram(crate, binary = crate) {
  const done = await run("cargo", ["build", "--release", "--quiet", "-p", crate], { cwd: root });
  if (done.code !== 0) throw new Stop(`${crate} does not build; the compiler's output is above.`, { output: done.tail });
  return join(targetDir, "release", binary);
}

/** P2, P3 without writing, P4 and R4. */
export async function measureNative({ rounds, trials, seed }) {
  const program = await buildProgram("counterfoil-bench-native");
  // Its pieces are shorter, so there are more of them.
  const done = await run(program, ["--rounds", String(rounds * 8 + 1), "--trials", String(trials), "--seed", String(seed)]);
  if (done.code !== 0) throw new Stop("The native benchmark failed; its output is above.", { output: done.tail });
  return JSON.parse(done.stdout);
}

const MINT = ["mint", "--environment", "live", "--merchant", "acme", "--campaign", "513"];

/** Runs the companion to the end, its output thrown away; answers the highest memory it was seen to use, in KiB. */
function mint(program, flags) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...MINT, ...flags, "--output", "/dev/null"], {
      env: { COUNTERFOIL_ROOT_HEX: "a5".repeat(32) },
      stdio: ["ignore", "ignore", "inherit"],
    });
    let memory;
    const look = setInterval(() => (memory = highWater(child.pid) ?? memory), 20);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(look);
      if (code === 0) resolve(memory);
      else reject(new Error(`counterfoil mint ended with ${code}`));
    });
  });
}

/** The most memory a process has had, where the system says so. */
function highWater(pid) {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

const PEERS = `
  import voucher from "voucher-code-generator";
  import coupon from "coupon-code";
  export const vouchers = (count) => voucher.generate({ length: 16, count, charset: "0123456789ABCDEFGHJKMNPQRSTVWXYZ" });
  export const couponCode = (options) => coupon.generate(options);
  export const couponValid = (code, options) => coupon.validate(code, options);
`;

/** The packages for making codes that people use instead. */
export async function loadCodePackages() {
  const source = await bundle(PEERS, { platform: "node", external: ["crypto", "node:*"] });
  return import(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** P3: the companion from start to end of the process, beside the packages that people make codes with. */
export async function measureMinting({ rounds }) {
  const program = await buildProgram("counterfoil-cli", "counterfoil");
  const { vouchers, couponCode } = await loadCodePackages();
  // A campaign has 2^24 codes, and the packages keep all of theirs in memory: larger counts are made in several goes.
  const inGoes = (most, make) => async (count) => {
    for (let left = count; left > 0; left -= most) await make(Math.min(left, most));
  };
  const formats = Object.fromEntries(
    ["text", "csv", "jsonl"].map((format) => [
      `counterfoil mint, ${format}`,
      inGoes(16_000_000, (count) => mint(program, ["--count", String(count), "--format", format])),
    ]),
  );
  const figures = await contest(
    {
      ...formats,
      // It keeps all it makes in memory, so it makes them in portions.
      "voucher-code-generator": (count) => {
        for (let left = count; left > 0; left -= 100_000) vouchers(Math.min(left, 100_000));
      },
      "coupon-code": (count) => {
        for (let at = 0; at < count; at += 1) couponCode({ parts: 4 });
      },
    },
    { rounds: Math.min(rounds, 7), pieceMs: 300 },
  );
  const [few, many] = [await mint(program, ["--count", "1000000"]), await mint(program, ["--count", "16000000"])];
  return { figures, memory_kib: { "1 M codes": few, "16 M codes": many } };
}
