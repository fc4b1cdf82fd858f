//! What comes back: STOP, answers, receipts in any order.

use beckon::domain::{EventKind, MessageState, Reason, ReminderState};
use beckon::sandbox::{Fault, FaultKind, sign};
use beckon::store::EventFilter;
use chrono::TimeDelta;

use crate::support::house::{ADA, ADA_PHONE, HOOK, House, each_house, mobile};

async fn family_is_due(house: &House) {
    for id in ["mother", "daughter"] {
        house.patient(id, mobile(ADA_PHONE));
        house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
    }
    house.sync().await;
}

#[tokio::test]
async fn stop_binds_everybody_who_shares_the_number() {
    each_house(async |house| {
        family_is_due(&house).await;
        let status = house.hospital.reply_as(ADA_PHONE, house.hospital.sender_number(), "STOP").await.unwrap();
        assert_eq!(status, 200);
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        for id in ["mother", "daughter"] {
            assert_eq!(house.stands(id).await, (ReminderState::Withheld, Some(Reason::OptedOut)), "{id}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn stop_holds_for_what_comes_later_until_start() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        let us = house.hospital.sender_number().to_owned();
        house.hospital.reply_as(ADA_PHONE, &us, "stop").await.unwrap();
        house.live_until(start - TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1, "the reminder of the day before is withheld");

        house.hospital.reply_as(ADA_PHONE, &us, "START").await.unwrap();
        house.book("next", ADA, start + TimeDelta::days(10));
        house.sync().await;
        house.live_until(start + TimeDelta::days(10)).await;
        assert_eq!(house.texts().len(), 3, "both reminders of the next visit");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_that_nobody_signed_binds_nobody() {
    each_house(async |house| {
        family_is_due(&house).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = |from: &str| {
            [
                ("AccountSid", house.hospital.account_sid()),
                ("Body", "STOP"),
                ("From", from),
                ("MessageSid", "SM1"),
                ("To", house.hospital.sender_number()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let url = format!("{}/hooks/twilio/{HOOK}/inbound", house.url);
        let good = sign(house.hospital.auth_token(), &url, &form(ADA_PHONE));
        let post = async |url: &str, signature: &str, from: &str| {
            let request = http.post(url).header("X-Twilio-Signature", signature).form(&form(from));
            request.send().await.unwrap().status().as_u16()
        };
        let foreign = sign("another-token", &url, &form(ADA_PHONE));
        assert_eq!(post(&url, "", ADA_PHONE).await, 403);
        assert_eq!(post(&url, &foreign, ADA_PHONE).await, 403);
        assert_eq!(post(&url, &good, "+13125550199").await, 403, "a signature is for one form only");
        let guessed = format!("{}/hooks/twilio/{}/inbound", house.url, "x".repeat(32));
        assert_eq!(post(&guessed, &good, ADA_PHONE).await, 404);
        assert!(house.view().opt_outs(10).await.unwrap().is_empty());

        assert_eq!(post(&url, &good, ADA_PHONE).await, 200);
        assert_eq!(post(&url, &good, ADA_PHONE).await, 200, "said twice");
        house.turn().await;
        assert_eq!(house.view().opt_outs(10).await.unwrap().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_opt_out_that_only_the_provider_knows_is_learned_from_its_refusal() {
    each_house(async |house| {
        family_is_due(&house).await;
        // Our webhook is down while she writes STOP.
        house.hospital.set_inbound_url("http://127.0.0.1:9/nobody");
        assert!(house.hospital.reply_as(ADA_PHONE, house.hospital.sender_number(), "STOP").await.is_err());
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        let opt_outs = house.view().opt_outs(10).await.unwrap();
        assert!(!opt_outs.is_empty() && opt_outs[0].source.contains("21610"), "{opt_outs:?}");
        house.live(TimeDelta::days(3)).await;
        let last = house.reminders("mother").await.pop().unwrap();
        assert_eq!((last.state, last.reason), (ReminderState::Withheld, Some(Reason::OptedOut)));
        house.close().await;
    })
    .await;
}

async fn receipts_in_history(house: &House) -> usize {
    let filter = EventFilter { kinds: vec![EventKind::ReceiptReceived], limit: 100, ..EventFilter::default() };
    house.view().events(&filter).await.unwrap().len()
}

#[tokio::test]
async fn receipts_that_come_twice_and_last_one_first_never_take_a_message_back() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.inject(Fault::new(FaultKind::CallbacksReversed).always());
        house.hospital.inject(Fault::new(FaultKind::CallbackTwice).always());
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        assert_eq!(house.message_states().await, [MessageState::OnItsWay]);
        house.later(TimeDelta::minutes(1));
        assert!(house.hospital.advance_to(house.now()).await.callbacks == 4);
        house.settle().await;
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        assert_eq!(receipts_in_history(&house).await, 1, "only what moved the message is an event");
        let written = house.hospital.communications();
        assert_eq!((written.len(), &written[0]["status"]), (1, &serde_json::json!("completed")));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_overtakes_the_answer_to_our_call_is_not_lost() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.hospital.inject(Fault::new(FaultKind::LostReply).on("/2010-04-01").method("POST"));
        house.later(TimeDelta::hours(1));
        house.turn().await;
        // The receipts are here before anybody knows the text's id.
        house.later(TimeDelta::seconds(10));
        assert!(house.hospital.advance_to(house.now()).await.callbacks > 0);
        while !house.turn().await.is_idle() {}
        assert_eq!(house.message_states().await, [MessageState::Unknown]);
        house.live(TimeDelta::minutes(5)).await;
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        assert_eq!(house.texts().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_kept_understood_and_told_to_the_ehr_once() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        let us = house.hospital.sender_number().to_owned();
        house.hospital.reply_as(ADA_PHONE, &us, "C").await.unwrap();
        house.live(TimeDelta::hours(1)).await;
        let meanings = house.view().replies_by_meaning(chrono::DateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(meanings.into_iter().collect::<Vec<_>>(), [("confirm".to_owned(), 1)]);
        let written = house.hospital.communications();
        let answers: Vec<_> = written.iter().filter(|it| it["inResponseTo"].is_array()).collect();
        assert_eq!((written.len(), answers.len()), (2, 1));
        let to = answers[0]["inResponseTo"][0]["reference"].as_str().unwrap();
        assert!(written.iter().any(|it| format!("Communication/{}", it["id"].as_str().unwrap()) == to), "{to}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn who_confirmed_and_asked_for_no_more_is_not_asked_about_this_visit_again_and_is_not_opted_out() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        let us = house.hospital.sender_number().to_owned();
        house.hospital.reply_as(ADA_PHONE, &us, "I confirmed, please stop asking").await.unwrap();
        house.live_until(start).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        let stands: Vec<_> = house.reminders(ADA).await.iter().map(|it| (it.state, it.reason)).collect();
        assert_eq!(
            stands,
            [(ReminderState::Released, None), (ReminderState::Withheld, Some(Reason::AlreadyConfirmed))]
        );
        assert!(house.view().opt_outs(10).await.unwrap().is_empty(), "it is no STOP");
        let kinds = vec![EventKind::PatientChose];
        let chose = house.view().events(&EventFilter { kinds, limit: 10, ..EventFilter::default() }).await.unwrap();
        assert_eq!(chose.len(), 1);

        // Another visit is reminded of as before.
        house.book("next", ADA, start + TimeDelta::days(10));
        house.sync().await;
        house.live_until(start + TimeDelta::days(10)).await;
        assert_eq!(house.texts().len(), 3);
        house.close().await;
    })
    .await;
}
