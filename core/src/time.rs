//! Instants, RFC 3339 text, civil dates and time zones. No clock: the shell passes `now`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub i64);

/// A day in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Days since 1970-01-01.
    days: i64,
}

/// What a time zone is for these rules: its offset from UTC at an instant, in seconds east.
pub trait Zone {
    /// Offset at `at`; positive east of Greenwich.
    fn offset_s(&self, at: Instant) -> i64;
}

/// The zone without offset.
#[derive(Clone, Copy, Debug)]
pub struct Utc;

impl Zone for Utc {
    fn offset_s(&self, _: Instant) -> i64 {
        0
    }
}

const DAY_S: i64 = 86_400;
/// Years 0001 to 9999: what RFC 3339 can write.
const DAYS_MIN: i64 = -719_162;
const DAYS_MAX: i64 = 2_932_896;

/// Days since 1970-01-01 of a civil date (Howard Hinnant's `days_from_civil`).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month, day of days since 1970-01-01 (`civil_from_days`).
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Reads exactly `width` ASCII digits off the front.
fn digits(text: &str, width: usize) -> Option<(i64, &str)> {
    let (head, rest) = text.split_at_checked(width)?;
    let all_digits = head.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| head.parse().ok().map(|value| (value, rest))).flatten()
}

fn literal<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    text.strip_prefix(expected)
}

impl Date {
    /// Reads `YYYY-MM-DD`; `None` for days that do not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = Self::parse_front(text)?;
        rest.is_empty().then_some(date)
    }

    fn parse_front(text: &str) -> Option<(Self, &str)> {
        let (year, rest) = digits(text, 4)?;
        let (month, rest) = digits(literal(rest, "-")?, 2)?;
        let (day, rest) = digits(literal(rest, "-")?, 2)?;
        if year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = days_from_civil(year, month, day);
        (civil_from_days(days) == (year, month, day)).then_some((Self { days }, rest))
    }

    /// The local day of an instant in a zone: the one whose first instant is the latest that is not after it.
    #[must_use]
    pub fn of(at: Instant, zone: &impl Zone) -> Self {
        let local_s = at.0.div_euclid(1_000) + zone.offset_s(at);
        let day = Self { days: local_s.div_euclid(DAY_S) };
        // Where clocks are put back over midnight, the new day has begun already.
        if day.next().start_in(zone) <= at { day.next() } else { day }
    }

    /// The day that is so many days after 1970-01-01.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self { days }
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.days
    }

    /// So many days later; earlier, where it is negative.
    #[must_use]
    pub const fn plus(self, days: i64) -> Self {
        Self { days: self.days + days }
    }

    /// Days since Monday, 0 to 6.
    #[must_use]
    pub const fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.days + 3).rem_euclid(7)
    }

    /// The first day of its month.
    #[must_use]
    pub const fn month_start(self) -> Self {
        let (year, month, _) = civil_from_days(self.days);
        Self { days: days_from_civil(year, month, 1) }
    }

    /// The first day of the month after.
    #[must_use]
    pub const fn next_month(self) -> Self {
        let (year, month, _) = civil_from_days(self.days);
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self { days: days_from_civil(year, month, 1) }
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { days: self.days + 1 }
    }

    /// The first instant of this day in a zone: midnight, or what follows it where clocks skip midnight, or
    /// the first of two midnights where they are put back.
    #[must_use]
    pub fn start_in(self, zone: &impl Zone) -> Instant {
        let local = self.days * DAY_S;
        let offset = |s: i64| zone.offset_s(Instant(s * 1_000));
        let before = offset(local - DAY_S);
        let after = offset(local + DAY_S);
        let candidates = [local - before.max(after), local - before.min(after)];
        let exact = candidates.into_iter().find(|s| s + offset(*s) == local);
        Instant(exact.unwrap_or(local - before) * 1_000)
    }
}

