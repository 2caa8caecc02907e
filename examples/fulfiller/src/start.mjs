// `npm start -w examples/fulfiller`: the fulfiller on this machine. See fulfiller.mjs.
//
//   FULFILLER_SECRETS   secrets of its endpoint, with commas between them, the newest first
//   COUNTERFOIL_URL     the API, for late answers; http://127.0.0.1:8787 unless it says otherwise
//   PORT                8790 unless it says otherwise
//   FULFILLER_FILE      where it remembers what it gave; fulfilled.jsonl unless it says otherwise

import { createFulfiller } from "./fulfiller.mjs";

const { FULFILLER_SECRETS = "", COUNTERFOIL_URL = "http://127.0.0.1:8787", PORT = "8790", FULFILLER_FILE = "fulfilled.jsonl" } = process.env;
const secrets = FULFILLER_SECRETS.split(",").map((secret) => secret.trim()).filter(Boolean);
if (secrets.length === 0) {
  console.error("FULFILLER_SECRETS is not set: register this server with POST /v1/webhooks and put the answer's `secret` there.");
  process.exit(1);
}

const fulfiller = createFulfiller({ secrets, file: FULFILLER_FILE, counterfoil: COUNTERFOIL_URL, log: console.log });
console.log(`Fulfilling at ${await fulfiller.listen({ port: Number(PORT) })}, for ${COUNTERFOIL_URL}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => fulfiller.close().then(() => process.exit(0)));
}
