//! Texts changed as a whole: case, characters, encodings.

use super::one;
use super::strings::text_input;
use crate::ast::Call;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::fmt::Write;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn texts(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(text) = text_input(call.function, input)? else {
            return Ok(Vec::new());
        };
        let text = text.as_str();
        self.spend_on_text(text.len())?;
        match call.function {
            F::Upper => one(text.to_uppercase()),
            F::Lower => one(text.to_lowercase()),
            F::Length => one(text.chars().count() as i64),
            F::Trim => one(text.trim().to_owned()),
            F::ToChars => {
                self.spend_on_items(text.len())?;
                Ok(text.chars().map(|c| Item::text(c.to_string())).collect())
            }
            _ => {
                let Some(format) = self.text_argument(call, 0, scope)? else {
                    return Ok(Vec::new());
                };
                let changed = match (call.function, format.as_str()) {
                    (F::Encode, "hex") => Some(hex(text)),
                    (F::Encode, "base64") => Some(STANDARD.encode(text)),
                    (F::Encode, "urlbase64") => Some(URL_SAFE.encode(text)),
                    (F::Decode, "hex") => return text_of(unhex(text)),
                    (F::Decode, "base64") => return text_of(STANDARD.decode(text).ok()),
                    (F::Decode, "urlbase64") => return text_of(URL_SAFE.decode(text).ok()),
                    (F::Escape, "html") => Some(escape_html(text)),
                    (F::Escape, "json") => Some(escape_json(text)),
                    (F::Unescape, "html") => Some(unescape_html(text)),
                    (F::Unescape, "json") => unescape_json(text),
                    _ => None,
                };
                Ok(changed.map(Item::from).into_iter().collect())
            }
        }
    }
}

/// What does not decode to text is empty.
fn text_of<'a>(bytes: Option<Vec<u8>>) -> Result<Items<'a>, Fault> {
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Item::from).into_iter().collect())
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescape_html(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

fn escape_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn unescape_json(text: &str) -> Option<String> {
    // A quote that is not escaped stands for itself.
    let mut quoted = String::with_capacity(text.len() + 2);
    let mut escaped = false;
    quoted.push('"');
    for c in text.chars() {
        if c == '"' && !escaped {
            quoted.push('\\');
        }
        escaped = c == '\\' && !escaped;
        quoted.push(c);
    }
    quoted.push('"');
    serde_json::from_str(&quoted).ok()
}
