//! A question to the history as people type it, by page or by command: text fields that become conditions, each with
//! what is wrong with it. Whom it is about is looked up elsewhere.

use chrono::{DateTime, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::{
    Actor, Address, Channel, EhrId, EmailAddress, EventKind, MessageState, PatientId, PhoneNumber, Purpose, Reason,
    ReminderState, RuleId, RuleVersionId,
};
use crate::store::{AboutFilter, EventFilter};

/// One field of a question that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wrong}; {write}")]
pub struct Unclear {
    pub field: &'static str,
    pub wrong: String,
    /// What to write instead.
    pub write: String,
}

/// What was typed; an empty field asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Question {
    /// A phone number or an email address.
    pub address: String,
    pub from: String,
    pub to: String,
    /// Kinds of events, separated by spaces or commas.
    pub kind: String,
    pub rule: String,
    pub version: String,
    pub channel: String,
    pub state: String,
    pub reason: String,
    /// A login.
    pub staff: String,
    pub purpose: String,
    pub protection: String,
    pub ehr: String,
    pub reference: String,
}

impl Question {
    /// The conditions. Days are days of `zone`, and the day of `to` is part of the span; a number without a country
    /// code is of `region`.
    pub fn filter(&self, zone: Tz, region: &str) -> Result<EventFilter, Unclear> {
        let text = |it: &str| (!it.trim().is_empty()).then(|| it.trim().to_owned());
        Ok(EventFilter {
            ehr: text(&self.ehr).map(EhrId::new),
            patient: None,
            kinds: self.kinds()?,
            actor: text(&self.staff).map(|it| match Actor::parse(&it) {
                Some(actor) => actor,
                None => Actor::Staff(it.to_lowercase()),
            }),
            outcome: None,
            rule: text(&self.rule).map(RuleId::new),
            from: instant("from", &self.from, zone, false)?,
            until: instant("to", &self.to, zone, true)?,
            about: AboutFilter {
                address: text(&self.address).map(|it| address(&it, region)).transpose()?,
                version: text(&self.version).map(RuleVersionId::new),
                channel: choice("channel", &self.channel, Channel::ALL.map(|it| (it, it.as_str())))?,
                purpose: choice(
                    "purpose",
                    &self.purpose,
                    [
                        (Purpose::Treatment, "treatment"),
                        (Purpose::Operations, "operations"),
                        (Purpose::Marketing, "marketing"),
                    ],
                )?,
                state: choice("state", &self.state, states())?.map(str::to_owned),
                reason: choice("reason", &self.reason, Reason::ALL.iter().map(|it| (*it, it.as_str())))?,
                protection: text(&self.protection),
                reference: text(&self.reference),
            },
            before: None,
            limit: 0,
        })
    }

    fn kinds(&self) -> Result<Vec<EventKind>, Unclear> {
        let words = self.kind.split([',', ' ']).filter(|it| !it.is_empty());
        let known = || EventKind::ALL.iter().map(|kind| (*kind, kind.as_str()));
        words
            .map(|word| choice("kind", word, known()).map(|it| it.into_iter().collect::<Vec<_>>()))
            .collect::<Result<Vec<_>, _>>()
            .map(|it| it.concat())
    }

    /// What is asked, for the event that records it. An address is not repeated there.
    pub fn told(&self) -> Value {
        let mut told = json!(self);
        if let Value::Object(fields) = &mut told {
            if !self.address.trim().is_empty() {
                fields.insert("address".to_owned(), json!("given"));
            }
            fields.retain(|_, value| value.as_str().is_some_and(|it| !it.trim().is_empty()));
        }
        told
    }
}

/// Codes that a message or a reminder can be in.
pub fn states() -> Vec<(&'static str, &'static str)> {
    let mut codes: Vec<&'static str> = MessageState::ALL.iter().map(|it| it.as_str()).collect();
    codes.extend(ReminderState::ALL.iter().map(|it| it.as_str()).filter(|it| !codes.contains(it)).collect::<Vec<_>>());
    codes.into_iter().map(|it| (it, it)).collect()
}

fn choice<T>(
    field: &'static str,
    text: &str,
    known: impl IntoIterator<Item = (T, &'static str)>,
) -> Result<Option<T>, Unclear> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let mut codes = Vec::new();
    for (value, code) in known {
        if code == text {
            return Ok(Some(value));
        }
        codes.push(code);
    }
    let write = format!("there are: {}", codes.join(", "));
    Err(Unclear { field, wrong: format!("{text:?} is not known"), write })
}

