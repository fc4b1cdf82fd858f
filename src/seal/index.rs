//! Blind indexes: what must be found again, without being readable.

use aws_lc_rs::hmac;

use super::KeyBytes;

/// Makes keyed digests of normalised values. Equal values of one kind give equal digests, which is what leaks: who can
/// read the database learns that two rows share a phone number, not the number.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

impl std::fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexKey")
    }
}

impl IndexKey {
    pub fn new(bytes: &KeyBytes) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
    }

    /// HMAC-SHA-256 over kind and value, cut to 16 bytes: enough to make collisions a curiosity.
    pub fn digest(&self, kind: &str, value: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        context.sign().as_ref()[..16].to_vec()
    }

    /// HMAC-SHA-256 over bytes, whole: the row codes of the history.
    pub fn mac(&self, bytes: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, bytes).as_ref().to_vec()
    }

    /// Checks a row code in constant time.
    pub fn verify(&self, bytes: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.0, bytes, mac).is_ok()
    }
}
