//! Backup and restore: whole or not at all, on either database, halted afterwards, and nothing sent twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use beckon::app::Gateway;
use beckon::app::backup::{BackupError, restore, take};
use beckon::app::reconcile::{self, ReconcileError};
use beckon::config::Settings;
use beckon::domain::{Actor, EventKind};
use beckon::sandbox::{Fault, FaultKind};
use beckon::seal::{RootKey, SealedReader};
use beckon::store::{DumpError, EventFilter, HaltScope, SendMode, Store};
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, Statement};

use crate::support::clinic::Clinic;
use crate::support::live::{Live, pass, settle};
use crate::support::{ROOT_KEY, TestStore, each_database, open_store};

fn nobody_looks(_: u64, _: u64) {}

fn by() -> Actor {
    Actor::Cli("test".to_owned())
}

fn settings(root_key: &str) -> Settings {
    let text = format!(
        "[server]\npublic_url = \"https://b.example\"\n[seal]\nroot_key = \"{root_key}\"\n[organisation]\nname = \
         \"Clinic\"\nphone = \"+15125550199\"\n"
    );
    beckon::config::load_text(&text).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("beckon.backup")
    }
}

/// A database of the other kind, where there is one: a backup goes into either.
async fn other_kind(t: &TestStore) -> TestStore {
    let other = if t.url.starts_with("sqlite:") { TestStore::postgres().await } else { None };
    let other = match other {
        Some(other) => other,
        None => TestStore::sqlite().await,
    };
    other.clock.set(t.store.clock().now());
    other
}

async fn rows(store: &Store) -> (BTreeMap<String, u64>, Vec<String>) {
    let mut bytes = Vec::new();
    let dump = store.dump(&mut bytes, &nobody_looks).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect();
    lines.sort();
    (dump.tables, lines)
}

async fn is_halted(t: &TestStore) -> bool {
    let sending = t.store.view(&t.tenant).sending().await.unwrap();
    sending.halts.iter().any(|halt| halt.scope == HaltScope::Everything && halt.reason.contains("backup of"))
}