fn address(text: &str, region: &str) -> Result<Address, Unclear> {
    let parsed = if text.contains('@') {
        EmailAddress::parse(text).ok().map(Address::Email)
    } else {
        PhoneNumber::parse(text, region).ok().map(Address::Phone)
    };
    // What was typed may be somebody's number: it is not repeated.
    parsed.ok_or_else(|| Unclear {
        field: "address",
        wrong: "it is neither a phone number nor an email address".to_owned(),
        write: "for example +1 512 555 0199".to_owned(),
    })
}

/// An instant, or a day of `zone`: its beginning, or with `after` the beginning of the next one.
fn instant(field: &'static str, text: &str, zone: Tz, after: bool) -> Result<Option<DateTime<Utc>>, Unclear> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(at.to_utc()));
    }
    let day = text.parse::<NaiveDate>().ok().and_then(|day| if after { day.succ_opt() } else { Some(day) });
    // Where midnight is skipped the day begins with its first hour.
    let begins =
        day.and_then(|day| (0..4).find_map(|hour| zone.from_local_datetime(&day.and_hms_opt(hour, 0, 0)?).earliest()));
    let wrong = || Unclear {
        field,
        wrong: format!("{text:?} is no day and no instant"),
        write: "for example 2026-03-02, or 2026-03-02T18:00:00Z".to_owned(),
    };
    begins.map(|at| Some(at.to_utc())).ok_or_else(wrong)
}

/// Sets whom it is about.
pub fn about_patient(filter: &mut EventFilter, ehr: &EhrId, patient: &PatientId) {
    filter.ehr = Some(ehr.clone());
    filter.patient = Some(patient.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: Question) -> EventFilter {
        question.filter(chrono_tz::America::Chicago, "US").unwrap()
    }

    #[test]
    fn days_are_the_hospitals_and_the_last_one_counts() {
        let filter =
            asked(Question { from: "2026-03-08".to_owned(), to: "2026-03-08".to_owned(), ..Question::default() });
        let span = filter.until.unwrap() - filter.from.unwrap();
        assert_eq!(filter.from.unwrap().to_rfc3339(), "2026-03-08T06:00:00+00:00");
        assert_eq!(span.num_hours(), 23, "the day on which the clocks go forward");
        let filter = asked(Question { from: "2026-03-08T12:30:00-05:00".to_owned(), ..Question::default() });
        assert_eq!(filter.from.unwrap().to_rfc3339(), "2026-03-08T17:30:00+00:00");
    }

    #[test]
    fn every_field_becomes_a_condition() {
        let text = str::to_owned;
        let filter = asked(Question {
            address: text("(312) 555-0123"),
            kind: text("attempt.settled, attempt.opened"),
            rule: text("appointment-reminder"),
            version: text("abc"),
            channel: text("sms"),
            state: text("withheld"),
            reason: text("opted_out"),
            staff: text("Ada"),
            purpose: text("treatment"),
            protection: text("TLSv1.3"),
            ehr: text("main"),
            reference: text(" SM1 "),
            ..Question::default()
        });
        assert_eq!(filter.kinds, [EventKind::AttemptSettled, EventKind::AttemptOpened]);
        assert_eq!(filter.actor, Some(Actor::Staff("ada".to_owned())));
        let about = filter.about;
        assert_eq!(about.address.unwrap().expose(), "+13125550123");
        assert_eq!((about.channel, about.purpose), (Some(Channel::Sms), Some(Purpose::Treatment)));
        assert_eq!((about.state.as_deref(), about.reason), (Some("withheld"), Some(Reason::OptedOut)));
        assert_eq!((about.protection.as_deref(), about.reference.as_deref()), (Some("TLSv1.3"), Some("SM1")));
    }

    #[test]
    fn what_makes_no_sense_says_what_to_write_and_does_not_repeat_a_number() {
        let unclear = |question: Question| question.filter(Tz::UTC, "US").unwrap_err();
        let it = unclear(Question { channel: "fax".to_owned(), ..Question::default() });
        assert!(it.field == "channel" && it.write.contains("email, sms"), "{it}");
        let it = unclear(Question { to: "yesterday".to_owned(), ..Question::default() });
        assert!(it.field == "to" && it.write.contains("2026-03-02"), "{it}");
        let it = unclear(Question { address: "555-0123-x".to_owned(), ..Question::default() });
        assert!(!it.to_string().contains("0123"), "{it}");
    }

    #[test]
    fn the_record_of_a_question_names_what_was_asked_and_no_address() {
        let question =
            Question { address: "+13125550123".to_owned(), kind: "reply.received".to_owned(), ..Question::default() };
        assert_eq!(question.told(), json!({ "address": "given", "kind": "reply.received" }));
    }
}
