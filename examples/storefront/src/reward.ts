// What a code is worth, in a shop's words.

import type { LedgerRow, PreviewReward } from "@counterfoil/sdk";

import { count, money, readable } from "./format";

export interface Worth {
  /** The big line: "€10.00". */
  headline: string;
  /** What kind of thing it is: "shop credit". */
  kind: string;
}

const CREDIT = "shop credit";
const UNLOCKED = "unlocked for your account";

export function worthOfReward({ name, type, value }: PreviewReward): Worth {
  if ("currency" in value) return { headline: money(value.currency, value.amount_minor), kind: CREDIT };
  if ("amount" in value) return { headline: count(value.amount), kind: assetName(type) };
  return { headline: name, kind: UNLOCKED };
}

export function worthOfRow({ asset, currency, feature, amount }: LedgerRow): Worth {
  if (currency !== undefined) return { headline: money(currency, amount), kind: CREDIT };
  if (feature !== undefined) return { headline: readable(feature), kind: UNLOCKED };
  return { headline: count(amount), kind: assetName(asset) };
}

function assetName(asset: string): string {
  return asset === "xp" ? "XP" : readable(asset).toLowerCase();
}
