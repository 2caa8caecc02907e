// What a code or a reward is worth, in a shop's words.

import type { LedgerRow, PreviewReward, Reward, RewardType } from "@counterfoil/sdk";

import { count, money, readable, spokenTime, times } from "./format";

export interface Worth {
  /** The big line: "€10.00". */
  headline: string;
  /** What kind of thing it is: "shop credit". */
  kind: string;
}

const CREDIT = "shop credit";
const UNLOCKED = "unlocked for your account";

/** What each booster multiplies. */
const BOOSTED: Partial<Record<RewardType, string>> = {
  token_booster: "points and tokens",
  level_booster: "XP",
  mission_booster: "mission progress",
};

const KINDS: Partial<Record<RewardType, string>> = {
  feature: UNLOCKED,
  bonus: "bonus",
  external: "from a partner of the shop",
  mini_game: "a game to play",
  manual: "handed out by the shop",
};

export const isBooster = (type: RewardType): boolean => type in BOOSTED;

/** "×2 points and tokens". */
export function boost(type: RewardType, permille: number): string {
  return `${times(permille)} ${BOOSTED[type] ?? readable(type)}`;
}

export function worthOfReward({ name, type, value }: Pick<PreviewReward, "name" | "type" | "value">): Worth {
  if ("percent" in value) return { headline: `${value.percent}% off`, kind: "your next order" };
  if ("currency" in value) {
    const amount = money(value.currency, value.amount_minor);
    return type === "discount" ? { headline: `${amount} off`, kind: "your next order" } : { headline: amount, kind: CREDIT };
  }
  if ("amount" in value) return { headline: count(value.amount), kind: assetName(type) };
  if ("multiplier_permille" in value) return { headline: name, kind: boost(type, value.multiplier_permille) };
  return { headline: name, kind: KINDS[type] ?? readable(type).toLowerCase() };
}

/** One line under a reward's name. */
export function worthLine(reward: Reward): string {
  const { headline, kind } = worthOfReward(reward);
  return headline === reward.name ? kind.charAt(0).toUpperCase() + kind.slice(1) : `${headline} ${kind}`;
}

/** What was entered into the books; nothing where the row only says that a reward was made. */
export function worthOfRow({ asset, currency, feature, amount }: LedgerRow): Worth | undefined {
  if (asset === "reward") return undefined;
  if (currency !== undefined) return { headline: money(currency, amount), kind: CREDIT };
  if (feature !== undefined) return { headline: readable(feature), kind: UNLOCKED };
  return { headline: count(amount), kind: assetName(asset) };
}

function assetName(asset: string): string {
  return asset === "xp" ? "XP" : readable(asset).toLowerCase();
}

/** What starting a booster does and for how long, in a sentence. */
export function effectOf(reward: Reward): string {
  const { type, value } = reward;
  const permille = "multiplier_permille" in value ? value.multiplier_permille : 1000;
  const what = BOOSTED[type] ?? "what you earn";
  const more = permille === 2000 ? "count double" : permille === 3000 ? "count three times" : `count ${times(permille)}`;
  return `From the moment you start it, the ${what} you earn ${more}${durationOf(reward)}. It cannot be paused.`;
}

function durationOf({ duration_s }: Reward): string {
  return duration_s === undefined ? ", for as long as its name says" : ` for ${spokenTime(duration_s * 1000)}`;
}

/** Where a reward that was just given waits for its owner; nothing where it does not. */
export function waitsFor({ state, type }: Reward): string | undefined {
  if (state === "unclaimed") return "It waits in your rewards: claim it there.";
  return state === "pending_activation" ? (restsFor(type) ?? "It waits in your rewards.") : undefined;
}

/** The same of a kind of reward that always waits, before the reward itself is known. */
export function restsFor(type: RewardType): string | undefined {
  if (type === "discount") return "It waits in your rewards for your next order.";
  if (isBooster(type)) return "It waits in your rewards: start it whenever you like.";
  return type === "mini_game" || type === "manual" ? "It waits in your rewards." : undefined;
}
