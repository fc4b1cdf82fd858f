//! Nothing goes out unasked: send modes, the stop button, the flood guard, each with a second replica beside.

use beckon::domain::{Channel, MessageState, Reason, ReminderState, RuleId};
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::{HaltScope, SendMode};
use chrono::TimeDelta;

use crate::support::house::{ADA, House, Setup, each_house, each_house_with, mobile, operator};

#[tokio::test]
async fn off_sends_nothing_and_live_sends_it_then() {
    each_house_with(Setup { mode: SendMode::Off, ..Setup::default() }, async |house| {
        house.ada_is_due_in_an_hour().await;
        let asked = house.hospital.requests().len();
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands(ADA).await, (ReminderState::Waiting, Some(Reason::SendingOff)));
        assert_eq!(house.hospital.requests().len(), asked, "nobody is asked about what will not be sent");
        house.set_mode(SendMode::Live).await;
        house.settle().await;
        assert_eq!(house.texts().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn test_mode_reaches_listed_addresses_only() {
    let send = "safe_addresses = [\"(312) 555-0101\", \"safe@example.org\"]".to_owned();
    each_house_with(Setup { mode: SendMode::Test, send, ..Setup::default() }, async |house| {
        let mail = |address: &str| serde_json::json!([{"system": "email", "value": address}]);
        for (id, telecom) in [
            ("safe-phone", mobile("+13125550101")),
            ("other-phone", mobile("+13125550102")),
            ("safe-mail", mail("safe@example.org")),
            ("other-mail", mail("other@example.org")),
        ] {
            house.patient(id, telecom);
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        let to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        assert_eq!(to, ["+13125550101"]);
        let to: Vec<String> = house.mails().into_iter().flat_map(|mail| mail.recipients).collect();
        assert_eq!(to, ["safe@example.org"]);
        for id in ["other-phone", "other-mail"] {
            assert_eq!(house.stands(id).await, (ReminderState::Waiting, Some(Reason::NotSafeAddress)), "{id}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_halt_stops_what_it_names_and_resume_lets_it_go() {
    for scope in
        [HaltScope::Everything, HaltScope::Rule(RuleId::new("appointment-reminder")), HaltScope::Channel(Channel::Sms)]
    {
        each_house(async |house| {
            house.ada_is_due_in_an_hour().await;
            house.halt(scope.clone()).await;
            house.halt(HaltScope::Rule(RuleId::new("another-rule"))).await;
            house.live(TimeDelta::hours(2)).await;
            assert!(house.texts().is_empty(), "{scope:?}");
            house.resume(scope.clone()).await;
            house.live(TimeDelta::hours(1)).await;
            assert_eq!(house.texts().len(), 1, "{scope:?}");
            assert_eq!(house.unexplained().await, Vec::<String>::new());
            house.close().await;
        })
        .await;
    }
}

/// Lets a turn run beside until the phone has taken its first text.
async fn first_text(house: &House) {
    while house.texts().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_halt_on_one_replica_stops_another_one_in_the_middle_of_its_work() {
    each_house(async |house| {
        const CALLS_AT_ONCE: usize = 16;
        house.crowd_is_due_in_an_hour(60).await;
        let other = house.second().await;
        house.later(TimeDelta::hours(1));
        house.hospital.inject(Fault::new(FaultKind::Held).on("/2010-04-01").always());
        let halting = async {
            first_text(&house).await;
            let mut tx = other.store.write(&other.tenant).await.unwrap();
            tx.halt(&HaltScope::Everything, "stop", &operator()).await.unwrap();
            tx.commit().await.unwrap();
            let sent = house.texts().len();
            house.hospital.clear_faults();
            sent
        };
        let (turn, at_halt) = tokio::join!(house.gateway.outbox.turn(), halting);
        turn.unwrap();
        let sent = house.texts().len();
        assert!(sent < 60 - CALLS_AT_ONCE, "the halt came too late to show anything: {sent}");
        assert!(
            sent <= at_halt + CALLS_AT_ONCE,
            "only calls under way may end: {at_halt} at the halt, {sent} in the end"
        );
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), sent, "it stays halted");

        house.resume(HaltScope::Everything).await;
        house.live(TimeDelta::hours(2)).await;
        let mut to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        to.sort();
        to.dedup();
        assert_eq!((to.len(), house.texts().len()), (60, 60), "everybody once");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_halt_costs_a_message_none_of_its_attempts() {
    let setup = Setup { send: "attempts = 2".to_owned(), ..Setup::default() };
    each_house_with(setup, async |house| {
        // Sixteen calls are under way at once: each halt lets those go that the phone company holds, and stops the rest.
        house.crowd_is_due_in_an_hour(33).await;
        house.later(TimeDelta::hours(1));
        for round in 1..=2 {
            house.hospital.inject(Fault::new(FaultKind::Held).on("/2010-04-01").method("POST").always());
            let halting = async {
                while house.texts().len() < 16 * round {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                house.halt(HaltScope::Everything).await;
                house.hospital.clear_faults();
            };
            let (turn, ()) = tokio::join!(house.gateway.outbox.turn(), halting);
            turn.unwrap();
            house.resume(HaltScope::Everything).await;
        }
        assert_eq!(house.texts().len(), 32);
        // The last one was stopped twice; now its provider is busy once.
        let busy = FaultKind::TooManyRequests { retry_after: None };
        house.hospital.inject(Fault::new(busy).on("/2010-04-01").method("POST"));
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 33);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_held_for_a_person_and_goes_out_when_one_lets_it() {
    let setup = Setup { send: "flood_floor = 10".to_owned(), ..Setup::default() };
    each_house_with(setup, async |house| {
        house.crowd_is_due_in_an_hour(25).await;
        let other = house.second().await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{}", house.texts().len());
        assert!(house.view().sending().await.unwrap().held_at.is_some());
        assert_eq!(house.view().open_alert_count().await.unwrap(), 1, "a person is called");
        assert_eq!(house.stands("p0").await, (ReminderState::Waiting, Some(Reason::HeldForPerson)));
        while !other.outbox.turn().await.unwrap().is_idle() {}
        assert!(house.texts().is_empty(), "every replica holds");

        let mut tx = other.store.write(&other.tenant).await.unwrap();
        assert!(tx.release_flood(&operator()).await.unwrap());
        tx.commit().await.unwrap();
        house.live(TimeDelta::hours(1)).await;
        let mut to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        to.sort();
        to.dedup();
        assert_eq!((to.len(), house.texts().len()), (25, 25));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn switching_off_stops_retries_too() {
    use beckon::sandbox::RetryAfter;
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        let busy = FaultKind::TooManyRequests { retry_after: Some(RetryAfter::Seconds(60)) };
        house.hospital.inject(Fault::new(busy).on("/2010-04-01").method("POST"));
        house.later(TimeDelta::hours(1));
        house.settle().await;
        assert_eq!(house.message_states().await, [MessageState::Queued]);
        house.set_mode(SendMode::Off).await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        house.set_mode(SendMode::Live).await;
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1);
        house.close().await;
    })
    .await;
}
