// What points can buy: `@counterfoil/sdk/points`. Buying itself is the client's `redeem({ rewardId, quantity })`.

import type { CallOptions, Client } from "../client.js";
import type { CatalogueItem } from "../wire.js";

export type { CatalogueItem } from "../wire.js";

/**
 * The rewards that are for sale to the client's member, with what each costs this member and how many points are missing.
 * What it says of affording is as of now; only redeeming decides.
 */
export async function catalogue(client: Client, { signal }: CallOptions = {}): Promise<CatalogueItem[]> {
  const items: CatalogueItem[] = [];
  let cursor: string | undefined;
  do {
    const page: { items: CatalogueItem[]; next_cursor?: string } = await client.request({
      method: "GET",
      path: "/v1/catalogue",
      query: { cursor, limit: PAGE },
      signal,
    });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/** As many as the API gives at once. */
const PAGE = 200;
