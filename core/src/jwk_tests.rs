use super::*;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const Y: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE";

/// A modulus of so many bits.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    let first = u8::try_from(0xff_u16 >> (bytes.len() * 8 - bits)).unwrap();
    bytes[0] = first;
    Base64UrlUnpadded::encode_string(&bytes)
}

fn rsa(bits: usize, more: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"{more}}}"#, modulus(bits))
}

fn ec(more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
}

fn ed(more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#)
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

#[test]
fn keys_say_how_they_sign() {
    for (jwk, algorithm) in [
        (rsa(2_048, ""), Algorithm::Rs256),
        (rsa(4_096, r#","alg":"RS256","use":"sig","key_ops":["verify"],"kid":"k","x5t":"x""#), Algorithm::Rs256),
        (ec(r#","alg":"ES256""#), Algorithm::Es256),
        (ec(""), Algorithm::Es256),
        (ed(r#","alg":"EdDSA","use":"sig""#), Algorithm::EdDsa),
        (ed(""), Algorithm::EdDsa),
    ] {
        let keys = read_set(&set(std::slice::from_ref(&jwk))).unwrap();
        assert_eq!(keys.iter().map(|key| key.algorithm).collect::<Vec<_>>(), [algorithm], "{jwk}");
        for name in ["alg", "use", "key_ops", "kid", "x5t"] {
            assert!(!keys[0].material.contains(name), "{}", keys[0].material);
        }
    }
}

/// Of another purpose, or of an algorithm that is not spoken here: passed over.
#[test]
fn other_keys_are_passed_over() {
    for other in [
        rsa(2_048, r#","use":"enc""#),
        rsa(2_048, r#","alg":"RSA-OAEP","use":"enc""#),
        rsa(2_048, r#","key_ops":["encrypt"]"#),
        rsa(2_048, r#","key_ops":[]"#),
        rsa(2_048, r#","alg":"RS512""#),
        rsa(2_048, r#","alg":"PS256""#),
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        r#"{"kty":"new","anything":1}"#.to_owned(),
    ] {
        assert_eq!(read_set(&set(std::slice::from_ref(&other))), Err(JwksError::Empty), "{other}");
        assert_eq!(read_set(&set(&[other, ed("")])).map(|keys| keys.len()), Ok(1));
    }
}

#[test]
fn sets_that_are_refused() {
    let refused = |bad: String| match read_set(&set(&[ed(r#","kid":"good""#), bad.clone()])) {
        Err(JwksError::Key { index: 1, reason }) => reason,
        other => panic!("{bad}: {other:?}"),
    };
    for (bad, reason) in [
        (r#"{"kty":"oct","k":"AAAA"}"#.to_owned(), "shared secret"),
        (r#"{"kty":"oct"}"#.to_owned(), "shared secret"),
        (rsa(2_048, r#","d":"AAAA""#), "private key"),
        (rsa(2_048, r#","p":"AAAA""#), "private key"),
        (rsa(2_048, r#","use":"enc","d":"AAAA""#), "private key"),
        (ec(r#","d":"AAAA""#), "private key"),
        (ed(r#","d":"AAAA""#), "private key"),
        (rsa(2_047, ""), "2048 to 8192 bits"),
        (rsa(1_024, ""), "2048 to 8192 bits"),
        (rsa(8_193, ""), "2048 to 8192 bits"),
        (rsa(2_048, "").replace("AQAB", "AQ"), "odd"),
        (rsa(2_048, "").replace("AQAB", "AQAA"), "odd"),
        (rsa(2_048, "").replace("AQAB", "AQAAAAAB"), "odd"),
        (rsa(2_048, "").replace("\"AQAB\"", "\"AQ==\""), "e is missing"),
        (r#"{"kty":"RSA","e":"AQAB"}"#.to_owned(), "n is missing"),
        (rsa(2_048, r#","alg":"ES256""#), "different things"),
        (rsa(2_048, r#","alg":"HS256""#), "different things"),
        (ec(r#","alg":"EdDSA""#), "different things"),
        (ed(r#","alg":"ES256""#), "different things"),
        (r#"{"kty":"EC","x":"AA","y":"AA"}"#.to_owned(), "crv is missing"),
        (ec("").replace(Y, "AA"), "y is missing"),
        (ec("").replace(X, "AA"), "x is missing"),
        (ed("").replace(X, &modulus(264)), "x is missing"),
        (ed(r#","kid":"good""#), "the same kid"),
        (ed(r#","kid":"""#), "kid has"),
    ] {
        assert!(refused(bad.clone()).contains(reason), "{bad}");
    }
    for text in
        ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[{}]}"#, r#"{"keys":[],"keys":[]}"#]
    {
        assert!(matches!(read_set(text), Err(JwksError::Form(_))), "{text}");
    }
    assert_eq!(read_set(r#"{"keys":[]}"#), Err(JwksError::Empty));
    assert_eq!(read_set(&" ".repeat(JWKS_BYTES_MAX + 1)), Err(JwksError::Length));
    assert_eq!(read_set(&set(&vec!["{\"kty\":\"new\"}".to_owned(); 101])), Err(JwksError::Length));
}

fn token(alg: &str, kid: Option<&str>) -> String {
    let kid = kid.map_or(String::new(), |kid| format!(r#","kid":"{kid}""#));
    let header = Base64UrlUnpadded::encode_string(format!(r#"{{"alg":"{alg}"{kid}}}"#).as_bytes());
    let bytes = match alg {
        "HS256" => 32,
        "RS256" => 256,
        _ => 64,
    };
    format!("{header}.e30.{}", Base64UrlUnpadded::encode_string(&vec![1; bytes]))
}

#[test]
fn a_token_means_one_key_or_none() {
    let keys =
        read_set(&set(&[rsa(2_048, r#","kid":"r1""#), rsa(3_072, r#","kid":"r2""#), ec(r#","kid":"e1""#), ed("")]))
            .unwrap();
    for (alg, kid, with, without) in [
        ("RS256", Some("r1"), Ok(Some(0)), Ok(Some(0))),
        ("RS256", Some("r2"), Ok(Some(1)), Ok(Some(1))),
        ("RS256", Some("r3"), Err(TokenError::KeyUnknown), Err(TokenError::KeyUnknown)),
        ("RS256", Some("e1"), Err(TokenError::Algorithm), Err(TokenError::Algorithm)),
        // Two keys could be meant.
        ("RS256", None, Err(TokenError::KeyUnknown), Err(TokenError::KeyUnknown)),
        ("ES256", None, Ok(Some(2)), Ok(Some(2))),
        ("ES256", Some("r1"), Err(TokenError::Algorithm), Err(TokenError::Algorithm)),
        ("EdDSA", None, Ok(Some(3)), Ok(Some(3))),
        // The only key of its algorithm has no name, and so nobody can name it.
        ("EdDSA", Some("x"), Err(TokenError::KeyUnknown), Err(TokenError::KeyUnknown)),
        ("HS256", None, Ok(None), Err(TokenError::Algorithm)),
        ("HS256", Some("any"), Ok(None), Err(TokenError::Algorithm)),
        // Key confusion: a public key is nobody's secret.
        ("HS256", Some("r1"), Err(TokenError::Algorithm), Err(TokenError::Algorithm)),
    ] {
        let text = token(alg, kid);
        let token = UnverifiedToken::parse(&text).unwrap();
        let place = |has_secret| {
            choose(&token, has_secret, &keys).map(|chosen| match chosen {
                Chosen::Secret => None,
                Chosen::Public(place, key) => {
                    assert_eq!(key, &keys[place]);
                    Some(place)
                }
            })
        };
        assert_eq!((place(true), place(false)), (with, without), "{alg} {kid:?}");
    }
}

#[test]
fn a_set_is_fetched_when_it_is_old_or_lacks_a_key() {
    let second = |s: i64| Instant(1_000_000_000_000 + s * 1_000);
    let fetched = |at: Option<i64>, tried_at: Option<i64>, tried| Fetched {
        at: at.map(second),
        tried_at: tried_at.map(second),
        tried,
        missed_at: None,
    };
    let missed = |at: i64| Fetched { missed_at: Some(second(at)), ..fetched(Some(0), Some(at), true) };
    for (known, missing, now, step) in [
        (fetched(None, None, false), true, 0, Step::Fetch),
        (fetched(None, Some(0), false), true, 0, Step::Wait),
        (fetched(None, Some(0), false), true, 3, Step::Wait),
        // Whoever fetched was cut off.
        (fetched(None, Some(0), false), true, 4, Step::Fetch),
        (fetched(None, Some(0), true), true, 0, Step::GiveUp),
        (fetched(None, Some(0), true), true, 1, Step::Fetch),
        (fetched(Some(0), Some(0), true), false, 1, Step::Use),
        (fetched(Some(0), Some(0), true), false, 599, Step::Use),
        (fetched(Some(0), Some(0), true), false, 600, Step::Fetch),
        // Keys that are missed: at once, then in half a minute again.
        (fetched(Some(0), Some(0), true), true, 1, Step::Fetch),
        (Fetched { tried: false, ..missed(1) }, true, 2, Step::Wait),
        (Fetched { tried: false, ..missed(1) }, false, 2, Step::Use),
        (Fetched { tried: false, ..missed(1) }, true, 5, Step::Fetch),
        (missed(1), true, 2, Step::Use),
        (missed(1), true, 30, Step::Use),
        (missed(1), true, 31, Step::Fetch),
        (missed(1), false, 31, Step::Use),
        // A failed fetch keeps what is known.
        (fetched(Some(0), Some(600), true), false, 629, Step::Use),
        (fetched(Some(0), Some(600), true), false, 630, Step::Fetch),
        (missed(600), false, 629, Step::Use),
        (missed(600), true, 629, Step::Use),
        (missed(600), true, 630, Step::Fetch),
        // A clock that was put back.
        (fetched(Some(0), Some(0), true), false, -5, Step::Fetch),
    ] {
        assert_eq!(known.step(missing, second(now)), step, "{known:?} {missing} {now}");
    }
}
