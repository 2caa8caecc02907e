//! Wrong codes by address: how an address is read, and how long one is kept waiting.
//!
//! Best effort beside the exact limit of each account: it makes new accounts dearer to whoever guesses through many of
//! them. Counted by the hour, so that an address costs a row for each hour and no more.

use core::net::{IpAddr, Ipv6Addr};

use crate::time::Instant;

/// An hour.
const HOUR_MS: i64 = 3_600_000;
/// Hours that count: the present one and those before it.
const HOURS: i64 = 24;
/// Wrong codes of an address for each that an account may enter.
const ACCOUNTS_PER_ADDRESS: u32 = 10;

/// Whoever is behind one public address, as far as an address can tell: one IPv4 address, or the network of an IPv6 line
/// (/56), whose holder chooses the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Reads an address; `None` for what is none, and for one that says nothing about who calls: this machine's, or one of
    /// a private network.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let address = text.trim().parse::<IpAddr>().ok()?;
        // An IPv4 address in IPv6's clothes is still one.
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let special = v4.is_loopback()
                    || v4.is_private()
                    || v4.is_link_local()
                    || v4.is_unspecified()
                    || v4.is_broadcast()
                    || v4.is_multicast();
                (!special).then_some(Self(IpAddr::V4(v4)))
            }
            IpAddr::V6(v6) => {
                let special = v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
                    || v6.is_multicast();
                let masked = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - 56)));
                (!special).then_some(Self(IpAddr::V6(masked)))
            }
        }
    }
}

impl core::fmt::Display for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// Wrong codes that may come from an address in a day, where each account may enter so many.
#[must_use]
pub const fn address_quota(attempts_per_day: u32) -> u32 {
    attempts_per_day.saturating_mul(ACCOUNTS_PER_ADDRESS)
}

/// The hour of an instant.
#[must_use]
pub const fn hour_of(at: Instant) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// The earliest hour that counts now.
#[must_use]
pub const fn first_hour(now: Instant) -> i64 {
    hour_of(now) - HOURS + 1
}

/// When an hour's wrong codes count no more.
#[must_use]
pub const fn forgotten_at(hour: i64) -> Instant {
    Instant((hour + HOURS) * HOUR_MS)
}

/// Until when an address is kept waiting; `None` when it is not. `hours` are those with wrong codes, ascending.
#[must_use]
pub fn blocked_until(hours: &[(i64, u64)], quota: u32, now: Instant) -> Option<Instant> {
    let counted = hours.iter().filter(|(hour, _)| *hour >= first_hour(now));
    let mut left: u64 = counted.clone().map(|(_, count)| count).sum();
    // The oldest hours go first.
    let mut until = None;
    for (hour, count) in counted {
        if left < u64::from(quota) {
            break;
        }
        left = left.saturating_sub(*count);
        until = Some(forgotten_at(*hour));
    }
    until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_masked() {
        for (text, read) in [
            ("203.0.113.7", Some("203.0.113.7")),
            (" 203.0.113.7 ", Some("203.0.113.7")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("2001:db8:1:2ff:3:4:5:6", Some("2001:db8:1:200::")),
            ("2001:db8:1:200::1", Some("2001:db8:1:200::")),
            ("2001:db8:1:300::1", Some("2001:db8:1:300::")),
            ("2001:DB8::", Some("2001:db8::")),
            ("127.0.0.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("::ffff:192.168.1.1", None),
            ("10.1.2.3", None),
            ("172.16.0.1", None),
            ("172.32.0.1", Some("172.32.0.1")),
            ("192.168.0.9", None),
            ("169.254.1.1", None),
            ("fe80::1", None),
            ("fd00::1", None),
            ("ff02::1", None),
            ("224.0.0.1", None),
            ("255.255.255.255", None),
            ("0.0.0.0", None),
            ("::", None),
            ("", None),
            ("203.0.113.7:443", None),
            ("203.0.113.7, 198.51.100.1", None),
            ("203.0.113.07", None),
            ("[2001:db8::1]", None),
            ("2001:db8::1%eth0", None),
            ("localhost", None),
        ] {
            let network = Network::read(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), read, "{text}");
        }
    }

    #[test]
    fn an_address_waits_until_enough_is_forgotten() {
        let now = Instant(100 * HOUR_MS + 1_234);
        for (hours, quota, until) in [
            (&[][..], 10, None),
            (&[(100, 9)], 10, None),
            (&[(100, 10)], 10, Some(124)),
            (&[(100, 11)], 10, Some(124)),
            (&[(77, 10)], 10, Some(101)),
            (&[(76, 10)], 10, None),
            (&[(76, 10), (100, 9)], 10, None),
            (&[(77, 1), (90, 5), (100, 4)], 10, Some(101)),
            (&[(77, 1), (90, 5), (100, 5)], 10, Some(114)),
            (&[(77, 1), (90, 5), (100, 40)], 10, Some(124)),
        ] {
            let until = until.map(|hour: i64| Instant(hour * HOUR_MS));
            assert_eq!(blocked_until(hours, quota, now), until, "{hours:?}");
        }
        assert!(forgotten_at(first_hour(now)) > now);
        assert!(forgotten_at(first_hour(now) - 1) <= now);
        assert_eq!(address_quota(u32::MAX), u32::MAX);
    }
}