impl core::fmt::Display for Date {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (year, month, day) = civil_from_days(self.days);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Instant {
    /// Reads RFC 3339 with any offset; `None` for what does not exist. Leap seconds count as the second before.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = Date::parse_front(text)?;
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (hour, rest) = digits(rest, 2)?;
        let (minute, rest) = digits(literal(rest, ":")?, 2)?;
        let (second, mut rest) = digits(literal(rest, ":")?, 2)?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut ms = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let width = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let (shown, after) = fraction.split_at_checked(width)?;
            if width == 0 || width > 9 {
                return None;
            }
            ms = format!("{shown:0<3}").get(..3)?.parse().ok()?;
            rest = after;
        }
        let offset_s = match rest {
            "Z" | "z" => 0,
            _ => {
                let sign = if rest.starts_with('-') { -1 } else { 1 };
                let (hours, rest) = digits(rest.strip_prefix(['+', '-'])?, 2)?;
                let (minutes, rest) = digits(literal(rest, ":")?, 2)?;
                if !rest.is_empty() || hours > 23 || minutes > 59 {
                    return None;
                }
                sign * (hours * 3_600 + minutes * 60)
            }
        };
        let s = date.days * DAY_S + hour * 3_600 + minute * 60 + second.min(59) - offset_s;
        let at = Self(s * 1_000 + ms);
        (DAYS_MIN..=DAYS_MAX).contains(&s.div_euclid(DAY_S)).then_some(at)
    }

    /// This instant moved by milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl core::fmt::Display for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (s, ms) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        let date = Date { days: s.div_euclid(DAY_S) };
        let second = s.rem_euclid(DAY_S);
        write!(f, "{date}T{:02}:{:02}:{:02}.{ms:03}Z", second / 3_600, second / 60 % 60, second % 60)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an instant such as 2026-11-21T09:30:00Z"))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected a date such as 2026-11-21"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical: Option<&str>) {
        assert_eq!(Instant::parse(text).map(|at| at.to_string()).as_deref(), canonical, "{text}");
    }

    #[test]
    fn instants() {
        check("2026-11-21T09:30:00Z", Some("2026-11-21T09:30:00.000Z"));
        check("2026-11-21t09:30:00.5+01:00", Some("2026-11-21T08:30:00.500Z"));
        check("2024-02-29T23:59:60Z", Some("2024-02-29T23:59:59.000Z"));
        check("1969-12-31T23:59:59.999Z", Some("1969-12-31T23:59:59.999Z"));
        for bad in [
            "",
            "2026-11-21",
            "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T09:30:00",
            "2026-11-21T09:30:00.Z",
            "2026-11-21T09:30:00+0100",
            "0000-01-01T00:00:00Z",
            "2026-11-21T09:30:00Zx",
            "+026-11-21T09:30:00Z",
        ] {
            check(bad, None);
        }
    }

    /// A zone whose offset changes once.
    struct Switch(Instant, i64, i64);
    impl Zone for Switch {
        fn offset_s(&self, at: Instant) -> i64 {
            if at < self.0 { self.1 } else { self.2 }
        }
    }

    fn start(date: &str, zone: &impl Zone) -> String {
        Date::parse(date).unwrap().start_in(zone).to_string()
    }

    #[test]
    fn days_start_at_their_first_instant() {
        assert_eq!(start("2026-03-01", &Utc), "2026-03-01T00:00:00.000Z");
        // Berlin, 29 March 2026: clocks go forward at 01:00Z, after midnight.
        let berlin = Switch(Instant::parse("2026-03-29T01:00:00Z").unwrap(), 3_600, 7_200);
        assert_eq!(start("2026-03-29", &berlin), "2026-03-28T23:00:00.000Z");
        assert_eq!(start("2026-03-30", &berlin), "2026-03-29T22:00:00.000Z");
        // A zone that skips midnight: the day begins at 01:00 local, which is the switch itself.
        let gap = Switch(Instant::parse("2026-04-24T22:00:00Z").unwrap(), 7_200, 10_800);
        assert_eq!(start("2026-04-25", &gap), "2026-04-24T22:00:00.000Z");
        // A zone that has midnight twice: the first one counts.
        let twice = Switch(Instant::parse("2026-10-30T22:00:00Z").unwrap(), 10_800, 7_200);
        assert_eq!(start("2026-10-31", &twice), "2026-10-30T21:00:00.000Z");
        assert_eq!(Date::parse("2024-02-29").unwrap().next().to_string(), "2024-03-01");
    }
}
