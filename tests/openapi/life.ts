// A merchant's and a member's life through a client that is generated from the OpenAPI document alone; checked by the
// TypeScript compiler before it runs, so that every path, body and answer is what the document says.
import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./api";

type Api = Client<paths>;

const client = (baseUrl: string, token: string): Api => createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });

/** What was answered; a problem is an error. */
async function ok<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await asked;
  if (error !== undefined || data === undefined) throw new Error(`${response.status}: ${JSON.stringify(error)}`);
  return data;
}

export interface Lived {
  codes: string[];
  redemption: components["schemas"]["Redemption"];
  history: components["schemas"]["Redemption"][];
  credit: number;
  refusal: string;
}

/** Define a reward, make a campaign, mint, activate, redeem, look back. */
export async function live(url: string, adminToken: string, memberToken: string): Promise<Lived> {
  const admin = client(url, adminToken);
  const member = client(url, memberToken);
  const reward = await ok(
    admin.POST("/v1/reward-definitions", {
      body: { name: "Five euros", type: "credit", value: { currency: "EUR", amount_minor: 500 } },
    }),
  );
  const campaign = await ok(
    admin.POST("/v1/campaigns", {
      body: { name: "Spring letter", kind: "unique", reward_id: reward.reward_id, limits: { total: 10 } },
    }),
  );
  const inCampaign = { params: { path: { campaign: campaign.campaign } } };
  const minted = await ok(
    admin.POST("/v1/campaigns/{campaign}/batches", { ...inCampaign, body: { count: 3, label: "letter" }, parseAs: "text" }),
  );
  const codes = String(minted).trim().split("\n").slice(1).map((line) => line.split(",")[1]!);
  await ok(admin.POST("/v1/campaigns/{campaign}/activate", inCampaign));
  const preview = await ok(member.POST("/v1/codes/preview", { body: { code: codes[0]! } }));
  if (preview.would !== "redeem") throw new Error(`would ${preview.would}`);
  const key = { params: { header: { "Idempotency-Key": "a-life" } } };
  const redemption = await ok(member.POST("/v1/redemptions", { ...key, body: { code: codes[0]! } }));
  const again = await member.POST("/v1/redemptions", {
    params: { header: { "Idempotency-Key": "another-life" } },
    body: { code: codes[0]! },
  });
  // The problem's code is one of those that the document lists for this call.
  const refusal = again.error?.code ?? "none";
  const history = await ok(member.GET("/v1/redemptions", { params: { query: { status: redemption.status } } }));
  const wallet = await ok(member.GET("/v1/wallet"));
  const credit = wallet.credit.find(({ currency }) => currency === "EUR")?.amount_minor ?? 0;
  return { codes, redemption, history: history.items as Lived["history"], credit, refusal };
}
