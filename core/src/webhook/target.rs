//! Where a webhook may go: named, public hosts over https.
//!
//! The text is read here rather than by a URL crate, which would cost the edge more than everything else of this
//! folder: what is not plainly a URL of the usual form is refused, so there is nothing that this reader and the
//! one that sends could understand differently. A public name can still point to a private address; nothing that
//! reads text can know that, and the network that the edge runs in has no private neighbours.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Most characters in a target.
const TARGET_CHARS_MAX: usize = 2_048;
const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;
/// Endings of names that lead into a private network, or to this very machine.
const PRIVATE_ENDINGS: [&str; 9] =
    ["localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet", "home.arpa"];

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Longer than 2048 characters.
    Length,
    /// A blank, a control character, something beyond ASCII, or one of `\"<>^`{|}`.
    Character,
    /// Another scheme than https (or http, where private targets are allowed).
    Scheme,
    /// A user name or password.
    Credentials,
    /// A part after `#`.
    Fragment,
    /// Not 1 to 65535 without leading zeros.
    Port,
    /// No host, or none of the usual form: dots at its end, escapes, empty labels …
    Host,
    /// An address in numbers that is not written as four decimal numbers, or as IPv6 in brackets.
    AddressForm,
    /// An address that is not public.
    AddressPrivate,
    /// A name of this machine or of a private network, or a name without a dot.
    NamePrivate,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "at most {TARGET_CHARS_MAX} characters"),
            Self::Character => f.write_str("has a character that must be percent-encoded"),
            Self::Scheme => f.write_str("must begin with https://"),
            Self::Credentials => f.write_str("must not contain a user name or password"),
            Self::Fragment => f.write_str("must not have a fragment (#)"),
            Self::Port => f.write_str("the port is 1 to 65535"),
            Self::Host => f.write_str("has no host of the usual form"),
            Self::AddressForm => f.write_str("an address is written as four decimal numbers, or as IPv6 in brackets"),
            Self::AddressPrivate => f.write_str("must not be a private, loopback or otherwise special address"),
            Self::NamePrivate => f.write_str("must be a public host name"),
        }
    }
}

impl core::error::Error for TargetError {}

/// Checks a target. `allow_private` is for local development and tests: http, and any host.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(url: &str, allow_private: bool) -> Result<(), TargetError> {
    if url.len() > TARGET_CHARS_MAX {
        return Err(TargetError::Length);
    }
    // A backslash is a slash to some readers; blanks and line ends are dropped by them.
    if !url.bytes().all(|b| b.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&b)) {
        return Err(TargetError::Character);
    }
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) if allow_private => rest,
        (None, Some(_) | None) => return Err(TargetError::Scheme),
    };
    if rest.contains('#') {
        return Err(TargetError::Fragment);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(TargetError::Credentials);
    }
    let (host, port) = split_port(authority)?;
    if let Some(port) = port {
        let plain = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        if !plain || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(TargetError::Port);
        }
    }
    check_host(host, allow_private)
}

/// Host and port of an authority; an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(TargetError::Host)? + 1;
        let (host, rest) = authority.split_at_checked(end).ok_or(TargetError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(TargetError::Host),
        };
    }
    Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

fn check_host(host: &str, allow_private: bool) -> Result<(), TargetError> {
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        let address = address.ok_or(TargetError::AddressForm)?;
        return if allow_private || public_v6(address) { Ok(()) } else { Err(TargetError::AddressPrivate) };
    }
    let host = host.to_ascii_lowercase();
    let legal_label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.len() > HOST_CHARS_MAX || !host.split('.').all(legal_label) {
        return Err(TargetError::Host);
    }
    if ends_in_number(&host) {
        // Rust reads exactly the canonical form: no octal, no hexadecimal, no fewer than four numbers.
        return match host.parse::<Ipv4Addr>() {
            Ok(address) if allow_private || public_v4(address) => Ok(()),
            Ok(_) => Err(TargetError::AddressPrivate),
            Err(_) => Err(TargetError::AddressForm),
        };
    }
    let private = !host.contains('.')
        || PRIVATE_ENDINGS
            .iter()
            .any(|ending| host.strip_suffix(ending).is_some_and(|front| front.is_empty() || front.ends_with('.')));
    if private && !allow_private { Err(TargetError::NamePrivate) } else { Ok(()) }
}

