// `npm test`: everything a change has to pass, in one list, the quick steps first. CI runs exactly this.
//
//   npm test                      all steps, stopping at the first that fails
//   npm test -- --list            names the steps
//   npm test -- --only http,race  these steps, after what they need (set-up, build)
//   npm test -- --from http       this step and all after it
//   npm run check                 formatting, lints and tidiness alone
//   npm run soak                  the race suite, the kill test and the simulator for a long time

import { spawn } from "node:child_process";

import { buildEnvironment } from "../edge/dev/build.mjs";
import { root } from "../edge/dev/paths.mjs";
import { Stop, elapsed, fail, onSignals, style } from "../edge/dev/steps.mjs";
import { findBrowser } from "./browser.mjs";
import { plans } from "./plan.mjs";

/** The steps of one run, chosen by the flags. */
function choose(flags) {
  let plan = "test";
  let only;
  let from;
  let list = false;
  for (let i = 0; i < flags.length; i += 1) {
    const flag = flags[i];
    if (flag === "--check" || flag === "--soak") plan = flag.slice(2);
    else if (flag === "--list") list = true;
    else if (flag === "--only") only = (flags[(i += 1)] ?? "").split(",");
    else if (flag === "--from") from = flags[(i += 1)] ?? "";
    else throw new Stop(`The test run does not know ${flag}; it knows --list, --only name,name and --from name.`);
  }
  const steps = plans[plan];
  for (const name of [...(only ?? []), ...(from === undefined ? [] : [from])]) {
    if (!steps.some((step) => step.name === name)) {
      throw new Stop(`There is no step called "${name}"; there are ${steps.map((step) => step.name).join(", ")}.`);
    }
  }
  const first = from === undefined ? 0 : steps.findIndex((step) => step.name === from);
  const wanted = new Set(only ?? steps.slice(first).map((step) => step.name));
  // A chosen step never runs against a stale build: what it needs is quick when it is up to date.
  for (const step of [...steps].reverse()) {
    if (wanted.has(step.name)) for (const need of step.needs ?? []) wanted.add(need);
  }
  return { list, steps: steps.filter((step) => wanted.has(step.name)) };
}

async function main() {
  const { list, steps } = choose(process.argv.slice(2));
  if (list) {
    for (const { name, title } of steps) console.log(`${name.padEnd(16)} ${title}`);
    return;
  }
  // At once, not after ten minutes of tests that need none.
  const browser = steps.some((step) => step.browser) ? findBrowser() : undefined;
  const times = [];
  const started = Date.now();
  for (const [index, step] of steps.entries()) {
    const stepStarted = Date.now();
    console.log(`\n${style.bold(`── ${index + 1}/${steps.length} ${step.name}: ${step.title}`)}`);
    try {
      await step.run({ browser, command: (name, args, options) => command(step, name, args, { browser, ...options }) });
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      const sentence = `${error.message}\n  Failed at step "${step.name}" after ${elapsed(Date.now() - started)}; run it again alone with: npm test -- --only ${step.name}`;
      throw new Stop(sentence, { output: error.output });
    }
    times.push({ name: step.name, took: Date.now() - stepStarted });
    console.log(`${style.green("✓")} ${step.name}  ${style.dim(elapsed(Date.now() - stepStarted))}`);
  }
  console.log(`\n${style.bold("All steps passed")}`);
  for (const { name, took } of times) console.log(`  ${style.green("✓")} ${name.padEnd(16)} ${elapsed(took)}`);
  console.log(`  ${"in all".padEnd(18)} ${elapsed(Date.now() - started)}`);
}

const groups = new Set();

/** Runs one program of a step with its output shown as it comes; a failure or an overrun stops the run. */
function command(step, name, args, { browser, env = {}, cwd = root, minutes = 15 }) {
  console.log(style.dim(`$ ${[name, ...args].join(" ")}`));
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      cwd,
      env: { ...buildEnvironment(), ...browser?.environment, ...env },
      stdio: ["ignore", "inherit", "inherit"],
      // A group of its own, so that a time-out ends its children (browsers, runtimes) as well.
      detached: true,
    });
    groups.add(child.pid);
    let overrun = false;
    const timer = setTimeout(() => {
      overrun = true;
      endGroup(child.pid, "SIGTERM");
      setTimeout(() => endGroup(child.pid, "SIGKILL"), 5_000).unref();
    }, minutes * 60_000);
    const done = (outcome) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      outcome();
    };
    child.on("error", (error) => done(() => reject(new Stop(`${name} could not be started: ${error.message}.`))));
    child.on("close", (code, signal) =>
      done(() => {
        if (overrun) reject(new Stop(`${name} was stopped after ${minutes} minutes: something in it hangs.`));
        else if (code === 0) resolve();
        else reject(new Stop(`${name} ${code === null ? `was ended by ${signal}` : `answered ${code}`}; its output is above.`));
      }),
    );
  });
}

function endGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Already gone is what was wanted.
    if (error.code !== "ESRCH") throw error;
  }
}

onSignals((status) => process.exit(status));
process.on("exit", () => {
  for (const pid of groups) endGroup(pid, "SIGTERM");
});
main().catch(fail);
