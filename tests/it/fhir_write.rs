//! What Beckon writes into the hospital's record.

use beckon::domain::{
    Channel, MessageState, PatientId, Phi, Recipient, ResourceKey, ResourceType, RuleId, RuleVersionId,
};
use beckon::fhir::write::{Category, CommunicationFacts, Course, NotDone, check_profile, communication};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn to_person(state: MessageState) -> Course {
    let sent = match state {
        MessageState::OnItsWay | MessageState::Delivered | MessageState::Read => Some(at("2026-03-02T15:04:05Z")),
        _ => None,
    };
    Course::ToPerson {
        recipient: Recipient::Patient(PatientId::from("p1")),
        state,
        closed: false,
        not_done: None,
        sent,
        received: None,
    }
}

fn facts(channel: Channel, course: Course) -> CommunicationFacts {
    CommunicationFacts {
        gateway: "https://gw.example".to_owned(),
        outreach_id: "0195587e-4c00-7000-8000-000000000001".to_owned(),
        rule: Some((RuleId::from("appointment-reminder"), RuleVersionId::from("3f2a"))),
        category: Category::Reminder,
        channel,
        subject: PatientId::from("p1"),
        about: vec![ResourceKey::new(ResourceType::Appointment, "a1")],
        organization: Some("o1".to_owned()),
        course,
        text: Phi::new("Appointment reminder (template reminder)".to_owned()),
        notes: vec![(at("2026-03-02T15:04:05Z"), "attempt 1 by sms (twilio): accepted".to_owned())],
    }
}

#[test]
fn a_delivered_text_is_completed_with_its_receipt() {
    let course = Course::ToPerson {
        recipient: Recipient::Patient(PatientId::from("p1")),
        state: MessageState::Delivered,
        closed: true,
        not_done: None,
        sent: Some(at("2026-03-02T15:04:05Z")),
        received: Some(at("2026-03-02T15:04:11Z")),
    };
    let written = communication(&facts(Channel::Sms, course));
    assert_eq!(check_profile(&written), Ok(()));
    insta::assert_json_snapshot!(written);
}

#[test]
fn a_mail_that_failed_is_not_done_and_says_why() {
    let course = Course::ToPerson {
        recipient: Recipient::RelatedPerson("mother".to_owned()),
        state: MessageState::Failed,
        closed: true,
        not_done: Some(NotDone::InvalidAddress),
        sent: None,
        received: None,
    };
    let mut facts = facts(Channel::Email, course);
    facts.about.push(ResourceKey::new(ResourceType::Condition, "c1"));
    facts.notes = vec![(at("2026-03-02T15:04:05Z"), "attempt 1 by email (smtp): rejected 5.1.1".to_owned())];
    let written = communication(&facts);
    assert_eq!(check_profile(&written), Ok(()));
    insta::assert_json_snapshot!(written);
}

#[test]
fn a_text_to_somebody_who_opted_out_is_their_objection() {
    let course = Course::ToPerson {
        recipient: Recipient::Patient(PatientId::from("p1")),
        state: MessageState::Failed,
        closed: true,
        not_done: Some(NotDone::OptedOut),
        sent: None,
        received: None,
    };
    let mut facts = facts(Channel::Sms, course);
    (facts.notes, facts.organization) = (Vec::new(), None);
    let written = communication(&facts);
    assert_eq!(check_profile(&written), Ok(()));
    insta::assert_json_snapshot!(written);
}

#[test]
fn a_reply_answers_the_message_it_came_to() {
    let course = Course::FromPerson { in_response_to: Some("comm-7".to_owned()), received: at("2026-03-02T16:00:00Z") };
    let mut facts = facts(Channel::Sms, course);
    (facts.category, facts.rule, facts.notes) = (Category::Notification, None, Vec::new());
    facts.text = Phi::new(" C ".to_owned());
    let written = communication(&facts);
    assert_eq!(check_profile(&written), Ok(()));
    insta::assert_json_snapshot!(written);
}

#[test]
fn the_state_of_a_message_becomes_a_status_of_r4() {
    for (state, closed, expected) in [
        (MessageState::Queued, false, "in-progress"),
        (MessageState::OnItsWay, false, "in-progress"),
        (MessageState::OnItsWay, true, "completed"),
        (MessageState::Delivered, false, "completed"),
        (MessageState::Read, false, "completed"),
        (MessageState::Failed, false, "not-done"),
        (MessageState::Expired, false, "not-done"),
        (MessageState::Unknown, true, "unknown"),
        (MessageState::Cancelled, false, "stopped"),
    ] {
        let mut course = to_person(state);
        if let Course::ToPerson { closed: flag, .. } = &mut course {
            *flag = closed;
        }
        let written = communication(&facts(Channel::Voice, course));
        assert_eq!(written["status"], expected, "{state:?}");
        assert_eq!(check_profile(&written), Ok(()), "{state:?}");
    }
}

