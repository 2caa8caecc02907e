// Ports are checked before the work that needs them, so that a busy one is told at once and in one sentence.

import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { Stop } from "./steps.mjs";

/** The port of a local run: `PORT` or 8787; 0 stands for any free one. */
export function wantedPort(text = process.env.PORT) {
  if (text === undefined || text === "") return 8787;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) {
    throw new Stop(`PORT is "${text}", which is not a port number: use one from 1024 to 65535.`);
  }
  return Number(text);
}

/** Fails with one clear sentence when a port cannot be listened on. Port 0 always can. */
export async function assertPortFree(host, port, { patienceMs = 0 } = {}) {
  const giveUpAt = Date.now() + patienceMs;
  while (!(await isFree(host, port))) {
    if (Date.now() >= giveUpAt) {
      throw Object.assign(
        new Stop(`Port ${port} is in use by another program: stop that one, or choose another port, e.g. \`PORT=${port + 1} npm start\`.`),
        { code: "EADDRINUSE" },
      );
    }
    await pause(50);
  }
}

function isFree(host, port) {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else if (error.code === "EACCES") reject(new Stop(`Port ${port} may not be used without more rights: choose one above 1023 with PORT=…`));
      else reject(error);
    });
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
