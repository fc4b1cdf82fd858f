//! Enums and small structures as they stand in text columns.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::StoreError;

/// The code of a unit variant, as serde names it.
pub(super) fn code<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Reads what `code` wrote.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    let value = if text.starts_with(['{', '[']) {
        serde_json::from_str(text).unwrap_or(Value::Null)
    } else {
        Value::String(text.to_owned())
    };
    serde_json::from_value(value)
        .map_err(|_| StoreError::Corrupt { what, reason: "a code that this version does not know".to_owned() })
}
