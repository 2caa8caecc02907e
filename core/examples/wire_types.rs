//! Writes the wire shapes as TypeScript to standard output; `npm run generate` puts them into the SDK.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use counterfoil_core::refusal::Refusal;
use counterfoil_core::wire::{
    Booster, CatalogueItem, Credit, Event, EventPage, FeedReset, Fulfilment, Hold, HoldState, LedgerLine, LedgerRow,
    NextReward, OrderResource, Page, PathReason, Preview, PreviewCampaign, PreviewReward, PreviewRule, QuoteResource,
    QuoteState, Redemption, RedemptionKind, RedemptionStatus, Reward, RewardMove, RewardSource, RewardState,
    RewardType, RewardValue, TillMember, Verdict, Wallet,
};
use ts_rs::{Config, TS};

/// The problem document has open extras, which a derive cannot say.
const PROBLEM: &str = "/**
 * RFC 9457, with the stable `code` of the refusal or error and its named extras.
 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  code: string;
  errors?: PathReason[];
  [extra: string]: unknown;
}
";

fn print<T: TS + ?Sized>(config: &Config) {
    let declaration = T::decl(config);
    println!("{}export {declaration}\n", T::docs().unwrap_or_default());
}

fn main() {
    let config = Config::default();
    println!(
        "// The shapes of the HTTP API, from the types of core::wire. Written by `npm run generate`: do not edit.\n"
    );
    print::<Redemption>(&config);
    print::<RedemptionStatus>(&config);
    print::<RedemptionKind>(&config);
    print::<LedgerLine>(&config);
    print::<Refusal>(&config);
    print::<Preview>(&config);
    print::<PreviewReward>(&config);
    print::<PreviewCampaign>(&config);
    print::<PreviewRule>(&config);
    print::<Verdict>(&config);
    print::<Wallet>(&config);
    print::<Credit>(&config);
    print::<Booster>(&config);
    print::<LedgerRow>(&config);
    print::<Reward>(&config);
    print::<RewardType>(&config);
    print::<RewardValue>(&config);
    print::<RewardState>(&config);
    print::<RewardMove>(&config);
    print::<RewardSource>(&config);
    print::<Fulfilment>(&config);
    print::<CatalogueItem>(&config);
    print::<Hold>(&config);
    print::<HoldState>(&config);
    print::<OrderResource>(&config);
    print::<TillMember>(&config);
    print::<NextReward>(&config);
    print::<QuoteResource>(&config);
    print::<QuoteState>(&config);
    print::<Event>(&config);
    print::<EventPage>(&config);
    print::<FeedReset>(&config);
    print::<Page<()>>(&config);
    print::<PathReason>(&config);
    print!("{PROBLEM}");
}
