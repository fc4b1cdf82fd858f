//! The answer to a message (HL7 v2 "original mode": AA, AE, AR).

use chrono::{DateTime, Utc};

use super::message::{Envelope, Refusal};

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict<'r> {
    /// AA: stored, or known already.
    Accepted,
    /// AE or AR, with its reason.
    Refused(&'r Refusal),
}

/// Writes the answer. `id` is its own control id.
pub(super) fn answer(envelope: &Envelope, verdict: Verdict<'_>, id: &str, at: DateTime<Utc>) -> String {
    let event = envelope.kind.split_once('^').map_or("", |(_, event)| event);
    let or = |text: &str, instead: &str| if text.is_empty() { instead.to_owned() } else { text.to_owned() };
    let mut text = format!(
        "MSH|^~\\&|BECKON||{application}|{facility}|{at}||ACK^{event}^ACK|{id}|{processing}|{version}\r",
        application = component(&envelope.application),
        facility = component(&envelope.facility),
        at = at.format("%Y%m%d%H%M%S+0000"),
        event = component(event),
        processing = or(&component(&envelope.processing), "P"),
        version = or(&component(&envelope.version), "2.5"),
    );
    let control_id = component(&envelope.control_id);
    match verdict {
        Verdict::Accepted => text.push_str(&format!("MSA|AA|{control_id}\r")),
        Verdict::Refused(refusal) => {
            let code = if refusal.is_rejection { "AR" } else { "AE" };
            text.push_str(&format!("MSA|{code}|{control_id}\r"));
            text.push_str(&format!("ERR||{}|{}^^HL70357|E||||{}\r", refusal.path, refusal.code, refusal.reason));
        }
    }
    text
}

/// One part of an answer: nothing in it separates.
fn component(text: &str) -> String {
    text.chars().filter(|sign| !matches!(sign, '|' | '^' | '~' | '\\' | '&' | '\r' | '\n')).collect()
}

#[cfg(test)]
mod tests {
    use super::super::message::read;
    use super::*;

    #[test]
    fn an_answer_names_the_message_and_what_is_wrong_with_it() {
        let at = "2026-03-02T18:00:00Z".parse().unwrap();
        let good = read(b"MSH|^~\\&|EPIC|N|||X||ADT^A08|77|T|2.3\rPID|||1").unwrap();
        assert_eq!(
            answer(&good.envelope, Verdict::Accepted, "b1", at),
            "MSH|^~\\&|BECKON||EPIC|N|20260302180000+0000||ACK^A08^ACK|b1|T|2.3\rMSA|AA|77\r"
        );
        let bad = read(b"MSH|^~\\&|EPIC|N|||X||ORU^R01|78|P|2.5").unwrap_err();
        let text = answer(&bad.envelope, Verdict::Refused(&bad), "b2", at);
        assert!(text.ends_with("MSA|AR|78\rERR||MSH-9|200^^HL70357|E||||is neither ADT nor SIU\r"), "{text}");
        let nothing = read(b"hello").unwrap_err();
        assert!(answer(&nothing.envelope, Verdict::Refused(&nothing), "b3", at).contains("\rMSA|AR|\rERR||MSH|100"));
    }
}
