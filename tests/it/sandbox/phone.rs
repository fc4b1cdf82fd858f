//! The text service answers, reports back and takes replies as the carrier's published API says.

use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::support::{Answer, Hook, Site, answer};

const GOOD: &str = "+16175550123";

async fn send(site: &Site, change: &[(&str, &str)]) -> Answer {
    let hospital = &site.hospital;
    let mut fields = vec![("To", GOOD), ("From", hospital.sender_number()), ("Body", "Your appointment is on Monday")];
    for (name, value) in change {
        fields.retain(|(old, _)| old != name);
        fields.push((name, value));
    }
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", hospital.phone_base(), hospital.account_sid());
    answer(site.http.post(url).basic_auth(hospital.account_sid(), Some(hospital.auth_token())).form(&fields)).await
}

async fn get(site: &Site, path: &str) -> Answer {
    let hospital = &site.hospital;
    let url = format!("{}/2010-04-01/Accounts/{}/{path}", hospital.phone_base(), hospital.account_sid());
    answer(site.http.get(url).basic_auth(hospital.account_sid(), Some(hospital.auth_token()))).await
}

#[tokio::test]
async fn a_text_is_taken_and_reported_as_sent_then_delivered() {
    let site = Site::empty().await;
    let hook = Hook::listen();
    let reply = send(&site, &[("StatusCallback", &hook.url), ("ValidityPeriod", "3600")]).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["status"], "queued");
    assert_eq!(reply.body["num_segments"], "1");
    assert_eq!(reply.body["error_code"], Value::Null);
    assert_eq!(reply.body["date_created"], "Mon, 02 Mar 2026 12:00:00 +0000");
    let sid = reply.body["sid"].as_str().unwrap().to_owned();
    assert!(sid.starts_with("SM") && sid.len() == 34);
    assert!(hook.posts(site.hospital.auth_token()).is_empty(), "no callback for the first state");
    site.clock.advance(TimeDelta::seconds(5));
    let advanced = site.hospital.advance_to(super::support::monday() + TimeDelta::seconds(5)).await;
    assert_eq!(advanced.callbacks, 2);
    let posts = hook.posts(site.hospital.auth_token());
    let states: Vec<&str> = posts.iter().filter_map(|post| post["MessageStatus"].as_str()).collect();
    assert_eq!(states, ["sent", "delivered"]);
    assert!(posts.iter().all(|post| post["MessageSid"] == sid.as_str() && post["To"] == GOOD));
    assert_eq!(get(&site, &format!("Messages/{sid}.json")).await.body["status"], "delivered");
}

#[tokio::test]
async fn what_the_api_forbids_is_refused_with_its_code() {
    let site = Site::empty().await;
    let long = "x".repeat(1601);
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, u32);
    let cases: [Case<'_>; 10] = [
        (&[("To", "")], 400, 21604),
        (&[("To", "617-CALL-ME")], 400, 21211),
        (&[("To", "+1617555012")], 400, 21211),
        (&[("From", "")], 400, 21603),
        (&[("From", "+12125550100")], 400, 21606),
        (&[("Body", "")], 400, 21602),
        (&[("Body", &long)], 400, 21617),
        (&[("StatusCallback", "not a url")], 400, 21609),
        (&[("ValidityPeriod", "0")], 400, 20001),
        (&[("To", "+16175550168")], 400, 21614),
    ];
    for (change, status, code) in cases {
        let reply = send(&site, change).await;
        assert_eq!((reply.status, &reply.body["code"]), (status, &json!(code)), "{change:?}");
        assert_eq!(reply.body["status"], status);
    }
    let url =
        format!("{}/2010-04-01/Accounts/{}/Messages.json", site.hospital.phone_base(), site.hospital.account_sid());
    let stranger =
        answer(site.http.post(url).basic_auth(site.hospital.account_sid(), Some("wrong")).form(&[("To", GOOD)])).await;
    assert_eq!((stranger.status, &stranger.body["code"]), (401, &json!(20003)));
    assert!(site.hospital.texts().is_empty());
}

#[tokio::test]
async fn special_numbers_fail_as_documented() {
    let site = Site::empty().await;
    let hook = Hook::listen();
    for (ending, code) in [("60", 30006), ("65", 30005), ("66", 30003), ("67", 30007), ("69", 30008)] {
        send(&site, &[("To", &format!("+161755501{ending}")), ("StatusCallback", &hook.url)]).await;
        site.clock.advance(TimeDelta::seconds(5));
        site.hospital.advance_to(beckon::clock::Clock::now(&*site.clock)).await;
        let last = hook.posts(site.hospital.auth_token()).pop().unwrap();
        assert_eq!(
            (last["MessageStatus"].as_str(), last["ErrorCode"].as_str()),
            (Some("undelivered"), Some(code.to_string().as_str()))
        );
    }
}

