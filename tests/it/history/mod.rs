//! The history as a compliance officer, and as somebody who trusts nobody, meets it.

mod fail_closed;
mod log;
mod packet;
mod publishing;
mod roles;
mod searching;
mod tampering;

use beckon::domain::{Actor, EhrId, EventKind, PatientId};
use beckon::history::{checkpoint, number};
use beckon::store::CheckpointRow;
use chrono::TimeDelta;
use serde_json::json;

use crate::support::TestStore;

pub const ORIGIN: &str = "beckon.example/history/main";

/// Acts of `count` different instants, about ten patients and about nobody.
pub async fn happen(t: &TestStore, count: usize) {
    let mut done = 0;
    while done < count {
        let batch = (count - done).min(50);
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        let mut events = Vec::with_capacity(batch);
        for n in done..done + batch {
            t.clock.advance(TimeDelta::milliseconds(7));
            let event = tx.event(Actor::system("test"), EventKind::ReplyReceived).with_detail(json!({ "words": n }));
            events.push(match n % 11 {
                10 => event,
                who => event.about_patient(&EhrId::new("ehr"), &PatientId::new(format!("p{who}"))),
            });
        }
        tx.append_all(events).await.unwrap();
        tx.commit().await.unwrap();
        done += batch;
    }
}

pub async fn number_all(t: &TestStore) -> u64 {
    number::number_all(&t.store, &t.tenant).await.unwrap()
}

pub async fn sign(t: &TestStore) -> CheckpointRow {
    checkpoint::sign(&t.store, &t.tenant, ORIGIN, Actor::system("test")).await.unwrap().0
}
