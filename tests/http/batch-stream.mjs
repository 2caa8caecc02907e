// Reads a batch as it streams, row by row and in constant memory, and can break off in the middle as a network does.
import http from "node:http";
import { existsSync, readFileSync, readdirSync } from "node:fs";

/** Asks for a batch: `{status, headers, rows, breakOff}`, where `rows` is read once, `[seq, code]` by `[seq, code]`. */
export function openBatch(client, campaign, body, { key, after_seq } = {}) {
  const { hostname, port } = new URL(client.base);
  const payload = Buffer.from(JSON.stringify(body));
  const query = after_seq === undefined ? "" : `?after_seq=${after_seq}`;
  const headers = { authorization: `Bearer ${client.token}`, "content-type": "application/json", "content-length": payload.length };
  if (key !== undefined) headers["idempotency-key"] = key;
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, path: `/v1/campaigns/${campaign}/batches${query}`, method: "POST", headers, agent: false });
    request.on("error", reject);
    request.on("response", (response) => {
      request.off("error", reject);
      request.on("error", () => {});
      const breakOff = () => request.destroy();
      resolve({ status: response.statusCode, headers: response.headers, rows: rowsOf(response), breakOff });
    });
    request.end(payload);
  });
}

async function* rowsOf(response) {
  const json = /ndjson/.test(response.headers["content-type"]);
  let rest = "";
  response.setEncoding("utf8");
  for await (const part of response) {
    const lines = (rest + part).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (json) {
        const { seq, code } = JSON.parse(line);
        yield [seq, code];
      } else if (line !== "seq,code") {
        const [seq, code] = line.split(",");
        yield [Number(seq), code];
      }
    }
  }
  if (rest !== "") throw new Error(`the stream ends within a row: ${rest}`);
}

/** Memory of the runtimes that this process started, in megabytes; undefined where the system does not tell. */
export function runtimeMemory() {
  if (!existsSync("/proc/self/status")) return undefined;
  const field = (pid, name) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(statusOf(pid))?.[1];
  const mine = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && field(pid, "PPid") === String(process.pid) && /workerd/.test(field(pid, "Name") ?? ""));
  return mine.reduce((sum, pid) => sum + Number(field(pid, "VmRSS") ?? 0) / 1024, 0);
}

function statusOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It ended meanwhile.
    return "";
  }
}