/// Whether a URL's reader would take this host for an IPv4 address (the URL standard's "ends in a number").
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|b| b.is_ascii_digit())
}

/// Whether an address is one of the public internet: none of IANA's special-purpose ranges.
fn public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] => true,
        [100, second, ..] => second & 0xc0 == 64,
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => true,
        [172, second, ..] => second & 0xf0 == 16,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [first, ..] => first >= 224,
    };
    !special
}

/// Only 2000::/3 is public; not those parts of it that are special or carry an IPv4 address.
fn public_v6(address: Ipv6Addr) -> bool {
    let special = match address.segments() {
        // 2001::/23: Teredo, benchmarking, ORCHID …; 2001:db8::/32 and 3fff::/20: documentation; 2002::/16: 6to4.
        [0x2001, second, ..] => second < 0x200 || second == 0xdb8,
        [0x2002, ..] => true,
        [0x3fff, second, ..] => second < 0x1000,
        [first, ..] => first & 0xe000 != 0x2000,
    };
    !special
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_all(urls: &[&str], expected: Result<(), TargetError>) {
        for url in urls {
            assert_eq!(check(url, false), expected, "{url}");
        }
    }

    #[test]
    fn public_hosts_over_https() {
        let urls = [
            "https://hooks.example.com",
            "https://hooks.example.com/",
            "https://hooks.example.com:8443/path/to?x=1&y=%20",
            "https://Hooks.Example.com?x",
            "https://xn--bcher-kva.example/a@b",
            "https://1.example.com/",
            "https://8.8.8.8/",
            "https://172.15.0.1/",
            "https://100.63.0.1/",
            "https://[2606:4700::1111]:8443/",
            "https://localhost.example.com/",
            "https://local.example/",
            "https://mylocal.example.local.com/",
            "https://a0x1f.example0/",
        ];
        check_all(&urls, Ok(()));
    }

    #[test]
    fn schemes_credentials_and_fragments() {
        check_all(
            &[
                "http://hooks.example.com/",
                "HTTPS://hooks.example.com/",
                "ftp://a.example/",
                "https:/a.example",
                "//a.example/",
                "hooks.example.com",
                "",
                "javascript:x",
                "file:///etc/passwd",
            ],
            Err(TargetError::Scheme),
        );
        check_all(
            &[
                "https://user@a.example/",
                "https://user:pw@a.example/",
                "https://a.example@127.0.0.1/",
                "https://@a.example",
            ],
            Err(TargetError::Credentials),
        );
        check_all(
            &["https://a.example/#x", "https://a.example#", "https://a.example#@b.example/"],
            Err(TargetError::Fragment),
        );
    }

    #[test]
    fn unusual_characters_ports_and_hosts() {
        check_all(
            &[
                "https://a.example/ x",
                "https:\\\\a.example",
                "https://a.example\\@127.0.0.1/",
                "https://a.example\t/",
                "https://a.example/\n",
                "https://ä.example/",
                "https://a.example/{x}",
                "https://127。0。0。1/",
            ],
            Err(TargetError::Character),
        );
        check_all(
            &[
                "https://a.example:/",
                "https://a.example:0/",
                "https://a.example:00443/",
                "https://a.example:65536/",
                "https://a.example:+443/",
                "https://a.example:443:1/",
                "https://a.example:http/",
                "https://[2606:4700::1]:/",
            ],
            Err(TargetError::Port),
        );
        check_all(
            &[
                "https://",
                "https:///path",
                "https://?x",
                "https://a.example./",
                "https://localhost./",
                "https://127.0.0.1./",
                "https://a..example/",
                "https://.example/",
                "https://-a.example/",
                "https://a-.example/",
                "https://a_b.example/",
                "https://%6c%6f.example/",
                "https://%31%32%37.0.0.1/",
                "https://[::1",
                "https://[2606:4700::1]x/",
            ],
            Err(TargetError::Host),
        );
        let label = "a".repeat(64);
        let host = "a.".repeat(127);
        check_all(&[&format!("https://{label}.example/"), &format!("https://{host}a/")], Err(TargetError::Host));
        check_all(&[&format!("https://a.example/{}", "x".repeat(2_048))], Err(TargetError::Length));
    }

    #[test]
    fn addresses_in_other_spellings() {
        let urls = [
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7F.1/",
            "https://017700000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.1/",
            "https://0/",
            "https://0x/",
            "https://127.0.0.0x1/",
            "https://127.000.0.1/",
            "https://256.0.0.1/",
            "https://8.8.8.8.8/",
            "https://a.8/",
            "https://[fe80::1%25eth0]/",
            "https://[::1%eth0]/",
            "https://[127.0.0.1]/",
            "https://[]/",
            "https://[v1.x]/",
            "https://[1:2:3]/",
        ];
        check_all(&urls, Err(TargetError::AddressForm));
    }

    #[test]
    fn special_addresses_and_names() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[::8.8.8.8]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:1ff::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            check_all(
                &[&format!("https://{address}/"), &format!("https://{address}:8443/x")],
                Err(TargetError::AddressPrivate),
            );
        }
        for name in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "printer.local",
            "db.internal",
            "metadata.google.internal",
            "intranet",
            "fulfiller",
            "a.b.localhost",
            "nas.lan",
            "x.home.arpa",
            "host.localdomain",
            "local",
            "internal",
        ] {
            check_all(&[&format!("https://{name}/"), &format!("https://{name}:8443")], Err(TargetError::NamePrivate));
        }
    }

    #[test]
    fn private_targets_where_they_are_allowed() {
        for url in [
            "http://127.0.0.1:8790/hook",
            "http://localhost:80",
            "https://[::1]:1/",
            "http://fulfiller/",
            "https://a.example/",
        ] {
            assert_eq!(check(url, true), Ok(()), "{url}");
        }
        for (url, expected) in [
            ("ftp://127.0.0.1/", TargetError::Scheme),
            ("http://u:p@127.0.0.1/", TargetError::Credentials),
            ("http://127.0.0.1/#x", TargetError::Fragment),
            ("http://127.1/", TargetError::AddressForm),
            ("http://127.0.0.1:99999/", TargetError::Port),
            ("http:///", TargetError::Host),
        ] {
            assert_eq!(check(url, true), Err(expected), "{url}");
        }
    }

    /// Written apart from the product's own tables: what the standard library calls special.
    fn std_says_special(address: Ipv4Addr) -> bool {
        address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_unspecified()
            || address.is_broadcast()
            || address.is_documentation()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_special_address_passes_in_any_spelling(bits: u32, spelling in 0u8..6) {
            let address = Ipv4Addr::from(bits);
            let [a, b, c, d] = address.octets();
            let host = match spelling {
                0 => address.to_string(),
                1 => bits.to_string(),
                2 => format!("0x{bits:x}"),
                3 => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
                4 => format!("{a}.{}", bits & 0xff_ffff),
                _ => format!("[::ffff:{address}]"),
            };
            let passed = check(&format!("https://{host}/"), false).is_ok();
            prop_assert!(!passed || (spelling == 0 && !std_says_special(address)), "{}", host);
        }

        #[test]
        fn v6_passes_only_in_the_public_range(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let passed = check(&format!("https://[{address}]/"), false).is_ok();
            prop_assert!(!passed || bits >> 125 == 1);
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}", allow_private: bool) {
            let _ = check(&text, allow_private);
            let _ = check(&format!("https://{text}"), allow_private);
        }

        /// What passes has a plain host: the part before the first slash, question mark or port.
        #[test]
        fn what_passes_names_one_plain_host(text in "[a-z0-9.:@/?#\\\\%\\[\\]_-]{1,40}") {
            let url = format!("https://{text}");
            if check(&url, false).is_ok() {
                let host = text.split(['/', '?', ':']).next().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
                prop_assert!(host.starts_with('[') || (host.contains('.') && host.chars().all(plain)), "{}", url);
            }
        }
    }
}