#[tokio::test]
async fn stop_blocks_and_start_opens_again() {
    let site = Site::empty().await;
    let hook = Hook::listen();
    site.hospital.set_inbound_url(&hook.url);
    let number = site.hospital.sender_number().to_owned();
    assert_eq!(site.hospital.reply_as(GOOD, &number, " stop ").await.unwrap(), 204);
    let post = hook.posts(site.hospital.auth_token()).pop().unwrap();
    assert_eq!(
        (post["Body"].as_str(), post["From"].as_str(), post["To"].as_str()),
        (Some(" stop "), Some(GOOD), Some(number.as_str()))
    );
    let blocked = send(&site, &[]).await;
    assert_eq!((blocked.status, &blocked.body["code"]), (400, &json!(21610)));
    site.hospital.reply_as(GOOD, &number, "STOP please").await.unwrap();
    site.hospital.reply_as(GOOD, &number, "Start").await.unwrap();
    assert_eq!(send(&site, &[]).await.status, 201);
}

#[tokio::test]
async fn callbacks_come_twice_or_last_one_first_on_request() {
    let site = Site::empty().await;
    let hook = Hook::listen();
    site.hospital.inject(Fault::new(FaultKind::CallbacksReversed));
    site.hospital.inject(Fault::new(FaultKind::CallbackTwice));
    let sid = send(&site, &[("StatusCallback", &hook.url)]).await.body["sid"].as_str().unwrap().to_owned();
    site.clock.advance(TimeDelta::seconds(5));
    site.hospital.advance_to(super::support::monday() + TimeDelta::seconds(5)).await;
    let posts = hook.posts(site.hospital.auth_token());
    let states: Vec<&str> = posts.iter().filter_map(|post| post["MessageStatus"].as_str()).collect();
    assert_eq!(states, ["delivered", "delivered", "sent", "sent"]);
    assert_eq!(get(&site, &format!("Messages/{sid}.json")).await.body["status"], "delivered");
}

#[tokio::test]
async fn a_text_whose_answer_was_lost_is_found_by_listing() {
    let site = Site::empty().await;
    site.hospital.inject(Fault::new(FaultKind::LostReply).on("/2010-04-01/").method("POST"));
    let hospital = &site.hospital;
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", hospital.phone_base(), hospital.account_sid());
    let fields = [("To", GOOD), ("From", hospital.sender_number()), ("Body", "once")];
    let lost =
        site.http.post(url).basic_auth(hospital.account_sid(), Some(hospital.auth_token())).form(&fields).send().await;
    assert!(lost.is_err(), "no answer came: {lost:?}");
    let found = get(
        &site,
        &format!(
            "Messages.json?To=%2B16175550123&DateSent=2026-03-02&From={}",
            hospital.sender_number().replace('+', "%2B")
        ),
    )
    .await;
    let bodies: Vec<&str> =
        found.body["messages"].as_array().unwrap().iter().filter_map(|m| m["body"].as_str()).collect();
    assert_eq!(bodies, ["once"]);
    assert!(get(&site, "Messages.json?To=%2B16175550124").await.body["messages"].as_array().unwrap().is_empty());
    assert!(get(&site, "Messages.json?DateSent=2026-03-01").await.body["messages"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn patients_answer_texts_while_the_days_pass() {
    let site = Site::with_patients(60).await;
    let hook = Hook::listen();
    site.hospital.set_inbound_url(&hook.url);
    let mobiles: Vec<String> = site
        .hospital
        .resources("Patient")
        .iter()
        .flat_map(|p| p["telecom"].as_array().cloned().unwrap_or_default())
        .filter(|t| t["use"] == "mobile")
        .filter_map(|t| t["value"].as_str().map(str::to_owned))
        .filter(|v| v.starts_with('+'))
        .collect();
    for number in &mobiles {
        send(&site, &[("To", number)]).await;
    }
    site.clock.advance(TimeDelta::hours(12));
    let now = super::support::monday() + TimeDelta::hours(12);
    let first = site.hospital.advance_to(now).await;
    assert!(first.replies > 5, "{first:?}");
    assert_eq!(hook.posts(site.hospital.auth_token()).len(), first.replies);
    assert_eq!(site.hospital.advance_to(now).await.replies, 0, "each answers once");
}
