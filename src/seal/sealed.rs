//! The layout of a sealed value: format (1 byte), key id (16), nonce (12), ciphertext and tag.

use uuid::Uuid;

use super::SealError;

const FORMAT: u8 = 1;
pub(super) const KEY_ID: usize = 16;
pub(super) const NONCE: usize = 12;
pub(super) const HEADER: usize = 1 + KEY_ID + NONCE;

/// Where a sealed value lives; part of what its tag covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    pub tenant: &'a str,
    pub table: &'a str,
    pub column: &'a str,
    pub row: &'a str,
}

impl Place<'_> {
    pub(super) fn bind(&self, key: Uuid) -> Vec<u8> {
        let mut aad = Vec::with_capacity(64 + self.row.len());
        for part in [self.tenant, self.table, self.column, self.row] {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            aad.extend_from_slice(&(part.len() as u32).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad.extend_from_slice(key.as_bytes());
        aad
    }
}

pub(super) fn header(key: Uuid, nonce: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 64);
    bytes.push(FORMAT);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(nonce);
    bytes
}

/// The id of the key that a value was sealed with.
pub fn key_of(sealed: &[u8]) -> Result<Uuid, SealError> {
    if sealed.first() != Some(&FORMAT) || sealed.len() < HEADER {
        return Err(SealError::Malformed);
    }
    Uuid::from_slice(&sealed[1..=KEY_ID]).map_err(|_| SealError::Malformed)
}
