//! When a message that was not taken is tried again.

use crate::limits::DAY_MS;
use crate::time::Instant;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Pause after the first, second … try. After the last of them it stays a day.
pub const PAUSES_MS: [i64; 9] =
    [5_000, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 10 * HOUR_MS, 14 * HOUR_MS, 20 * HOUR_MS, DAY_MS];

/// Longest pause that a receiver can ask for.
const RETRY_AFTER_MAX_S: u32 = 86_400;

/// Pause before the next try, once `tries_made` were made. Jitter only shortens, by a tenth at most, so that a
/// published time is never passed; a receiver's `Retry-After` only lengthens, to a day at most: it says how
/// long to wait at least, and one that asks for no pause must not use up all tries in a second.
#[must_use]
pub fn delay_ms(tries_made: u32, retry_after_s: Option<u32>, random: u32) -> i64 {
    let step = usize::try_from(tries_made.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES_MS.get(step).copied().unwrap_or(DAY_MS);
    let jittered = pause - i64::from(random) % (pause / 10 + 1);
    jittered.max(i64::from(retry_after_s.unwrap_or_default().min(RETRY_AFTER_MAX_S)) * 1_000)
}

/// Seconds that a `Retry-After` field asks for (RFC 9110, 10.2.3): a count, or a date in the one form that is
/// still sent (IMF-fixdate). A date in the past asks for none. At most a day.
#[must_use]
pub fn retry_after_s(field: &str, now: Instant) -> Option<u32> {
    let field = field.trim();
    let wanted_s = if !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds are still many seconds.
        field.parse().unwrap_or(i64::MAX)
    } else {
        let wait_ms = http_date(field)?.0.saturating_sub(now.0).max(0);
        // Rounded up: not before that date.
        wait_ms.saturating_add(999) / 1_000
    };
    Some(u32::try_from(wanted_s).map_or(RETRY_AFTER_MAX_S, |wanted_s| wanted_s.min(RETRY_AFTER_MAX_S)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`. The weekday is not compared with the date.
fn http_date(text: &str) -> Option<Instant> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (weekday, rest) = text.split_once(", ")?;
    let mut fields = rest.split(' ');
    let (day, month, year) = (fields.next()?, fields.next()?, fields.next()?);
    let (time, zone) = (fields.next()?, fields.next()?);
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    if zone != "GMT" || fields.next().is_some() || !WEEKDAYS.contains(&weekday) {
        return None;
    }
    // As RFC 3339, whose reader refuses days and times that do not exist. A fraction is not in the form.
    let plain = time.len() == 8 && year.len() == 4 && day.len() == 2;
    plain.then(|| Instant::parse(&format!("{year}-{month:02}-{day}T{time}Z"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schedule_with_jitter_downwards_only() {
        for (tries_made, published_s) in [
            (0, 5),
            (1, 5),
            (2, 300),
            (3, 1_800),
            (4, 7_200),
            (5, 18_000),
            (6, 36_000),
            (7, 50_400),
            (8, 72_000),
            (9, 86_400),
            (10, 86_400),
            (u32::MAX, 86_400),
        ] {
            let published = published_s * 1_000;
            for random in [0, 1, 499, 12_345_678, u32::MAX] {
                let pause = delay_ms(tries_made, None, random);
                assert!((published * 9 / 10..=published).contains(&pause), "{tries_made} {random}: {pause}");
            }
            assert_eq!(delay_ms(tries_made, None, 0), published);
        }
        assert_eq!(delay_ms(1, None, 500), 4_500, "the whole tenth is reached");
    }

    #[test]
    fn retry_after_only_lengthens_and_a_day_at_most() {
        assert_eq!(delay_ms(1, Some(0), 0), 5_000);
        assert_eq!(delay_ms(1, Some(7), 0), 7_000);
        assert_eq!(delay_ms(2, Some(7), 0), 300_000);
        assert_eq!(delay_ms(9, Some(86_400), 77), 86_400_000);
        assert_eq!(delay_ms(1, Some(u32::MAX), 0), 86_400_000);
    }

    #[test]
    fn retry_after_fields() {
        let now = Instant::parse("1994-11-06T08:49:30.500Z").unwrap();
        for (field, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37.5 GMT", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Son, 06 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
        ] {
            assert_eq!(retry_after_s(field, now), expected, "{field:?}");
        }
    }
}