#[test]
fn what_breaks_the_profile_does_not_leave_the_house() {
    let good = communication(&facts(Channel::Sms, to_person(MessageState::Delivered)));
    for (path, wrong, expected) in [
        ("/status", json!("sent"), "Communication.status is not a code of the value set"),
        ("/status", json!("not-done"), "Communication.statusReason belongs to not-done, and to nothing else"),
        (
            "/subject/reference",
            json!("Group/g"),
            "Communication.subject does not point at a type that the element allows",
        ),
        (
            "/subject/reference",
            json!("https://other/fhir/Patient/p"),
            "Communication.subject does not point at a type that the element allows",
        ),
        ("/sent", json!("2026-03-02"), "Communication.sent is not a moment with an offset"),
        ("/received", json!("2026-03-02T15:00:00Z"), "Communication.received lies before sent"),
        ("/identifier", json!([]), "Communication.identifier is an empty list"),
        ("/identifier/0/value", json!(""), "Communication.identifier needs an absolute system and a value"),
        (
            "/identifier/0/colour",
            json!("red"),
            "Communication holds an element that R4 does not have there, or one of the wrong kind",
        ),
        ("/medium/0/coding/0/code", json!("SMSWRIT"), "Communication.medium is not a code of the profile"),
        ("/medium", json!({"text": "SMS"}), "Communication.medium must be a list"),
        ("/category/0/coding/0/code", json!("alert"), "Communication.category is not a code of the profile"),
        (
            "/reasonReference",
            json!([{"reference": "Appointment/a1"}]),
            "Communication.reasonReference does not point at a type that the element allows",
        ),
        ("/recipient", Value::Null, "Communication.recipient belongs to every message, and to no reply"),
        ("/sent", Value::Null, "Communication.sent is missing from a completed message"),
        ("/payload/0/contentString", json!(7), "Communication.payload has no text"),
        ("/note/0/text", json!(" "), "Communication.note has no text"),
        ("/text", json!({"div": "<div/>"}), "Communication.text is not an element of the profile"),
        ("/resourceType", json!("Patient"), "Communication is not a Communication"),
    ] {
        let mut bad = good.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let place = bad.pointer_mut(parent).unwrap();
        if wrong.is_null() {
            place.as_object_mut().unwrap().remove(key);
        } else {
            place[key] = wrong.clone();
        }
        let found: Vec<String> =
            check_profile(&bad).unwrap_err().iter().map(|issue| format!("{} {}", issue.path, issue.reason)).collect();
        assert!(found.iter().any(|issue| issue == expected), "{path} {wrong}: {found:?}");
    }
}

#[test]
fn the_profile_is_a_document_that_fits_the_check() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fhir-profiles/beckon-communication.json"));
    let profile: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let written = communication(&facts(Channel::Sms, to_person(MessageState::Delivered)));
    for element in profile["differential"]["element"].as_array().unwrap() {
        let path = element["path"].as_str().unwrap();
        let Some(name) = path.strip_prefix("Communication.").filter(|name| !name.contains('.')) else { continue };
        if element["max"] == "0" {
            let mut bad = written.clone();
            bad[name] = json!("x");
            assert!(check_profile(&bad).is_err(), "{path} is forbidden by the profile and passes the check");
        }
        if element["min"].as_u64().is_some_and(|min| min > 0) && path != "Communication" {
            let mut bad = written.clone();
            assert!(bad.as_object_mut().unwrap().remove(name).is_some(), "{path} is required and not written");
            assert!(check_profile(&bad).is_err(), "{path} is required by the profile and its lack passes the check");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_facts_the_resource_fits_the_profile(
        state in prop::sample::select(&MessageState::ALL[..]),
        channel in prop::sample::select(&Channel::ALL[..]),
        closed: bool,
        has_organization: bool,
        text in "\\PC{0,40}",
        kind in prop::sample::select(ResourceType::ALL),
        reply in prop::option::of("[A-Za-z0-9.-]{1,64}".prop_filter("an id", |id| !id.chars().all(|c| c == '.'))),
        received in prop::option::of(0..1_000_000_i64),
    ) {
        let mut course = to_person(state);
        if let Course::ToPerson { closed: flag, received: at_, sent, .. } = &mut course {
            *flag = closed;
            *at_ = sent.and_then(|sent| Some(sent + chrono::TimeDelta::milliseconds(received?)));
        }
        if let Some(id) = reply {
            course = Course::FromPerson { in_response_to: Some(id), received: at("2026-03-02T16:00:00Z") };
        }
        let mut facts = facts(channel, course);
        facts.about = vec![ResourceKey::new(kind, "x")];
        facts.text = Phi::new(text);
        if !has_organization {
            facts.organization = None;
        }
        let written = communication(&facts);
        prop_assert_eq!(check_profile(&written), Ok(()), "{}", written);
    }
}
