//! X-Twilio-Signature: base64 of HMAC-SHA1 over the webhook's address and its parameters, keyed with the auth token.
//!
//! The scheme has no time in it: a captured request can be repeated for ever, so whoever receives it must know it again.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};

/// Verifies a form POST (or a GET, with no `params`). `url` is the address as it was given to the provider, rebuilt from
/// the settings and never from the request's `Host`. Any of `tokens` may have signed.
pub fn verify_signature(url: &str, params: &[(String, String)], header: &str, tokens: &[SecretString]) -> bool {
    let Ok(signature) = BASE64.decode(header.trim()) else {
        return false;
    };
    let parameters = canonical(params);
    let mut genuine = false;
    for address in addresses(url) {
        let signed = format!("{address}{parameters}");
        for token in tokens {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.expose_secret().as_bytes());
            // Every combination is tried, so that the time taken tells nothing of which one was near.
            genuine |= hmac::verify(&key, signed.as_bytes(), &signature).is_ok();
        }
    }
    genuine
}

/// Verifies a POST whose body is not a form: the address names the body's SHA-256, and the address is signed.
pub fn verify_body_signature(url: &str, body: &[u8], header: &str, tokens: &[SecretString]) -> bool {
    let named = url::Url::parse(url)
        .ok()
        .and_then(|url| url.query_pairs().find(|(key, _)| key == "bodySHA256").map(|(_, hash)| hash.into_owned()));
    let hash = digest::digest(&digest::SHA256, body)
        .as_ref()
        .iter()
        .fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    named.is_some_and(|named| named.eq_ignore_ascii_case(&hash)) && verify_signature(url, &[], header, tokens)
}

/// Names sorted bytewise; of a repeated name each different value once, sorted.
fn canonical(params: &[(String, String)]) -> String {
    let mut pairs: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// The provider has signed the address with and without its port, and with the query encoded anew; all are accepted, as
/// its own libraries do.
fn addresses(url: &str) -> Vec<String> {
    let mut found = vec![url.to_owned()];
    for address in [with_port(url), without_port(url)].into_iter().flatten() {
        found.push(reencoded(&address));
        found.push(address);
    }
    found.push(reencoded(url));
    found.sort_unstable();
    found.dedup();
    found
}

/// (scheme, authority, rest)
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, after) = url.split_once("://")?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    Some((scheme, &after[..end], &after[end..]))
}

fn port_at(authority: &str) -> Option<usize> {
    let host = authority.rfind('@').map_or(0, |at| at + 1);
    let after_brackets = authority[host..].rfind(']').map_or(host, |at| host + at);
    authority[after_brackets..].rfind(':').map(|at| after_brackets + at)
}

fn with_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = parts(url)?;
    if port_at(authority).is_some() {
        return None;
    }
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    Some(format!("{scheme}://{authority}:{port}{rest}"))
}

fn without_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = parts(url)?;
    let at = port_at(authority)?;
    Some(format!("{scheme}://{}{rest}", &authority[..at]))
}

/// The query decoded and encoded as JavaScript's `encodeURIComponent` does.
fn reencoded(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| format!("{}={}", encode(&key), encode(&value)))
        .collect();
    format!("{address}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const SIGNATURE: &str = "0/KCTR6DLpKmkAf8muzZqo1nDgQ=";

    fn tokens(list: &[&str]) -> Vec<SecretString> {
        list.iter().map(|token| SecretString::from(*token)).collect()
    }

    fn call() -> Vec<(String, String)> {
        [
            ("To", "+18005551212"),
            ("Caller", "+12349013030"),
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+12349013030"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn sign(text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
        BASE64.encode(hmac::sign(&key, text.as_bytes()))
    }

    #[test]
    fn the_providers_own_vectors_hold() {
        assert!(verify_signature(URL, &call(), SIGNATURE, &tokens(&["12345"])));
        let body = br#"{"property": "value", "boolean": true}"#;
        let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        let url = format!("https://mycompany.com/myapp.php?bodySHA256={hash}");
        assert!(verify_body_signature(&url, body, "y77kIzt2vzLz71DgmJGsen2scGs=", &tokens(&["12345"])));
        assert!(!verify_body_signature(&url, b"{}", "y77kIzt2vzLz71DgmJGsen2scGs=", &tokens(&["12345"])));
    }

    #[test]
    fn whatever_was_changed_is_noticed() {
        let good = |params: &[(String, String)], url: &str, header: &str, list: &[&str]| {
            verify_signature(url, params, header, &tokens(list))
        };
        assert!(good(&call(), URL, SIGNATURE, &["other", "12345"]), "a second token while rotating");
        assert!(!good(&call(), URL, SIGNATURE, &["other"]));
        assert!(!good(&call(), URL, SIGNATURE, &[]));
        assert!(!good(&call(), URL, "", &["12345"]));
        assert!(!good(&call(), URL, "not base64!", &["12345"]));
        assert!(!good(&call()[1..], URL, SIGNATURE, &["12345"]));
        assert!(!good(&call(), "https://mycompany.com/other?foo=1&bar=2", SIGNATURE, &["12345"]));
        let mut changed = call();
        changed[2].1 = "1235".to_owned();
        assert!(!good(&changed, URL, SIGNATURE, &["12345"]));
    }

    #[test]
    fn repeated_and_empty_parameters_are_signed_as_the_provider_signs_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let params = [pair("b", "2"), pair("a", ""), pair("b", "1"), pair("b", "2"), pair("B", "0")];
        assert_eq!(canonical(&params), "B0ab1b2");
    }

    #[test]
    fn the_address_may_be_signed_with_its_port_or_encoded_anew() {
        for (configured, signed) in [
            ("https://h.example/x", "https://h.example:443/x"),
            ("http://h.example/x?a=b", "http://h.example:80/x?a=b"),
            ("https://h.example:8443/x", "https://h.example:8443/x"),
            ("https://h.example:8443/x", "https://h.example/x"),
            ("https://h.example/x?q=a+b'c", "https://h.example/x?q=a%20b'c"),
            ("https://h.example/x?q=a+b'c", "https://h.example:443/x?q=a%20b'c"),
            ("https://u:p@h.example/x", "https://u:p@h.example:443/x"),
            ("https://[::1]/x", "https://[::1]:443/x"),
        ] {
            assert!(verify_signature(configured, &[], &sign(signed), &tokens(&["12345"])), "{configured} {signed}");
        }
        assert!(!verify_signature("https://h.example/x", &[], &sign("https://h.example:8443/x"), &tokens(&["12345"])));
    }
}
