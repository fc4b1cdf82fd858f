//! Whoever can write to the database changes the history there, one way at a time. Each change is found and named.

use std::collections::BTreeSet;

use beckon::domain::Actor;
use beckon::history::verify::{Change, Kept, Report, verify};
use beckon::history::{checkpoint, number};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, Value};

use super::{ORIGIN, happen, number_all, sign};
use crate::support::{TestStore, each_database, open_store};

/// Everything that makes up the log, so that one change can be undone before the next.
const TABLES: [&str; 5] = ["event", "history_head", "history_tile", "history_checkpoint", "data_key"];
/// Acts of the log under test, the signing of two checkpoints besides.
const ACTS: usize = 600;
const SIZE: i64 = ACTS as i64 + 2;

struct Crime<'a> {
    t: &'a TestStore,
    db: DatabaseConnection,
}

impl<'a> Crime<'a> {
    /// A log of a bit more than two tiles, with a checkpoint in the middle and one at the end.
    async fn scene(t: &'a TestStore) -> Self {
        happen(t, ACTS / 2).await;
        sign(t).await;
        happen(t, ACTS / 2).await;
        sign(t).await;
        number_all(t).await;
        let it = Self { t, db: Database::connect(&t.url).await.unwrap() };
        for table in TABLES {
            it.run(&format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")).await;
        }
        it
    }

    async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn run_with(&self, sql: &str, values: Vec<Value>) {
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let done = self.db.execute_raw(statement).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{sql}");
    }

    async fn undo(&self) {
        for table in TABLES {
            self.run(&format!("DELETE FROM {table}")).await;
            self.run(&format!("INSERT INTO {table} SELECT * FROM saved_{table}")).await;
        }
    }

    async fn bytes(&self, column: &str, table: &str, at: &str) -> Vec<u8> {
        let sql = format!("SELECT {column} AS it FROM {table} WHERE {at}");
        let row = self.db.query_one_raw(Statement::from_string(self.db.get_database_backend(), sql)).await.unwrap();
        row.unwrap().try_get("", "it").unwrap()
    }

    /// Flips one bit of a column.
    async fn flip(&self, column: &str, table: &str, at: &str, byte: usize) {
        let mut bytes = self.bytes(column, table, at).await;
        bytes[byte] ^= 1;
        self.run_with(&format!("UPDATE {table} SET {column} = $1 WHERE {at}"), vec![bytes.into()]).await;
    }

    /// The verification by a gateway that has nothing of the log in memory.
    async fn verified(&self, kept: &[Kept]) -> Report {
        let store = open_store(&self.t.url, self.t.clock.clone()).await;
        verify(&store, &self.t.tenant, kept, &|_, _| {}).await.unwrap()
    }

    /// What is found, as (change, place); nothing more and nothing less.
    async fn is_found(&self, crime: &str, expected: &[(Change, Option<i64>)]) {
        let report = self.verified(&[]).await;
        let found: BTreeSet<(Change, Option<i64>)> = report.findings.iter().map(|it| (it.change, it.place)).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{crime}: {:#?}", report.findings);
        assert!(!report.is_whole() && report.more == 0, "{crime}");
        for it in &report.findings {
            let words = it.to_string();
            assert!(words.contains(it.change.words()) && !words.contains("p3"), "{words}");
        }
        self.undo().await;
    }
}

fn at(change: Change, place: i64) -> (Change, Option<i64>) {
    (change, Some(place))
}

#[tokio::test]
async fn nothing_is_found_where_nothing_was_done() {
    each_database(async |t| {
        let crime = Crime::scene(&t).await;
        crime.undo().await;
        let report = crime.verified(&[]).await;
        assert!(report.is_whole(), "{:#?}", report.findings);
        assert_eq!((report.size, report.rows, report.checkpoints, report.unnumbered), (602, 602, 2, 0));
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_change_in_the_database_is_found_and_named() {
    use Change as C;
    each_database(async |t| {
        let crime = Crime::scene(&t).await;

        crime.run("UPDATE event SET actor = 'staff:mallory' WHERE seq = 100").await;
        crime.is_found("another actor", &[at(C::ContentAltered, 100)]).await;

        crime.run("UPDATE event SET at = (SELECT at FROM event WHERE seq = 3) WHERE seq = 101").await;
        crime.is_found("another time", &[at(C::ContentAltered, 101)]).await;

        crime.run("UPDATE event SET patient = 'p9', outcome = 'failed' WHERE seq = 102").await;
        crime.is_found("about somebody else", &[at(C::ContentAltered, 102)]).await;

        crime.run("UPDATE event SET kind = 'nothing.happened' WHERE seq = 103").await;
        crime.is_found("a kind that there is not", &[at(C::ContentAltered, 103)]).await;

        crime.flip("detail", "event", "seq = 104", 60).await;
        crime.is_found("a bit of the sealed detail", &[at(C::DetailAltered, 104)]).await;

        let (one, two) =
            (crime.bytes("detail", "event", "seq = 105").await, crime.bytes("detail", "event", "seq = 116").await);
        crime.run_with("UPDATE event SET detail = $1 WHERE seq = 105", vec![two.into()]).await;
        crime.run_with("UPDATE event SET detail = $1 WHERE seq = 116", vec![one.into()]).await;
        crime.is_found("two details swapped", &[at(C::DetailAltered, 105), at(C::DetailAltered, 116)]).await;

        crime.flip("leaf", "event", "seq = 106", 5).await;
        crime.is_found("a leaf", &[at(C::LeafAltered, 106)]).await;

        crime.flip("mac", "event", "seq = 107", 5).await;
        crime.is_found("a row's code", &[at(C::CodeAltered, 107)]).await;

        crime.run("DELETE FROM event WHERE seq = 108").await;
        crime.is_found("one row removed", &[at(C::Removed, 108)]).await;

        crime.run("DELETE FROM event WHERE seq >= 590").await;
        crime.is_found("the end removed", &[at(C::Removed, 590)]).await;

        crime.run("UPDATE event SET seq = -1 WHERE seq = 109").await;
        crime.run("UPDATE event SET seq = 109 WHERE seq = 260").await;
        crime.run("UPDATE event SET seq = 260 WHERE seq = -1").await;
        crime.is_found("two rows swapped", &[at(C::Moved, 109), at(C::Moved, 260)]).await;

        let columns = "tenant, at, actor, kind, outcome, ehr, patient, rule, reminder, message, detail, leaf, mac";
        let insert =
            format!("INSERT INTO event (id, seq, {columns}) SELECT $1, $2, {columns} FROM event WHERE seq = 7");
        let forged = || Value::from(t.store.new_id());
        crime.run_with(&insert, vec![forged(), SIZE.into()]).await;
        crime.is_found("a copy at the end", &[at(C::Copied, SIZE)]).await;

        crime.run_with(&insert, vec![forged(), SIZE.into()]).await;
        crime.flip("leaf", "event", "seq = 602", 0).await;
        crime.is_found("a forged row at the end", &[at(C::Inserted, SIZE)]).await;

        crime.run("UPDATE event SET seq = -seq - 1 WHERE seq >= 200").await;
        crime.run("UPDATE event SET seq = -seq WHERE seq < 0").await;
        crime.run_with(&insert, vec![forged(), 200_i64.into()]).await;
        crime.flip("leaf", "event", "seq = 200", 0).await;
        crime.is_found("a forged row in the middle", &[at(C::Inserted, 200), at(C::Moved, 201)]).await;

        crime.run("UPDATE event SET seq = NULL WHERE seq = 110").await;
        crime.is_found("a number taken away", &[at(C::TakenOut, 110)]).await;

        crime.flip("hashes", "history_tile", "level = 0 AND number = 1", 40).await;
        crime.is_found("a leaf's hash in the tree", &[(C::TileAltered, None)]).await;

        crime.flip("hashes", "history_tile", "level = 1 AND number = 0", 40).await;
        crime.is_found("a hash above the leaves", &[(C::TileAltered, None)]).await;

        crime.run("DELETE FROM history_tile WHERE level = 0 AND number = 0").await;
        crime.is_found("a tile removed", &[(C::TileAltered, None)]).await;

        crime.run("UPDATE history_head SET size = size - 1").await;
        crime.is_found("the count", &[(C::HeadAltered, None)]).await;

        crime.run("DELETE FROM history_checkpoint WHERE size < 400").await;
        crime.is_found("a checkpoint removed", &[at(C::CheckpointRemoved, 300)]).await;

        crime.run("UPDATE history_checkpoint SET note = (SELECT max(note) FROM saved_history_checkpoint)").await;
        let report = crime.verified(&[]).await;
        assert!(report.findings.iter().any(|it| it.change == C::CheckpointAltered), "{report:#?}");
        crime.undo().await;

        crime.run("UPDATE data_key SET wrapped = NULL WHERE subject = 'ehr/p4'").await;
        crime.is_found("a key destroyed by hand", &[at(C::KeyMissing, 4)]).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_kept_a_checkpoint_convicts_an_operator_who_rewrites_everything_after_it() {
    each_database(async |t| {
        let crime = Crime::scene(&t).await;
        let view = t.store.view(&t.tenant);
        let kept: Vec<Kept> = view
            .newest_checkpoints(None, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|it| Kept { name: "kept in march".to_owned(), note: it.note, key: None })
            .collect();
        let key = checkpoint::verifier(&view.log_keys().await.unwrap()[0]).unwrap();

        // The operator has the keys and the program: one event goes, and everything is numbered and signed anew.
        crime.run("DELETE FROM event WHERE seq = 42 OR kind = 'history.checkpoint'").await;
        crime.run("UPDATE event SET seq = NULL").await;
        for table in ["history_head", "history_tile", "history_checkpoint"] {
            crime.run(&format!("DELETE FROM {table}")).await;
        }
        let operator = open_store(&t.url, t.clock.clone()).await;
        number::number_all(&operator, &t.tenant).await.unwrap();
        checkpoint::sign(&operator, &t.tenant, ORIGIN, Actor::system("mallory")).await.unwrap();

        assert!(crime.verified(&[]).await.is_whole(), "by itself it looks whole");
        let report = crime.verified(&kept).await;
        let found: Vec<Change> = report.findings.iter().map(|it| it.change).collect();
        assert_eq!(found, [Change::Rewritten, Change::CutBack], "{report:#?}");
        assert!(report.findings[0].to_string().contains("kept in march"), "{report:#?}");

        // With a new key as well, the old signature is what no longer fits.
        crime.run("DELETE FROM history_key").await;
        crime.run("DELETE FROM history_checkpoint").await;
        crime.run("DELETE FROM event WHERE kind = 'history.checkpoint'").await;
        crime.run("UPDATE event SET seq = NULL").await;
        for table in ["history_head", "history_tile"] {
            crime.run(&format!("DELETE FROM {table}")).await;
        }
        number::number_all(&operator, &t.tenant).await.unwrap();
        checkpoint::sign(&operator, &t.tenant, ORIGIN, Actor::system("mallory")).await.unwrap();
        assert!(crime.verified(&[]).await.is_whole(), "by itself it looks whole");
        let report = crime.verified(&kept).await;
        assert!(report.findings.iter().all(|it| it.change == Change::CheckpointAltered), "{report:#?}");
        assert_eq!(report.findings.len(), 2);
        // Whoever kept the public key beside the checkpoint is told more.
        let kept: Vec<Kept> = kept.into_iter().map(|it| Kept { key: Some(key.clone()), ..it }).collect();
        let report = crime.verified(&kept).await;
        assert!(report.findings.iter().any(|it| it.change == Change::Rewritten), "{report:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_database_put_back_to_an_earlier_day_is_shorter_than_a_checkpoint_of_it() {
    each_database(async |t| {
        let crime = Crime::scene(&t).await;
        happen(&t, 50).await;
        let later = Kept { name: "yesterday's".to_owned(), note: sign(&t).await.note, key: None };
        assert!(crime.verified(std::slice::from_ref(&later)).await.is_whole());
        crime.undo().await;
        assert!(crime.verified(&[]).await.is_whole(), "by itself it looks whole");
        let report = crime.verified(&[later]).await;
        let found: Vec<Change> = report.findings.iter().map(|it| it.change).collect();
        assert_eq!(found, [Change::CutBack], "{report:#?}");
    })
    .await;
}
