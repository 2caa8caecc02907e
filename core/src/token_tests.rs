use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes or so";
const NOW: Instant = Instant(1_000_000_000_000);
const HS: &str = r#"{"alg":"HS256"}"#;
const OK: &str = r#"{"sub":"ann","merchant":"acme","exp":1000000060}"#;

fn token(header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        Base64UrlUnpadded::encode_string(header.as_bytes()),
        Base64UrlUnpadded::encode_string(payload.as_bytes())
    );
    let signature = Base64UrlUnpadded::encode_string(&hmac(SECRET, &[signed.as_bytes()]));
    format!("{signed}.{signature}")
}

fn verify(policy: &TokenPolicy, secret: &[u8], token: &str) -> Result<Principal, TokenError> {
    policy.accept(UnverifiedToken::parse(token)?.verify_hs256(secret)?, NOW)
}

fn check(header: &str, payload: &str, expected: Result<Role, TokenError>) {
    let got = verify(&TokenPolicy::default(), SECRET, &token(header, payload)).map(|principal| principal.role);
    assert_eq!(got, expected, "{header} {payload}");
}

#[test]
fn secrets_fit_whole_or_not_at_all() {
    for (given, fits) in [("secret", true), ("secreT", false), ("secre", false), ("secret ", false), ("", false)] {
        assert_eq!(same_secret(b"secret", given.as_bytes()), fits, "{given}");
    }
}