async fn resume(store: &Store, t: &TestStore) {
    let mut tx = store.write(&t.tenant).await.unwrap();
    assert!(tx.resume(&HaltScope::Everything, &by()).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn every_row_comes_back_in_either_kind_of_database_and_sending_is_halted() {
    each_database(async |t| {
        let clinic = Clinic::open(&t).await;
        let folder = Folder::new();
        let before = rows(&t.store).await;
        let taken = take(&t.store, &settings(ROOT_KEY), &folder.file(), &nobody_looks, &by()).await.unwrap();
        assert_eq!(taken.rows, before.1.len() as u64);
        for target in [other_kind(&t).await, TestStore::sqlite().await] {
            target.clock.set(t.store.clock().now());
            let (ours, file) = (settings(ROOT_KEY), folder.file());
            let restored = restore(&target.store, &ours, &file, false, &nobody_looks, &by()).await.unwrap();
            assert_eq!((restored.sha256, restored.taken_at), (taken.sha256.clone(), taken.taken_at));
            let after = rows(&target.store).await;
            let missing: Vec<&String> = before.1.iter().filter(|line| !after.1.contains(line)).collect();
            assert!(missing.is_empty(), "{missing:?}");
            assert_eq!(
                after.1.len(),
                before.1.len() + 3,
                "a halt, and two events of it and of the restore: {:?}",
                after.0
            );
            assert!(is_halted(&target).await);
            let view = target.store.view(&target.tenant);
            let filter = EventFilter { kinds: vec![EventKind::Restored], limit: 5, ..EventFilter::default() };
            assert_eq!(view.events(&filter).await.unwrap().len(), 1);
            let found = view.find_patients("mrn", "mrn-0042", 5).await.unwrap();
            assert_eq!(found, vec![(clinic.ehr.clone(), clinic.ada.clone())], "blind indexes still find");
            let delivery = view.deliveries(&[clinic.message]).await.unwrap().remove(0);
            assert!(delivery.message.body.unwrap().text.expose().contains("your visit is"), "sealed text still opens");
        }
    })
    .await;
}

#[tokio::test]
async fn a_backup_knows_every_table_of_the_schema() {
    each_database(async |t| {
        let db = Database::connect(&t.url).await.unwrap();
        let sql = if t.url.starts_with("sqlite:") {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        } else {
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
        };
        let found = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        let mut there: Vec<String> = found.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        // Leads, sessions, leases and the ledger of requests end with a restore; migrations are applied, not restored.
        let left_out = ["leader", "staff_session", "ehr_slot", "ehr_request", "seaql_migrations"];
        there.retain(|name| !left_out.contains(&name.as_str()));
        there.sort();
        assert_eq!(rows(&t.store).await.0.into_keys().collect::<Vec<_>>(), there);
    })
    .await;
}

#[tokio::test]
async fn what_is_damaged_foreign_or_in_the_way_is_refused_and_changes_nothing() {
    each_database(async |t| {
        Clinic::open(&t).await;
        let folder = Folder::new();
        let (file, ours) = (folder.file(), settings(ROOT_KEY));
        take(&t.store, &ours, &file, &nobody_looks, &by()).await.unwrap();
        let again = take(&t.store, &ours, &file, &nobody_looks, &by()).await.unwrap_err();
        assert!(matches!(again, BackupError::Exists(_)), "{again}");

        let whole = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&whole).contains("appointment-reminder"), "sealed as a whole");
        let root = RootKey::parse(&ROOT_KEY.into()).unwrap();
        assert!(SealedReader::new(&whole[..], &root).is_ok());

        let target = TestStore::sqlite().await;
        let before = rows(&target.store).await;
        let damaged = folder.0.path().join("damaged");
        for (words, bytes) in [
            ("cut short", whole[..whole.len() - 100].to_vec()),
            (
                "altered",
                [&whole[..whole.len() / 2], &[whole[whole.len() / 2] ^ 1], &whole[whole.len() / 2 + 1..]].concat(),
            ),
            ("not a file", b"-- PostgreSQL database dump, and some more of it\n".to_vec()),
        ] {
            std::fs::write(&damaged, bytes).unwrap();
            let error = restore(&target.store, &ours, &damaged, false, &nobody_looks, &by()).await.unwrap_err();
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
        let foreign = settings("YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=");
        let error = restore(&target.store, &foreign, &file, false, &nobody_looks, &by()).await.unwrap_err();
        assert!(error.to_string().contains("another root key"), "{error}");
        assert_eq!(rows(&target.store).await, before);

        let error = restore(&t.store, &ours, &file, false, &nobody_looks, &by()).await.unwrap_err();
        assert!(matches!(error, BackupError::Rows { error: DumpError::NotEmpty(_), .. }), "{error}");
        assert!(!is_halted(&t).await);
        let holder = t.store.new_id();
        assert!(t.store.lead("pull/main/main", holder, TimeDelta::minutes(2)).await.unwrap());
        let error = restore(&t.store, &ours, &file, true, &nobody_looks, &by()).await.unwrap_err();
        assert!(matches!(error, BackupError::Rows { error: DumpError::InUse { .. }, .. }), "{error}");
        t.clock.advance(TimeDelta::minutes(3));
        restore(&t.store, &ours, &file, true, &nobody_looks, &by()).await.unwrap();
        assert!(is_halted(&t).await);
    })
    .await;
}

/// What each person got, and how often.
fn got(live: &Live) -> BTreeMap<(String, String), usize> {
    let mut got = BTreeMap::new();
    for text in live.hospital.texts().into_iter().filter(|text| text.direction == "outbound-api") {
        *got.entry((text.to, text.body)).or_insert(0) += 1;
    }
    for mail in live.hospital.mails() {
        *got.entry((mail.recipients.join(","), mail.text.unwrap_or_default())).or_insert(0) += 1;
    }
    got
}

fn doubled(got: &BTreeMap<(String, String), usize>) -> Vec<&(String, String)> {
    got.iter().filter(|(_, count)| **count > 1).map(|(what, _)| what).collect()
}

/// Runs a gateway, takes a backup, lets `hours` of messages go out, loses the database, and restores into a new one.
async fn lose_and_restore(live: &Live, hours: i64) -> (TestStore, Gateway, Folder) {
    live.book();
    live.pass(3).await;
    let folder = Folder::new();
    take(&live.t.store, &live.settings, &folder.file(), &nobody_looks, &by()).await.unwrap();
    let before = got(live).len();
    live.pass(hours).await;
    assert!(got(live).len() > before + 3, "messages went out after the backup: {before} and {}", got(live).len());
    let mut target = other_kind(&live.t).await;
    // One clock for the hospital, the lost gateway and the new one.
    target.store = open_store(&target.url, live.clock.clone()).await;
    restore(&target.store, &live.settings, &folder.file(), false, &nobody_looks, &by()).await.unwrap();
    let gateway = live.gateway_on(target.store.clone()).await;
    (target, gateway, folder)
}

#[tokio::test]
async fn what_went_out_after_the_backup_does_not_go_out_again() {
    each_database(async |t| {
        let live = Live::open(t, 0, "").await;
        let (target, gateway, folder) = lose_and_restore(&live, 5).await;
        let sent = got(&live);
        assert!(doubled(&sent).is_empty());

        settle(&gateway, &live.hospital, &live.ehr).await;
        assert_eq!(got(&live), sent, "halted: nothing goes out");
        let report = reconcile::run(&gateway, &nobody_looks, &by()).await.unwrap();
        assert!(report.found_at_ehr > 3, "{report:?}");
        let again = reconcile::run(&gateway, &nobody_looks, &by()).await.unwrap();
        assert_eq!((again.found_at_ehr, again.found_at_provider, again.messages_settled), (0, 0, 0), "{again:?}");

        resume(&target.store, &target).await;
        pass(&gateway, &live.hospital, &live.ehr, &live.clock, 20).await;
        let after = got(&live);
        assert_eq!(doubled(&after), Vec::<&(String, String)>::new());
        assert!(after.len() > sent.len(), "what falls due later goes out");
        let communications = live.hospital.communications();
        let ids: std::collections::BTreeSet<String> =
            communications.iter().map(|it| it["identifier"][0]["value"].to_string()).collect();
        assert_eq!(ids.len(), communications.len(), "and the EHR has one Communication of each");

        // The same backup, and nobody asked what went out: this is what reconciling prevents.
        let mut careless = TestStore::sqlite().await;
        careless.store = open_store(&careless.url, live.clock.clone()).await;
        restore(&careless.store, &live.settings, &folder.file(), false, &nobody_looks, &by()).await.unwrap();
        let gateway = live.gateway_on(careless.store.clone()).await;
        resume(&careless.store, &careless).await;
        settle(&gateway, &live.hospital, &live.ehr).await;
        assert!(doubled(&got(&live)).len() > 3);
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_log_of_the_provider_tells_what_the_ehr_does_not() {
    each_database(async |t| {
        let live = Live::open(t, 0, "").await;
        let broken = Fault::new(FaultKind::ServerError { status: 500, retry_after: None });
        live.hospital.inject(broken.on("/fhir/Communication").method("POST").times(100_000));
        let (target, gateway, _folder) = lose_and_restore(&live, 5).await;
        // The gateway that is lost never managed to write back.
        live.hospital.clear_faults();
        assert!(live.hospital.communications().is_empty());
        let sent = got(&live);
        let report = reconcile::run(&gateway, &nobody_looks, &by()).await.unwrap();
        assert!(report.found_at_provider > 3 && report.found_at_ehr == 0, "{report:?}");
        assert!(report.uncertain > 3, "mail has no log, and the EHR was not told: {report:?}");
        resume(&target.store, &target).await;
        pass(&gateway, &live.hospital, &live.ehr, &live.clock, 20).await;
        let after = got(&live);
        assert_eq!(doubled(&after), Vec::<&(String, String)>::new());
        assert!(after.len() >= sent.len());
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn reconciling_needs_a_restore_a_halt_and_an_ehr_that_answers() {
    each_database(async |t| {
        let live = Live::open(t, 10, "").await;
        let error = reconcile::run(&live.gateway, &nobody_looks, &by()).await.unwrap_err();
        assert!(matches!(error, ReconcileError::NotRestored), "{error}");
        let folder = Folder::new();
        take(&live.t.store, &live.settings, &folder.file(), &nobody_looks, &by()).await.unwrap();
        restore(&live.t.store, &live.settings, &folder.file(), true, &nobody_looks, &by()).await.unwrap();
        let down = Fault::new(FaultKind::ServerError { status: 503, retry_after: None });
        live.hospital.inject(down.on("/fhir").times(100_000));
        reconcile::run(&live.gateway, &nobody_looks, &by()).await.unwrap_err();
        live.hospital.clear_faults();
        resume(&live.t.store, &live.t).await;
        let error = reconcile::run(&live.gateway, &nobody_looks, &by()).await.unwrap_err();
        assert!(matches!(error, ReconcileError::NotHalted), "{error}");
        let mode = live.t.store.view(&live.t.tenant).sending().await.unwrap().mode;
        assert_eq!(mode, SendMode::Live, "the mode is as it was at the time of the backup");
        live.stop().await;
    })
    .await;
}
