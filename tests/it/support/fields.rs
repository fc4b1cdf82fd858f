//! Resources that differ from a usual one in some fields.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// When they are read.
pub fn now() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

/// `base` with the fields of `over` put in; a `null` takes a field out.
pub fn with(mut base: Value, over: Value) -> Value {
    for (key, field) in over.as_object().unwrap() {
        if field.is_null() {
            base.as_object_mut().unwrap().remove(key);
        } else {
            base[key] = field.clone();
        }
    }
    base
}
