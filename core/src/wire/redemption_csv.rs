//! Redemptions as CSV (RFC 4180). The columns and their order never change; new ones come last.

use super::audit::ListedRedemption;
use super::redemption::{LedgerLine, RedemptionKind};
use crate::refusal::Refusal;

/// Names of the columns, in order. `ledger_numbers`, `promo_codes` and `rewards` hold several with blanks between.
pub const COLUMNS: [&str; 24] = [
    "redemption_id",
    "status",
    "kind",
    "created_at",
    "updated_at",
    "member",
    "tester",
    "campaign",
    "batch_id",
    "reference",
    "reward_id",
    "quantity",
    "points_spent",
    "goodwill_points",
    "order",
    "by",
    "reason",
    "refusal",
    "attempts",
    "next_attempt_at",
    "last_error",
    "ledger_numbers",
    "promo_codes",
    "rewards",
];

/// The header line.
#[must_use]
pub fn header() -> String {
    format!("{}\r\n", COLUMNS.join(","))
}

/// One redemption's line.
#[must_use]
pub fn line(listed: &ListedRedemption) -> String {
    let ListedRedemption { redemption, member, tester } = listed;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let several = |texts: Vec<&str>| texts.join(" ");
    let kind = match redemption.kind {
        RedemptionKind::Code => "code",
        RedemptionKind::Points => "points",
        RedemptionKind::Gift => "gift",
    };
    let cells: [String; COLUMNS.len()] = [
        redemption.redemption_id.clone(),
        redemption.status.name().to_owned(),
        kind.to_owned(),
        redemption.created_at.to_string(),
        redemption.updated_at.to_string(),
        member.clone(),
        tester.to_string(),
        number(redemption.campaign.map(u64::from)),
        text(&redemption.batch_id),
        text(&redemption.reference),
        text(&redemption.reward_id),
        redemption.quantity.to_string(),
        number(redemption.points_spent),
        number(redemption.goodwill_points),
        text(&redemption.order),
        text(&redemption.by),
        text(&redemption.reason),
        redemption.refusal.as_ref().map(Refusal::code).unwrap_or_default().to_owned(),
        redemption.attempts.to_string(),
        redemption.next_attempt_at.map(|at| at.to_string()).unwrap_or_default(),
        text(&redemption.last_error),
        several(redemption.ledger.iter().map(|row| row.number.as_str()).collect()),
        several(redemption.ledger.iter().filter_map(|LedgerLine { promo_code, .. }| promo_code.as_deref()).collect()),
        several(redemption.rewards.iter().map(String::as_str).collect()),
    ];
    format!("{}\r\n", cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(","))
}

/// A cell. A spreadsheet takes what begins like a formula for one: an apostrophe before it says that it is text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("a=b", "a=b"),
            ("'quoted'", "'quoted'"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_has_every_column() {
        let listed: ListedRedemption = crate::json::read(
            r#"{"redemption_id":"rd_1","status":"refused","kind":"code","campaign":7,"reward_id":"mug","quantity":2,
            "points_spent":5,"ledger":[{"ledger_id":"l1","number":"A-1","quantity":1,"promo_code":"P1"},
            {"ledger_id":"l2","number":"A-2","quantity":1,"promo_code":"P2"}],"rewards":["rw_1"],
            "refusal":{"code":"campaign_ended"},"attempts":1,"attempts_max":10,"created_at":"2026-11-22T09:00:00Z",
            "updated_at":"2026-11-22T09:30:00Z","by":"staff:zoe","order":"=o,1","batch_id":"b1","reference":"mail",
            "member":"p1"}"#,
        )
        .unwrap();
        assert_eq!(
            line(&listed),
            "rd_1,refused,code,2026-11-22T09:00:00.000Z,2026-11-22T09:30:00.000Z,p1,false,7,b1,mail,mug,2,5,,\"'=o,1\",staff:zoe,,\
             campaign_ended,1,,,A-1 A-2,P1 P2,rw_1\r\n"
        );
        assert_eq!(header().split(',').count(), line(&listed).replace("\"'=o,1\"", "o").split(',').count());
    }
}
