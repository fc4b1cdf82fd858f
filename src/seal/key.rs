//! Keys, and keys wrapped by keys.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::SealError;
use super::sealed::{HEADER, KEY_ID, NONCE, Place, header};
use crate::clock::Entropy;

/// The raw bytes of a key, wiped when dropped.
#[derive(Clone)]
pub struct KeyBytes(Zeroizing<[u8; 32]>);

impl KeyBytes {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        entropy.fill(bytes.as_mut());
        Self(bytes)
    }

    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        let array: [u8; 32] = bytes.try_into().map_err(|_| SealError::Malformed)?;
        Ok(Self(Zeroizing::new(array)))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyBytes")
    }
}

/// A key's bytes, sealed by the key above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

/// An AES-256-GCM key with its id. Cheap to clone; the key schedule is made once.
#[derive(Clone)]
pub struct Key {
    id: Uuid,
    aead: Arc<RandomizedNonceKey>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    pub fn new(id: Uuid, bytes: &KeyBytes) -> Result<Self, SealError> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|_| SealError::Provider)?;
        Ok(Self { id, aead: Arc::new(aead) })
    }

    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Seals `plain` for one place: format, key id, nonce, ciphertext, tag.
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut body = Vec::with_capacity(HEADER + plain.len() + 16);
        body.extend_from_slice(plain);
        let nonce = self
            .aead
            .seal_in_place_append_tag(Aad::from(place.bind(self.id)), &mut body)
            .map_err(|_| SealError::Provider)?;
        let mut sealed = header(self.id, nonce.as_ref());
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what `seal` made for the same place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() < HEADER + 16 || super::key_of(sealed)? != self.id {
            return Err(SealError::Malformed);
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + KEY_ID..1 + KEY_ID + NONCE])
            .map_err(|_| SealError::Malformed)?;
        let mut body = sealed[HEADER..].to_vec();
        let plain = self
            .aead
            .open_in_place(nonce, Aad::from(place.bind(self.id)), &mut body)
            .map_err(|_| SealError::DoesNotOpen)?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// Wraps another key, bound to the id that it will have.
    pub fn wrap(&self, tenant: &str, id: Uuid, bytes: &KeyBytes) -> Result<WrappedKey, SealError> {
        let row = id.to_string();
        self.seal(&Place { tenant, table: "key", column: "wrapped", row: &row }, bytes.as_slice()).map(WrappedKey)
    }

    pub fn unwrap(&self, tenant: &str, id: Uuid, wrapped: &WrappedKey) -> Result<KeyBytes, SealError> {
        let row = id.to_string();
        let place = Place { tenant, table: "key", column: "wrapped", row: &row };
        let mut plain = self.open(&place, &wrapped.0)?;
        let bytes = KeyBytes::from_slice(&plain);
        plain.zeroize();
        bytes
    }
}

/// The key above all others. It never lies in the database.
#[derive(Debug, Clone)]
pub struct RootKey(Key);

impl RootKey {
    /// Reads 32 bytes of base64.
    pub fn parse(text: &SecretString) -> Result<Self, SealError> {
        let bytes = Zeroizing::new(BASE64.decode(text.expose_secret().trim()).map_err(|_| SealError::RootKey)?);
        let bytes = KeyBytes::from_slice(&bytes).map_err(|_| SealError::RootKey)?;
        Key::new(Uuid::nil(), &bytes).map(Self)
    }

    pub const fn key(&self) -> &Key {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;

    fn key(seed: u64) -> Key {
        Key::new(Uuid::from_u128(u128::from(seed)), &KeyBytes::generate(&SeededEntropy::new(seed))).unwrap()
    }

    const PLACE: Place<'static> = Place { tenant: "main", table: "message", column: "body", row: "7" };

    #[test]
    fn a_sealed_value_opens_in_its_place_and_nowhere_else() {
        let sealed = key(1).seal(&PLACE, b"Dear Ada").unwrap();
        assert_eq!(key(1).open(&PLACE, &sealed).unwrap(), b"Dear Ada");
        for place in [
            Place { tenant: "other", ..PLACE },
            Place { table: "reply", ..PLACE },
            Place { column: "address", ..PLACE },
            Place { row: "8", ..PLACE },
        ] {
            assert_eq!(key(1).open(&place, &sealed), Err(SealError::DoesNotOpen), "{place:?}");
        }
        assert_eq!(key(2).open(&PLACE, &sealed), Err(SealError::Malformed));
    }

    #[test]
    fn a_flipped_bit_or_a_cut_end_is_noticed() {
        let sealed = key(1).seal(&PLACE, b"Dear Ada").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key(1).open(&PLACE, &altered).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(&PLACE, &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_wrapped_key_unwraps_under_its_own_id_only() {
        let inner = KeyBytes::generate(&SeededEntropy::new(9));
        let wrapped = key(1).wrap("main", Uuid::from_u128(5), &inner).unwrap();
        assert_eq!(key(1).unwrap("main", Uuid::from_u128(5), &wrapped).unwrap().as_slice(), inner.as_slice());
        assert!(key(1).unwrap("main", Uuid::from_u128(6), &wrapped).is_err());
        assert!(key(1).unwrap("other", Uuid::from_u128(5), &wrapped).is_err());
    }
}
