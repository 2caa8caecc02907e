// P3 over HTTP: codes streamed from the Workers runtime, as the service mints them.
import { buildEdge } from "../../edge/dev/build.mjs";
import { serve } from "../../edge/dev/serve.mjs";
import { signToken, testVars } from "../http/env.mjs";
import { openShop } from "../http/shop.mjs";

const COUNT = 200_000;

/** Codes a second of one stream, from the request to the last byte, by the median of a few. */
export async function measureStream() {
  await buildEdge("release");
  const edge = await serve({ build: "release", vars: testVars });
  try {
    const url = edge.url.toString().replace(/\/$/, "");
    const shop = openShop({ url });
    const { campaign } = await shop.campaign({}, { draft: true });
    const authorization = `Bearer ${signToken({ sub: "admin-1", role: "admin", merchant: shop.merchant })}`;
    const rates = [];
    for (let round = 0; round < 5; round += 1) {
      const started = performance.now();
      const answer = await fetch(`${url}/v1/campaigns/${campaign}/batches`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ count: COUNT, format: "csv" }),
      });
      const codes = (await linesOf(answer)) - 1;
      if (answer.status !== 201 || codes !== COUNT) throw new Error(`the stream gave ${codes} codes with status ${answer.status}`);
      rates.push((codes * 1000) / (performance.now() - started));
    }
    rates.sort((a, b) => a - b);
    return { codes: COUNT, per_second_median: rates[Math.floor(rates.length / 2)], per_second_least: rates[0] };
  } finally {
    await edge.dispose();
  }
}

async function linesOf(answer) {
  let lines = 0;
  for await (const chunk of answer.body) for (const byte of chunk) if (byte === 10) lines += 1;
  return lines;
}
