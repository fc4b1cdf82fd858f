//! Reminders by mail through relays that are not ours: what is refused, what waits, and what arrives.

use beckon::domain::{AttemptState, MessageState};
use chrono::TimeDelta;
use serde_json::json;

use super::relays::{Keeper, Manner, Postfix};
use crate::support::TestStore;
use crate::support::house::{House, Relay, Setup};
use crate::support::tools::wait_for;

/// A house whose mail goes to this relay, with people who have mail only and a reminder due in an hour.
async fn house(relay: Relay, people: &[&str]) -> House {
    let setup = Setup { relay: Some(relay), ..Setup::default() };
    let house = House::open(TestStore::sqlite().await, &setup).await;
    for id in people {
        house.patient(id, json!([{"system": "email", "value": format!("{id}@example.org")}]));
        house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
    }
    house.sync().await;
    house
}

/// The codes of all attempts for one person, oldest first, and how their message stands.
async fn course(house: &House, person: &str) -> (Vec<(AttemptState, Option<String>)>, MessageState) {
    let messages = house.messages().await;
    let it = messages.into_iter().find(|it| it.message.subject.as_str() == person).expect("no message");
    (it.attempts.into_iter().map(|it| (it.state, it.code)).collect(), it.state)
}

fn code(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_a_reminder_under_tls_and_it_arrives_as_it_was_meant() {
    let Some(keeper) = Keeper::start(Manner::Plain).await else { return };
    let Some(postfix) = Postfix::start(&keeper, "").await else { return };
    let house = house(postfix.relay(), &["grace"]).await;
    house.live(TimeDelta::hours(2)).await;
    let (attempts, _) = course(&house, "grace").await;
    assert_eq!(attempts, [(AttemptState::Accepted, None)], "{}", postfix.log());
    let message = house.messages().await.remove(0);
    assert_eq!(message.attempts[0].protection.as_deref(), Some("TLSv1_3"));

    let mail = wait_for("Postfix hands the mail on", async || keeper.mails().pop()).await;
    let header = |name: &str| match mail.headers(name)[..] {
        [value] => value.to_owned(),
        ref others => panic!("{name}: {others:?} in {mail:?}"),
    };
    assert_eq!(mail.0["defects"], json!([]), "{mail:?}");
    assert_eq!((&mail.0["from"], &mail.0["to"]), (&json!("reminders@clinic.example"), &json!(["grace@example.org"])));
    assert_eq!(header("To"), "grace@example.org");
    assert!(header("From").contains("reminders@clinic.example"));
    assert_eq!(header("Subject"), "A message from Test Clinic");
    assert_eq!(header("Message-ID"), format!("<{}@clinic.example>", message.message.id));
    assert_eq!(header("MIME-Version"), "1.0");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.0["content_type"], "multipart/alternative");
    let received = mail.headers("Received").join("\n");
    assert!(received.contains("using TLSv1.3") && received.contains("ESMTPS"), "{received}");
    for (kind, text) in mail.0["parts"].as_object().unwrap() {
        let text = text.as_str().unwrap();
        assert!(text.contains("1:00 PM") && text.contains("+1 512 555 0199"), "{kind}: {text}");
    }
    assert_eq!(mail.0["parts"].as_object().unwrap().len(), 2);
    for (name, value) in mail.0["headers"].as_array().unwrap().iter().map(|it| (&it[0], it[1].as_str().unwrap())) {
        assert!(!value.contains("Lovelace") && !value.contains("1:00"), "{name} tells of the patient: {value}");
    }
    assert_eq!(keeper.mails().len(), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_postfix_does_not_know_is_failed_and_everybody_else_is_reached() {
    let Some(keeper) = Keeper::start(Manner::Plain).await else { return };
    let more = "smtpd_recipient_restrictions = check_recipient_access inline:{ {gone@example.org = 550 5.1.1 No such \
                person}, {full@example.org = 452 4.2.2 Over quota} }, permit_mynetworks, reject";
    let Some(postfix) = Postfix::start(&keeper, more).await else { return };
    let house = house(postfix.relay(), &["grace", "gone", "full"]).await;
    house.live(TimeDelta::hours(2)).await;
    wait_for("Postfix hands the mail on", async || (!keeper.mails().is_empty()).then_some(())).await;

    let (attempts, state) = course(&house, "gone").await;
    assert_eq!((attempts, state), (vec![(AttemptState::Rejected, code("550 5.1.1"))], MessageState::Failed));
    let (attempts, state) = course(&house, "full").await;
    assert!(attempts.len() > 1, "it is tried again: {attempts:?}");
    assert!(attempts.iter().all(|it| it.1 == code("452 4.2.2")), "{attempts:?}");
    assert!(matches!(state, MessageState::Queued | MessageState::Failed), "{state:?}");
    assert_eq!(course(&house, "grace").await.0, [(AttemptState::Accepted, None)], "{}", postfix.log());
    assert_eq!(keeper.mails().len(), 1);

    let told = house.hospital.communications();
    let gone = told.iter().find(|it| it["subject"]["reference"] == "Patient/gone").unwrap();
    assert_eq!((&gone["status"], &gone["statusReason"]["text"]), (&json!("not-done"), &json!("invalid address")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_to_a_postfix_whose_starttls_somebody_took_away() {
    let Some(keeper) = Keeper::start(Manner::Plain).await else { return };
    // What a box on the way does that wants to read along; the relay itself would take mail in the clear.
    let stripped = "smtpd_tls_security_level = may\nsmtpd_discard_ehlo_keywords = starttls";
    let Some(postfix) = Postfix::start(&keeper, stripped).await else { return };
    let house = house(postfix.relay(), &["grace"]).await;
    house.live(TimeDelta::hours(2)).await;
    let (attempts, state) = course(&house, "grace").await;
    assert_eq!(state, MessageState::Queued, "it waits: {attempts:?}");
    assert!(attempts.iter().all(|it| it.1 == code("tls")), "{attempts:?}");
    assert!(!postfix.log().contains(" client="), "no mail was begun: {}", postfix.log());

    postfix.again("").await;
    house.live(TimeDelta::hours(1)).await;
    wait_for("Postfix hands the mail on", async || keeper.mails().pop()).await;
    wait_for("Postfix tells of it", async || postfix.log().contains(" client=").then_some(())).await;
    assert_eq!(course(&house, "grace").await.0.last(), Some(&(AttemptState::Accepted, None)));
    assert_eq!(keeper.mails().len(), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_reminder_comes_back_and_is_taken_once() {
    let Some(keeper) = Keeper::start(Manner::Greylisting).await else { return };
    let house = house(keeper.relay(), &["grace", "ada"]).await;
    house.live(TimeDelta::hours(2)).await;
    for person in ["grace", "ada"] {
        let (attempts, _) = course(&house, person).await;
        assert_eq!(attempts, [(AttemptState::Rejected, code("450 4.7.1")), (AttemptState::Accepted, None)], "{person}");
    }
    let mut away = keeper.turned_away();
    away.sort();
    assert_eq!(away, ["ada@example.org", "grace@example.org"]);
    let mails = keeper.mails();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|it| it.0["encrypted"] == json!(true)), "{mails:?}");
    house.close().await;
}
