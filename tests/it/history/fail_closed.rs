//! No audit, no act: what cannot be recorded does not happen.

use beckon::domain::{MessageState, Role};
use beckon::store::HaltScope;
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use crate::support::gateway::Gateway;
use crate::support::house::{each_house, operator};
use crate::support::{TestStore, each_database};

/// From now on no event can be written.
async fn break_the_history(t: &TestStore) -> DatabaseConnection {
    let db = Database::connect(&t.url).await.unwrap();
    if t.url.starts_with("sqlite:") {
        db.execute_unprepared(
            "CREATE TRIGGER refusing BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'the history is full'); END",
        )
        .await
        .unwrap();
    } else {
        db.execute_unprepared(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the history is \
             full'; END $$",
        )
        .await
        .unwrap();
        db.execute_unprepared("CREATE TRIGGER refusing BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION refuse()")
            .await
            .unwrap();
    }
    db
}

async fn mend_the_history(t: &TestStore, db: &DatabaseConnection) {
    let drop = if t.url.starts_with("sqlite:") { "DROP TRIGGER refusing" } else { "DROP TRIGGER refusing ON event" };
    db.execute_unprepared(drop).await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_while_the_history_cannot_be_written_and_it_goes_out_once_it_can() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        let db = break_the_history(&house.t).await;
        house.later(TimeDelta::minutes(61));
        let mut failed = 0;
        for _ in 0..10 {
            failed += usize::from(house.gateway.outbox.turn().await.is_err());
            house.later(TimeDelta::minutes(1));
        }
        assert!(failed > 1, "it was tried");
        assert!(house.texts().is_empty(), "no audit, no text");
        assert!(house.messages().await.is_empty());
        mend_the_history(&house.t, &db).await;
        house.live(TimeDelta::minutes(30)).await;
        assert_eq!(house.texts().len(), 1, "once");
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_switch_moves_while_the_history_cannot_be_written() {
    each_house(async |house| {
        let db = break_the_history(&house.t).await;
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        let halted = tx.halt(&HaltScope::Everything, "a test", &operator()).await;
        assert!(halted.is_err());
        drop(tx);
        mend_the_history(&house.t, &db).await;
        assert!(house.view().sending().await.unwrap().halts.is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_patient_is_shown_while_looking_cannot_be_recorded() {
    each_database(async |t| {
        let clinic = crate::support::clinic::Clinic::open(&t).await;
        let gateway = Gateway::start(t).await;
        let mut staff = gateway.signed_in(Role::Compliance).await;
        let (page, name) = (clinic.home(), "Lovelace");
        assert!(staff.get(&page).await.shows(name));
        let db = break_the_history(&gateway.t).await;
        for page in [page.as_str(), "/messages"] {
            let shown = staff.get(page).await;
            assert!(!shown.shows(name), "{page}");
        }
        let searched = staff.post("/history", &[("who", ""), ("from", ""), ("to", ""), ("kind", "")]).await;
        assert_eq!(searched.status, 500, "a search that cannot be recorded finds nothing");
        mend_the_history(&gateway.t, &db).await;
        assert!(staff.get(&page).await.shows(name));
        gateway.stop().await;
    })
    .await;
}
