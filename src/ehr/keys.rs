//! The key pairs a connection signs with: making them, publishing the public half, and rotating them without a gap
//! (SMART asymmetric client authentication, "Registering a client"; RFC 7517, RFC 7638).

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use aws_lc_rs::{digest, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The two algorithms that SMART asks every client to master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlg {
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "RS384")]
    Rs384,
}

impl SigningAlg {
    pub const ALL: [Self; 2] = [Self::Es384, Self::Rs384];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es384 => "ES384",
            Self::Rs384 => "RS384",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }

    pub(super) const fn jose(self) -> Algorithm {
        match self {
            Self::Es384 => Algorithm::ES384,
            Self::Rs384 => Algorithm::RS384,
        }
    }
}

impl std::fmt::Display for SigningAlg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a key cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the crypto library could not make an {0} key; is the machine's random source working?")]
    Generation(SigningAlg),
    #[error(
        "the stored private key {kid} is not a usable {alg} key in PKCS#8 form; rotate the keys of this connection"
    )]
    Unusable { kid: String, alg: SigningAlg },
    #[error("no {0} key of this connection signs now; run `beckon ehr keys rotate`")]
    NoSigner(SigningAlg),
}

/// A private key with its public half. `Debug` shows the key id alone.
pub struct SigningKey {
    kid: String,
    alg: SigningAlg,
    pkcs8: Zeroizing<Vec<u8>>,
    public: Value,
    encoding: EncodingKey,
}

impl SigningKey {
    /// Makes a new key: P-384 for ES384, RSA 3072 for RS384. Takes the crypto library's own randomness, because no
    /// test may ever make a predictable key.
    ///
    /// # Errors
    /// The library refuses.
    pub fn generate(alg: SigningAlg) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation(alg);
        let pkcs8 = match alg {
            SigningAlg::Es384 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new())
                    .map_err(failed)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
            SigningAlg::Rs384 => {
                let pair = rsa::KeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
                let der = pair.as_der().map_err(failed)?;
                Zeroizing::new(der.as_ref().to_vec())
            }
        };
        Self::from_pkcs8(alg, pkcs8)
    }

    /// Takes up a stored key.
    ///
    /// # Errors
    /// The bytes are not a private key of this algorithm.
    pub fn from_pkcs8(alg: SigningAlg, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let unusable = || KeyError::Unusable { kid: "(unread)".to_owned(), alg };
        let (mut public, kid, encoding) = match alg {
            SigningAlg::Es384 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8).map_err(|_| unusable())?;
                // Uncompressed point: 0x04, then both coordinates at their full 48 bytes, as a JWK wants them.
                let point = pair.public_key().as_ref();
                let (x, y) = (point.get(1..49).ok_or_else(unusable)?, point.get(49..97).ok_or_else(unusable)?);
                let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
                let kid = thumbprint(&format!(r#"{{"crv":"P-384","kty":"EC","x":"{x}","y":"{y}"}}"#));
                let public = json!({"kty": "EC", "crv": "P-384", "x": x, "y": y});
                (public, kid, EncodingKey::from_ec_der(&pkcs8))
            }
            SigningAlg::Rs384 => {
                let pair = RsaKeyPair::from_pkcs8(&pkcs8).map_err(|_| unusable())?;
                if pair.public_modulus_len() < 256 {
                    return Err(unusable());
                }
                let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
                let exponent = pair.public_key().exponent().big_endian_without_leading_zero();
                let (n, e) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
                let kid = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
                // jsonwebtoken's DER door takes PKCS#1; only its PEM door takes PKCS#8.
                let pem = Zeroizing::new(format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    STANDARD.encode(&*pkcs8)
                ));
                let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| unusable())?;
                (json!({"kty": "RSA", "n": n, "e": e}), kid, encoding)
            }
        };
        public["kid"] = json!(kid);
        public["use"] = json!("sig");
        public["alg"] = json!(alg.as_str());
        public["key_ops"] = json!(["verify"]);
        Ok(Self { kid, alg, pkcs8, public, encoding })
    }

    /// The RFC 7638 thumbprint of the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub const fn alg(&self) -> SigningAlg {
        self.alg
    }

    /// The private key, to be sealed by the store and by nobody else.
    pub const fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// The public half as a JWK; it never holds a private member.
    pub const fn public_jwk(&self) -> &Value {
        &self.public
    }

    pub(super) const fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

