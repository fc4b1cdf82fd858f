//! The signed statement that says who we are, made anew for every attempt (SMART asymmetric client authentication,
//! "Authenticating to the Token endpoint"; RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Header;
use serde::Serialize;

use crate::clock::Entropy;

use super::keys::{KeyError, SigningKey};

/// Life of an assertion in seconds. The limit is 300; a clock that is a little fast must not cross it.
const LIFE_SECONDS: i64 = 240;
const LONGEST_LIFE_SECONDS: i64 = 285;

/// What an assertion states.
#[derive(Debug, Clone, Copy)]
pub struct AssertionFacts<'a> {
    pub client_id: &'a str,
    /// The token endpoint exactly as discovery spelled it: servers compare byte for byte.
    pub audience: &'a str,
    /// Where our keys are published, for servers that ask for it in the header.
    pub jku: Option<&'a str>,
    /// Added to `exp`, for a server whose clock is known to be wrong: down to an hour back, never past the limit.
    pub exp_offset: TimeDelta,
}

/// A signed assertion. It is a credential: `Debug` shows its `jti` alone.
pub struct Assertion {
    pub jti: String,
    pub kid: String,
    compact: String,
}

impl Assertion {
    /// The compact serialisation, for the request body and nowhere else.
    pub fn compact(&self) -> &str {
        &self.compact
    }
}

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertion").field("jti", &self.jti).field("kid", &self.kid).finish_non_exhaustive()
    }
}

// `nbf` and `iat` are left out: SMART does not ask for them, and they turn a small clock skew into a refusal.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    jti: &'a str,
}

/// Signs a new assertion. A server refuses one that it has seen, so every attempt needs its own, retries too.
///
/// # Errors
/// The key cannot sign.
pub fn sign(
    key: &SigningKey,
    facts: AssertionFacts<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
) -> Result<Assertion, KeyError> {
    let mut random = [0_u8; 24];
    entropy.fill(&mut random);
    let jti = URL_SAFE_NO_PAD.encode(random);
    let exp = now.timestamp() + (LIFE_SECONDS + facts.exp_offset.num_seconds()).clamp(-3600, LONGEST_LIFE_SECONDS);
    let claims = Claims { iss: facts.client_id, sub: facts.client_id, aud: facts.audience, exp, jti: &jti };
    let mut header = Header::new(key.alg().jose());
    header.typ = Some("JWT".to_owned());
    header.kid = Some(key.kid().to_owned());
    header.jku = facts.jku.map(str::to_owned);
    let compact = jsonwebtoken::encode(&header, &claims, key.encoding())
        .map_err(|_| KeyError::Unusable { kid: key.kid().to_owned(), alg: key.alg() })?;
    Ok(Assertion { jti, kid: key.kid().to_owned(), compact })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
    };
    use chrono::TimeZone as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::SystemEntropy;
    use crate::ehr::keys::SigningAlg;

    const FACTS: AssertionFacts<'static> = AssertionFacts {
        client_id: "beckon-client",
        audience: "https://ehr.example/hosts/x/token",
        jku: None,
        exp_offset: TimeDelta::zero(),
    };

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
    }

    fn part(compact: &str, index: usize) -> Value {
        let part = compact.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn bytes(key: &SigningKey, member: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(key.public_jwk()[member].as_str().unwrap()).unwrap()
    }

    #[test]
    fn header_and_claims_are_exactly_those_of_smart() {
        let key = SigningKey::generate(SigningAlg::Es384).unwrap();
        let assertion = sign(&key, FACTS, now(), &SystemEntropy).unwrap();
        assert_eq!(part(assertion.compact(), 0), json!({"typ": "JWT", "alg": "ES384", "kid": key.kid()}));
        assert_eq!(
            part(assertion.compact(), 1),
            json!({"iss": "beckon-client", "sub": "beckon-client", "aud": "https://ehr.example/hosts/x/token",
                   "exp": now().timestamp() + 240, "jti": assertion.jti}),
        );
        assert!(assertion.jti.len() >= 22 && assertion.jti.len() < 151);
        assert!(!format!("{assertion:?}").contains(assertion.compact()));
    }

    #[test]
    fn the_expiry_never_reaches_the_limit_of_five_minutes() {
        let key = SigningKey::generate(SigningAlg::Es384).unwrap();
        for (offset, expected) in [(0, 240), (45, 285), (3600, 285), (-120, 120)] {
            let facts = AssertionFacts { exp_offset: TimeDelta::seconds(offset), ..FACTS };
            let exp = part(sign(&key, facts, now(), &SystemEntropy).unwrap().compact(), 1)["exp"].as_i64().unwrap();
            assert_eq!(exp - now().timestamp(), expected, "offset {offset}");
        }
    }

    #[test]
    fn the_jwks_url_stands_in_the_header_only_where_it_is_set() {
        let key = SigningKey::generate(SigningAlg::Es384).unwrap();
        let facts = AssertionFacts { jku: Some("https://gw.example/ehr/a/jwks.json"), ..FACTS };
        let assertion = sign(&key, facts, now(), &SystemEntropy).unwrap();
        assert_eq!(part(assertion.compact(), 0)["jku"], "https://gw.example/ehr/a/jwks.json");
    }

    #[test]
    fn both_algorithms_verify_with_the_published_key_and_not_when_tampered_with() {
        for alg in SigningAlg::ALL {
            let key = SigningKey::generate(alg).unwrap();
            let assertion = sign(&key, FACTS, now(), &SystemEntropy).unwrap();
            let (message, signature) = assertion.compact().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let verify = |message: &[u8]| match alg {
                SigningAlg::Es384 => {
                    let point = [vec![4], bytes(&key, "x"), bytes(&key, "y")].concat();
                    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, &signature).is_ok()
                }
                SigningAlg::Rs384 => RsaPublicKeyComponents { n: bytes(&key, "n"), e: bytes(&key, "e") }
                    .verify(&RSA_PKCS1_2048_8192_SHA384, message, &signature)
                    .is_ok(),
            };
            assert!(verify(message.as_bytes()), "{alg}");
            assert!(!verify(&message.as_bytes()[1..]), "{alg}");
            if alg == SigningAlg::Es384 {
                assert_eq!(signature.len(), 96, "raw R and S, not DER");
            }
        }
    }

    #[test]
    fn no_two_assertions_share_a_jti() {
        let key = SigningKey::generate(SigningAlg::Es384).unwrap();
        let jtis: HashSet<String> =
            (0..10_000).map(|_| sign(&key, FACTS, now(), &SystemEntropy).unwrap().jti).collect();
        assert_eq!(jtis.len(), 10_000);
    }
}
