//! A client's public keys, and signatures checked with them (RFC 7515, 7517, 7518).

use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Where a client's keys are.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// Fetched anew for every assertion, so that a rotation shows at once.
    Url(String),
    /// Registered by value.
    Inline(Value),
}

/// The client's JWKS.
///
/// # Errors
/// With the reason in one sentence.
pub async fn fetch(source: &JwksSource, http: &reqwest::Client) -> Result<Value, String> {
    let url = match source {
        JwksSource::Inline(set) => return Ok(set.clone()),
        JwksSource::Url(url) => url,
    };
    let request = http.get(url).header("accept", "application/json").timeout(Duration::from_secs(5));
    let reply = request.send().await.map_err(|error| format!("JWKS URL not reachable: {}", error.without_url()))?;
    if !reply.status().is_success() {
        return Err(format!("JWKS URL answered {}", reply.status()));
    }
    reply.json().await.map_err(|_| "JWKS URL did not answer JSON".to_owned())
}

/// The one key of the set with this `kid` and a type that fits the algorithm.
///
/// # Errors
/// With the reason in one sentence: none fits, or several do.
pub fn key<'a>(set: &'a Value, kid: &str, algorithm: &str) -> Result<&'a Value, String> {
    let kind = if algorithm == "ES384" { "EC" } else { "RSA" };
    let keys = set["keys"].as_array().ok_or("the JWKS has no keys")?;
    let mut fitting = keys.iter().filter(|key| key["kid"] == kid && key["kty"] == kind);
    let found = fitting.next().ok_or_else(|| format!("no {kind} key of this kid in the JWKS"))?;
    if fitting.next().is_some() {
        return Err("several keys of this kid in the JWKS".to_owned());
    }
    if found.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("the key is not for signatures".to_owned());
    }
    if found["key_ops"].as_array().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("the key's key_ops do not include verify".to_owned());
    }
    if found["alg"].as_str().is_some_and(|alg| alg != algorithm) {
        return Err("the key is for another algorithm".to_owned());
    }
    if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|private| found.get(private).is_some()) {
        return Err("the JWKS publishes a private key".to_owned());
    }
    Ok(found)
}

fn member(key: &Value, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()
}

/// Whether `signature` is the key's over `message`.
pub fn verifies(key: &Value, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    if algorithm == "ES384" {
        let (Some(x), Some(y)) = (member(key, "x"), member(key, "y")) else { return false };
        if key["crv"] != "P-384" || x.len() != 48 || y.len() != 48 || signature.len() != 96 {
            return false;
        }
        let point = [&[4_u8][..], &x, &y].concat();
        return UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok();
    }
    let (Some(n), Some(e)) = (member(key, "n"), member(key, "e")) else { return false };
    RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature).is_ok()
}
