//! A hash of what a resource says, for servers whose versions cannot be trusted or are not given.

use aws_lc_rs::digest;
use serde_json::Value;

/// `meta` fields that change without the content changing.
const VOLATILE: &[&str] = &["versionId", "lastUpdated", "source"];

/// SHA-256 over the resource in canonical form: keys sorted, numbers as the server wrote them, without
/// `meta.versionId`, `meta.lastUpdated` and `meta.source`.
pub fn content_hash(resource: &Value) -> [u8; 32] {
    // Put together first and hashed in one go: a call of the hash for each of some hundred pieces costs more than hashing.
    let mut canonical = Vec::with_capacity(2048);
    write(resource, Place::Root, &mut canonical);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, &canonical).as_ref());
    hash
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Meta,
    Elsewhere,
}

/// Each value starts with a tag and its length, so that no two different trees give the same bytes.
fn write(value: &Value, place: Place, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.push(if *flag { b't' } else { b'f' }),
        Value::Number(number) => leaf(b'd', number.as_str(), out),
        Value::String(text) => leaf(b's', text, out),
        Value::Array(items) => {
            head(b'a', items.len(), out);
            for item in items {
                write(item, Place::Elsewhere, out);
            }
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .filter(|(key, _)| place != Place::Meta || !VOLATILE.contains(&key.as_str()))
                .filter(|(key, field)| place != Place::Root || *key != "meta" || says_something(field))
                .collect();
            fields.sort_unstable_by_key(|(key, _)| key.as_str());
            head(b'o', fields.len(), out);
            for (key, field) in fields {
                leaf(b'k', key, out);
                let below = if place == Place::Root && key == "meta" { Place::Meta } else { Place::Elsewhere };
                write(field, below, out);
            }
        }
    }
}

fn says_something(meta: &Value) -> bool {
    meta.as_object().is_none_or(|fields| fields.keys().any(|key| !VOLATILE.contains(&key.as_str())))
}

fn leaf(tag: u8, text: &str, out: &mut Vec<u8>) {
    head(tag, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn head(tag: u8, length: usize, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_keys_and_version_do_not_matter_but_content_does() {
        let one = json!({"resourceType": "Patient", "id": "p", "active": true,
            "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z", "source": "#a"}});
        let same = json!({"id": "p", "active": true, "resourceType": "Patient"});
        let tagged = json!({"id": "p", "active": true, "resourceType": "Patient", "meta": {"security": []}});
        let other = json!({"id": "p", "active": false, "resourceType": "Patient"});
        assert_eq!(content_hash(&one), content_hash(&same));
        assert_ne!(content_hash(&one), content_hash(&tagged));
        assert_ne!(content_hash(&one), content_hash(&other));
        assert_ne!(content_hash(&json!(["a", "b"])), content_hash(&json!(["ab"])));
        assert_ne!(
            content_hash(&json!({"contained": [{"meta": {"versionId": "1"}}]})),
            content_hash(&json!({"contained": [{"meta": {"versionId": "2"}}]}))
        );
    }
}
