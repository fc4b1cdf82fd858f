//! Several replicas on one database, and one that dies at its work.

use std::collections::BTreeMap;

use beckon::domain::MessageState;
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;

use crate::support::house::{ADA, House, each_house};

fn texts_by_number(house: &House) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in house.texts() {
        *counts.entry(text.to).or_insert(0) += 1;
    }
    counts
}

#[tokio::test]
async fn two_replicas_that_race_send_each_reminder_once() {
    each_house(async |house| {
        house.crowd_is_due_in_an_hour(40).await;
        let other = house.second().await;
        house.later(TimeDelta::hours(1));
        loop {
            let (one, two) = tokio::join!(house.gateway.outbox.turn(), other.outbox.turn());
            if one.unwrap().is_idle() && two.unwrap().is_idle() {
                break;
            }
        }
        house.live(TimeDelta::hours(1)).await;
        let counts = texts_by_number(&house);
        assert_eq!(counts.len(), 40);
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        assert_eq!(house.messages().await.len(), 40);
        assert_eq!(house.hospital.communications().len(), 40);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn two_replicas_together_keep_one_persons_budget() {
    each_house(async |house| {
        house.ada();
        house.book("first", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.book("second", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1) + TimeDelta::minutes(2));
        house.sync().await;
        let other = house.second().await;
        other.clients.get(&house.ehr).await.unwrap().plan().await.unwrap();
        // The first replica waits for the first visit from a slow EHR; meanwhile the second one falls due, and the other
        // replica takes it.
        house.hospital.inject(Fault::new(FaultKind::Held).on("/fhir").method("POST"));
        house.later(TimeDelta::hours(1));
        let reading = house.asked("POST", "/fhir");
        let late = async {
            while house.asked("POST", "/fhir") == reading {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            house.later(TimeDelta::minutes(3));
            let turn = other.outbox.turn().await.unwrap();
            house.hospital.clear_faults();
            turn
        };
        let (one, two) = tokio::join!(house.gateway.outbox.turn(), late);
        assert_eq!((one.unwrap().decided, two.decided), (1, 1), "each replica had one of the two");
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "one message a day, whoever sends it");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_replica_was_deciding_is_decided_by_another() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        let dying = house.second().await;
        // It takes the reminder and dies while the EHR is slow.
        house.hospital.inject(Fault::new(FaultKind::Held).on("/fhir").method("POST").always());
        let before = house.asked("POST", "/fhir");
        let work = tokio::spawn(async move { dying.outbox.turn().await });
        while house.asked("POST", "/fhir") == before {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        work.abort();
        house.hospital.clear_faults();
        assert!(house.turn().await.is_idle(), "it is still leased");
        house.live(TimeDelta::minutes(30)).await;
        assert_eq!(house.texts().len(), 1);
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_text_that_a_dying_replica_sent_is_found_and_not_repeated() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        house.hospital.inject(Fault::new(FaultKind::Held).on("/2010-04-01").method("POST"));
        let dying = house.second().await;
        let work = tokio::spawn(async move { dying.outbox.turn().await });
        while house.texts().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The phone has it, the answer is on its way, and the replica is gone.
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(1)).await;
        assert_eq!(house.texts().len(), 1);
        let message = house.messages().await.remove(0);
        assert_eq!((message.state, message.attempts.len()), (MessageState::Delivered, 1));
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_text_that_a_dying_replica_never_sent_goes_out_later() {
    each_house(async |house| {
        house.crowd_is_due_in_an_hour(40).await;
        house.later(TimeDelta::hours(1));
        // Sixteen calls at a time, none answered: most attempts stand opened and uncalled.
        house.hospital.inject(Fault::new(FaultKind::Held).on("/2010-04-01").always());
        let dying = house.second().await;
        let work = tokio::spawn(async move { dying.outbox.turn().await });
        while house.texts().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        assert!(house.texts().len() < 40);
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(2)).await;
        let counts = texts_by_number(&house);
        assert_eq!(counts.len(), 40);
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_ends_its_calls_and_leaves_the_rest_to_another() {
    each_house(async |house| {
        house.crowd_is_due_in_an_hour(40).await;
        house.later(TimeDelta::hours(1));
        // The provider takes texts and says nothing, so that few are under way and the others wait for their turn.
        house.hospital.inject(Fault::new(FaultKind::Held).on("/2010-04-01").method("POST").always());
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let outbox = house.gateway.outbox.clone();
        let running = tokio::spawn(async move { outbox.run(stopping).await });
        while house.asked("POST", "/2010-04-01") < 16 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        stop.send(true).unwrap();
        // The provider stays silent until the calls under way give up on it: what became of them is looked up later.
        running.await.unwrap();
        assert_eq!(house.asked("POST", "/2010-04-01"), 16, "nothing new is called once it stops");
        house.hospital.clear_faults();
        let other = house.second().await;
        while !other.outbox.turn().await.unwrap().is_idle() {}
        house.live(TimeDelta::hours(1)).await;
        let counts = texts_by_number(&house);
        assert_eq!(counts.len(), 40);
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}
