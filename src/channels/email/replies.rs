//! What an SMTP reply means (RFC 5321 section 4.2, RFC 3463). The reply's text is never kept: it repeats the address.

use std::error::Error as _;

use lettre::transport::smtp;

use crate::domain::{Outcome, Rejection};

/// How far the conversation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Greeting and EHLO.
    Greeting,
    SignIn,
    Sender,
    Recipient,
    /// From DATA to the final dot: nothing is taken before it.
    Data,
    /// After the final dot was written.
    Final,
}

pub(super) fn outcome(error: &smtp::Error, phase: Phase) -> Outcome {
    let Some(code) = error.status() else {
        return lost(phase);
    };
    // lettre keeps the reply's lines as the source of its error.
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    judge(&code.to_string(), enhanced(&text), phase)
}

/// No answer, or none that can be read.
pub(super) fn lost(phase: Phase) -> Outcome {
    match phase {
        Phase::Final => Outcome::Unknown { code: "lost_after_data".to_owned() },
        _ => Outcome::Retry { after: None, code: "connection_lost".to_owned() },
    }
}

fn judge(code: &str, enhanced: Option<(u16, u16, u16)>, phase: Phase) -> Outcome {
    let words = match enhanced {
        Some((class, subject, detail)) => format!("{code} {class}.{subject}.{detail}"),
        None => code.to_owned(),
    };
    if !code.starts_with('5') {
        return Outcome::Retry { after: None, code: words };
    }
    let because = match (phase, enhanced) {
        // Too big for the relay, whatever it is answered to.
        (_, Some((_, 3, 4))) => Rejection::Message,
        (Phase::Greeting | Phase::SignIn | Phase::Sender, _) => Rejection::Sender,
        // 5.7.x is about us: policy, authentication, relaying. So are bad sender addresses.
        (_, Some((_, 7, _) | (_, 1, 7 | 8))) => Rejection::Sender,
        (_, Some((_, 1, _) | (_, 2, 1))) => Rejection::Address,
        _ => Rejection::Message,
    };
    Outcome::Reject { code: words, because }
}

/// The enhanced status code that the text begins with.
fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut parts = text.split_whitespace().next()?.split('.');
    let mut next = || parts.next().filter(|part| part.len() <= 3)?.parse::<u16>().ok();
    let found = (next()?, next()?, next()?);
    (matches!(found.0, 2 | 4 | 5) && parts.next().is_none()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_judged_by_whose_fault_they_are() {
        use Rejection as R;
        let retry = |code: &str| Outcome::Retry { after: None, code: code.to_owned() };
        let reject = |code: &str, because| Outcome::Reject { code: code.to_owned(), because };
        for (code, text, phase, expected) in [
            ("450", "4.2.1 busy", Phase::Recipient, retry("450 4.2.1")),
            ("421", "closing", Phase::Greeting, retry("421")),
            ("454", "4.7.0 temporary", Phase::SignIn, retry("454 4.7.0")),
            ("550", "5.1.1 <ada@example.org> unknown", Phase::Recipient, reject("550 5.1.1", R::Address)),
            ("556", "5.1.10 null MX", Phase::Recipient, reject("556 5.1.10", R::Address)),
            ("550", "5.2.1 disabled", Phase::Recipient, reject("550 5.2.1", R::Address)),
            ("552", "5.2.2 full", Phase::Recipient, reject("552 5.2.2", R::Message)),
            ("550", "5.7.26 not authenticated", Phase::Final, reject("550 5.7.26", R::Sender)),
            ("554", "5.7.1 relay denied", Phase::Recipient, reject("554 5.7.1", R::Sender)),
            ("553", "5.1.8 bad sender", Phase::Recipient, reject("553 5.1.8", R::Sender)),
            ("550", "no such user", Phase::Recipient, reject("550", R::Message)),
            ("554", "5.6.0 refused", Phase::Final, reject("554 5.6.0", R::Message)),
            ("552", "5.3.4 too big", Phase::Sender, reject("552 5.3.4", R::Message)),
            ("550", "5.1.1 what", Phase::Sender, reject("550 5.1.1", R::Sender)),
            ("535", "5.7.8 bad password", Phase::SignIn, reject("535 5.7.8", R::Sender)),
            ("554", "no service", Phase::Greeting, reject("554", R::Sender)),
        ] {
            assert_eq!(judge(code, enhanced(text), phase), expected, "{code} {text}");
        }
    }

    #[test]
    fn only_a_whole_enhanced_code_is_one() {
        for (text, expected) in [
            ("5.1.1 x", Some((5, 1, 1))),
            ("5.1", None),
            ("192.168.0.1 refused", None),
            ("5.1.1.1", None),
            ("Sorry 5.1.1", None),
            ("", None),
        ] {
            assert_eq!(enhanced(text), expected, "{text}");
        }
    }
}
