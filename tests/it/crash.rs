//! `kill -9` at any instant: a real gateway process, a real database, a phone that keeps what it took. Whatever the
//! instant, nobody gets the same text twice and nobody is forgotten.
//!
//! The process lives in a time of its own (libfaketime): each life begins twenty minutes after the death before, as if an
//! operator had come to restart it, so that what the dead one had leased is free again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use beckon::app::accounts;
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::SendMode;
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::each_database;
use crate::support::house::{House, Setup, mobile, settings_text};
use crate::support::tools::fake_time;

const TEXTS: usize = 60;
const KILLS: u64 = 20;
/// The instants of the kills follow from it.
const SEED: u64 = 20_260_302;

/// A life of the gateway.
pub struct Life {
    child: Child,
    began: Instant,
    log: PathBuf,
}

impl Life {
    pub fn begin(library: &Path, command: &[&str], config: &Path, at: DateTime<Utc>, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_beckon"))
            .args(command)
            .arg("--config")
            .arg(config)
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("@{}", at.format("%Y-%m-%d %H:%M:%S")))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, began: Instant::now(), log: log.to_owned() }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// As [`Life::kill`], for a command that may have come to its end already; whether it had not.
    pub fn kill_if_alive(mut self) -> (TimeDelta, bool) {
        let alive = self.child.try_wait().unwrap().is_none();
        if alive {
            self.child.kill().unwrap();
        }
        self.child.wait().unwrap();
        (TimeDelta::from_std(self.began.elapsed()).unwrap(), alive)
    }

    /// SIGKILL: no signal handler, no destructor, no flush.
    pub fn kill(mut self) -> TimeDelta {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the gateway ended by itself: {}", std::fs::read_to_string(&self.log).unwrap());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        TimeDelta::from_std(self.began.elapsed()).unwrap()
    }
}

/// Numbers that look random and are the same each time (a linear congruential generator).
pub fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_it_texts_nobody_twice_and_forgets_nobody() {
    let Some(library) = fake_time() else { return };
    each_database(async |t| {
        let setup = Setup { mode: SendMode::Live, ..Setup::default() };
        let house = House::open(t, &setup).await;
        // Three fall due in each life.
        for n in 0..TEXTS {
            let id = format!("p{n}");
            house.patient(&id, mobile(&format!("+131255501{n:02}")));
            let start = house.now() + TimeDelta::days(3) + TimeDelta::minutes(7) * (n as i32 + 1);
            house.book(&format!("visit-{n}"), &id, start);
        }
        house.sync().await;
        house.later(TimeDelta::minutes(21));
        // Each answer of the phone takes its time, so that most kills fall between send and settle.
        let slow = FaultKind::SlowBody { chunk: 64, millis: 20 };
        house.hospital.inject(Fault::new(slow).on("/2010-04-01").method("POST").always());
        let folder = tempfile::tempdir().unwrap();
        let config: PathBuf = folder.path().join("beckon.toml");
        let text = settings_text(&house.hospital, &house.url, &house.t.url, folder.path(), &setup);
        std::fs::write(&config, text).unwrap();
        let log = folder.path().join("log");

        let (mut seed, mut with_open_calls) = (SEED, 0);
        for _ in 0..KILLS {
            let life = Life::begin(&library, &["serve", "--role", "worker"], &config, house.now(), &log);
            // Some die while they wake up, some when they have just begun, most in the middle of their calls.
            let before = house.texts().len();
            let patience = Instant::now() + Duration::from_secs(4);
            if !next(&mut seed).is_multiple_of(5) {
                while house.texts().len() == before && Instant::now() < patience {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(next(&mut seed) % 400)).await;
            let lived = life.kill();
            with_open_calls += usize::from(opened(&house).await > 0);
            house.later(lived + TimeDelta::minutes(20));
            // What became of the texts is reported meanwhile: the next life takes it in and writes it back.
            house.hospital.advance_to(house.now()).await;
        }
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(with_open_calls >= 5, "only {with_open_calls} of {KILLS} kills fell into a call:\n{log}");

        // Then it lives undisturbed, here in this process, until nothing is left to do.
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(6)).await;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in house.texts() {
            *counts.entry(text.to).or_default() += 1;
        }
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "seed {SEED}: texted twice: {twice:?}\n{log}");
        assert_eq!(counts.len(), TEXTS, "seed {SEED}: somebody was forgotten\n{log}");
        assert_eq!(house.messages().await.len(), TEXTS);
        assert_eq!(house.hospital.communications().len(), TEXTS, "each is in the chart once");
        let counted = accounts::of_ehr(&house.t.store, &house.t.tenant, &house.gateway.settings, &house.ehr).await;
        assert_eq!(counted.unwrap().unexplained, Vec::<String>::new());
        eprintln!("{KILLS} kills, {with_open_calls} of them during a call");
        house.close().await;
    })
    .await;
}

/// Attempts that stand opened: a call was under way when the process died.
async fn opened(house: &House) -> usize {
    use beckon::domain::AttemptState;
    let attempts = house.messages().await.into_iter().flat_map(|it| it.attempts);
    attempts.filter(|it| it.state == AttemptState::Opened).count()
}
