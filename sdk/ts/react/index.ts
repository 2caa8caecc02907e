// The React layer: `@counterfoil/sdk/react`.

export { type CodeInputProps, useCodeInput, type UseCodeInput } from "./code-input.js";
export { useEvents, type UseEventsOptions, useRedemptions, type UseRedemptions, useRewards, type UseRewards } from "./live.js";
export { useWallet, type UseWallet } from "./live.js";
export { CounterfoilProvider, type CounterfoilProviderProps, useClient } from "./provider.js";
export { MarkedCode, type MarkedCodeProps, RedeemForm } from "./redeem-form.js";
export type { RedeemFormPart, RedeemFormProps, RedeemFormTexts } from "./redeem-form.js";
export { type RedemptionStep, useRedemption, type UseRedemption, type UseRedemptionOptions } from "./redemption.js";
