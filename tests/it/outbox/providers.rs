//! Providers that refuse, fail, or take a message and do not say so.

use beckon::domain::{AttemptState, MessageState, Reason, ReminderState};
use beckon::sandbox::{Fault, FaultKind, RetryAfter};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::house::{ADA, ADA_PHONE, House, each_house, mobile, patient};

const PHONE: &str = "/2010-04-01";

async fn grace_is_due_by_mail(house: &House) {
    house.patient("grace", json!([{"system": "email", "value": "grace@example.org"}]));
    house.book("visit", "grace", house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
    house.sync().await;
}

#[tokio::test]
async fn after_a_429_the_text_goes_out_once_and_not_before_the_provider_wants_it() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        let due = house.now() + TimeDelta::hours(1);
        let busy = FaultKind::TooManyRequests { retry_after: Some(RetryAfter::Seconds(600)) };
        house.hospital.inject(Fault::new(busy).on(PHONE).method("POST").times(2));
        house.live(TimeDelta::hours(2)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 1);
        assert!(texts[0].created >= due + TimeDelta::minutes(20), "{}", texts[0].created);
        let message = house.messages().await.remove(0);
        assert_eq!(message.attempts.len(), 3);
        assert_eq!(message.state, MessageState::Delivered);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn after_a_5xx_the_provider_is_asked_before_anything_is_repeated() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        let broken = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(PHONE).method("POST"));
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        assert!(house.asked("GET", PHONE) > 0, "a 5xx does not say that nothing went out");
        let message = house.messages().await.remove(0);
        assert_eq!(message.attempts.len(), 2);
        assert_eq!(message.attempts[0].state, AttemptState::Failed);
        assert_eq!(message.state, MessageState::Delivered);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_text_whose_answer_was_lost_is_looked_up_and_never_sent_again() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.inject(Fault::new(FaultKind::LostReply).on(PHONE).method("POST"));
        // Looking it up fails at first, too.
        let broken = FaultKind::ServerError { status: 500, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(PHONE).method("GET").times(3));
        house.live(TimeDelta::hours(3)).await;
        assert_eq!(house.texts().len(), 1);
        assert_eq!(house.asked("POST", PHONE), 1, "it was taken: nothing may be repeated");
        let message = house.messages().await.remove(0);
        assert_eq!((message.attempts.len(), message.state), (1, MessageState::Delivered));
        assert_eq!(message.attempts[0].provider_ref.as_deref(), Some(house.texts()[0].sid.as_str()));
        assert_eq!(house.hospital.communications().len(), 1);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_same_words_to_a_shared_phone_are_not_mistaken_for_one_another() {
    each_house(async |house| {
        // Twins with visits at the same hour: their texts are equal to the letter.
        for id in ["castor", "pollux"] {
            let mut twin = patient(id, mobile(ADA_PHONE));
            twin["name"] = json!([{"family": "Lovelace", "given": ["Sam"]}]);
            house.hospital.put(twin).unwrap();
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        house.sync().await;
        let broken = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(PHONE).method("POST").after(1));
        house.live(TimeDelta::hours(2)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 2, "one of them was never sent: {texts:?}");
        assert_eq!(texts[0].body, texts[1].body, "this test rests on equal texts");
        let messages = house.messages().await;
        let refs: Vec<_> = messages.iter().map(|it| it.attempts.last().unwrap().provider_ref.clone()).collect();
        assert_ne!(refs[0], refs[1]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_stays_away_costs_the_message_its_time_but_sends_nothing_late() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        let broken = FaultKind::ServerError { status: 500, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(PHONE).method("POST").always());
        house.live(TimeDelta::hours(3)).await;
        house.t.clock.set(start - TimeDelta::hours(1));
        house.hospital.clear_faults();
        house.live_until(start + TimeDelta::hours(1)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        let state = house.messages().await.remove(0).state;
        assert!(matches!(state, MessageState::Expired | MessageState::Failed), "{state:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_number_that_cannot_take_texts_ends_the_message_with_the_reason() {
    each_house(async |house| {
        // 68: refused at once as no mobile number; 60: the carrier finds a landline.
        for (id, number) in [("refused", "+13125550168"), ("landline", "+13125550160")] {
            house.patient(id, mobile(number));
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        let messages = house.messages().await;
        assert_eq!(messages.len(), 2);
        for message in &messages {
            assert_eq!((message.state, message.attempts.len()), (MessageState::Failed, 1), "{message:?}");
            let code = message.attempts[0].code.as_deref();
            let wanted = if message.message.subject.as_str() == "refused" { "21614" } else { "30006" };
            assert_eq!(code, Some(wanted));
        }
        assert!(messages.iter().all(|it| it.reason == Some(Reason::NoContactPoint)), "{messages:?}");
        let statuses: Vec<_> = house.hospital.communications().iter().map(|it| it["status"].clone()).collect();
        assert_eq!(statuses, ["not-done", "not-done"], "the EHR is told that nobody was reached");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_was_deferred_goes_out_once() {
    each_house(async |house| {
        grace_is_due_by_mail(&house).await;
        house.hospital.inject(Fault::new(FaultKind::DeferMail).times(2));
        house.live(TimeDelta::hours(3)).await;
        assert_eq!(house.mails().len(), 1);
        let message = house.messages().await.remove(0);
        assert_eq!(message.attempts.len(), 3);
        assert!(message.attempts[0].code.as_deref().unwrap().starts_with("450"), "{message:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_is_repeated_under_its_message_id_only() {
    each_house(async |house| {
        grace_is_due_by_mail(&house).await;
        house.hospital.inject(Fault::new(FaultKind::DropAfterData));
        house.live(TimeDelta::hours(3)).await;
        let mails = house.mails();
        assert_eq!(mails.len(), 2, "nobody can be asked whether a mail was taken: it is repeated once");
        assert_eq!(mails[0].message_id, mails[1].message_id);
        assert_eq!(mails[0].text, mails[1].text);
        assert_eq!(house.messages().await.len(), 1);
        assert_eq!(house.hospital.communications().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_bounces_at_once_ends_the_message() {
    each_house(async |house| {
        house.patient("grace", json!([{"system": "email", "value": "bounce-1@example.org"}]));
        house.book("visit", "grace", house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.sync().await;
        house.live(TimeDelta::hours(3)).await;
        let message = house.messages().await.remove(0);
        assert_eq!((message.state, message.reason), (MessageState::Failed, Some(Reason::NoContactPoint)));
        assert_eq!(message.attempts.len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_refused_for_good_is_not_tried_again_until_the_ehr_has_another() {
    each_house(async |house| {
        let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
        // One is refused at once, one only when the carrier looks, one by the mail server; the last one moves house.
        let mail = json!([{"system": "email", "value": "bounce-1@example.org"}]);
        for (id, telecom) in [
            ("refused", mobile("+13125550168")),
            ("landline", mobile("+13125550160")),
            ("mail", mail.clone()),
            ("moves", mail),
        ] {
            house.patient(id, telecom);
            house.book(&format!("visit-{id}"), id, start);
        }
        house.sync().await;
        house.live(TimeDelta::hours(3)).await;
        house.patient("moves", json!([{"system": "email", "value": "grace@example.org"}]));
        let told = house.messages().await.len();
        house.live_until(start).await;
        for id in ["refused", "landline", "mail"] {
            let second = house.reminders(id).await.pop().unwrap();
            let stands = (second.state, second.reason);
            assert_eq!(stands, (ReminderState::Withheld, Some(Reason::AddressRefused)), "{id}");
        }
        assert_eq!(house.messages().await.len(), told + 1, "only to the new address");
        assert_eq!(house.mails().len(), 1);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_visit_cancelled_between_two_tries_gets_no_second_try() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        let busy = FaultKind::TooManyRequests { retry_after: Some(RetryAfter::Seconds(1800)) };
        house.hospital.inject(Fault::new(busy).on(PHONE).method("POST"));
        house.later(TimeDelta::hours(1));
        house.settle().await;
        assert_eq!(house.message_states().await, [MessageState::Queued]);
        house.appointment("visit", ADA, start, "cancelled");
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        let message = house.messages().await.remove(0);
        assert_eq!((message.state, message.reason), (MessageState::Cancelled, Some(Reason::ResourceCancelled)));
        house.close().await;
    })
    .await;
}
