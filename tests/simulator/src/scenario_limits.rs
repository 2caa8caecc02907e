//! Campaigns with limits of every kind, most over several shards, and rules that change while people redeem.

use crate::draw::{Manner, campaign, mrefs, redemption, with_code};
use crate::fault::Bias;
use crate::message::{Change, KeyCall, ReadCode, Wish};
use crate::prng::Prng;
use crate::scenario::{Action, Redeem, Scenario, What};
use crate::step::{Fault, Step};
use counterfoil_core::alias::Alias;
use counterfoil_core::ids::{IdKey, Mref};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::rules::{IssuedRange, Rules, SeqRange};
use counterfoil_core::wire::{Budget, CampaignKind, CampaignStatus, RewardType, RewardValue, WindowKind, WindowLimit};
use std::rc::Rc;

/// Those who redeem all the time.
const REGULARS: usize = 5;
/// Those who come at the end, each once.
const FRESH: usize = 5;
/// Codes that regulars have; each of the others has one of those after them.
const OPEN_CODES: u32 = 6;
const WORDS: [&str; 2] = ["SPRING", "HELLO"];
/// What one redemption takes of a budget.
const WORTH: u64 = 500;
/// From the start of a run to the first midnight.
const TO_MIDNIGHT_MS: i64 = 16 * 3_600_000;

fn window(draw: &mut Prng) -> WindowLimit {
    let per = [WindowKind::Day, WindowKind::Week, WindowKind::Month].get(draw.index(3)).copied();
    let (of_member, of_all) = (draw.once_in(2), draw.once_in(2));
    WindowLimit {
        per: per.unwrap_or(WindowKind::Day),
        per_member: (of_member || !of_all).then(|| 1 + draw.below(2)),
        total: of_all.then(|| 1 + draw.below(5)),
    }
}

fn rules(draw: &mut Prng, number: u64) -> Rules {
    let mut rules = campaign(draw, number);
    let shared = draw.once_in(2);
    rules.kind = if shared { CampaignKind::Shared } else { CampaignKind::Unique };
    rules.shards = if draw.once_in(6) { 1 } else { u32::try_from(2 + draw.below(3)).unwrap_or(2) };
    rules.reward.kind = RewardType::Credit;
    rules.reward.value = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: WORTH };
    rules.uses_per_code = (!shared).then(|| 1 + u64::from(draw.once_in(3)));
    rules.per_member = draw.once_in(3).then(|| 1 + draw.below(3));
    rules.total = draw.once_in(2).then(|| 1 + draw.below(8));
    if draw.once_in(2) {
        rules.windows.push(window(draw));
    }
    let amount_minor = WORTH * (1 + draw.below(6)) + draw.below(2) * 200;
    rules.budget = draw.once_in(3).then(|| Budget { currency: "EUR".to_owned(), amount_minor });
    let range = |from, to, epoch| IssuedRange {
        from,
        to,
        epoch,
        expires_at: None,
        batch_id: format!("ba_{epoch}"),
        reference: None,
    };
    let fresh = u32::try_from(FRESH).unwrap_or(0);
    rules.issued = if shared {
        vec![range(0, 1, 0)]
    } else {
        // Those of the first epoch can be revoked.
        vec![range(0, OPEN_CODES / 2, 0), range(OPEN_CODES / 2, OPEN_CODES + fresh, 1)]
    };
    rules.alias_seq = Some(0);
    if shared && draw.once_in(2) {
        if draw.once_in(3) {
            // A word needs no mint.
            rules.issued = vec![range(0, 0, 0)];
        }
        rules.aliases = WORDS.iter().take(1).filter_map(|word| Alias::read(word)).collect();
        rules.alias_public = draw.once_in(2);
    }
    rules
}

fn change(draw: &mut Prng) -> Change {
    let word = WORDS.get(draw.index(2)).copied().unwrap_or_default();
    match draw.below(20) {
        0..=5 => Change::Total((!draw.once_in(8)).then(|| 1 + draw.below(8))),
        6..=8 => Change::Window(window(draw)),
        9..=11 => Change::Budget(WORTH * (1 + draw.below(6)) + draw.below(2) * 200),
        12 => Change::PerMember(Some(1 + draw.below(3))),
        13 => {
            let from = u32::try_from(draw.below(u64::from(OPEN_CODES))).unwrap_or(0);
            Change::Recall(SeqRange { from, to: from + 2 })
        }
        14 => Change::Mint(2, 0),
        15 => Change::AddAlias(word),
        16 => Change::DropAlias(word),
        17 if !draw.once_in(3) => Change::RecallAll,
        17 => Change::Move(CampaignStatus::Ended),
        18 => Change::Move(CampaignStatus::Paused),
        _ => Change::Move(CampaignStatus::Active),
    }
}

/// Whether it has no codes, but words.
fn is_unminted(rules: &Rules) -> bool {
    rules.issued.iter().all(|range| range.from == range.to)
}

/// Somebody redeems a code of one of these campaigns, or its word.
fn attempt(draw: &mut Prng, mrefs: &[Mref], campaigns: &[Rules], key: u64) -> Option<Redeem> {
    let (member, at) = (draw.index(REGULARS), draw.index(campaigns.len()));
    let rules = campaigns.get(at)?;
    let shared = rules.kind == CampaignKind::Shared;
    let seq = if shared { 0 } else { u32::try_from(draw.below(u64::from(OPEN_CODES))).unwrap_or(0) };
    let by_word = draw.once_in(3) || is_unminted(rules);
    let alias = (shared && by_word).then(|| WORDS.get(draw.index(2)).copied()).flatten();
    let regulars = mrefs.get(..REGULARS)?;
    let redeem = coded(regulars, member, key, rules, (seq, alias), draw.once_in(6))?;
    Some(Redeem {
        tabs: 1 + u32::from(draw.once_in(8)),
        tries: u32::try_from(1 + draw.below(4)).unwrap_or(1),
        again: draw.once_in(4),
        ..redeem
    })
}