#[test]
fn headers() {
    for good in
        [HS, r#"{"alg":"HS256","typ":"JWT","kid":"any","other":[{"deep":1}]}"#, r#"{"typ":"at+jwt","alg":"HS256"}"#]
    {
        check(good, OK, Ok(Role::Member));
    }
    for (bad, error) in [
        (r#"{"alg":"none"}"#, TokenError::Algorithm),
        (r#"{"alg":"None"}"#, TokenError::Algorithm),
        (r#"{"alg":"nOnE"}"#, TokenError::Algorithm),
        (r#"{"alg":""}"#, TokenError::Algorithm),
        (r#"{"alg":"hs256"}"#, TokenError::Algorithm),
        (r#"{"alg":"HS512"}"#, TokenError::Algorithm),
        (r#"{"alg":"RS512"}"#, TokenError::Algorithm),
        (r#"{"alg":"PS256"}"#, TokenError::Algorithm),
        (r#"{"alg":"ES384"}"#, TokenError::Algorithm),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, TokenError::Algorithm),
        (r#"{"alg":"HS256","crit":[]}"#, TokenError::Algorithm),
        // No signature of these is as long as an HMAC.
        (r#"{"alg":"RS256"}"#, TokenError::Signature),
        (r#"{"alg":"ES256"}"#, TokenError::Signature),
        (r#"{"alg":"EdDSA"}"#, TokenError::Signature),
        (r#"{"alg":"HS256","alg":"HS256"}"#, TokenError::Malformed),
        (r#"{"alg":"none","alg":"HS256"}"#, TokenError::Malformed),
        (r#"{"alg":["HS256"]}"#, TokenError::Malformed),
        (r#"{"alg":null}"#, TokenError::Malformed),
        (r#"{"alg":"HS256","kid":7}"#, TokenError::Malformed),
        (r#"{"typ":"JWT"}"#, TokenError::Malformed),
        (r#"["HS256"]"#, TokenError::Malformed),
        (r#""HS256""#, TokenError::Malformed),
        ("null", TokenError::Malformed),
        ("[]", TokenError::Malformed),
        ("{", TokenError::Malformed),
        ("", TokenError::Malformed),
    ] {
        check(bad, OK, Err(error));
    }
    let long = |length: usize| format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length));
    check(&long(255), OK, Ok(Role::Member));
    check(&long(256), OK, Err(TokenError::Malformed));
}

#[test]
fn claims() {
    check(HS, r#"{"sub":"a","merchant":"acme","exp":999999941,"role":"admin","other":1}"#, Ok(Role::Admin));
    check(HS, r#"{"sub":"a","merchant":"acme","exp":1e10,"nbf":1000000060,"iat":1000000060}"#, Ok(Role::Member));
    check(
        HS,
        r#"{"sub":"a","merchant":"acme","exp":1e10,"aud":["any"],"iss":"any","role":"service"}"#,
        Ok(Role::Service),
    );
    for (bad, error) in [
        (r#"{"sub":"a","merchant":"acme","exp":999999940}"#, TokenError::Expired),
        (r#"{"sub":"a","merchant":"acme","exp":0}"#, TokenError::Expired),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"nbf":1000000061}"#, TokenError::NotYetValid),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"iat":1000000061}"#, TokenError::NotYetValid),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"iat":"1"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"nbf":"1"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"nbf":-1}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":null}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":-5}"#, TokenError::Claims),
        (r#"{"merchant":"acme","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"","merchant":"acme","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":7,"merchant":"acme","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"Acme","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":["acme"],"exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":"1e10"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e300}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"role":"root"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"role":["admin"]}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"tags":"x"}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"tier":""}"#, TokenError::Claims),
        // One reader must not see another caller than the next.
        (r#"{"sub":"a","sub":"b","merchant":"acme","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","merchant":"other","exp":1e10}"#, TokenError::Claims),
        (r#"{"sub":"a","merchant":"acme","exp":1e10,"role":"member","role":"admin"}"#, TokenError::Claims),
        ("null", TokenError::Claims),
        ("[]", TokenError::Claims),
        ("", TokenError::Claims),
    ] {
        check(HS, bad, Err(error));
    }
}

fn ann() -> Principal {
    Principal {
        merchant: MerchantId::new("acme").unwrap(),
        sub: "ann".to_owned(),
        role: Role::Staff,
        expires_at: Instant(1_000_000_100_000),
        attributes: Attributes { tier: Some("gold".to_owned()), persona: None, tags: Some(vec!["vip".to_owned()]) },
        via: None,
        scopes: None,
    }
}

#[test]
fn signatures_issuers_and_audiences() {
    let strict = TokenPolicy { issuer: Some("shop".to_owned()), audience: Some("counterfoil".to_owned()) };
    let good = strict.sign_hs256(SECRET, &ann());
    assert_eq!(verify(&strict, SECRET, &good), Ok(ann()));
    let bare = TokenPolicy::default().sign_hs256(SECRET, &ann());
    assert_eq!(verify(&strict, SECRET, &bare), Err(TokenError::Audience));
    assert_eq!(verify(&strict, &[1; 32], &good), Err(TokenError::Signature));
    for bad in ["", "a.b", "a.b.c", "..", &good[..good.len() - 1], &format!("{good}A"), &"a".repeat(9_000)] {
        assert!(verify(&strict, SECRET, bad).is_err(), "{bad}");
    }
    for aud in [r#""other""#, r#"["other"]"#, "[]", "null"] {
        let payload = format!(r#"{{"sub":"a","merchant":"acme","exp":1e10,"iss":"shop","aud":{aud}}}"#);
        assert_eq!(verify(&strict, SECRET, &token(HS, &payload)), Err(TokenError::Audience), "{aud}");
    }
}

/// A key of one algorithm vouches for no token that names another, whatever the platform says of its signature.
#[test]
fn the_key_says_how_it_signs() {
    let signature = |bytes: usize| Base64UrlUnpadded::encode_string(&vec![7; bytes]);
    for (name, alg, bytes) in [
        ("HS256", Algorithm::Hs256, 32),
        ("RS256", Algorithm::Rs256, 256),
        ("RS256", Algorithm::Rs256, 512),
        ("ES256", Algorithm::Es256, 64),
        ("EdDSA", Algorithm::EdDsa, 64),
    ] {
        let whole = token(&format!(r#"{{"alg":"{name}","kid":"k"}}"#), OK);
        let signed = whole.rsplit_once('.').unwrap().0;
        let text = format!("{signed}.{}", signature(bytes));
        let parsed = UnverifiedToken::parse(&text).unwrap();
        assert_eq!((parsed.alg(), parsed.kid(), parsed.signed()), (alg, Some("k"), signed.as_bytes()));
        for other in [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let expected = if other == alg { Ok(()) } else { Err(TokenError::Algorithm) };
            assert_eq!(parsed.judged(other, true).map(drop), expected, "{alg:?} {other:?}");
        }
        assert_eq!(parsed.judged(alg, false), Err(TokenError::Signature));
        for wrong in [0, 31, 33, 63, 65, 255] {
            let text = format!("{signed}.{}", signature(wrong));
            assert_eq!(UnverifiedToken::parse(&text), Err(TokenError::Signature), "{alg:?} {wrong}");
        }
    }
}
