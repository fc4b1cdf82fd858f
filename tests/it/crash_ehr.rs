//! `kill -9` while the gateway speaks with its EHR: in the middle of a bulk export, between the pages of a search, and
//! between a write and its answer. Afterwards what we have is counted against what the EHR has.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use beckon::domain::ResourceType;
use beckon::ehr::plan::Export;
use beckon::sandbox::{ExportManner, Fault, FaultKind, HospitalOptions};
use beckon::store::{ExportState, SendMode};
use chrono::TimeDelta;
use serde_json::json;

use crate::crash::{Life, next};
use crate::support::each_database;
use crate::support::house::{House, Setup, mobile, settings_text};
use crate::support::tools::fake_time;

const PATIENTS: usize = 60;
const KILLS: usize = 12;

/// Where a life finds its settings and leaves its words.
struct Place {
    library: PathBuf,
    config: PathBuf,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Place {
    fn of(house: &House, setup: &Setup) -> Option<Self> {
        let library = fake_time()?;
        let folder = tempfile::tempdir().unwrap();
        let (config, log) = (folder.path().join("beckon.toml"), folder.path().join("log"));
        let text = settings_text(&house.hospital, &house.url, &house.t.url, folder.path(), setup);
        std::fs::write(&config, text).unwrap();
        Some(Self { library, config, log, _folder: folder })
    }

    /// A life that ends some milliseconds after `happened` first says yes, or when it is done. Whether it was killed.
    async fn live(&self, house: &House, command: &[&str], after: u64, happened: impl Fn() -> bool) -> bool {
        let mut life = Life::begin(&self.library, command, &self.config, house.now(), &self.log);
        let patience = Instant::now() + Duration::from_secs(20);
        while !happened() && !life.has_ended() && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(after)).await;
        let (lived, killed) = life.kill_if_alive();
        // What the dead one had leased is free again.
        house.later(lived + TimeDelta::minutes(20));
        killed
    }

    fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn admit(house: &House) {
    for n in 0..PATIENTS {
        let id = format!("p{n:02}");
        house.patient(&id, mobile(&format!("+131255501{n:02}")));
        house.book(&format!("visit-{n:02}"), &id, house.now() + TimeDelta::days(9));
        for c in 0..5 {
            house
                .hospital
                .put(json!({
                    "resourceType": "Condition", "id": format!("c{n:02}-{c}"), "subject": {"reference": format!("Patient/{id}")},
                    "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                                   "code": "active"}]},
                    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
                }))
                .unwrap();
        }
    }
}

/// Nothing missing, nothing that is not there, nothing set aside.
async fn is_the_truth(house: &House, words: &str) {
    for kind in [ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition] {
        let there = house.hospital.resources(kind.as_str());
        let there: BTreeSet<String> = there.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        let here: BTreeSet<String> = house.view().mirrored_ids(&house.ehr, kind).await.unwrap().into_iter().collect();
        assert_eq!(here, there, "{kind}\n{words}");
    }
    assert!(house.view().quarantined(&house.ehr, 10).await.unwrap().is_empty(), "{words}");
    assert_eq!(house.unexplained().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_bulk_export_it_goes_on_where_it_was() {
    fn small_files(options: &mut HospitalOptions) {
        options.personality.export = Some(ExportManner { per_file: 60, ..ExportManner::EVERYTHING });
    }
    let setup = Setup {
        hospital: small_files,
        connection: |ehr| {
            ehr.settings.plan.export = Some(Export::Patient);
            ehr.settings.plan.export_types = Some(vec![ResourceType::Patient, ResourceType::Condition]);
        },
        ..Setup::default()
    };
    each_database(async |t| {
        let house = House::open(t, &setup).await;
        let Some(place) = Place::of(&house, &setup) else { return };
        admit(&house);
        let slow = FaultKind::SlowBody { chunk: 2048, millis: 15 };
        house.hospital.inject(Fault::new(slow).on("/fhir/_export").always());
        house.hospital.inject(Fault::new(FaultKind::ExportUnderWay).on("/fhir/_export").times(2));
        let (mut seed, mut kills) = (7, 0);
        for _ in 0..KILLS {
            let asked = || house.asked("GET", "/fhir/Patient/$export") + house.asked("GET", "/fhir/_export");
            let before = asked();
            let after = next(&mut seed) % 900;
            kills += usize::from(place.live(&house, &["sync"], after, || asked() > before).await);
            let done = house.view().exports(&house.ehr, None, 1).await.unwrap();
            if done.first().is_some_and(|it| it.state == ExportState::Done) {
                break;
            }
        }
        house.hospital.clear_faults();
        let report = house.sync().await;
        assert!(report.of(ResourceType::Condition).unwrap().complete, "{report:#?}\n{}", place.words());
        is_the_truth(&house, &place.words()).await;
        let (kept, started) = house.hospital.exports();
        // Killed between the EHR's answer and its record, an export is asked for once more, and forgotten by the EHR.
        assert!(kept <= 1 && started <= 2, "{kept} exports are kept, {started} were started\n{}", place.words());
        assert!(kills >= 3, "only {kills} kills\n{}", place.words());
        let done = house.view().exports(&house.ehr, None, 10).await.unwrap();
        assert_eq!(done.len(), 1, "one export in our books: {done:#?}");
        eprintln!("{kills} kills during the export");
        house.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_two_pages_it_misses_nobody() {
    let setup = Setup { send: "[pull]\npage_size = 10".to_owned(), ..Setup::default() };
    each_database(async |t| {
        let house = House::open(t, &setup).await;
        let Some(place) = Place::of(&house, &setup) else { return };
        admit(&house);
        let slow = FaultKind::SlowBody { chunk: 4096, millis: 15 };
        house.hospital.inject(Fault::new(slow).on("/fhir").method("GET").always());
        let (mut seed, mut kills) = (11, 0);
        for round in 0..KILLS {
            let asked = || house.asked("GET", "/fhir?_getpages") + house.asked("GET", "/fhir/Patient?");
            let before = asked();
            let after = next(&mut seed) % 700;
            kills += usize::from(place.live(&house, &["sync", "--full"], after, || asked() > before + round).await);
            let marks = house.view().watermarks(&house.ehr).await.unwrap();
            for (kind, mark) in marks {
                let here = house.view().mirrored_ids(&house.ehr, kind).await.unwrap().len();
                let there = house.hospital.resources(kind.as_str()).len();
                assert!(mark.completed_at.is_none() || here == there, "{kind}: a mark before its last page");
            }
        }
        house.hospital.clear_faults();
        house.sync().await;
        is_the_truth(&house, &place.words()).await;
        assert!(kills >= 5, "only {kills} kills\n{}", place.words());
        eprintln!("{kills} kills during paging");
        house.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_a_write_and_its_answer_it_writes_nothing_twice() {
    let setup = Setup { mode: SendMode::Live, ..Setup::default() };
    each_database(async |t| {
        let house = House::open(t, &setup).await;
        let Some(place) = Place::of(&house, &setup) else { return };
        house.crowd_is_due_in_an_hour(30).await;
        house.later(TimeDelta::hours(1) + TimeDelta::minutes(1));
        // The EHR keeps what it is given at once, and answers slowly.
        let slow = FaultKind::SlowBody { chunk: 32, millis: 25 };
        house.hospital.inject(Fault::new(slow).on("/fhir/Communication").always());
        let (mut seed, mut kills) = (13, 0);
        for _ in 0..KILLS {
            let before = house.hospital.communications().len();
            let after = next(&mut seed) % 120;
            let written = || house.hospital.communications().len() > before;
            kills += usize::from(place.live(&house, &["serve", "--role", "worker"], after, written).await);
            house.hospital.advance_to(house.now()).await;
        }
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(6)).await;
        let written = house.hospital.communications();
        let named: BTreeSet<String> =
            written.iter().map(|it| it["identifier"][0]["value"].as_str().unwrap().to_owned()).collect();
        assert_eq!((written.len(), named.len()), (30, 30), "each once\n{}", place.words());
        assert_eq!(house.messages().await.len(), 30);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        assert!(kills >= 5, "only {kills} kills");
        house.close().await;
    })
    .await;
}