fn coded(
    mrefs: &[Mref],
    member: usize,
    key: u64,
    rules: &Rules,
    (seq, alias): (u32, Option<&'static str>),
    accepted: bool,
) -> Option<Redeem> {
    let manner = if accepted { Manner::accepted() } else { Manner::default() };
    let redeem = redemption(mrefs, member, key, (rules.campaign, seq), &manner)?;
    let range = rules.issued.iter().find(|range| (range.from..range.to).contains(&seq));
    let epoch = range.map_or(0, |range| range.epoch);
    let code = ReadCode { epoch, alias, ..ReadCode::of(rules.campaign, seq) };
    Some(with_code(redeem, code))
}

impl Scenario {
    pub(crate) fn limits(draw: &mut Prng, id_key: &IdKey, merchant: &MerchantId) -> Self {
        let mrefs = mrefs(id_key, merchant, REGULARS + FRESH);
        let campaigns: Vec<Rules> = (1..=1 + draw.below(2)).map(|n| rules(draw, n)).collect();
        let mut actions = Vec::new();
        // Around a midnight, or not.
        let mut at_ms = if draw.once_in(3) { TO_MIDNIGHT_MS - draw.between(0, 4_000) } else { 0 };
        let mut key = 0;
        for _ in 0..=1 + draw.below(4) {
            for _ in 0..=draw.below(6) {
                let near = if draw.once_in(2) { 60 } else { 6_000 };
                let close = draw.between(0, near);
                key += u64::from(!draw.once_in(8));
                let redeem = attempt(draw, &mrefs, &campaigns, key);
                actions.extend(redeem.map(|redeem| Action { at_ms: at_ms + close, what: What::Redeem(redeem) }));
            }
            for _ in 0..draw.below(3) {
                let (campaign, change) = (draw.index(campaigns.len()), change(draw));
                let what = What::Administer { campaign, change, tries: 2 };
                let near = if draw.once_in(2) { 120 } else { 6_000 };
                actions.push(Action { at_ms: at_ms + draw.between(0, near), what });
            }
            if draw.once_in(4) {
                let call = if draw.once_in(2) {
                    KeyCall::Rotate(format!("rotation-{key}"))
                } else {
                    KeyCall::Revoke(u8::from(draw.once_in(3)))
                };
                let near = if draw.once_in(2) { 120 } else { 6_000 };
                actions.push(Action { at_ms: at_ms + draw.between(0, near), what: What::Keys { call, tries: 3 } });
            }
            for _ in 0..draw.below(3) {
                let wish = match draw.below(4) {
                    0 => Wish::ResolveCancelled { unknown_outcome: false },
                    _ => Wish::Reverse { give_back: true, staff: false },
                };
                let definition = Rc::new(crate::draw::bonus());
                let pick = draw.below(1_000);
                let what = What::Order { member: draw.index(REGULARS), wish, pick, tries: 2, definition };
                actions.push(Action { at_ms: at_ms + draw.between(200, 40_000), what });
            }
            at_ms += match draw.below(6) {
                0 | 1 => draw.between(50, 3_000),
                2 => draw.between(3_000, 45_000),
                3 => DAY_MS - draw.between(0, 3_000),
                4 => draw.between(3_600_000, 20 * 3_600_000),
                _ => draw.between(1, 12) * DAY_MS,
            };
        }
        // Paused is not over: what is left can be taken in the end.
        if draw.once_in(2) {
            for campaign in 0..campaigns.len() {
                let what = What::Administer { campaign, change: Change::Move(CampaignStatus::Active), tries: 3 };
                actions.push(Action { at_ms: at_ms + 1_000, what });
            }
        }
        let mut probes = Vec::new();
        for (at, rules) in campaigns.iter().enumerate() {
            let key = 900 + u64::try_from(at).unwrap_or(0);
            for (n, member) in (REGULARS..REGULARS + FRESH).enumerate() {
                let shared = rules.kind == CampaignKind::Shared;
                let seq = if shared { 0 } else { OPEN_CODES + u32::try_from(n).unwrap_or(0) };
                let word = if is_unminted(rules) { WORDS.first().copied() } else { None };
                probes.extend(coded(&mrefs, member, key, rules, (seq, word), false).map(|redeem| (at, redeem)));
            }
        }
        let outage = match draw.below(10) {
            0 => Some((Step::HandBack, Fault::RequestLost)),
            1 => Some((Step::Ask, Fault::ReplyLost)),
            2 => Some((Step::Push, Fault::RequestLost)),
            _ => None,
        };
        let steps = [Step::Ask, Step::HandBack, Step::Pull, Step::Push, Step::Allotted, Step::Surplus, Step::Undo];
        let focus = steps.get(draw.index(10)).copied();
        let quiet_after_ms = at_ms + draw.between(5_000, 90_000);
        let bias = Bias { outage, focus, ..Bias::default() };
        Self { mrefs, campaigns, pools: 0, actions, probes, quiet_after_ms, bias }
    }
}