fn thumbprint(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

/// How long the JWKS document may be cached (its `Cache-Control: max-age`), in seconds. Short, so that a key that had
/// to be withdrawn is forgotten soon.
pub const JWKS_MAX_AGE_SECONDS: i64 = 900;

/// The longest life of an assertion plus the clock skew that servers allow.
const LAST_ASSERTION: TimeDelta = TimeDelta::minutes(6);

/// A key with the times at which it is published and signs. Times, not states: no step of a rotation can be forgotten
/// by a process that was down when it fell due.
#[derive(Debug, Clone)]
pub struct RingKey {
    pub key: Arc<SigningKey>,
    pub created_at: DateTime<Utc>,
    /// From here on it signs, until a later key does.
    pub signs_from: DateTime<Utc>,
    /// From here on it is no longer published, and its private half is to be destroyed.
    pub published_until: Option<DateTime<Utc>>,
}

/// All keys of one connection.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

impl KeyRing {
    pub fn new(keys: Vec<RingKey>) -> Self {
        Self { keys }
    }

    /// A first key of each algorithm, signing at once.
    ///
    /// # Errors
    /// The crypto library refuses.
    pub fn first(now: DateTime<Utc>) -> Result<Self, KeyError> {
        let mut ring = Self::default();
        for alg in SigningAlg::ALL {
            let key = Arc::new(SigningKey::generate(alg)?);
            ring.keys.push(RingKey { key, created_at: now, signs_from: now, published_until: None });
        }
        Ok(ring)
    }

    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// The key that signs at `now`.
    ///
    /// # Errors
    /// There is none of this algorithm.
    pub fn signer(&self, alg: SigningAlg, now: DateTime<Utc>) -> Result<Arc<SigningKey>, KeyError> {
        self.of(alg)
            .filter(|ring| ring.signs_from <= now && ring.published_until.is_none_or(|end| now < end))
            .max_by_key(|ring| ring.signs_from)
            .map(|ring| Arc::clone(&ring.key))
            .ok_or(KeyError::NoSigner(alg))
    }

    /// Adds the next key of `key`'s algorithm: published now, signing after `sync_delay` (the time servers need to
    /// see it; never less than the cache time of the JWKS). The older keys stay published until the last assertion
    /// that they signed has expired everywhere.
    pub fn rotate(&mut self, key: Arc<SigningKey>, now: DateTime<Utc>, sync_delay: TimeDelta) {
        let max_age = TimeDelta::seconds(JWKS_MAX_AGE_SECONDS);
        let signs_from = now + sync_delay.max(max_age + LAST_ASSERTION);
        let retire_at = Self::retires_after(signs_from);
        for older in self.keys.iter_mut().filter(|ring| ring.key.alg == key.alg) {
            older.published_until = Some(older.published_until.map_or(retire_at, |end| end.min(retire_at)));
        }
        self.keys.push(RingKey { key, created_at: now, signs_from, published_until: None });
    }

    /// When a key may vanish whose follower signs from `signs_from` on: nothing that it signed is on its way any more.
    pub fn retires_after(signs_from: DateTime<Utc>) -> DateTime<Utc> {
        signs_from + LAST_ASSERTION + TimeDelta::seconds(JWKS_MAX_AGE_SECONDS)
    }

    /// The key that signed before the one that signs at `now`, while it is still published.
    pub fn previous_signer(&self, alg: SigningAlg, now: DateTime<Utc>) -> Option<Arc<SigningKey>> {
        let signer = self.signer(alg, now).ok()?;
        self.of(alg)
            .filter(|ring| ring.signs_from <= now && ring.published_until.is_some_and(|end| now < end))
            .filter(|ring| ring.key.kid != signer.kid)
            .max_by_key(|ring| ring.signs_from)
            .map(|ring| Arc::clone(&ring.key))
    }

    /// Replaces a key that may be known to others: the older ones vanish at once, and servers that cached the old
    /// set refuse us for as long as they keep it.
    pub fn replace_compromised(&mut self, key: Arc<SigningKey>, now: DateTime<Utc>) {
        for older in self.keys.iter_mut().filter(|ring| ring.key.alg == key.alg) {
            older.published_until = Some(now);
        }
        self.keys.push(RingKey { key, created_at: now, signs_from: now, published_until: None });
    }

    /// Whether two keys of one algorithm are published: servers may not yet have seen the new one.
    pub fn is_rotating(&self, alg: SigningAlg, now: DateTime<Utc>) -> bool {
        self.of(alg).filter(|ring| ring.published_until.is_none_or(|end| now < end)).count() > 1
    }

    /// The JWKS document to publish at `now`.
    pub fn jwks(&self, now: DateTime<Utc>) -> Value {
        let keys: Vec<&Value> = self
            .keys
            .iter()
            .filter(|ring| ring.published_until.is_none_or(|end| now < end))
            .map(|ring| &ring.key.public)
            .collect();
        json!({ "keys": keys })
    }

    fn of(&self, alg: SigningAlg) -> impl Iterator<Item = &RingKey> {
        self.keys.iter().filter(move |ring| ring.key.alg == alg)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 2, 10, minute, 0).unwrap()
    }

    fn kids(jwks: &Value) -> Vec<&str> {
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_published_set_holds_no_private_member() {
        let jwks = KeyRing::first(at(0)).unwrap().jwks(at(0));
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
        for key in jwks["keys"].as_array().unwrap() {
            let mut members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            match key["kty"].as_str().unwrap() {
                "EC" => assert_eq!(members, ["alg", "crv", "key_ops", "kid", "kty", "use", "x", "y"]),
                _ => assert_eq!(members, ["alg", "e", "key_ops", "kid", "kty", "n", "use"]),
            }
            assert_eq!(key["key_ops"], json!(["verify"]));
            assert_eq!(key["use"], "sig");
        }
    }

    #[test]
    fn ec_coordinates_are_48_bytes_and_the_rsa_modulus_3072_bits() {
        let len = |key: &SigningKey, member: &str| {
            URL_SAFE_NO_PAD.decode(key.public_jwk()[member].as_str().unwrap()).unwrap().len()
        };
        for _ in 0..20 {
            let key = SigningKey::generate(SigningAlg::Es384).unwrap();
            assert_eq!((len(&key, "x"), len(&key, "y")), (48, 48));
        }
        let key = SigningKey::generate(SigningAlg::Rs384).unwrap();
        assert_eq!(len(&key, "n"), 384);
        assert_eq!(key.public_jwk()["e"], "AQAB");
    }

    #[test]
    fn the_thumbprint_of_rfc_7638_section_3_1_comes_out() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let canonical = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
        assert_eq!(thumbprint(&canonical), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_stored_key_comes_back_as_the_same_key() {
        let key = SigningKey::generate(SigningAlg::Es384).unwrap();
        let again = SigningKey::from_pkcs8(SigningAlg::Es384, key.pkcs8().clone()).unwrap();
        assert_eq!(key.kid(), again.kid());
        assert!(SigningKey::from_pkcs8(SigningAlg::Rs384, key.pkcs8().clone()).is_err());
        assert!(!format!("{key:?}").contains("pkcs8"));
    }

    #[test]
    fn rotation_publishes_both_keys_before_the_new_one_signs() {
        let mut ring = KeyRing::first(at(0)).unwrap();
        let old = ring.signer(SigningAlg::Es384, at(0)).unwrap();
        let new = Arc::new(SigningKey::generate(SigningAlg::Es384).unwrap());
        ring.rotate(Arc::clone(&new), at(0), TimeDelta::minutes(1));

        // The wait asked for is shorter than the cache time of the JWKS: 15 + 6 minutes hold.
        assert!(kids(&ring.jwks(at(0))).contains(&old.kid()) && kids(&ring.jwks(at(0))).contains(&new.kid()));
        assert_eq!(ring.signer(SigningAlg::Es384, at(20)).unwrap().kid(), old.kid());
        assert_eq!(ring.signer(SigningAlg::Es384, at(21)).unwrap().kid(), new.kid());
        assert!(kids(&ring.jwks(at(41))).contains(&old.kid()), "an assertion of the old key may still be on its way");
        assert!(!kids(&ring.jwks(at(42))).contains(&old.kid()));
        assert!(ring.is_rotating(SigningAlg::Es384, at(21)) && !ring.is_rotating(SigningAlg::Es384, at(42)));
        assert!(!ring.is_rotating(SigningAlg::Rs384, at(21)));
    }

    #[test]
    fn a_compromised_key_is_gone_at_once() {
        let mut ring = KeyRing::first(at(0)).unwrap();
        let old = ring.signer(SigningAlg::Es384, at(0)).unwrap();
        ring.replace_compromised(Arc::new(SigningKey::generate(SigningAlg::Es384).unwrap()), at(1));
        assert!(!kids(&ring.jwks(at(1))).contains(&old.kid()));
        assert_ne!(ring.signer(SigningAlg::Es384, at(1)).unwrap().kid(), old.kid());
    }
}
