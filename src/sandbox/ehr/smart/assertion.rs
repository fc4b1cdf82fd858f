//! The client's signed assertion, checked claim by claim (SMART App Launch 2.2, client-confidential-asymmetric).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// An assertion taken apart; nothing of it is checked yet but its form.
pub struct Assertion<'a> {
    pub header: Value,
    pub claims: Value,
    /// What is signed.
    pub message: &'a str,
    pub signature: Vec<u8>,
}

/// Takes a compact JWS apart.
///
/// # Errors
/// With the reason in one sentence.
pub fn take_apart(text: &str) -> Result<Assertion<'_>, String> {
    let (message, signature) = text.rsplit_once('.').ok_or("the assertion is not a JWT")?;
    let (header, claims) = message.split_once('.').ok_or("the assertion is not a JWT")?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "the assertion is not base64url".to_owned());
    let json = |part: &str| {
        serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| "the assertion is not JSON".to_owned())
    };
    Ok(Assertion { header: json(header)?, claims: json(claims)?, message, signature: decode(signature)? })
}

/// What the checks rest on.
pub struct Expected<'a> {
    pub client_id: &'a str,
    /// The token endpoint's URL: `aud` must be exactly this text.
    pub audience: &'a str,
    /// The JWKS URL registered, if any: `jku` must be this.
    pub jwks_url: Option<&'a str>,
    pub now: DateTime<Utc>,
}

/// What is left to do: verify with this key, and remember the nonce until then.
#[derive(Debug)]
pub struct Checked {
    pub algorithm: String,
    pub kid: String,
    pub jti: String,
    pub expires: DateTime<Utc>,
}

/// Checks header and claims.
///
/// # Errors
/// With the first rule that is broken, in one sentence.
pub fn check(assertion: &Assertion<'_>, expected: &Expected<'_>) -> Result<Checked, String> {
    let header = &assertion.header;
    let algorithm = header["alg"].as_str().unwrap_or_default();
    if !matches!(algorithm, "RS384" | "ES384") {
        return Err("alg must be RS384 or ES384".to_owned());
    }
    if header["typ"] != "JWT" {
        return Err("typ must be JWT".to_owned());
    }
    if header.get("crit").is_some() {
        return Err("crit is not supported".to_owned());
    }
    let kid = header["kid"].as_str().filter(|kid| !kid.is_empty()).ok_or("kid is missing")?;
    if let Some(jku) = header.get("jku")
        && jku.as_str() != expected.jwks_url
    {
        return Err("jku is not the registered JWKS URL".to_owned());
    }
    let claims = &assertion.claims;
    if claims["iss"] != expected.client_id {
        return Err("iss must be the client_id".to_owned());
    }
    if claims["sub"] != expected.client_id {
        return Err("sub must be the client_id".to_owned());
    }
    if !claims["aud"].is_string() {
        return Err("aud must be one string".to_owned());
    }
    if claims["aud"] != expected.audience {
        return Err("aud must be exactly the token endpoint URL".to_owned());
    }
    let exp = claims["exp"].as_i64().ok_or("exp must be an integer")?;
    let now = expected.now.timestamp();
    if exp <= now {
        return Err("the assertion has expired".to_owned());
    }
    if exp > now + 300 {
        return Err("exp is more than 5 minutes ahead".to_owned());
    }
    if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now)) {
        return Err("nbf is ahead".to_owned());
    }
    if claims.get("iat").is_some_and(|iat| iat.as_i64().is_none_or(|iat| iat > now + 60)) {
        return Err("iat is ahead".to_owned());
    }
    let jti =
        claims["jti"].as_str().filter(|jti| !jti.is_empty() && jti.len() < 151).ok_or("jti is missing or too long")?;
    let expires = DateTime::from_timestamp(exp, 0).ok_or("exp is out of range")?;
    Ok(Checked { algorithm: algorithm.to_owned(), kid: kid.to_owned(), jti: jti.to_owned(), expires })
}
