//! The account that a gateway on PostgreSQL runs under adds to the history and changes nothing in it.

use beckon::domain::Actor;
use beckon::history::{checkpoint, verify::verify};
use sea_orm::{ConnectionTrait, Database};

use super::{ORIGIN, happen, number_all, sign};
use crate::support::{TestStore, open_store};

#[tokio::test]
async fn the_gateways_account_on_postgresql_can_only_add_to_the_history() {
    let Some(mut t) = TestStore::postgres().await else {
        eprintln!("BECKON_TEST_POSTGRES is not set: there are no accounts on SQLite");
        return;
    };
    let owner = Database::connect(&t.url).await.unwrap();
    let role = format!("gateway_{}", t.store.new_id().simple());
    owner.execute_unprepared(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    let script = std::fs::read_to_string("packaging/postgres-roles.sql").unwrap();
    owner.execute_unprepared(&script.replace(":\"role\"", &role)).await.unwrap();

    let (scheme, rest) = t.url.split_once("://").unwrap();
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let url = format!("{scheme}://{role}@{host}");
    t.store = open_store(&url, t.clock.clone()).await;
    happen(&t, 300).await;
    sign(&t).await;
    checkpoint::rotate_key(&t.store, &t.tenant, ORIGIN, Actor::Patient).await.unwrap();
    happen(&t, 10).await;
    sign(&t).await;
    number_all(&t).await;
    assert!(verify(&t.store, &t.tenant, &[], &|_, _| {}).await.unwrap().is_whole());

    let gateway = Database::connect(&url).await.unwrap();
    for forbidden in [
        "UPDATE event SET actor = 'staff:mallory' WHERE seq = 7",
        "UPDATE event SET seq = 900 WHERE seq = 7",
        "UPDATE event SET seq = NULL WHERE seq = 7",
        "DELETE FROM event WHERE seq = 7",
        "TRUNCATE event",
        "UPDATE history_checkpoint SET note = ''",
        "DELETE FROM history_checkpoint",
        "UPDATE history_key SET public_key = ''",
        "DELETE FROM history_key",
        "DELETE FROM history_tile",
        "DROP TABLE event",
        "ALTER TABLE event DISABLE TRIGGER ALL",
    ] {
        let refused = gateway.execute_unprepared(forbidden).await;
        let words = refused.err().map(|error| error.to_string()).unwrap_or_default();
        let known = ["permission denied", "must be owner", "keeps it"].iter().any(|it| words.contains(it));
        assert!(known, "{forbidden}: {words:?}");
    }
    assert!(verify(&t.store, &t.tenant, &[], &|_, _| {}).await.unwrap().is_whole());
    t.store.close().await.unwrap();
    gateway.close().await.unwrap();
    owner.execute_unprepared(&format!("DROP OWNED BY {role}")).await.unwrap();
    owner.execute_unprepared(&format!("DROP ROLE {role}")).await.unwrap();
}
