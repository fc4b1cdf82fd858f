//! The store's promises: sealed columns, tenants kept apart, nothing half done.

use beckon::domain::{Actor, EhrId, EventKind, PatientId, TenantId};
use beckon::store::EventFilter;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;

use crate::support::{TestStore, each_database};

async fn append(t: &TestStore, words: &str) {
    let mut tx = t.store.write(&t.tenant).await.unwrap();
    let event = tx
        .event(Actor::system("test"), EventKind::ReplyReceived)
        .about_patient(&EhrId::new("ehr"), &PatientId::new("p1"))
        .with_detail(json!({ "words": words }));
    tx.append(event).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_event_is_read_back_as_it_was_written() {
    each_database(async |t| {
        append(&t, "I will come, Ada Lovelace").await;
        let events =
            t.store.view(&t.tenant).events(&EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].detail["words"], "I will come, Ada Lovelace");
        assert_eq!(events[0].patient, Some(PatientId::new("p1")));
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_transaction_leaves_nothing() {
    each_database(async |t| {
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        let event = tx.event(Actor::Patient, EventKind::ReplyReceived);
        tx.append(event).await.unwrap();
        drop(tx);
        append(&t, "after").await;
        let events =
            t.store.view(&t.tenant).events(&EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap();
        assert_eq!(events.len(), 1, "only the committed event is there, and its key works");
    })
    .await;
}

#[tokio::test]
async fn one_tenant_never_sees_another_ones_events() {
    each_database(async |t| {
        let other = TenantId::new("other");
        t.store.add_tenant(&other, "Other Clinic").await.unwrap();
        append(&t, "ours").await;
        let theirs = t.store.view(&other).events(&EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap();
        assert!(theirs.is_empty());
        assert_ne!(
            t.store.view(&t.tenant).blind("phone", "+15125550100").await.unwrap(),
            t.store.view(&other).blind("phone", "+15125550100").await.unwrap(),
            "the same number looks different in each tenant"
        );
    })
    .await;
}

#[tokio::test]
async fn twenty_writers_at_once_all_get_their_turn() {
    each_database(async |t| {
        futures_util::future::join_all((0..20).map(|n| {
            let t = &t;
            async move { append(t, &format!("writer {n}")).await }
        }))
        .await;
        let events =
            t.store.view(&t.tenant).events(&EventFilter { limit: 50, ..EventFilter::default() }).await.unwrap();
        assert_eq!(events.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn ids_keep_the_order_in_which_they_were_given_though_the_clock_stands_still() {
    let t = TestStore::sqlite().await;
    let ids: Vec<uuid::Uuid> = (0..10_000).map(|_| t.store.new_id()).collect();
    assert!(ids.is_sorted(), "later ids are greater");
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
}

#[tokio::test]
async fn two_hundred_keys_are_looked_up_and_not_searched_for_in_the_whole_table() {
    let t = TestStore::sqlite().await;
    let db = sea_orm::Database::connect(&t.url).await.unwrap();
    let keys = (0..200).map(|n| format!("x'{n:032x}'")).collect::<Vec<_>>().join(",");
    let plan = async |sql: String| {
        let backend = sea_orm::DatabaseBackend::Sqlite;
        let rows =
            db.query_all_raw(Statement::from_string(backend, format!("EXPLAIN QUERY PLAN {sql}"))).await.unwrap();
        rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
    };
    for table in ["message", "attempt", "reminder", "data_key"] {
        let found = plan(format!("SELECT * FROM {table} WHERE tenant = 'main' AND id IN ({keys})")).await;
        assert!(found.contains("(id=?)"), "{table}: {found}");
    }
    let due = "SELECT * FROM reminder WHERE tenant = ? AND state IN ('planned', 'waiting') AND next_at <= ? \
               ORDER BY next_at, priority LIMIT 200";
    let found = plan(due.to_owned()).await;
    assert!(found.contains("reminder_due") && !found.contains("TEMP B-TREE"), "{found}");
}
