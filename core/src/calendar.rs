//! The windows of an instant in a campaign's zone: its day, its ISO week, its month.
//!
//! Uses are counted by local day. Every window is a run of days, so that one added later counts what was before it, and
//! what is given back is given back to the windows it was charged to.

use crate::time::{Date, Instant, Zone};
use crate::wire::WindowKind;
use serde::{Deserialize, Serialize};

/// A local day, in days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self(i32::try_from(date.days()).unwrap_or_default())
    }
}

impl Day {
    /// The last day of the window of a sort that begins with this one.
    #[must_use]
    pub fn last_of(self, kind: WindowKind) -> Self {
        let first = Date::from_days(i64::from(self.0));
        match kind {
            WindowKind::Day => self,
            WindowKind::Week => first.plus(6).into(),
            WindowKind::Month => first.next_month().plus(-1).into(),
        }
    }
}

/// Uses by local day, in any order; each day once.
pub type DayCounts = Vec<(Day, u64)>;

/// A run of local days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its sort.
    pub kind: WindowKind,
    /// First day.
    pub first: Day,
    /// Last day, inclusive.
    pub last: Day,
    /// First instant.
    pub starts_at: Instant,
    /// First instant after it.
    pub ends_at: Instant,
}

impl Window {
    fn of(kind: WindowKind, first: Date, after: Date, zone: &impl Zone) -> Self {
        let (starts_at, ends_at) = (first.start_in(zone), after.start_in(zone));
        Self { kind, first: first.into(), last: after.plus(-1).into(), starts_at, ends_at }
    }

    /// What was counted on its days.
    #[must_use]
    pub fn sum(&self, counts: &[(Day, u64)]) -> u64 {
        let within = counts.iter().filter(|(day, _)| (self.first..=self.last).contains(day));
        within.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// The windows of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    day: Window,
    week: Window,
    month: Window,
}

impl Calendar {
    /// That of an instant in a zone.
    #[must_use]
    pub fn at(at: Instant, zone: &impl Zone) -> Self {
        let today = Date::of(at, zone);
        let monday = today.plus(-today.weekday());
        Self {
            day: Window::of(WindowKind::Day, today, today.next(), zone),
            week: Window::of(WindowKind::Week, monday, monday.plus(7), zone),
            month: Window::of(WindowKind::Month, today.month_start(), today.next_month(), zone),
        }
    }

    /// The local day: what a use is charged to.
    #[must_use]
    pub const fn today(&self) -> Day {
        self.day.first
    }

    /// The window of a sort.
    #[must_use]
    pub const fn window(&self, kind: WindowKind) -> &Window {
        match kind {
            WindowKind::Day => &self.day,
            WindowKind::Week => &self.week,
            WindowKind::Month => &self.month,
        }
    }

    /// Whether another instant has the same windows.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        (self.day.starts_at..self.day.ends_at).contains(&at)
    }

    /// The first day that any of its windows reaches back to: counts of earlier days are of no use.
    #[must_use]
    pub fn earliest(&self) -> Day {
        self.week.first.min(self.month.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Utc;

    /// East of Greenwich by so many seconds, an hour more from an instant on, and back after another.
    struct Summer(i64, Instant, Instant);

    impl Zone for Summer {
        fn offset_s(&self, at: Instant) -> i64 {
            self.0 + if at >= self.1 && at < self.2 { 3_600 } else { 0 }
        }
    }

    fn instant(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    #[test]
    fn windows_of_instants() {
        for (at, today, week, month) in [
            ("2026-11-22T12:00:00Z", "2026-11-22", ("2026-11-16", "2026-11-23"), ("2026-11-01", "2026-12-01")),
            ("2026-11-23T00:00:00Z", "2026-11-23", ("2026-11-23", "2026-11-30"), ("2026-11-01", "2026-12-01")),
            ("2026-12-31T23:59:59.999Z", "2026-12-31", ("2026-12-28", "2027-01-04"), ("2026-12-01", "2027-01-01")),
            ("2028-02-29T00:00:00Z", "2028-02-29", ("2028-02-28", "2028-03-06"), ("2028-02-01", "2028-03-01")),
            ("1969-12-31T23:00:00Z", "1969-12-31", ("1969-12-29", "1970-01-05"), ("1969-12-01", "1970-01-01")),
        ] {
            let calendar = Calendar::at(instant(at), &Utc);
            let day = |text: &str| Day::from(Date::parse(text).unwrap());
            let start = |text: &str| instant(&format!("{text}T00:00:00Z"));
            assert_eq!(calendar.today(), day(today), "{at}");
            for (kind, (first, after)) in [(WindowKind::Week, week), (WindowKind::Month, month)] {
                let window = calendar.window(kind);
                assert_eq!((window.first, window.last.0 + 1), (day(first), day(after).0), "{at}");
                assert_eq!(window.first.last_of(kind), window.last, "{at}");
                assert_eq!((window.starts_at, window.ends_at), (start(first), start(after)), "{at}");
            }
            assert!(calendar.holds(instant(at)));
            assert!(!calendar.holds(calendar.window(WindowKind::Day).ends_at));
        }
    }

    #[test]
    fn days_follow_each_other_where_clocks_change_at_midnight() {
        // Forward from midnight to one, as in Beirut; and back from one to midnight over the date line of the day.
        for (begin, end) in
            [("2026-03-28T22:00:00Z", "2026-10-24T21:00:00Z"), ("2026-03-28T22:00:00Z", "2026-10-24T20:30:00Z")]
        {
            let zone = Summer(7_200, instant(begin), instant(end));
            let mut at = instant("2026-03-20T00:00:00Z");
            let mut last = Calendar::at(at, &zone);
            while at < instant("2026-11-05T00:00:00Z") {
                let now = Calendar::at(at, &zone);
                assert!(now.holds(at), "{at}");
                let step = now.today().0 - last.today().0;
                assert!(
                    step == 0
                        || (step == 1 && now.window(WindowKind::Day).starts_at == last.window(WindowKind::Day).ends_at)
                );
                last = now;
                at = at.plus_ms(1_800_000);
            }
        }
    }

    #[test]
    fn sums_of_days() {
        let calendar = Calendar::at(instant("2026-11-22T12:00:00Z"), &Utc);
        let day = |text: &str| Day::from(Date::parse(text).unwrap());
        let counts = [("2026-10-31", 1), ("2026-11-01", 2), ("2026-11-16", 4), ("2026-11-22", 8), ("2026-11-23", 16)]
            .map(|(d, n)| (day(d), n));
        let sums =
            [WindowKind::Day, WindowKind::Week, WindowKind::Month].map(|kind| calendar.window(kind).sum(&counts));
        assert_eq!(sums, [8, 12, 30]);
        assert_eq!(calendar.earliest(), day("2026-11-01"));
    }
}
