//! What is due goes out once, at the right hour, and not too often.

use beckon::domain::{Channel, MessageState, Reason, ReminderState};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::support::house::{ADA, ADA_PHONE, Setup, each_house, each_house_with};

#[tokio::test]
async fn a_due_reminder_goes_out_by_sms_once() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.settle().await;
        assert!(house.texts().is_empty(), "nothing is due yet");

        house.live(TimeDelta::hours(2)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(texts[0].to, ADA_PHONE);
        // Said in the facility's zone: 19:00 UTC is 1 PM in Chicago.
        assert!(texts[0].body.contains("1:00 PM") && texts[0].body.contains("Test Clinic"), "{}", texts[0].body);
        assert!(texts[0].validity_period.is_some(), "a text may not wait at the provider for ever");
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        assert_eq!(house.stands(ADA).await, (ReminderState::Released, None));

        // The second step follows a day before, and nothing else ever does.
        house.live_until(start + TimeDelta::days(1)).await;
        assert_eq!(house.texts().len(), 2);
        assert!(house.mails().is_empty());
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn who_has_no_phone_gets_the_reminder_by_mail_over_starttls_once() {
    each_house(async |house| {
        house.patient("grace", json!([{"system": "email", "value": "grace@example.org"}]));
        house.book("visit", "grace", house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;

        let mails = house.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].recipients, ["grace@example.org"]);
        assert!(mails[0].text.as_ref().unwrap().contains("1:00 PM"), "{:?}", mails[0].text);
        assert!(mails[0].html.is_some(), "an HTML alternative goes with it");
        let message = house.messages().await.remove(0);
        let wanted = format!("{}@clinic.example", message.message.id);
        assert_eq!(mails[0].message_id.as_deref(), Some(wanted.as_str()), "the Message-ID is the message's");
        assert_eq!(message.attempts[0].protection.as_deref(), Some("TLSv1_3"));
        assert!(house.texts().is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn mail_waits_while_the_server_does_not_offer_starttls() {
    use beckon::sandbox::{Fault, FaultKind};
    each_house(async |house| {
        house.patient("grace", json!([{"system": "email", "value": "grace@example.org"}]));
        house.book("visit", "grace", house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.sync().await;
        house.hospital.inject(Fault::new(FaultKind::StripStartTls).always());
        house.live(TimeDelta::hours(2)).await;
        assert!(house.mails().is_empty(), "not one byte of it in the clear");
        let message = house.messages().await.remove(0);
        assert_eq!((message.attempts[0].code.as_deref(), message.state), (Some("tls"), MessageState::Queued));

        house.hospital.clear_faults();
        house.live(TimeDelta::minutes(30)).await;
        assert_eq!(house.mails().len(), 1, "it goes out when the relay is mended");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_falls_due_at_night_goes_out_when_the_patients_morning_begins() {
    each_house(async |house| {
        house.ada();
        // 02:00 in Chicago, three days from tomorrow.
        let start: DateTime<Utc> = "2026-03-06T08:00:00Z".parse().unwrap();
        house.book("visit", ADA, start);
        house.sync().await;
        house.live_until("2026-03-03T13:59:00Z".parse().unwrap()).await;
        assert!(house.texts().is_empty(), "07:59 in Chicago is still night");
        assert_eq!(house.stands(ADA).await, (ReminderState::Waiting, Some(Reason::QuietHours)));

        house.live_until("2026-03-03T14:05:00Z".parse().unwrap()).await;
        let at: Vec<DateTime<Utc>> = house.texts().iter().map(|text| text.created).collect();
        assert_eq!(at.len(), 1);
        assert!(at[0] - "2026-03-03T14:00:00Z".parse::<DateTime<Utc>>().unwrap() < TimeDelta::minutes(1), "{at:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_too_late_is_not_sent() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        // The gateway was down for the whole window of the first step, and then for the whole of the second.
        house.t.clock.set(start - TimeDelta::hours(1));
        house.settle().await;
        assert!(house.texts().is_empty());
        let states: Vec<ReminderState> = house.reminders(ADA).await.iter().map(|it| it.state).collect();
        assert_eq!(states, [ReminderState::Expired, ReminderState::Expired]);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_gets_more_than_the_budget_allows() {
    each_house(async |house| {
        house.ada();
        // Three visits at the same hour of different days of a week, so that reminders crowd.
        for (id, days) in [("a", 3), ("b", 4), ("c", 5), ("d", 6)] {
            house.book(id, ADA, house.now() + TimeDelta::days(days) + TimeDelta::hours(1));
        }
        house.sync().await;
        house.live(TimeDelta::days(7)).await;
        let mut days: Vec<String> =
            house.texts().iter().map(|text| (text.created - TimeDelta::hours(6)).date_naive().to_string()).collect();
        let sent = days.len();
        days.dedup();
        assert_eq!(days.len(), sent, "one a day at most: {days:?}");
        assert_eq!(sent, 3, "three a week, and no fewer: {days:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_larger_budget_is_used() {
    let setup = Setup { send: "per_day = 2\nper_week = 10".to_owned(), ..Setup::default() };
    each_house_with(setup, async |house| {
        house.ada();
        for (id, hours) in [("a", 1), ("b", 2), ("c", 3)] {
            house.book(id, ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(hours));
        }
        house.sync().await;
        house.live(TimeDelta::hours(5)).await;
        assert_eq!(house.texts().len(), 2);
        let waiting = house.reminders(ADA).await.iter().filter(|it| it.reason == Some(Reason::BudgetSpent)).count();
        assert_eq!(waiting, 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_withheld_with_the_reason() {
    each_house(async |house| {
        for (id, telecom) in [
            ("no-contact", json!([])),
            ("fax-only", json!([{"system": "fax", "value": "+13125550177"}])),
            ("bad-number", json!([{"system": "phone", "value": "call my mother"}])),
        ] {
            house.patient(id, telecom);
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        for id in ["no-contact", "fax-only", "bad-number"] {
            assert_eq!(house.stands(id).await, (ReminderState::Withheld, Some(Reason::NoContactPoint)), "{id}");
        }
        assert_eq!((house.texts().len(), house.mails().len()), (0, 0));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_sms_channel_is_preferred_to_mail() {
    each_house(async |house| {
        let telecom = json!([{"system": "email", "value": "ada@example.org"}, {"system": "phone", "use": "mobile", "value": ADA_PHONE}]);
        house.patient(ADA, telecom);
        house.book("visit", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        let channels: Vec<Channel> = house.messages().await.iter().map(|it| it.message.channel).collect();
        assert_eq!((channels, house.mails().len()), (vec![Channel::Sms], 0));
        house.close().await;
    })
    .await;
}
